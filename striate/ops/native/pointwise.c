/* Gradient of the weight of a 1x1 convolution in bfloat16: a product over all places that its window saw. */
#include "products.h"

typedef struct {
    int64_t n, h, w, inputs; /* x */
    int64_t oh, ow, outputs, stride;
    float floor, ceiling; /* of the activation behind the norm, if x is to be normalised */
} Product;

/* Numbers of one thread's sums. */
int64_t pointwise_sums(const Product *s) { return sums_of(s->outputs, s->inputs); }

#ifdef __AVX512BF16__

/* One thread's share of the places. 0 if all is well, 1 if there is no memory. */
static int share(const uint16_t *x, const uint16_t *gradient, const Norm *norm, float *sums, const Product *s, int64_t from,
                 int64_t to) {
    const uint16_t *rows[MOST], *seen[MOST];
    int64_t batches = (to - from + MOST - 1) / MOST, places = batches ? (to - from + batches - 1) / batches : 0;
    int64_t pairs = (places + 1) / 2, panel = pairs * LANES;
    uint32_t *g = room(blocks(s->outputs) * MOST * LANES * 2), *p = room(blocks(s->inputs) * MOST * LANES * 2);
    const uint32_t *tap = p;
    Panels panels = {.gradient = g, .pairs = pairs, .parts = 1, .gradient_panel = panel, .x_panel = panel};
    int broken = !g || !p;
    for (int64_t start = from; start < to && !broken; start += places) {
        for (int64_t k = 0; k < 2 * pairs; k++) {
            int64_t place = start + k, column = place % s->ow, row = place / s->ow % s->oh, n = place / s->ow / s->oh;
            int there = k < places && place < to;
            rows[k] = there ? gradient + place * s->outputs : NULL;
            seen[k] = there ? x + ((n * s->h + row * s->stride) * s->w + column * s->stride) * s->inputs : NULL;
        }
        copy(rows, s->outputs, NULL, pairs, panel, g);
        copy(seen, s->inputs, norm, pairs, panel, p);
        multiply(&panels, &tap, 1, sums, s->outputs, s->inputs, start == from);
    }
    free(g);
    free(p);
    return broken;
}

/* result is [outputs, inputs]; sums is [threads, `pointwise_sums`]; no thread may be without a place. 0 if all is well, 1
 * if there is no memory, 2 if this processor cannot multiply bfloat16. */
int pointwise_weight(const void *x, const void *gradient, const float *scale, const float *shift, float *sums,
                     float *result, const Product *s, int threads) {
    int64_t places = s->n * s->oh * s->ow, each = pointwise_sums(s);
    Norm norm = {scale, shift, s->floor, s->ceiling};
    int broken = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(| : broken)
    for (int t = 0; t < threads; t++)
        broken |= share(x, gradient, scale ? &norm : NULL, sums + t * each, s, places * t / threads, places * (t + 1) / threads);
    if (!broken) add_up(sums, result, 1, s->outputs, s->inputs, threads);
    return broken;
}

/* Whether there is anything here for this processor. */
int pointwise_multiplies(void) { return 1; }

#else

int pointwise_multiplies(void) { return 0; }

int pointwise_weight(const void *x, const void *gradient, const float *scale, const float *shift, float *sums,
                     float *result, const Product *s, int threads) {
    (void)x, (void)gradient, (void)scale, (void)shift, (void)sums, (void)result, (void)s, (void)threads;
    return 2;
}

#endif
