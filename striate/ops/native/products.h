/* Products of maps in bfloat16, which gradients of weights are: [channels, places] by [places, channels], summed in float.
 *
 * The processor multiplies pairs of bfloat16 that stand side by side, here of two neighbouring places; so both maps are
 * copied into panels of sixteen channels by pairs of places, a few hundred places at a time. Where x is the output of a
 * norm, it is computed from the norm's input while it is copied, and need not exist. */
#include "panels.h"

/* Numbers of a row of sums: an odd count of vectors, since rows that lie a power of two apart drive each other out of
 * the nearest cache. */
INLINE int64_t width_of(int64_t inputs) { return (blocks(inputs) | 1) * LANES; }

/* Numbers of one thread's sums of one tap. */
INLINE int64_t sums_of(int64_t outputs, int64_t inputs) { return blocks(outputs) * LANES * width_of(inputs); }

#ifdef __AVX512BF16__

#define MOST 256 /* places at a time: panels of so many stay in the nearest caches */
#define DOWN 8   /* outputs of one block of sums, by the vectors of a panel of inputs */
#define UNROLL _Pragma("GCC unroll 8")

typedef struct { /* what a norm does to x; scale is NULL where there is none */
    const float *scale, *shift;
    float floor, ceiling;
} Norm;

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
INLINE void prefetch_row(const uint16_t *row, int64_t ahead) {
    if (row) __builtin_prefetch(row + ahead);
}

/* Rows of twice as many places as `pairs`, NULL where there is none, into a part of panels that are `panel` numbers
 * apart. Each row is asked for its next line of the cache, and at its end for that of the next panels. */
static void copy(const uint16_t **rows, int64_t channels, const Norm *norm, int64_t pairs, int64_t panel, uint32_t *to) {
    floats floor = {0}, ceiling = {0};
    if (norm) floor = (floats)_mm512_set1_ps(norm->floor), ceiling = (floats)_mm512_set1_ps(norm->ceiling);
    for (int64_t b = 0; b < blocks(channels); b++) {
        int64_t c = b * LANES, lanes = channels - c < LANES ? channels - c : LANES;
        int64_t ahead = c + 2 * LANES < channels ? 2 * LANES : 2 * pairs * channels - c;
        floats a = {0}, o = {0};
        if (norm) a = load(norm->scale + c, lanes, 0), o = load(norm->shift + c, lanes, 0);
        for (int64_t p = 0; p < pairs; p++) {
            const uint16_t *first = rows[2 * p], *second = rows[2 * p + 1];
            if (first) prefetch_row(first += c, ahead);
            if (second) prefetch_row(second += c, ahead);
            __m512i both = norm ? pair(normalised(first, lanes, a, o, floor, ceiling), normalised(second, lanes, a, o, floor, ceiling))
                                : pair(numbers(first, lanes), numbers(second, lanes));
            _mm512_storeu_si512(to + b * panel + p * LANES, both);
        }
    }
}

typedef struct { /* panels of both maps: parts of so many pairs; how many numbers panels and parts are apart */
    const uint32_t *gradient;
    int64_t pairs, parts, gradient_panel, gradient_part, x_panel, x_part;
} Panels;

/* sums[DOWN, across vectors] = or, behind the first batch, += what the pairs of two panels give; rows of sums are
 * `width` numbers apart. Those of the next block are asked for. */
INLINE void block(const Panels *p, const uint32_t *gradient, const uint32_t *x, float *sums, int64_t width, int first,
                  int across) {
    __m512 s[DOWN][ACROSS];
    UNROLL for (int i = 0; i < DOWN; i++)
        UNROLL for (int j = 0; j < across; j++) {
            s[i][j] = first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + i * width + j * LANES);
            __builtin_prefetch(sums + (DOWN + i) * width + j * LANES, 1);
        }
    for (int64_t part = 0; part < p->parts; part++, gradient += p->gradient_part, x += p->x_part)
        for (int64_t k = 0; k < p->pairs; k++) {
            __m512bh v[ACROSS];
            UNROLL for (int j = 0; j < across; j++) v[j] = (__m512bh)_mm512_loadu_si512(x + j * p->x_panel + k * LANES);
            UNROLL for (int i = 0; i < DOWN; i++) {
                __m512bh g = (__m512bh)_mm512_set1_epi32(gradient[k * LANES + i]);
                UNROLL for (int j = 0; j < across; j++) s[i][j] = _mm512_dpbf16_ps(s[i][j], g, v[j]);
            }
        }
    UNROLL for (int i = 0; i < DOWN; i++)
        UNROLL for (int j = 0; j < across; j++) _mm512_storeu_ps(sums + i * width + j * LANES, s[i][j]);
}

/* All sums of a batch of places, for each tap of a window, which sees x from a place of its own on. */
static void multiply(const Panels *p, const uint32_t *const *x, int64_t taps, float *sums, int64_t outputs, int64_t inputs,
                     int first) {
    int64_t width = width_of(inputs), each = sums_of(outputs, inputs);
    for (int64_t j = 0, across; j < blocks(inputs); j += across) {
        across = across_of(blocks(inputs) - j);
        for (int64_t t = 0; t < taps; t++)
            for (int64_t i = 0; i < outputs; i += DOWN) {
                const uint32_t *g = p->gradient + i / LANES * p->gradient_panel + i % LANES, *seen = x[t] + j * p->x_panel;
                float *to = sums + t * each + i * width + j * LANES;
                if (across == 3) block(p, g, seen, to, width, first, 3);
                if (across == 2) block(p, g, seen, to, width, first, 2);
                if (across == 1) block(p, g, seen, to, width, first, 1);
            }
    }
}

/* result[outputs, taps, inputs]: the sums of all threads together, each [taps, outputs, width]. */
static void add_up(const float *sums, float *result, int64_t taps, int64_t outputs, int64_t inputs, int threads) {
    int64_t width = width_of(inputs), each = sums_of(outputs, inputs);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < outputs * taps; row++) {
        const float *from = sums + row % taps * each + row / taps * width;
        for (int64_t j = 0; j < inputs; j += LANES) {
            int64_t lanes = inputs - j < LANES ? inputs - j : LANES;
            floats sum = {0};
            for (int t = 0; t < threads; t++) sum += load(from + t * taps * each + j, lanes, 0);
            store(result + row * inputs + j, sum, lanes, 0);
        }
    }
}

#endif
