/* Gradient of the weight of a 1x1 convolution in bfloat16: for [places, inputs] x and [places, outputs] gradients the
 * matrix product of one's transpose and the other, summed in float.
 *
 * The processor multiplies pairs of bfloat16 that stand side by side, here of two neighbouring places; so both maps are
 * copied into panels of sixteen channels by pairs of places, a few hundred places at a time. Where x is the output of a
 * norm, it is computed from the norm's input while it is copied, and need not exist. */
#include "vectors.h"
#include <stdlib.h>

typedef struct {
    int64_t n, h, w, inputs; /* x */
    int64_t oh, ow, outputs, stride;
    float floor, ceiling; /* of the activation behind the norm, if x is to be normalised */
} Product;

INLINE int64_t blocks(int64_t channels) { return (channels + LANES - 1) / LANES; }

/* Numbers of a row of sums: an odd count of vectors, since rows that lie a power of two apart drive each other out of
 * the nearest cache. */
int64_t pointwise_width(int64_t inputs) { return (blocks(inputs) | 1) * LANES; }

#ifdef __AVX512BF16__

#define MOST 256   /* places at a time: panels of so many stay in the nearest caches */
#define DOWN 8     /* outputs of one block of sums */
#define ACROSS 3   /* and its vectors of inputs, at most */
#define UNROLL _Pragma("GCC unroll 8")

typedef struct { /* one thread's: panels [channels / 16, pairs, 16] of both maps */
    uint32_t *x, *gradient;
    int64_t pairs;
} Panels;

/* Sixteen pairs of the numbers of two places. */
INLINE __m512i pair(__m256i first, __m256i second) {
    return _mm512_or_si512(_mm512_cvtepu16_epi32(first), _mm512_slli_epi32(_mm512_cvtepu16_epi32(second), 16));
}

INLINE __m256i numbers(const uint16_t *row, int64_t lanes) {
    if (!row) return _mm256_setzero_si256();
    return _mm256_maskz_loadu_epi16((__mmask16)(lanes >= LANES ? -1 : (1 << lanes) - 1), row);
}

INLINE __m256i normalised(const uint16_t *row, int64_t lanes, floats scale, floats shift, floats floor, floats ceiling) {
    if (!row) return _mm256_setzero_si256();
    return (__m256i)narrow(clamp(load(row, lanes, 1) * scale + shift, floor, ceiling));
}

/* What lies so far ahead will be wanted soon. */
INLINE void ask(const uint16_t *row, int64_t ahead) {
    if (row) __builtin_prefetch(row + ahead);
}

/* Rows of twice as many places as `pairs`, NULL behind the last one, into panels. `scale` is NULL where numbers are
 * copied as they are. Each row is asked for its next line of the cache, and at its end for that of the next panels. */
static void copy(const uint16_t **rows, int64_t channels, const float *scale, const float *shift, const Product *s,
                 int64_t pairs, uint32_t *to) {
    floats floor = (floats)_mm512_set1_ps(s->floor), ceiling = (floats)_mm512_set1_ps(s->ceiling);
    for (int64_t b = 0; b < blocks(channels); b++) {
        int64_t c = b * LANES, lanes = channels - c < LANES ? channels - c : LANES;
        int64_t ahead = c + 2 * LANES < channels ? 2 * LANES : 2 * pairs * channels - c;
        floats a = {0}, o = {0};
        if (scale) a = load(scale + c, lanes, 0), o = load(shift + c, lanes, 0);
        for (int64_t p = 0; p < 2 * pairs; p += 2, to += LANES) {
            const uint16_t *first = rows[p] ? rows[p] + c : NULL, *second = rows[p + 1] ? rows[p + 1] + c : NULL;
            ask(first, ahead);
            ask(second, ahead);
            __m512i both = scale ? pair(normalised(first, lanes, a, o, floor, ceiling), normalised(second, lanes, a, o, floor, ceiling))
                                 : pair(numbers(first, lanes), numbers(second, lanes));
            _mm512_storeu_si512(to, both);
        }
    }
}

/* sums[DOWN, across vectors] = or, behind the first batch, += what the pairs of two panels give; rows of sums are
 * `width` numbers apart. */
INLINE void block(const uint32_t *gradient, const uint32_t *x, float *sums, int64_t pairs, int64_t width, int first, int across) {
    __m512 s[DOWN][ACROSS];
    UNROLL for (int i = 0; i < DOWN; i++)
        UNROLL for (int j = 0; j < across; j++) s[i][j] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * width + j * LANES);
    for (int64_t p = 0; p < pairs; p++) {
        __m512bh v[ACROSS];
        UNROLL for (int j = 0; j < across; j++) v[j] = (__m512bh)_mm512_loadu_si512(x + (j * pairs + p) * LANES);
        UNROLL for (int i = 0; i < DOWN; i++) {
            __m512bh g = (__m512bh)_mm512_set1_epi32(gradient[p * LANES + i]);
            UNROLL for (int j = 0; j < across; j++) s[i][j] = _mm512_dpbf16_ps(s[i][j], g, v[j]);
        }
    }
    UNROLL for (int i = 0; i < DOWN; i++)
        UNROLL for (int j = 0; j < across; j++) _mm512_storeu_ps(sums + i * width + j * LANES, s[i][j]);
}

/* All sums of a batch of places. */
static void multiply(const Panels *panels, float *sums, const Product *s, int first) {
    int64_t pairs = panels->pairs, panel = pairs * LANES, width = pointwise_width(s->inputs);
    for (int64_t j = 0, left = blocks(s->inputs); left;) {
        int64_t across = left == 4 || left == 2 ? 2 : left < ACROSS ? left : ACROSS;
        for (int64_t i = 0; i < blocks(s->outputs); i++)
            for (int half = 0; half < LANES; half += DOWN) {
                const uint32_t *g = panels->gradient + i * panel + half, *x = panels->x + j * panel;
                float *to = sums + (i * LANES + half) * width + j * LANES;
                if (i * LANES + half >= s->outputs) continue;
                if (across == 3) block(g, x, to, pairs, width, first, 3);
                if (across == 2) block(g, x, to, pairs, width, first, 2);
                if (across == 1) block(g, x, to, pairs, width, first, 1);
            }
        j += across;
        left -= across;
    }
}

/* One thread's share of the places. 0 if all is well, 1 if there is no memory. */
static int share(const uint16_t *x, const uint16_t *gradient, const float *scale, const float *shift, float *sums,
                 const Product *s, int64_t from, int64_t to) {
    const uint16_t *rows[MOST], *seen[MOST];
    int64_t batches = (to - from + MOST - 1) / MOST, places = batches ? (to - from + batches - 1) / batches : 0;
    Panels panels = {aligned_alloc(64, blocks(s->inputs) * MOST * LANES * 2), aligned_alloc(64, blocks(s->outputs) * MOST * LANES * 2), (places + 1) / 2};
    int broken = !panels.x || !panels.gradient;
    for (int64_t start = from; start < to && !broken; start += places) {
        for (int64_t k = 0; k < 2 * panels.pairs; k++) {
            int64_t p = start + k, column = p % s->ow, row = p / s->ow % s->oh, n = p / s->ow / s->oh;
            int there = k < places && p < to;
            rows[k] = there ? gradient + p * s->outputs : NULL;
            seen[k] = there ? x + ((n * s->h + row * s->stride) * s->w + column * s->stride) * s->inputs : NULL;
        }
        copy(rows, s->outputs, NULL, NULL, s, panels.pairs, panels.gradient);
        copy(seen, s->inputs, scale, shift, s, panels.pairs, panels.x);
        multiply(&panels, sums, s, start == from);
    }
    free(panels.x);
    free(panels.gradient);
    return broken;
}

/* result is [outputs, inputs]; sums is [threads, outputs rounded up to sixteen, `pointwise_width`]; no thread may be
 * without a place. 0 if all is well, 1 if there is no memory, 2 if this processor cannot multiply bfloat16. */
int pointwise_weight(const void *x, const void *gradient, const float *scale, const float *shift, float *sums,
                     float *result, const Product *s, int threads) {
    int64_t places = s->n * s->oh * s->ow, width = pointwise_width(s->inputs), each = blocks(s->outputs) * LANES * width;
    int broken = 0;
#pragma omp parallel for num_threads(threads) schedule(static) reduction(| : broken)
    for (int t = 0; t < threads; t++)
        broken |= share(x, gradient, scale, shift, sums + t * each, s, places * t / threads, places * (t + 1) / threads);
    if (broken) return 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->outputs; i++)
        for (int64_t j = 0; j < s->inputs; j += LANES) {
            int64_t lanes = s->inputs - j < LANES ? s->inputs - j : LANES;
            floats sum = {0};
            for (int t = 0; t < threads; t++) sum += load(sums + t * each + i * width + j, lanes, 0);
            store(result + i * s->inputs + j, sum, lanes, 0);
        }
    return 0;
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
