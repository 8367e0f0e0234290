/* Gradient of the weight of a convolution with stride 1 in bfloat16: for each tap of the window a product over all places,
 * of which x is seen a little further on.
 *
 * Rows of both maps are as long as a row of x and its padding on the wider side, which the next row begins with: then all
 * taps see x at a fixed distance. Pairs of places begin at even ones for some taps and at odd ones for the others, so x
 * is copied in both ways. */
#include "products.h"

typedef struct {
    int64_t n, h, w, inputs; /* x */
    int64_t oh, ow, outputs;
    int64_t rows, columns, top, left; /* of the window, and where its first one begins */
    float floor, ceiling;             /* of the activation behind the norm, if x is to be normalised */
} Window;

/* Numbers of one thread's sums. */
int64_t windows_sums(const Window *s) { return s->rows * s->columns * sums_of(s->outputs, s->inputs); }

#ifdef __AVX512BF16__

#define PLACES 512 /* at a time; more than for 1x1 windows, since all sums of all taps are read and written for them */

typedef struct { /* places of a row; rows of outputs at a time, and how many times in a picture; pictures at a time */
    int64_t pitch, rows, turns, pictures;
    int64_t pairs, wider; /* pairs of a part of the gradient's panels, and of x's */
} Plan;

static Plan plan(const Window *s) {
    int64_t right = s->ow + s->columns - 1 - s->left - s->w, gap = s->left > right ? s->left : right;
    Plan p = {.pitch = s->w + gap};
    p.rows = PLACES / p.pitch < 2 ? 2 : PLACES / p.pitch; /* of one row alone, x would be copied once for each of the window */
    p.turns = (s->oh + p.rows - 1) / p.rows;
    p.rows = (s->oh + p.turns - 1) / p.turns;
    p.pictures = p.turns > 1 || PLACES < p.rows * p.pitch ? 1 : least(PLACES / (p.rows * p.pitch), s->n);
    p.pairs = (p.rows * p.pitch + 1) / 2;
    p.wider = p.pairs + ((s->rows - 1) * p.pitch + s->columns) / 2 + 1;
    return p;
}

/* The rows of outputs from `oh` on of picture n, and what their windows see; NULL where there is nothing. */
static void look(const uint16_t *x, const uint16_t *gradient, const uint16_t **given, const uint16_t **seen, const Window *s,
                 const Plan *p, int64_t n, int64_t oh) {
    for (int64_t k = 0; k < 2 * p->pairs; k++) {
        int64_t row = oh + k / p->pitch, column = k % p->pitch;
        int there = k / p->pitch < p->rows && row < s->oh && column < s->ow;
        given[k] = there ? gradient + ((n * s->oh + row) * s->ow + column) * s->outputs : NULL;
    }
    for (int64_t k = 0; k <= 2 * p->wider; k++) {
        int64_t row = oh - s->top + k / p->pitch, column = k % p->pitch - s->left;
        int there = row >= 0 && row < s->h && column >= 0 && column < s->w;
        seen[k] = there ? x + ((n * s->h + row) * s->w + column) * s->inputs : NULL;
    }
}

/* One thread's share: turns of all pictures. 0 if all is well, 1 if there is no memory. */
static int share(const uint16_t *x, const uint16_t *gradient, const Norm *norm, float *sums, const Window *s, const Plan *p,
                 int64_t from, int64_t to) {
    int64_t taps = s->rows * s->columns, part = p->pairs * LANES, wide = p->wider * LANES;
    Panels panels = {.pairs = p->pairs, .gradient_part = part, .x_part = wide, .gradient_panel = p->pictures * part,
                     .x_panel = p->pictures * wide};
    int64_t all = blocks(s->inputs) * panels.x_panel;
    uint32_t *g = allocate(blocks(s->outputs) * panels.gradient_panel * sizeof(uint32_t));
    uint32_t *even = allocate(2 * all * sizeof(uint32_t)), *odd = even + all;
    const uint16_t **given = malloc(2 * p->pairs * sizeof(*given)), **seen = malloc((2 * p->wider + 1) * sizeof(*seen));
    const uint32_t **tap = malloc(taps * sizeof(*tap));
    int broken = !g || !even || !given || !seen || !tap;
    for (int64_t t = 0; t < taps && !broken; t++) {
        int64_t distance = t / s->columns * p->pitch + t % s->columns;
        tap[t] = (distance % 2 ? odd : even) + distance / 2 * LANES;
    }
    for (int64_t turn = from; turn < to && !broken; turn += panels.parts) {
        panels.gradient = g;
        panels.parts = least(p->pictures, to - turn);
        for (int64_t k = 0; k < panels.parts; k++) {
            look(x, gradient, given, seen, s, p, (turn + k) / p->turns, (turn + k) % p->turns * p->rows);
            copy(given, s->outputs, NULL, p->pairs, panels.gradient_panel, g + k * part);
            copy(seen, s->inputs, norm, p->wider, panels.x_panel, even + k * wide);
            copy(seen + 1, s->inputs, norm, p->wider, panels.x_panel, odd + k * wide);
        }
        multiply(&panels, tap, taps, sums, s->outputs, s->inputs, turn == from);
    }
    free(g);
    free(even);
    free(given);
    free(seen);
    free(tap);
    return broken;
}

/* The share of a thread, in turns of all pictures: whole groups of pictures that are multiplied together. */
INLINE int64_t bound(const Window *s, const Plan *p, int t, int threads) {
    int64_t groups = (s->n * p->turns + p->pictures - 1) / p->pictures;
    return least(groups * t / threads * p->pictures, s->n * p->turns);
}

/* The threads that have something to do. */
int windows_threads(const Window *s, int threads) {
    Plan p = plan(s);
    return least(threads, (s->n * p.turns + p.pictures - 1) / p.pictures);
}

/* result is [outputs, rows, columns, inputs]; sums is [threads, `windows_sums`], of `windows_threads` threads. 0 if all is
 * well, 1 if there is no memory, 2 if this processor cannot multiply bfloat16. */
int windows_weight(const void *x, const void *gradient, const float *scale, const float *shift, float *sums, float *result,
                   const Window *s, int threads) {
    Plan p = plan(s);
    Norm norm = {scale, shift, s->floor, s->ceiling};
    int broken = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(| : broken)
    for (int t = 0; t < threads; t++)
        broken |= share(x, gradient, scale ? &norm : NULL, sums + t * windows_sums(s), s, &p, bound(s, &p, t, threads),
                        bound(s, &p, t + 1, threads));
    if (!broken) add_up(sums, result, s->rows * s->columns, s->outputs, s->inputs, threads);
    return broken;
}

#else

int windows_threads(const Window *s, int threads) {
    (void)s;
    return threads;
}

int windows_weight(const void *x, const void *gradient, const float *scale, const float *shift, float *sums, float *result,
                   const Window *s, int threads) {
    (void)x, (void)gradient, (void)scale, (void)shift, (void)sums, (void)result, (void)s, (void)threads;
    return 2;
}

#endif
