/* Dense layers for a few rows: y = x W^T + b and its gradients, with float32 weights read straight from their memory.
 *
 * With so few rows a layer costs what its weights cost to move, so each pass moves them once. Inputs are taken a tile at
 * a time: x, or the sums of its gradient, then stay in the nearest caches while all weights go by. A sum is always added
 * up in the same order, whatever the number of threads. */
#include "vectors.h"

#ifdef __AVX512F__
#define TALL 8 /* rows of one block of sums */
#else
#define TALL 4 /* there are half as many registers, or vectors that take two */
#endif
#define WIDE 3            /* and its outputs, or its vectors of inputs */
#define DOWN (TALL / 2)   /* outputs of one block of the weight's gradient */
#define ACROSS (2 * WIDE) /* and its vectors of inputs */
#define CHUNK 16          /* outputs that go into the gradient of x together */
#define TILE 768          /* inputs at a time: whole blocks of any width */
#define UNROLL _Pragma("GCC unroll 8")

/* In a register from here on: compilers read it from memory anew for each multiplication, and wait for that. */
#ifdef __x86_64__
#define HELD(v) __asm__("" : "+v"(v))
#else
#define HELD(v)
#endif

typedef struct {
    int64_t rows, inputs, outputs;
} Dense;

/* to[DOWN] += the totals of as many vectors. */
INLINE void add_totals(float *to, const floats *s) {
#ifdef __AVX512F__
    __m512 a = _mm512_add_ps(_mm512_unpacklo_ps((__m512)s[0], (__m512)s[1]), _mm512_unpackhi_ps((__m512)s[0], (__m512)s[1]));
    __m512 b = _mm512_add_ps(_mm512_unpacklo_ps((__m512)s[2], (__m512)s[3]), _mm512_unpackhi_ps((__m512)s[2], (__m512)s[3]));
    __m512 c = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    __m256 half = _mm256_add_ps(_mm512_castps512_ps256(c), _mm512_extractf32x8_ps(c, 1));
    __m128 all = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    _mm_storeu_ps(to, _mm_add_ps(_mm_loadu_ps(to), all));
#else
    UNROLL for (int r = 0; r < DOWN; r++) {
        float sum = 0;
        UNROLL for (int k = 0; k < LANES; k++) sum += s[r][k];
        to[r] += sum;
    }
#endif
}

/* To whole vectors that nobody reads soon: past the caches, where there is such an instruction. */
INLINE void put_past(float *to, floats v) {
#if defined(__AVX512F__)
    _mm512_stream_ps(to, (__m512)v);
#elif defined(__AVX2__) && defined(__clang__)
    _mm256_stream_ps(to, (__m256)v);
#elif defined(__AVX2__)
    __builtin_ia32_movntps256(to, v);
#else
    memcpy(to, &v, sizeof v);
#endif
}

INLINE int64_t blocks(int64_t rows) { return (rows + TALL - 1) / TALL; }

INLINE int64_t padded(int64_t rows) { return blocks(rows) * TALL; }

/* A tile of x, `count` inputs of each row; what is missing of the last block of rows, and of the last vector, is zero. */
static void copy_tile(const float *x, const Dense *d, int64_t count, float *to) {
    int64_t whole = (count + LANES - 1) / LANES * LANES;
    for (int64_t r = 0; r < padded(d->rows); r++, to += TILE) {
        int64_t there = r < d->rows ? count : 0;
        memcpy(to, x + (there ? r * d->inputs : 0), 4 * there);
        memset(to + there, 0, 4 * (whole - there));
    }
}

/* Gradients [rows, outputs] as [blocks of rows, outputs, TALL]: what is multiplied with one vector stands together. */
static float *by_blocks(const float *gradient, const Dense *d) {
    float *all = allocate(4 * padded(d->rows) * d->outputs), *to = all;
    if (!all) return NULL;
    for (int64_t b = 0; b < blocks(d->rows); b++)
        for (int64_t o = 0; o < d->outputs; o++)
            for (int64_t r = b * TALL; r < (b + 1) * TALL; r++) *to++ = r < d->rows ? gradient[r * d->outputs + o] : 0;
    return all;
}

/* Sums of DOWN rows and `across` outputs, one vector of inputs further. */
INLINE void forward_step(floats (*s)[DOWN], const float *x, const float *weight, int64_t inputs, int64_t lanes, int across, int prefetch) {
    floats v[DOWN];
    if (prefetch) {
        UNROLL for (int k = 0; k < across; k++) __builtin_prefetch(weight + (k + across) * inputs);
    }
    UNROLL for (int r = 0; r < DOWN; r++) {
        v[r] = load(x + r * TILE, LANES, 0);
        HELD(v[r]);
    }
    UNROLL for (int k = 0; k < across; k++) {
        floats w = load(weight + k * inputs, lanes, 0);
        HELD(w);
        UNROLL for (int r = 0; r < DOWN; r++) s[k][r] += v[r] * w;
    }
}

/* sums[across, DOWN], `rows` numbers apart, += products of `count` inputs. With `prefetch`, the weights that come next are
 * asked for ahead. */
INLINE void forward_block(const float *x, const float *weight, float *sums, const Dense *d, int64_t count, int across,
                          int64_t prefetch, int64_t prefetch_to) {
    floats s[ACROSS][DOWN];
    UNROLL for (int k = 0; k < across; k++)
        UNROLL for (int r = 0; r < DOWN; r++) s[k][r] = (floats){0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) forward_step(s, x + i, weight + i, d->inputs, LANES, across, i >= prefetch && i < prefetch_to);
    if (i < count) forward_step(s, x + i, weight + i, d->inputs, count - i, across, 0);
    UNROLL for (int k = 0; k < across; k++) add_totals(sums + k * padded(d->rows), s[k]);
}

static void forward_blocks(const float *x, const float *weight, float *sums, const Dense *d, int64_t count, int across) {
    for (int64_t r = 0; r < d->rows; r += DOWN) {
        int64_t prefetch = count * r / d->rows, prefetch_to = count * (r + DOWN) / d->rows;
        if (across == ACROSS) forward_block(x + r * TILE, weight, sums + r, d, count, ACROSS, prefetch, prefetch_to);
        else forward_block(x + r * TILE, weight, sums + r, d, count, 1, 0, 0);
    }
}

/* One thread's share of the outputs; sums are [outputs, rows], for there a block adds to neighbours. */
static void forward_part(const float *x, const float *weight, const float *bias, float *y, float *sums, float *scratch, const Dense *d,
                         int64_t from, int64_t to) {
    int64_t rows = padded(d->rows);
    memset(sums + from * rows, 0, 4 * (to - from) * rows);
    for (int64_t i = 0; i < d->inputs; i += TILE) {
        int64_t count = least(TILE, d->inputs - i), o = from;
        const float *w = weight + i;
        copy_tile(x + i, d, count, scratch);
        for (; o + ACROSS <= to; o += ACROSS) forward_blocks(scratch, w + o * d->inputs, sums + o * rows, d, count, ACROSS);
        for (; o < to; o++) forward_blocks(scratch, w + o * d->inputs, sums + o * rows, d, count, 1);
    }
    for (int64_t r = 0; r < d->rows; r++)
        for (int64_t o = from; o < to; o++) y[r * d->outputs + o] = sums[o * rows + r] + (bias ? bias[o] : 0);
}

/* sums[TALL, wide vectors] += what `count` outputs send back. From `next` on the next chunk of
 * weights is asked for ahead, row by row. */
INLINE void input_block(const float *gradient, const float *weight, float *sums, int64_t inputs, int64_t count, int64_t lanes,
                        int wide, const float *next) {
    floats s[TALL][WIDE], w[WIDE];
    UNROLL for (int r = 0; r < TALL; r++)
        UNROLL for (int j = 0; j < wide; j++) s[r][j] = load(sums + r * TILE + j * LANES, LANES, 0);
    for (int64_t k = 0; k < count; k++, gradient += TALL, weight += inputs) {
        UNROLL for (int j = 0; j < wide; j++) {
            if (next) __builtin_prefetch(next + (k * WIDE + j) * LANES);
            w[j] = load(weight + j * LANES, lanes, 0);
        }
        UNROLL for (int r = 0; r < TALL; r++) {
            floats g = everywhere(gradient[r]);
            UNROLL for (int j = 0; j < wide; j++) s[r][j] += g * w[j];
        }
    }
    UNROLL for (int r = 0; r < TALL; r++)
        UNROLL for (int j = 0; j < wide; j++) store(sums + r * TILE + j * LANES, s[r][j], LANES, 0);
}

/* One thread's share of the inputs, so that no two threads add to the same sums. */
static void input_part(const float *gradient, const float *weight, float *result, float *scratch, const Dense *d, int64_t from,
                       int64_t to) {
    for (int64_t i = from; i < to; i += TILE) {
        int64_t width = least(TILE, to - i);
        memset(scratch, 0, 4 * padded(d->rows) * TILE);
        for (int64_t o = 0; o < d->outputs; o += CHUNK) {
            int64_t count = least(CHUNK, d->outputs - o);
            for (int64_t j = 0; j < width;) {
                int wide = j + WIDE * LANES <= width ? WIDE : 1;
                const float *w = weight + o * d->inputs + i + j;
                const float *next = weight + (o + CHUNK + j * CHUNK / TILE) * d->inputs + i + j * CHUNK % TILE;
                for (int64_t b = 0; b < blocks(d->rows); b++) {
                    const float *g = gradient + (b * d->outputs + o) * TALL;
                    float *sums = scratch + b * TALL * TILE + j;
                    if (wide == WIDE && b == 0) input_block(g, w, sums, d->inputs, count, LANES, WIDE, next);
                    else if (wide == WIDE) input_block(g, w, sums, d->inputs, count, LANES, WIDE, NULL);
                    else input_block(g, w, sums, d->inputs, count, width - j, 1, NULL);
                }
                j += wide * LANES;
            }
        }
        for (int64_t r = 0; r < d->rows; r++) memcpy(result + r * d->inputs + i, scratch + r * TILE, 4 * width);
    }
}

/* The weight's gradient for `down` outputs and `across` vectors of inputs. */
INLINE void weight_block(const float *gradient, const float *x, float *to, const Dense *d, int64_t lanes, int down, int across,
                         int past) {
    floats s[DOWN][ACROSS], v[ACROSS];
    UNROLL for (int k = 0; k < down; k++)
        UNROLL for (int j = 0; j < across; j++) s[k][j] = (floats){0};
    for (int64_t r = 0; r < d->rows; r += TALL, gradient += d->outputs * TALL)
        for (int64_t q = 0; q < least(TALL, d->rows - r); q++, x += TILE) {
            UNROLL for (int j = 0; j < across; j++) v[j] = load(x + j * LANES, LANES, 0);
            UNROLL for (int k = 0; k < down; k++) {
                floats g = everywhere(gradient[k * TALL + q]);
                UNROLL for (int j = 0; j < across; j++) s[k][j] += g * v[j];
            }
        }
    UNROLL for (int k = 0; k < down; k++)
        UNROLL for (int j = 0; j < across; j++) {
            if (past) put_past(to + k * d->inputs + j * LANES, s[k][j]);
            else store(to + k * d->inputs + j * LANES, s[k][j], lanes, 0);
        }
}

/* A row of blocks: `down` outputs, `count` inputs. */
static void weight_blocks(const float *gradient, const float *x, float *to, const Dense *d, int64_t count, int down, int past) {
    int64_t i = 0;
    for (; i + ACROSS * LANES <= count; i += ACROSS * LANES) {
        if (down == DOWN && past) weight_block(gradient, x + i, to + i, d, LANES, DOWN, ACROSS, 1);
        else if (down == DOWN) weight_block(gradient, x + i, to + i, d, LANES, DOWN, ACROSS, 0);
        else weight_block(gradient, x + i, to + i, d, LANES, 1, ACROSS, 0);
    }
    for (; i < count; i += LANES) {
        if (down == DOWN) weight_block(gradient, x + i, to + i, d, count - i, DOWN, 1, 0);
        else weight_block(gradient, x + i, to + i, d, count - i, 1, 1, 0);
    }
}

/* One thread's share of the outputs. */
static void weight_part(const float *gradient, const float *x, float *result, float *scratch, const Dense *d, int64_t from, int64_t to) {
    int past = (uintptr_t)result % sizeof(floats) == 0 && d->inputs % LANES == 0;
    for (int64_t i = 0; i < d->inputs; i += TILE) {
        int64_t count = least(TILE, d->inputs - i), o = from;
        copy_tile(x + i, d, count, scratch);
        for (; o + DOWN <= to; o += DOWN) weight_blocks(gradient + o * TALL, scratch, result + o * d->inputs + i, d, count, DOWN, past);
        for (; o < to; o++) weight_blocks(gradient + o * TALL, scratch, result + o * d->inputs + i, d, count, 1, past);
    }
#ifdef __AVX2__
    if (past) __builtin_ia32_sfence(); /* such stores wait for nobody */
#endif
}

/* Room for a tile of all rows, for each thread. */
static float *scratch_for(const Dense *d, int threads) { return allocate(4 * threads * padded(d->rows) * TILE); }

INLINE float *desk_of(float *all, const Dense *d, int t) { return all + t * padded(d->rows) * TILE; }

/* y = x W^T + b; bias may be NULL. 0 if all is well, 1 if there is no memory, as for the others. */
int dense_forward(const float *x, const float *weight, const float *bias, float *y, const Dense *d, int threads) {
    float *all = scratch_for(d, threads), *sums = allocate(4 * d->outputs * padded(d->rows));
    if (all && sums) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++) {
            int64_t from = d->outputs * t / threads, to = d->outputs * (t + 1) / threads;
            forward_part(x, weight, bias, y, sums, desk_of(all, d, t), d, from, to);
        }
    }
    int broken = !all || !sums;
    free(all);
    free(sums);
    return broken;
}

/* The gradient of x. */
int dense_input(const float *gradient, const float *weight, float *result, const Dense *d, int threads) {
    float *all = scratch_for(d, threads), *sent = by_blocks(gradient, d);
    int64_t lines = (d->inputs + 15) / 16; /* of the cache, which no two threads share */
    if (all && sent) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++) {
            int64_t from = lines * t / threads * 16, to = least(lines * (t + 1) / threads * 16, d->inputs);
            input_part(sent, weight, result, desk_of(all, d, t), d, from, to);
        }
    }
    int broken = !all || !sent;
    free(all);
    free(sent);
    return broken;
}

/* The gradient of the weight. */
int dense_weight(const float *gradient, const float *x, float *result, const Dense *d, int threads) {
    float *all = scratch_for(d, threads), *sent = by_blocks(gradient, d);
    if (all && sent) {
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++)
            weight_part(sent, x, result, desk_of(all, d, t), d, d->outputs * t / threads, d->outputs * (t + 1) / threads);
    }
    int broken = !all || !sent;
    free(all);
    free(sent);
    return broken;
}
