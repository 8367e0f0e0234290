/* Convolutions of 3x3 windows with stride 1 in bfloat16, with 16 multiplications for 2x2 outputs instead of 36; and what
 * their weights learn, with as few.
 *
 * Lavin and Gray, "Fast algorithms for convolutional neural networks", 2016, section 4.1, F(2x2, 3x3): maps are cut into
 * tiles of 4x4 that overlap by two. A tile, a window and what is summed of their products are each turned by small
 * matrices of 0, 1 and 1/2 into sixteen parts; parts of the same place are multiplied, for all channels at once. Turning
 * is done in float, and its results are rounded to bfloat16 for the products, whose sums are float again. */
#include "products.h"

typedef struct {
    int64_t n, h, w, inputs; /* x */
    int64_t oh, ow, outputs;
    int64_t top, left;    /* where the first window begins */
    float floor, ceiling; /* of the activation behind the norm, if x is to be normalised */
} Tiling;

#define PARTS 16
#define WIDE (2 * LANES) /* outputs of one block of sums */

INLINE int64_t pairs_of(int64_t channels) { return (channels + 1) / 2; }

/* Numbers, pairs of bfloat16, of a weight's parts. */
int64_t winograd_parts(int64_t inputs, int64_t outputs) {
    return (outputs + WIDE - 1) / WIDE * PARTS * pairs_of(inputs) * WIDE;
}

#ifdef __AVX512BF16__

#define TOGETHER 12 /* tiles of one block of sums */
#define UNROLL16 _Pragma("GCC unroll 16")

/* Sixteen channels of a map's tile: d of the place (row, column) is d[4 * row + column]. */

/* B^T d B */
INLINE void of_tile(floats *d) {
    UNROLL for (int k = 0; k < 8; k++) {
        int step = k < 4 ? 4 : 1, from = k < 4 ? k : 4 * (k - 4);
        floats a = d[from], b = d[from + step], c = d[from + 2 * step], e = d[from + 3 * step];
        d[from] = a - c, d[from + step] = b + c, d[from + 2 * step] = c - b, d[from + 3 * step] = b - e;
    }
}

/* A g A^T of the 2x2 in g[0], g[1], g[4] and g[5] */
INLINE void of_gradient(floats *g) {
    UNROLL for (int k = 0; k < 6; k++) {
        int step = k < 2 ? 4 : 1, from = k < 2 ? k : 4 * (k - 2);
        floats a = g[from], b = g[from + step];
        g[from + step] = a + b, g[from + 2 * step] = a - b, g[from + 3 * step] = -b;
    }
}

/* A^T m A, into m[0], m[1], m[4] and m[5] */
INLINE void to_outputs(floats *m) {
    UNROLL for (int k = 0; k < 6; k++) {
        int step = k < 4 ? 4 : 1, from = k < 4 ? k : 4 * (k - 4);
        floats a = m[from], b = m[from + step], c = m[from + 2 * step], e = m[from + 3 * step];
        m[from] = a + b + c, m[from + step] = b - c - e;
    }
}

/* G w G^T of the 3x3 in rows and columns 0 to 2 */
INLINE void of_window(floats *w) {
    UNROLL for (int k = 0; k < 7; k++) {
        int step = k < 3 ? 4 : 1, from = k < 3 ? k : 4 * (k - 3);
        floats a = w[from], b = w[from + step], c = w[from + 2 * step], outer = (a + c) * 0.5f, middle = b * 0.5f;
        w[from + step] = outer + middle, w[from + 2 * step] = outer - middle, w[from + 3 * step] = c;
    }
}

/* G^T m G, into rows and columns 0 to 2 */
INLINE void to_window(floats *m) {
    UNROLL for (int k = 0; k < 7; k++) {
        int step = k < 4 ? 4 : 1, from = k < 4 ? k : 4 * (k - 4);
        floats a = m[from], b = m[from + step], c = m[from + 2 * step], e = m[from + 3 * step], half = (b + c) * 0.5f;
        m[from] = a + half, m[from + step] = (b - c) * 0.5f, m[from + 2 * step] = half + e;
    }
}

typedef struct { /* a map, and the tiles that it is cut into */
    const uint16_t *numbers;
    int64_t n, h, w, channels;
    int64_t down, across, top, left; /* tiles; where the first of them begins */
} Cut;

/* Where a tile begins. */
typedef struct {
    int64_t n, row, column;
} Corner;

INLINE Corner corner(const Cut *m, int64_t tile) {
    return (Corner){tile / m->across / m->down, tile / m->across % m->down * 2 - m->top, tile % m->across * 2 - m->left};
}

/* A bit for each of four rows, or columns, from `start` on that is inside of a map. */
INLINE uint32_t places(int64_t start, int64_t size) {
    uint32_t there = 0;
    for (int k = 0; k < 4; k++) there |= (uint32_t)(start + k >= 0 && start + k < size) << k;
    return there;
}

/* size x size numbers of a block of channels from a corner on, zero outside of the map. */
INLINE void look(const Cut *m, Corner at, int64_t c, const Norm *norm, int size, floats *d) {
    const uint16_t *first = m->numbers + ((at.n * m->h + at.row) * m->w + at.column) * m->channels + c;
    int64_t lanes = least(m->channels - c, LANES);
    uint32_t all = (1u << lanes) - 1, rows = places(at.row, m->h), columns = places(at.column, m->w);
    floats scale = {0}, shift = {0}, floor = {0}, ceiling = {0};
    if (norm) {
        scale = load(norm->scale + c, lanes, 0), shift = load(norm->shift + c, lanes, 0);
        floor = everywhere(norm->floor), ceiling = everywhere(norm->ceiling);
    }
    UNROLL for (int i = 0; i < size; i++)
        UNROLL for (int j = 0; j < size; j++) {
            __mmask16 there = all & -(rows >> i & columns >> j & 1);
            const uint16_t *numbers = first + (i * m->w + j) * m->channels;
            if (j < 2) __builtin_prefetch(numbers + AHEAD);
            d[4 * i + j] = widen((halves)_mm256_maskz_loadu_epi16(there, numbers));
            if (!norm) continue;
            floats y = widen(narrow(clamp(d[4 * i + j] * scale + shift, floor, ceiling)));
            d[4 * i + j] = (floats)_mm512_maskz_mov_ps(there, (__m512)y);
        }
}

/* The parts of a tile, of 4x4 numbers or of a gradient's 2x2. */
INLINE void parts_of(const Cut *m, Corner at, int64_t c, const Norm *norm, int size, floats *d) {
    look(m, at, c, norm, size, d);
    if (size == 4) of_tile(d);
    else of_gradient(d);
}

/* The parts of a weight [outputs, 3, 3, inputs] in float, as the products want them: [outputs / WIDE, PARTS, pairs of
 * inputs, WIDE]. `turned` exchanges inputs and outputs and turns the window by half a circle: what gradients of inputs
 * are convolved with. */
void winograd_weights(const float *weight, uint32_t *parts, int64_t inputs, int64_t outputs, int turned, int threads) {
    int64_t from = turned ? outputs : inputs, to = turned ? inputs : outputs; /* what is summed over, and what remains */
    int64_t pairs = pairs_of(from);
    __m512i turns = _mm512_set_epi32(23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    if (to % WIDE) memset(parts + to / WIDE * PARTS * pairs * WIDE, 0, PARTS * pairs * WIDE * sizeof(*parts));
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t k = 0; k < outputs; k += 2)
        for (int64_t c = 0; c < inputs; c += LANES) {
            floats both[2][PARTS] = {{{0}}};
            int64_t lanes = least(inputs - c, LANES);
            for (int o = 0; o < 2 && k + o < outputs; o++) {
                UNROLL for (int t = 0; t < 9; t++) {
                    int tap = turned ? 8 - t : t;
                    both[o][t / 3 * 4 + t % 3] = load(weight + ((k + o) * 9 + tap) * inputs + c, lanes, 0);
                }
                of_window(both[o]);
            }
            for (int t = 0; t < PARTS; t++) {
                __m256i first = (__m256i)narrow(both[0][t]), second = (__m256i)narrow(both[1][t]);
                if (turned) {
                    uint32_t *at = parts + ((c / WIDE * PARTS + t) * pairs + k / 2) * WIDE + c % WIDE;
                    _mm512_storeu_si512(at, pair(first, second));
                    continue;
                }
                uint32_t of[LANES]; /* pairs of inputs, of one window and of the next in turns */
                __m512i one = _mm512_castsi256_si512(first), other = _mm512_castsi256_si512(second);
                _mm512_storeu_si512(of, _mm512_permutex2var_epi32(one, turns, other));
                uint32_t *at = parts + ((k / WIDE * PARTS + t) * pairs + c / 2) * WIDE + k % WIDE;
                for (int64_t p = 0; p < (lanes + 1) / 2; p++) memcpy(at + p * WIDE, of + 2 * p, 2 * sizeof(*of));
            }
        }
}

/* sums[TOGETHER, WIDE] of the pairs of as many tiles, `pitch` pairs apart, and of WIDE windows. */
INLINE void sum_up(const uint32_t *tiles, int64_t pitch, const uint32_t *windows, int64_t pairs, float *sums) {
    __m512 s[TOGETHER][2];
    UNROLL16 for (int i = 0; i < TOGETHER; i++) s[i][0] = s[i][1] = _mm512_setzero_ps();
    for (int64_t k = 0; k < pairs; k++) {
        const uint32_t *both = windows + k * WIDE;
        __m512bh a = (__m512bh)_mm512_loadu_si512(both), b = (__m512bh)_mm512_loadu_si512(both + LANES);
        UNROLL16 for (int i = 0; i < TOGETHER; i++) {
            __m512bh t = (__m512bh)_mm512_set1_epi32(tiles[i * pitch + k]);
            s[i][0] = _mm512_dpbf16_ps(s[i][0], t, a);
            s[i][1] = _mm512_dpbf16_ps(s[i][1], t, b);
        }
    }
    UNROLL16 for (int i = 0; i < TOGETHER; i++) {
        _mm512_storeu_ps(sums + i * WIDE, s[i][0]);
        _mm512_storeu_ps(sums + i * WIDE + LANES, s[i][1]);
    }
}

/* Outputs of a tile from the sums of its parts, `each` numbers apart; `inside` is a constant that says that all of them
 * are there. */
INLINE void give(const float *sums, int64_t each, const float *bias, uint16_t *y, Corner at, int64_t k, int64_t lanes,
                 const Tiling *s, int inside) {
    floats m[PARTS], start = bias ? load(bias + k, lanes, 0) : (floats){0};
    UNROLL16 for (int t = 0; t < PARTS; t++) m[t] = load(sums + t * each, LANES, 0);
    to_outputs(m);
    uint16_t *first = y + ((at.n * s->oh + at.row) * s->ow + at.column) * s->outputs + k;
    UNROLL for (int i = 0; i < 2; i++)
        UNROLL for (int j = 0; j < 2; j++)
            if (inside || (at.row + i < s->oh && at.column + j < s->ow))
                store(first + (i * s->ow + j) * s->outputs, m[4 * i + j] + start, lanes, 1);
}

/* Pairs between two tiles: not a power of two, since those drive each other out of the nearest cache. */
INLINE int64_t pitch_of(int64_t inputs) { return blocks(inputs) * LANES / 2 + LANES; }

#define MANY (8 * TOGETHER) /* tiles at a time */

/* One thread's share of the tiles; what it needs are PARTS * `each` and PARTS * `sums_each` numbers. */
static void share(const uint32_t *weights, const float *bias, uint16_t *y, const Tiling *s, const Cut *seen, const Cut *given,
                  uint32_t *parts, int64_t each, float *sums, int64_t sums_each, int64_t from, int64_t to) {
    int64_t pairs = pairs_of(s->inputs), pitch = pitch_of(s->inputs);
    for (int64_t start = from; start < to; start += MANY) {
        int64_t count = least(MANY, to - start);
        for (int64_t t = 0; t < count; t++)
            for (int64_t c = 0; c < s->inputs; c += LANES) {
                floats d[PARTS];
                parts_of(seen, corner(seen, start + t), c, NULL, 4, d);
                UNROLL16 for (int k = 0; k < PARTS; k++)
                    _mm256_storeu_si256((__m256i *)(parts + k * each + t * pitch + c / 2), (__m256i)narrow(d[k]));
            }
        for (int64_t k = 0; k < s->outputs; k += WIDE) {
            for (int p = 0; p < PARTS; p++)
                for (int64_t t = 0; t < count; t += TOGETHER)
                    sum_up(parts + p * each + t * pitch, pitch, weights + (k / WIDE * PARTS + p) * pairs * WIDE, pairs,
                           sums + p * sums_each + t * WIDE);
            for (int64_t t = 0; t < count; t++)
                for (int64_t b = k; b < least(k + WIDE, s->outputs); b += LANES) {
                    Corner at = corner(given, start + t);
                    const float *of = sums + t * WIDE + b % WIDE;
                    int inside = at.row + 2 <= s->oh && at.column + 2 <= s->ow;
                    if (inside && s->outputs - b >= LANES) give(of, sums_each, bias, y, at, b, LANES, s, 1);
                    else give(of, sums_each, bias, y, at, b, least(s->outputs - b, LANES), s, 0);
                }
        }
    }
}

/* The tiles that the outputs are cut into, and those of x that they see. */
INLINE Cut outputs_cut(const uint16_t *map, const Tiling *s) {
    return (Cut){map, s->n, s->oh, s->ow, s->outputs, (s->oh + 1) / 2, (s->ow + 1) / 2, 0, 0};
}

INLINE Cut inputs_cut(const uint16_t *map, const Tiling *s) {
    return (Cut){map, s->n, s->h, s->w, s->inputs, (s->oh + 1) / 2, (s->ow + 1) / 2, s->top, s->left};
}

/* y [n, oh, ow, outputs] of x and the parts of a weight; bias may be NULL. 0 if all is well, 1 if there is no memory, 2 if
 * this processor cannot multiply bfloat16. */
int winograd_forward(const void *x, const void *weights, const float *bias, void *y, const Tiling *s, int threads) {
    Cut seen = inputs_cut(x, s), given = outputs_cut(NULL, s);
    int64_t tiles = s->n * seen.down * seen.across, turns = (tiles + TOGETHER - 1) / TOGETHER;
    int64_t each = MANY * pitch_of(s->inputs) + LANES, sums_each = MANY * WIDE + LANES;
    int64_t size = lines(PARTS * each * sizeof(uint32_t)), all = size + lines(PARTS * sums_each * sizeof(float));
    char *memory = allocate(threads * all);
    if (!memory) return 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        uint32_t *parts = (uint32_t *)(memory + t * all);
        float *sums = (float *)(memory + t * all + size);
        share(weights, bias, y, s, &seen, &given, parts, each, sums, sums_each, least(turns * t / threads * TOGETHER, tiles),
              least(turns * (t + 1) / threads * TOGETHER, tiles));
    }
    free(memory);
    return 0;
}

/* The parts of two tiles from `tile` on, for pairs that stand side by side in panels. */
INLINE void copy_tiles(const Cut *m, int64_t tile, int64_t end, const Norm *norm, int64_t panel, int64_t each, int size,
                       uint32_t *to) {
    for (int64_t c = 0; c < m->channels; c += LANES) {
        floats d[2][PARTS];
        for (int k = 0; k < 2; k++) {
            UNROLL16 for (int t = 0; t < PARTS; t++) d[k][t] = (floats){0};
            if (tile + k >= end) continue;
            parts_of(m, corner(m, tile + k), c, norm, size, d[k]);
        }
        UNROLL16 for (int t = 0; t < PARTS; t++)
            _mm512_storeu_si512(to + t * each + c / LANES * panel, pair((__m256i)narrow(d[0][t]), (__m256i)narrow(d[1][t])));
    }
}

/* Tiles whose products are summed at a time: the more, the more often all sums are read and written; the fewer, the more
 * of the parts stay in the nearer caches. */
INLINE int64_t summed(int64_t channels) { return channels < 128 ? 96 : channels > 512 ? 384 : channels * 3 / 4; }

/* What a thread needs to learn, in bytes: sums, and the panels of both maps. */
typedef struct {
    int64_t sums, x, gradient, all;
} Needs;

static Needs needs(const Tiling *s) {
    int64_t panel = (summed(s->inputs + s->outputs) + 1) / 2 * LANES;
    Needs n = {.sums = lines(PARTS * sums_of(s->outputs, s->inputs) * sizeof(float)),
               .x = PARTS * (blocks(s->inputs) * panel + LANES) * sizeof(uint32_t),
               .gradient = PARTS * (blocks(s->outputs) * panel + LANES) * sizeof(uint32_t)};
    n.all = n.sums + n.x + n.gradient;
    return n;
}

/* One thread's share of the tiles, into sums of its own. */
static void learn(const Cut *seen, const Cut *given, const Norm *norm, float *sums, uint32_t *x, uint32_t *g, int64_t from,
                  int64_t to) {
    int64_t inputs = seen->channels, outputs = given->channels, most = summed(inputs + outputs);
    int64_t batches = (to - from + most - 1) / most, pairs = ((to - from + batches - 1) / batches + 1) / 2;
    int64_t panel = pairs * LANES, of_x = blocks(inputs) * panel + LANES, of_g = blocks(outputs) * panel + LANES;
    for (int64_t start = from; start < to; start += 2 * pairs) {
        for (int64_t k = 0; k < pairs; k++) {
            copy_tiles(seen, start + 2 * k, to, norm, panel, of_x, 4, x + k * LANES);
            copy_tiles(given, start + 2 * k, to, NULL, panel, of_g, 2, g + k * LANES);
        }
        for (int t = 0; t < PARTS; t++) {
            const uint32_t *tap = x + t * of_x;
            Panels panels = {.gradient = g + t * of_g, .pairs = pairs, .parts = 1, .gradient_panel = panel, .x_panel = panel};
            multiply(&panels, &tap, 1, sums + t * sums_of(outputs, inputs), outputs, inputs, start == from);
        }
    }
}

/* result[outputs, 3, 3, inputs] of the sums of all threads together, `apart` numbers from each other. */
static void conclude(const float *sums, int64_t apart, float *result, const Tiling *s, int threads) {
    int64_t each = sums_of(s->outputs, s->inputs), width = width_of(s->inputs);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t k = 0; k < s->outputs; k++)
        for (int64_t c = 0; c < s->inputs; c += LANES) {
            floats m[PARTS] = {{0}};
            for (int i = 0; i < threads; i++)
                UNROLL16 for (int t = 0; t < PARTS; t++) m[t] += load(sums + i * apart + t * each + k * width + c, LANES, 0);
            to_window(m);
            UNROLL16 for (int t = 0; t < 9; t++)
                store(result + (k * 9 + t) * s->inputs + c, m[t / 3 * 4 + t % 3], least(s->inputs - c, LANES), 0);
        }
}

/* result [outputs, 3, 3, inputs]: what a weight learns. 0 if all is well, 1 if there is no memory, 2 if this processor
 * cannot multiply bfloat16. */
int winograd_weight(const void *x, const void *gradient, const float *scale, const float *shift, float *result,
                    const Tiling *s, int threads) {
    Cut seen = inputs_cut(x, s), given = outputs_cut(gradient, s);
    Norm norm = {scale, shift, s->floor, s->ceiling};
    int64_t tiles = s->n * seen.down * seen.across;
    threads = least(threads, tiles); /* nobody may be without a tile, whose sums would be what memory held */
    Needs n = needs(s);
    char *memory = allocate(threads * n.all);
    if (!memory) return 1;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        char *own = memory + t * n.all;
        learn(&seen, &given, scale ? &norm : NULL, (float *)own, (uint32_t *)(own + n.sums), (uint32_t *)(own + n.sums + n.x),
              tiles * t / threads, tiles * (t + 1) / threads);
    }
    conclude((float *)memory, n.all / sizeof(float), result, s, threads);
    free(memory);
    return 0;
}

#else

void winograd_weights(const float *weight, uint32_t *parts, int64_t inputs, int64_t outputs, int turned, int threads) {
    (void)weight, (void)parts, (void)inputs, (void)outputs, (void)turned, (void)threads;
}

int winograd_forward(const void *x, const void *weights, const float *bias, void *y, const Tiling *s, int threads) {
    (void)x, (void)weights, (void)bias, (void)y, (void)s, (void)threads;
    return 2;
}

int winograd_weight(const void *x, const void *gradient, const float *scale, const float *shift, float *result,
                    const Tiling *s, int threads) {
    (void)x, (void)gradient, (void)scale, (void)shift, (void)result, (void)s, (void)threads;
    return 2;
}

#endif
