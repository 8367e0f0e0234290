/* The rows of depthwise windows of K x K; a unit that defines K and includes this has them all.
 *
 * A tile is up to TILE neighbouring outputs of one row, for one vector of channels. It has two bodies: one where all of
 * it lies inside the map and the vector is full, and one where what is not there is left out by masks. */
#include "vectors.h"

#include "depthwise.h"

#define TILE 8 /* outputs that share loads: each number is widened once for all of them */
#define APART static __attribute__((noinline))
#define UNROLL _Pragma("GCC unroll 64")
/* Rows of the window whose weights learn together, at most three: as many as keep their sums in registers. Those of AVX2
 * hold one row of 7x7 with what it meets; bfloat16 is widened first, and while that takes its time two rows are better. */
#ifdef __AVX512F__
#define GROUP(low) (K == 7 ? 2 : 3)
#else
#define GROUP(low) (K == 3 ? 3 : K == 7 && !low ? 1 : 2)
#endif

/* Tiles are for neighbours. Without masks they are for full vectors, too: channels of a network seldom leave others. What
 * is left takes its time, sum by sum. */
INLINE int one_by_one(const Shape *s, int full) { return s->dilation != 1 || (!MASKS && !full); }

/* Whether rows that are summed one by one have a body of their own for whole vectors. Masks cost bfloat16 nothing: the time
 * goes into widening it. */
#define WHOLE(low) (!MASKS || !(low))

/* Whether tiles at an edge have a body of their own for whole vectors: on small maps most tiles are, and where a place
 * takes part in few products, masks take a tenth of the time. */
#define WHOLE_EDGE(S, low) (MASKS && K == 3 && (S) == 1 && !(low))

/* Whether a row of `size` has a place; `inside` says that it need not be asked. */
INLINE int is_there(int64_t i, int64_t size, int inside) { return inside || (uint64_t)i < (uint64_t)size; }

/* Whether all places that a tile of outputs sees are there, and all of its outputs. */
INLINE int lies_inside(int64_t ow, const Shape *s, int S) {
    int64_t first = ow * S - s->left;
    return first >= 0 && first + (TILE - 1) * S + K <= s->w && ow + TILE <= s->ow;
}

/* What a pass over a row of places starts from; whoever does not know where addresses come from does not compute all of
 * a tile before the loop over tiles, for more than fit into registers. */
typedef struct {
    const char *from;
    int64_t step;
} Pass;

INLINE Pass pass(const void *row, int64_t first, const Shape *s, int low) {
    Pass p = {at(row, first * s->c, low), s->c * (low ? 2 : 4)};
    __asm__("" : "+r"(p.from), "+r"(p.step));
    return p;
}

INLINE floats place(const void *from, Lanes lanes, int inside, int low) {
    floats v = inside || !MASKS ? load(from, LANES, low) : load_some(from, lanes, low);
#ifdef __AVX2__
    __asm__("" : "+v"(v)); /* in a register: compilers would load it for each product */
#endif
    return v;
}

/* The results of a tile, as far as the row of `size` has places for them. */
INLINE void put(const floats *sums, void *row, int64_t first, int64_t size, const Shape *s, Lanes lanes, int inside, int low) {
    if (inside || !MASKS || lanes == some(LANES)) {
        UNROLL for (int t = 0; t < TILE; t++)
            if (is_there(first + t, size, inside)) store((void *)at(row, (first + t) * s->c, low), sums[t], LANES, low);
    } else {
        UNROLL for (int t = 0; t < TILE; t++)
            if (is_there(first + t, size, inside)) store_some((void *)at(row, (first + t) * s->c, low), sums[t], lanes, low);
    }
}

/* Rows that the next row of outputs will read, asked for while this one is computed: a block of channels' share of
 * `count` rows from `row` on, of `width` places. At the end of a picture they are the first of the next. */
INLINE void prefetch_rows(const void *map, int64_t row, int64_t count, int64_t width, const Shape *s, int64_t c0, int low) {
    int64_t line = low ? 32 : 16, from = (row * s->c + count * c0) * width;
    for (int64_t i = 0; i < count * LANES * width; i += line) __builtin_prefetch(at(map, from + i, low));
}

/* Up to TILE neighbours of one row of outputs: `count` rows of x, each with its row of weights. */
INLINE void forward_tile(const void **rows, const float **taps, int count, void *out, int64_t ow, const Shape *s,
                         const Ending *end, Lanes lanes, int inside, int S, int low) {
    int64_t first = ow * S - s->left;
    floats begin = end ? load(end->bias, LANES, 0) : (floats){0}, sums[TILE];
    UNROLL for (int t = 0; t < TILE; t++) sums[t] = begin;
    for (int r = 0; r < count; r++) {
        floats weight[K];
        UNROLL for (int k = 0; k < K; k++) weight[k] = load(taps[r] + k * padded(s), LANES, 0);
        Pass x = pass(rows[r], first, s, low);
        UNROLL for (int p = 0; p < (TILE - 1) * S + K; p++, x.from += x.step) {
            if (!is_there(first + p, s->w, inside)) continue;
            floats v = place(x.from, lanes, inside, low);
            UNROLL for (int k = 0; k < K; k++)
                if (p >= k && (p - k) % S == 0 && (p - k) / S < TILE) sums[(p - k) / S] = multiply_add(v, weight[k], sums[(p - k) / S]);
        }
    }
    if (end)
        UNROLL for (int t = 0; t < TILE; t++) sums[t] = clamp(sums[t], everywhere(end->floor), everywhere(end->ceiling));
    put(sums, out, ow, s->ow, s, lanes, inside, low);
}

/* The same output by output: for any dilation, and for short blocks where there are no masks. */
INLINE void forward_singly(const void **rows, const float **taps, int count, void *out, const Shape *s, const Ending *end,
                           Lanes lanes, int low) {
    const void *row[K];
    const float *tap[K];
    UNROLL for (int r = 0; r < K; r++) row[r] = rows[r], tap[r] = taps[r]; /* which lets them lie in registers */
    for (int64_t ow = 0; ow < s->ow; ow++) {
        floats sum = end ? load(end->bias, LANES, 0) : (floats){0};
        UNROLL for (int r = 0; r < K && r < count; r++)
            for (int k = 0; k < K; k++) {
                int64_t iw = ow * s->stride - s->left + k * s->dilation;
                if ((uint64_t)iw >= (uint64_t)s->w) continue;
                floats v = load_some(at(row[r], iw * s->c, low), lanes, low);
                sum = multiply_add(v, load(tap[r] + k * padded(s), LANES, 0), sum);
            }
        if (end) sum = clamp(sum, everywhere(end->floor), everywhere(end->ceiling));
        store_some((void *)at(out, ow * s->c, low), sum, lanes, low);
    }
}

APART void forward_singly_wide(const void **rows, const float **taps, int count, void *out, const Shape *s, const Ending *end,
                               Lanes lanes) {
    if (lanes == some(LANES)) forward_singly(rows, taps, count, out, s, end, some(LANES), 0);
    else forward_singly(rows, taps, count, out, s, end, lanes, 0);
}
APART void forward_singly_low(const void **rows, const float **taps, int count, void *out, const Shape *s, const Ending *end,
                              Lanes lanes) {
    if (WHOLE(1) && lanes == some(LANES)) forward_singly(rows, taps, count, out, s, end, some(LANES), 1);
    else forward_singly(rows, taps, count, out, s, end, lanes, 1);
}

/* Forward: one row of outputs, one block of channels. */
INLINE void forward_row(const void *x, const float *weight, void *y, const Shape *s, const Ending *all, int64_t n, int64_t oh,
                        int64_t c0, int S, int low) {
    prefetch_rows(x, n * s->h + oh * S - s->top + (K - 1) * s->dilation + 1, S, s->w, s, c0, low);
    const void *rows[K] = {0};
    const float *taps[K] = {0};
    int count = 0, full = c0 + LANES <= s->c;
    Lanes lanes = some(least(LANES, s->c - c0));
    for (int k = 0; k < K; k++) {
        int64_t ih = oh * S - s->top + k * s->dilation;
        if (ih < 0 || ih >= s->h) continue;
        rows[count] = at(x, (n * s->h + ih) * s->w * s->c + c0, low);
        taps[count++] = weight + k * K * padded(s) + c0;
    }
    void *out = (void *)at(y, (n * s->oh + oh) * s->ow * s->c + c0, low);
    Ending own = {0}, *end = NULL;
    if (all && !low) own = *all, own.bias += c0, end = &own;
    if (one_by_one(s, full)) {
        (low ? forward_singly_low : forward_singly_wide)(rows, taps, count, out, s, end, lanes);
        return;
    }
    for (int64_t ow = 0; ow < s->ow; ow += TILE) {
        if (full && lies_inside(ow, s, S))
            forward_tile(rows, taps, count, out, ow, s, end, lanes, 1, S, low);
        else if (full && WHOLE_EDGE(S, low))
            forward_tile(rows, taps, count, out, ow, s, end, some(LANES), 0, S, low);
        else
            forward_tile(rows, taps, count, out, ow, s, end, lanes, 0, S, low);
    }
}

/* Gradient of the weight: what up to TILE neighbouring outputs add to the sums of G rows of the window. */
INLINE void weight_tile(const void **rows, const void *line, floats *sums, int64_t ow, const Shape *s, Lanes lanes, int inside,
                        int G, int S, int low) {
    int64_t first = ow * S - s->left;
    floats g[TILE];
    Pass y = pass(line, ow, s, low);
    UNROLL for (int t = 0; t < TILE; t++, y.from += y.step)
        g[t] = is_there(ow + t, s->ow, inside) ? place(y.from, lanes, inside, low) : (floats){0};
    const int places = (TILE - 1) * S + K;
    Pass x[3];
    UNROLL for (int i = 0; i < G; i++) x[i] = pass(rows[i], first, s, low);
    UNROLL for (int j = 0; j < G * places; j++) {
        int i = inside ? j / places : j % G, p = inside ? j % places : j / G;
        if (is_there(first + p, s->w, inside)) {
            floats v = place(x[i].from, lanes, inside, low);
            UNROLL for (int k = 0; k < K; k++)
                if (p >= k && (p - k) % S == 0 && (p - k) / S < TILE)
                    sums[i * K + k] = multiply_add(v, g[(p - k) / S], sums[i * K + k]);
        }
        x[i].from += x[i].step;
    }
}

/* G neighbouring rows of the window over one row of outputs. */
INLINE void weight_rows(const void **rows, const void *line, float *to, const Shape *s, Lanes lanes, int full, int G, int S,
                        int low) {
    const int64_t step = padded(s);
    floats sums[3 * K];
    UNROLL for (int k = 0; k < G * K; k++) sums[k] = load(to + k * step, LANES, 0);
    for (int64_t ow = 0; ow < s->ow; ow += TILE) {
        if (full && lies_inside(ow, s, S)) weight_tile(rows, line, sums, ow, s, lanes, 1, G, S, low);
        else weight_tile(rows, line, sums, ow, s, lanes, 0, G, S, low);
    }
    UNROLL for (int k = 0; k < G * K; k++) store(to + k * step, sums[k], LANES, 0);
}

INLINE void weight_singly(const void *row, const void *line, float *to, const Shape *s, Lanes lanes, int low) {
    for (int k = 0; k < K; k++) {
        floats sum = load(to + k * padded(s), LANES, 0);
        for (int64_t ow = 0; ow < s->ow; ow++) {
            int64_t iw = ow * s->stride - s->left + k * s->dilation;
            if ((uint64_t)iw >= (uint64_t)s->w) continue;
            sum = multiply_add(load_some(at(row, iw * s->c, low), lanes, low), load_some(at(line, ow * s->c, low), lanes, low), sum);
        }
        store(to + k * padded(s), sum, LANES, 0);
    }
}

APART void weight_singly_wide(const void *row, const void *line, float *to, const Shape *s, Lanes lanes) {
    if (lanes == some(LANES)) weight_singly(row, line, to, s, some(LANES), 0);
    else weight_singly(row, line, to, s, lanes, 0);
}
APART void weight_singly_low(const void *row, const void *line, float *to, const Shape *s, Lanes lanes) {
    if (WHOLE(1) && lanes == some(LANES)) weight_singly(row, line, to, s, some(LANES), 1);
    else weight_singly(row, line, to, s, lanes, 1);
}

/* What one row of outputs, one block of channels, adds to sums [k * k, padded]. Rows of the window are taken in twos, and
 * if they are odd in number a three of them first, or one last, whose sums wait for each other. */
INLINE void weight_row(const void *x, const void *gradient, float *sums, const Shape *s, int64_t n, int64_t oh, int64_t c0,
                       int S, int low) {
    const void *line = at(gradient, (n * s->oh + oh) * s->ow * s->c + c0, low), *rows[K];
    float *to = sums + c0;
    int count = 0, done = 0, full = c0 + LANES <= s->c;
    Lanes lanes = some(least(LANES, s->c - c0));
    prefetch_rows(x, n * s->h + oh * S - s->top + (K - 1) * s->dilation + 1, S, s->w, s, c0, low);
    prefetch_rows(gradient, n * s->oh + oh + 1, 1, s->ow, s, c0, low);
    for (int k = 0; k < K; k++) {
        int64_t ih = oh * S - s->top + k * s->dilation;
        if (ih < 0) to += K * padded(s);
        if (ih < 0 || ih >= s->h) continue;
        rows[count++] = at(x, (n * s->h + ih) * s->w * s->c + c0, low);
    }
    int single = one_by_one(s, full) || (GROUP(low) == 3 && count == 1);
    if (single)
        for (; done < count; done++)
            (low ? weight_singly_low : weight_singly_wide)(rows[done], line, to + done * K * padded(s), s, lanes);
    if (GROUP(low) == 3 && !single && count % 2) {
        weight_rows(rows, line, to, s, lanes, full, 3, S, low);
        done = 3;
    }
    for (; GROUP(low) >= 2 && done + 2 <= count; done += 2)
        weight_rows(rows + done, line, to + done * K * padded(s), s, lanes, full, 2, S, low);
    for (; GROUP(low) <= 2 && done < count; done++)
        weight_rows(rows + done, line, to + done * K * padded(s), s, lanes, full, 1, S, low);
}

/* Gradient of up to TILE neighbours of one row of inputs, gathered from `count` rows of outputs that saw it; `iw` is such
 * that iw + left is a multiple of the stride. */
INLINE void input_tile(const void **rows, const float **taps, int count, void *out, int64_t iw, const Shape *s, Lanes lanes,
                       int inside, int S, int low) {
    const int back = (K - 1) / S, seen = back + (TILE - 1) / S + 1;
    int64_t first = (iw + s->left) / S - back; /* of the outputs that saw the tile; the window of the last begins at iw */
    floats sums[TILE] = {0};
    for (int r = 0; r < count; r++) {
        floats weight[K];
        UNROLL for (int k = 0; k < K; k++) weight[k] = load(taps[r] + k * padded(s), LANES, 0);
        Pass y = pass(rows[r], first, s, low);
        UNROLL for (int p = 0; p < seen; p++, y.from += y.step) {
            if (!is_there(first + p, s->ow, inside)) continue;
            floats g = place(y.from, lanes, inside, low);
            UNROLL for (int k = 0; k < K; k++) {
                int t = (p - back) * S + k;
                if (t >= 0 && t < TILE) sums[t] = multiply_add(g, weight[k], sums[t]);
            }
        }
    }
    put(sums, out, iw, s->w, s, lanes, inside, low);
}

/* What taps of row r, column k add to the gradient of one input. */
INLINE floats input_tap(const void **rows, const float **taps, int r, int k, int64_t ow, const Shape *s, Lanes lanes, floats sum,
                        int low) {
    return multiply_add(load_some(at(rows[r], ow * s->c, low), lanes, low), load(taps[r] + k * padded(s), LANES, 0), sum);
}

/* Which output's window reaches a place with a tap, by places over the stride: -1 if there is none. */
INLINE int64_t reaching(int64_t places, const Shape *s) {
    int64_t halved = s->stride - 1, ow = places >> halved; /* the stride is 1 or 2 */
    return places < 0 || (places & halved) || ow >= s->ow ? -1 : ow;
}

/* The same for any dilation. */
INLINE void input_dilated(const void **rows, const float **taps, int count, void *out, const Shape *s, Lanes lanes, int low) {
    const void *row[K];
    const float *tap[K];
    UNROLL for (int r = 0; r < K; r++) row[r] = rows[r], tap[r] = taps[r]; /* which lets them lie in registers */
    for (int64_t iw = 0; iw < s->w; iw++) {
        floats sum = {0};
        for (int k = 0; k < K; k++) {
            int64_t ow = reaching(iw + s->left - k * s->dilation, s);
            if (ow < 0) continue;
            UNROLL for (int r = 0; r < K && r < count; r++) sum = input_tap(row, tap, r, k, ow, s, lanes, sum, low);
        }
        store_some((void *)at(out, iw * s->c, low), sum, lanes, low);
    }
}

/* For short blocks where there are no masks; taps are added in the order of tiles, so that all channels are rounded alike. */
INLINE void input_short(const void **rows, const float **taps, int count, void *out, const Shape *s, Lanes lanes, int low) {
    for (int64_t iw = 0; iw < s->w; iw++) {
        floats sum = {0};
        for (int r = 0; r < count; r++)
            for (int k = K - 1; k >= 0; k--) {
                int64_t ow = reaching(iw + s->left - k, s);
                if (ow >= 0) sum = input_tap(rows, taps, r, k, ow, s, lanes, sum, low);
            }
        store_some((void *)at(out, iw * s->c, low), sum, lanes, low);
    }
}

#define SINGLY(low, name)                                                                                                 \
    APART void input_singly_##name(const void **rows, const float **taps, int count, void *out, const Shape *s, Lanes lanes) { \
        if (!MASKS && s->dilation == 1) input_short(rows, taps, count, out, s, lanes, low);                               \
        else if (WHOLE(low) && lanes == some(LANES)) input_dilated(rows, taps, count, out, s, some(LANES), low);          \
        else input_dilated(rows, taps, count, out, s, lanes, low);                                                        \
    }
SINGLY(0, wide)
SINGLY(1, low)

/* Gradient of the input: one row of inputs, one block of channels. */
INLINE void input_row(const void *gradient, const float *weight, void *result, const Shape *s, int64_t n, int64_t ih,
                      int64_t c0, int S, int low) {
    if ((ih + s->top) % S == 0) prefetch_rows(gradient, n * s->oh + (ih + s->top) / S + 1, 1, s->ow, s, c0, low);
    const void *rows[K] = {0};
    const float *taps[K] = {0};
    int count = 0, full = c0 + LANES <= s->c;
    Lanes lanes = some(least(LANES, s->c - c0));
    for (int k = 0; k < K; k++) {
        int64_t reached = ih + s->top - k * s->dilation;
        if (reached < 0 || reached % S || reached / S >= s->oh) continue;
        rows[count] = at(gradient, (n * s->oh + reached / S) * s->ow * s->c + c0, low);
        taps[count++] = weight + k * K * padded(s) + c0;
    }
    void *out = (void *)at(result, (n * s->h + ih) * s->w * s->c + c0, low);
    if (one_by_one(s, full)) {
        (low ? input_singly_low : input_singly_wide)(rows, taps, count, out, s, lanes);
        return;
    }
    for (int64_t iw = -(s->left % S); iw < s->w; iw += TILE) {
        int64_t last = (iw + s->left) / S;
        if (full && iw >= 0 && iw + TILE <= s->w && last >= (K - 1) / S && last + (TILE - 1) / S < s->ow)
            input_tile(rows, taps, count, out, iw, s, lanes, 1, S, low);
        else if (full && WHOLE_EDGE(S, low))
            input_tile(rows, taps, count, out, iw, s, some(LANES), 0, S, low);
        else
            input_tile(rows, taps, count, out, iw, s, lanes, 0, S, low);
    }
}

/* One row of all channels for a stride and a type. */
#define ROWS(S, low, name)                                                                                                \
    static void forward_##name(const void *x, const float *weight, void *y, const Shape *s, const Ending *end, int64_t n, \
                               int64_t oh) {                                                                              \
        for (int64_t c0 = 0; c0 < s->c; c0 += LANES) forward_row(x, weight, y, s, end, n, oh, c0, S, low);                \
    }                                                                                                                     \
    static void weight_##name(const void *x, const void *g, float *sums, const Shape *s, int64_t n, int64_t oh) {         \
        for (int64_t c0 = 0; c0 < s->c; c0 += LANES) weight_row(x, g, sums, s, n, oh, c0, S, low);                        \
    }                                                                                                                     \
    static void input_##name(const void *g, const float *weight, void *result, const Shape *s, int64_t n, int64_t ih) {   \
        for (int64_t c0 = 0; c0 < s->c; c0 += LANES) input_row(g, weight, result, s, n, ih, c0, S, low);                  \
    }

ROWS(1, 0, 10)
ROWS(1, 1, 11)
ROWS(2, 0, 20)
ROWS(2, 1, 21)

#define NAMED_(k) depthwise_##k
#define NAMED(k) NAMED_(k)
#define WAY(name) {forward_##name, weight_##name, input_##name}
Ways NAMED(K) = {{WAY(10), WAY(11)}, {WAY(20), WAY(21)}};
