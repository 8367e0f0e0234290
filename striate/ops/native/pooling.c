/* Largest numbers of windows over channels-last maps, and where in its window each was: a byte for an output.
 *
 * x is [n, h, w, c], y, its gradient and the places [n, oh, ow, c], all contiguous. A place is row * columns + column
 * in the window, which has 255 taps at most. Among equals the first wins, and what is no number wins over all: the last
 * one of a window, as in torch. Padding is never there: windows that reach over the border leave those taps out.
 *
 * Numbers are compared as integers that are ordered alike: no bfloat16 needs to be widened for that, and 32 of them fit
 * into a vector. Gradients are gathered: each number of x asks the windows that saw it, and none is written twice. */
#include "vectors.h"

typedef struct {
    int64_t n, h, w, c, oh, ow, rows, columns, down, across, dilation_down, dilation_across, top, left;
} Shape;

#define UNROLL _Pragma("GCC unroll 3") /* windows of most networks as a whole; more would not be worth their code */

/* As wide as the processor's own: compilers compare wider vectors number by number. */
#if defined(__AVX512F__)
#define WIDTH 64
#elif defined(__AVX2__)
#define WIDTH 32
#else
#define WIDTH 16
#endif

typedef uint32_t raws __attribute__((vector_size(WIDTH))); /* numbers as they lie in memory, of either type */
typedef int32_t signed_raws __attribute__((vector_size(WIDTH)));
typedef uint16_t shorts __attribute__((vector_size(WIDTH)));
typedef int16_t signed_shorts __attribute__((vector_size(WIDTH)));
typedef uint8_t few __attribute__((vector_size(WIDTH / 4)));
typedef uint8_t many __attribute__((vector_size(WIDTH / 2)));
typedef uint8_t bytes __attribute__((vector_size(LANES)));
typedef int16_t signed_halves __attribute__((vector_size(2 * LANES)));

INLINE int64_t width(int low) { return low ? WIDTH / 2 : WIDTH / 4; }

INLINE raws raw(const void *from, int64_t lanes, int low) {
#ifdef __AVX512F__
    if (low && lanes < width(1)) return (raws)_mm512_maskz_loadu_epi16((1u << lanes) - 1, from);
    if (!low && lanes < width(0)) return (raws)_mm512_maskz_loadu_epi32((1u << lanes) - 1, from);
#endif
    raws v = {0};
    memcpy(&v, from, lanes >= width(low) ? WIDTH : lanes * (low ? 2 : 4));
    return v;
}

INLINE void put(void *to, raws v, int64_t lanes, int low) {
#ifdef __AVX512F__
    if (low && lanes < width(1)) {
        _mm512_mask_storeu_epi16(to, (1u << lanes) - 1, (__m512i)v);
        return;
    }
    if (!low && lanes < width(0)) {
        _mm512_mask_storeu_epi32(to, (1u << lanes) - 1, (__m512i)v);
        return;
    }
#endif
    memcpy(to, &v, lanes >= width(low) ? WIDTH : lanes * (low ? 2 : 4));
}

INLINE raws every(int value, int low) {
    return low ? (raws)((shorts){0} + (uint16_t)value) : (raws){0} + (uint32_t)value;
}

/* Integers in the order of the numbers: both zeros are equal, and what is no number comes out above INFINITE, whatever
 * its sign, since the smallest integers are turned over. */
#define SPARE(low) ((low) ? 0x80 : 0x800000)
#define INFINITE(low) ((low) ? 0x7f00 : 0x7f000000)

INLINE raws ordered(raws v, int low) {
    if (low) {
        shorts sign = (shorts)((signed_shorts)v >> 15);
        return (raws)((((shorts)v & 0x7fff) ^ sign) - (sign + SPARE(1)));
    }
    raws sign = (raws)((signed_raws)v >> 31);
    return ((v & 0x7fffffff) ^ sign) - (sign + SPARE(0));
}

typedef struct { /* the largest so far: its order, itself, and its place */
    raws order, value, place;
} Best;

INLINE raws above(raws a, raws b, int low) {
    return low ? (raws)((signed_shorts)a > (signed_shorts)b) : (raws)((signed_raws)a > (signed_raws)b);
}

/* The order never exceeds that of infinity: so the next that is no number wins over this one. */
INLINE raws bounded(raws order, int low) {
    raws most = every(INFINITE(low), low);
#ifdef __AVX512F__
    __m512i o = (__m512i)order, m = (__m512i)most;
    return (raws)(low ? _mm512_min_epi16(o, m) : _mm512_min_epi32(o, m));
#else
    raws over = above(order, most, low);
    return (most & over) | (order & ~over);
#endif
}

INLINE Best first(raws v, int tap, int low) { return (Best){bounded(ordered(v, low), low), v, every(tap, low)}; }

INLINE Best larger(Best b, raws v, int tap, int low) {
    raws order = ordered(v, low), place = every(tap, low);
#ifdef __AVX512F__
    __m512i o = (__m512i)order, best = (__m512i)b.order, from = (__m512i)v, to = (__m512i)b.value;
    __m512i here = (__m512i)place, there = (__m512i)b.place;
    if (low) {
        __mmask32 more = _mm512_cmpgt_epi16_mask(o, best);
        return (Best){bounded((raws)_mm512_max_epi16(o, best), 1), (raws)_mm512_mask_mov_epi16(to, more, from),
                      (raws)_mm512_mask_mov_epi16(there, more, here)};
    }
    __mmask16 more = _mm512_cmpgt_epi32_mask(o, best);
    return (Best){bounded((raws)_mm512_max_epi32(o, best), 0), (raws)_mm512_mask_mov_epi32(to, more, from),
                  (raws)_mm512_mask_mov_epi32(there, more, here)};
#else
    raws more = above(order, b.order, low);
    return (Best){bounded((order & more) | (b.order & ~more), low), (v & more) | (b.value & ~more),
                  (place & more) | (b.place & ~more)};
#endif
}

INLINE void put_places(uint8_t *to, raws place, int64_t lanes, int low) {
    if (low) {
        many p = __builtin_convertvector((shorts)place, many);
        memcpy(to, &p, lanes >= width(1) ? width(1) : lanes);
    } else {
        few p = __builtin_convertvector(place, few);
        memcpy(to, &p, lanes >= width(0) ? width(0) : lanes);
    }
}

typedef struct { /* the taps of a window along one axis that are on the map, and where its first one would be */
    int64_t from, to, start;
} Taps;

INLINE Taps taps(int64_t output, int64_t size, int64_t window, int64_t stride, int64_t dilation, int64_t before) {
    int64_t start = output * stride - before;
    if (start >= 0 && start + (window - 1) * dilation < size) return (Taps){0, window, start};
    int64_t from = start < 0 ? (dilation - 1 - start) / dilation : 0;
    int64_t to = start < size ? (size - start + dilation - 1) / dilation : 0;
    return (Taps){from, to < window ? to : window, start};
}

/* One block of channels of one output; `i` is where its window would begin. With K, all K * K taps of it are on the
 * map, and what only the window below sees is asked for: processors do not look that far ahead by themselves. */
INLINE void largest_block(const void *x, void *y, uint8_t *places, int64_t i, int64_t o, Taps v, Taps u, const Shape *s,
                          int64_t K, int64_t lanes, int low) {
    int64_t row = s->w * s->c, line = K ? row : row * s->dilation_down, step = K ? s->c : s->dilation_across * s->c;
    int64_t columns = K ? K : s->columns;
    if (K)
        for (int64_t r = s->down < K ? K : s->down; r < s->down + K; r++)
            for (int64_t k = s->across < K ? K - s->across : 0; k < K; k++)
                __builtin_prefetch(at(x, i + r * row + k * step, low));
    Best best = first(raw(at(x, i + v.from * line + u.from * step, low), lanes, low), v.from * columns + u.from, low);
    UNROLL for (int64_t r = v.from; r < v.to; r++)
        UNROLL for (int64_t k = u.from; k < u.to; k++)
            if (r > v.from || k > u.from) {
                raws seen = raw(at(x, i + r * line + k * step, low), lanes, low);
                best = larger(best, seen, r * columns + k, low);
            }
    put((void *)at(y, o, low), best.value, lanes, low);
    put_places(places + o, best.place, lanes, low);
}

INLINE void largest(const void *x, void *y, uint8_t *places, int64_t n, int64_t o, Taps v, Taps u, const Shape *s,
                    int64_t K, int low) {
    int64_t i = ((n * s->h + v.start) * s->w + u.start) * s->c, c = 0;
    for (; c + width(low) <= s->c; c += width(low))
        largest_block(x, y, places, i + c, o + c, v, u, s, K, width(low), low);
    if (c < s->c) largest_block(x, y, places, i + c, o + c, v, u, s, K, s->c - c, low);
}

/* A window that sees nothing has no largest number. */
static void nothing(void *y, uint8_t *places, int64_t o, int64_t c, int low) {
    for (int64_t i = 0; i < c; i++) store((void *)at(y, o + i, low), (floats){0} - __builtin_inff(), 1, low);
    memset(places + o, 0, c);
}

/* A row of outputs; the number of taps is a constant for the windows that most networks have. */
INLINE void largest_row(const void *x, void *y, uint8_t *places, const Shape *s, int64_t n, int64_t oh, int64_t K,
                        int low) {
    Taps v = taps(oh, s->h, s->rows, s->down, s->dilation_down, s->top);
    for (int64_t ow = 0; ow < s->ow; ow++) {
        Taps u = taps(ow, s->w, s->columns, s->across, s->dilation_across, s->left);
        int64_t o = ((n * s->oh + oh) * s->ow + ow) * s->c;
        if (v.from >= v.to || u.from >= u.to) nothing(y, places, o, s->c, low);
        else if (K && !v.from && v.to == K && !u.from && u.to == K)
            largest(x, y, places, n, o, (Taps){0, K, v.start}, (Taps){0, K, u.start}, s, K, low);
        else largest(x, y, places, n, o, v, u, s, 0, low);
    }
}

typedef struct { /* the windows that saw a place, along one axis: `step` outputs apart, each by a tap `back` less */
    int64_t begin, end, count, output, tap, step, back;
} Line;

INLINE Line line_of(int64_t stride, int64_t dilation) {
    int64_t a = stride, b = dilation;
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    return (Line){.step = dilation / a, .back = stride / a};
}

/* On to a place that is not before the last one. */
INLINE void move(Line *l, int64_t place, int64_t outputs, int64_t window, int64_t stride, int64_t dilation,
                 int64_t before) {
    int64_t reached = place + before;
    while (l->begin < outputs && l->begin * stride + (window - 1) * dilation < reached) l->begin++;
    while (l->end < outputs && l->end * stride <= reached) l->end++;
    l->output = l->begin;
    if (dilation == 1) {
        l->count = l->end - l->begin;
        l->tap = reached - l->begin * stride;
        return;
    }
    while (l->output < l->end && (reached - l->output * stride) % dilation) l->output++;
    l->count = (l->end - l->output + l->step - 1) / l->step;
    l->tap = (reached - l->output * stride) / dilation;
}

typedef struct { /* the windows that saw a number: where the first one's channels are, and by which tap it did */
    int64_t rows, columns, output, line, step;
    int tap, back_line, back;
} Seen;

/* What the windows chose this number for, row by row: sums hang on nothing else. */
INLINE void sum_block(const void *gradient, const uint8_t *places, void *to, Seen s, int64_t c, int64_t lanes, int low) {
    floats sum = {0};
    UNROLL for (int64_t r = 0; r < s.rows; r++)
        UNROLL for (int64_t k = 0; k < s.columns; k++) {
            int64_t o = s.output + r * s.line + k * s.step + c;
            int tap = s.tap - (int)r * s.back_line - (int)k * s.back;
            floats g = load(at(gradient, o, low), lanes, low);
            bytes place = {0};
#ifdef __AVX512F__
            if (lanes < LANES) place = (bytes)_mm_maskz_loadu_epi8((1u << lanes) - 1, places + o);
            else memcpy(&place, places + o, LANES);
            __mmask16 chosen = _mm_cmpeq_epi8_mask((__m128i)place, _mm_set1_epi8(tap));
            sum = (floats)_mm512_mask_add_ps((__m512)sum, chosen, (__m512)sum, (__m512)g);
#else
            memcpy(&place, places + o, lanes >= LANES ? LANES : lanes);
            signed_halves chosen = (signed_halves)(__builtin_convertvector(place, halves) == (uint16_t)tap);
            sum += (floats)((words)g & (words)__builtin_convertvector(chosen, signed_words));
#endif
        }
    store(to, sum, lanes, low);
}

/* The same of one window alone: nothing is added up. */
INLINE void only_block(const void *gradient, const uint8_t *places, void *to, Seen s, int64_t c, int64_t lanes,
                       int low) {
    int64_t o = s.output + c;
    raws g = raw(at(gradient, o, low), lanes, low);
    if (low) {
        many p = {0};
        memcpy(&p, places + o, lanes >= width(1) ? width(1) : lanes);
        put(to, g & (raws)(__builtin_convertvector(p, shorts) == (uint16_t)s.tap), lanes, low);
    } else {
        few p = {0};
        memcpy(&p, places + o, lanes >= width(0) ? width(0) : lanes);
        put(to, g & (raws)(__builtin_convertvector(p, raws) == (uint32_t)s.tap), lanes, low);
    }
}

INLINE void gather(const void *gradient, const uint8_t *places, void *result, int64_t i, Seen s, int64_t rows,
                   int64_t columns, int64_t channels, int low) {
    int64_t c = 0;
    s.rows = rows, s.columns = columns;
#define TO (void *)at(result, i + c, low)
    if (rows == 1 && columns == 1) {
        for (; c + width(low) <= channels; c += width(low)) only_block(gradient, places, TO, s, c, width(low), low);
        if (c < channels) only_block(gradient, places, TO, s, c, channels - c, low);
        return;
    }
    for (; c + LANES <= channels; c += LANES) sum_block(gradient, places, TO, s, c, LANES, low);
    if (c < channels) sum_block(gradient, places, TO, s, c, channels - c, low);
#undef TO
}

/* A row of the input's gradient. How many windows see a number is a constant where most networks have it. */
INLINE void gather_row(const void *gradient, const uint8_t *places, void *result, const Shape *s, int64_t n, int64_t ih,
                       int low) {
    Line down = line_of(s->down, s->dilation_down), across = line_of(s->across, s->dilation_across);
    move(&down, ih, s->oh, s->rows, s->down, s->dilation_down, s->top);
    Seen seen = {.line = down.step * s->ow * s->c, .step = across.step * s->c,
                 .back_line = down.back * s->columns, .back = across.back};
    for (int64_t iw = 0; iw < s->w; iw++) {
        int64_t i = ((n * s->h + ih) * s->w + iw) * s->c;
        move(&across, iw, s->ow, s->columns, s->across, s->dilation_across, s->left);
        seen.output = ((n * s->oh + down.output) * s->ow + across.output) * s->c;
        seen.tap = down.tap * s->columns + across.tap;
        if (down.count <= 0 || across.count <= 0) {
            memset((void *)at(result, i, low), 0, s->c * (low ? 2 : 4));
            continue;
        }
#define GATHER(rows, columns) gather(gradient, places, result, i, seen, rows, columns, s->c, low)
        if (down.count == 1 && across.count == 1) GATHER(1, 1);
        else if (down.count == 1 && across.count == 2) GATHER(1, 2);
        else if (down.count == 2 && across.count == 1) GATHER(2, 1);
        else if (down.count == 2 && across.count == 2) GATHER(2, 2);
        else if (down.count == 3 && across.count == 3) GATHER(3, 3);
        else GATHER(down.count, across.count);
#undef GATHER
    }
}

#define KERNEL(low, name)                                                                                                  \
    static void largest_any_##name(const void *x, void *y, uint8_t *places, const Shape *s, int64_t n, int64_t oh) {       \
        largest_row(x, y, places, s, n, oh, 0, low);                                                                       \
    }                                                                                                                      \
    static void largest_2_##name(const void *x, void *y, uint8_t *places, const Shape *s, int64_t n, int64_t oh) {         \
        largest_row(x, y, places, s, n, oh, 2, low);                                                                       \
    }                                                                                                                      \
    static void largest_3_##name(const void *x, void *y, uint8_t *places, const Shape *s, int64_t n, int64_t oh) {         \
        largest_row(x, y, places, s, n, oh, 3, low);                                                                       \
    }                                                                                                                      \
    static void gather_##name(const void *g, const uint8_t *places, void *result, const Shape *s, int64_t n, int64_t ih) { \
        gather_row(g, places, result, s, n, ih, low);                                                                      \
    }

KERNEL(0, wide)
KERNEL(1, low)

typedef void Largest(const void *, void *, uint8_t *, const Shape *, int64_t, int64_t);

void pooling_forward(const void *x, void *y, uint8_t *places, const Shape *s, int low, int threads) {
    Largest *row = low ? largest_any_low : largest_any_wide;
    int dense = s->rows == s->columns && s->dilation_down == 1 && s->dilation_across == 1;
    if (dense && s->rows == 2) row = low ? largest_2_low : largest_2_wide;
    if (dense && s->rows == 3) row = low ? largest_3_low : largest_3_wide;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->n * s->oh; i++) row(x, y, places, s, i / s->oh, i % s->oh);
}

void pooling_backward(const void *gradient, const uint8_t *places, void *result, const Shape *s, int low, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->n * s->h; i++)
        (low ? gather_low : gather_wide)(gradient, places, result, s, i / s->h, i % s->h);
}
