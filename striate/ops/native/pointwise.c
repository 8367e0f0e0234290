/* 1x1 convolutions in bfloat16: the product itself, which is that of the input's gradient too, of the turned weight; and
 * the gradient of the weight, a product over all places that the window saw. */
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
    uint32_t *g = allocate(blocks(s->outputs) * MOST * LANES * 2), *p = allocate(blocks(s->inputs) * MOST * LANES * 2);
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

/* Pairs of neighbouring inputs for sixteen outputs: of rows of the weight that are `apart`, or of two rows of it. */
INLINE __m512i pairs_of(const float *weight, int64_t apart, int64_t lanes, int turned) {
    if (turned) return pair((__m256i)narrow(load(weight, lanes, 0)), (__m256i)narrow(load(weight + apart, lanes, 0)));
    __m512i rows = _mm512_mullo_epi64(_mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0), _mm512_set1_epi64(apart));
    __mmask8 low = lanes >= 8 ? 255 : (1 << lanes) - 1, high = lanes >= LANES ? 255 : lanes > 8 ? (1 << (lanes - 8)) - 1 : 0;
    __m512d first = _mm512_mask_i64gather_pd(_mm512_setzero_pd(), low, rows, weight, 4);
    __m512d second = _mm512_mask_i64gather_pd(_mm512_setzero_pd(), high, rows, weight + 8 * apart, 4);
    __m256i a = (__m256i)narrow((floats)first), b = (__m256i)narrow((floats)second);
    return _mm512_inserti64x4(_mm512_castsi256_si512(a), b, 1);
}

/* Weights [outputs, inputs], or if `turned` [inputs, outputs], as panels: vectors of pairs of inputs, input after input. */
void pointwise_weights(const float *weight, uint32_t *to, int64_t inputs, int64_t outputs, int turned, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t from = inputs / 2 * t / threads, end = inputs / 2 * (t + 1) / threads;
        for (int64_t b = 0, wide; b < blocks(outputs); b += wide) {
            wide = across_of(blocks(outputs) - b);
            for (int64_t a = 0; a < wide; a++) {
                int64_t o = (b + a) * LANES, lanes = outputs - o;
                for (int64_t p = from; p < end; p++) {
                    const float *at_ = turned ? weight + 2 * p * outputs + o : weight + o * inputs + 2 * p;
                    __m512i v = pairs_of(at_, turned ? outputs : inputs, lanes, turned);
                    _mm512_storeu_si512(to + (b * (inputs / 2) + p * wide + a) * LANES, v);
                }
            }
        }
    }
}

typedef struct {
    const uint16_t *x;
    const float *bias; /* NULL if there is none */
    uint16_t *y;
    int64_t inputs, outputs;
} Job;

#define JOB Job
#define NUMBER uint16_t
#define WEIGHT uint32_t /* a pair of them */
#include "sweep.h"

INLINE void sums(const Job *j, const uint16_t *const *x, const uint32_t *w, int64_t place, int64_t b, int64_t lanes, int tall,
                 int wide) {
    __m512 s[TALL][ACROSS];
    UNROLL for (int a = 0; a < wide; a++) {
        floats first = j->bias ? load(j->bias + (b + a) * LANES, a + 1 < wide ? LANES : lanes, 0) : (floats){0};
        UNROLL for (int r = 0; r < tall; r++) s[r][a] = (__m512)first;
    }
    if (!b)
        for (int64_t i = AHEAD; i < AHEAD + tall * j->inputs; i += 2 * LANES) __builtin_prefetch(x[0] + i);
    for (int64_t k = 0; k < j->inputs; k += 2, w += wide * LANES) {
        __m512bh v[ACROSS];
        UNROLL for (int a = 0; a < wide; a++) v[a] = (__m512bh)_mm512_loadu_si512(w + a * LANES);
        UNROLL for (int r = 0; r < tall; r++) {
            uint32_t both;
            memcpy(&both, x[r] + k, 4);
            __m512bh g = (__m512bh)_mm512_set1_epi32(both);
            UNROLL for (int a = 0; a < wide; a++) s[r][a] = _mm512_dpbf16_ps(s[r][a], g, v[a]);
        }
    }
    UNROLL for (int r = 0; r < tall; r++)
        UNROLL for (int a = 0; a < wide; a++)
            store(j->y + (place + r) * j->outputs + (b + a) * LANES, (floats)s[r][a], a + 1 < wide ? LANES : lanes, 1);
}

INLINE void lay(const Job *j, const uint16_t **x, int64_t place, int64_t count) {
    for (int64_t r = 0; r < count; r++) x[r] = j->x + (place + r) * j->inputs;
}

/* y[places, outputs] = x[places, inputs] by weights that `pointwise_weights` made; inputs are even. */
void pointwise_forward(const void *x, const uint32_t *weights, const float *bias, void *y, int64_t places, int64_t inputs,
                       int64_t outputs, int threads) {
    Job j = {x, bias, y, inputs, outputs};
    int64_t bytes = 2 * (inputs + outputs);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++)
        sweep(&j, weights, inputs / 2, bytes, outputs, places * t / threads, places * (t + 1) / threads, 0, blocks(outputs));
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

void pointwise_weights(const float *weight, uint32_t *to, int64_t inputs, int64_t outputs, int turned, int threads) {
    (void)weight, (void)to, (void)inputs, (void)outputs, (void)turned, (void)threads;
}

void pointwise_forward(const void *x, const uint32_t *weights, const float *bias, void *y, int64_t places, int64_t inputs,
                       int64_t outputs, int threads) {
    (void)x, (void)weights, (void)bias, (void)y, (void)places, (void)inputs, (void)outputs, (void)threads;
}

#endif
