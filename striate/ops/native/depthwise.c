/* Depthwise windows over channels-last maps: forward, and the gradients of the weight and of the input.
 *
 * x is [n, h, w, c], y and its gradient [n, oh, ow, c], all contiguous; weights are [k * k, padded] floats, padded
 * being c rounded up to sixteen. Padding is never there: windows that reach over the border leave those taps out. */
#include "vectors.h"

#include "depthwise.h"

#define TILE 8 /* neighbouring outputs of one row that share loads: each number is widened once for all of them */
#define WIDEST 7
#ifdef __AVX512F__
#define MOST 15 /* sums of the weight's gradient that are kept in registers */
#else
#define MOST 14
#endif
#define UNROLL _Pragma("GCC unroll 32")

INLINE int64_t padded(const Shape *s) { return (s->c + 15) & -16; } /* blocks of sixteen, whatever vectors hold */

/* A number of a row, or zero beside it; `inside` says that it need not be asked. */
INLINE floats beside(const void *row, int64_t at_, int64_t size, const Shape *s, int64_t lanes, int inside, int low) {
    if (inside || (uint64_t)at_ < (uint64_t)size) return load(at(row, at_ * s->c, low), lanes, low);
    return (floats){0};
}

/* Rows that the next row of outputs will read, asked for while this one is computed: a block of channels' share of
 * `count` rows from `row` on, of `width` places. At the end of a picture they are the first of the next. */
INLINE void ask(const void *map, int64_t row, int64_t count, int64_t width, const Shape *s, int64_t c0, int low) {
    int64_t line = low ? 32 : 16, from = (row * s->c + count * c0) * width;
    for (int64_t i = 0; i < count * LANES * width; i += line) __builtin_prefetch(at(map, from + i, low));
}

/* Up to TILE neighbours of one row of outputs: `count` rows of x, each with its row of weights. */
INLINE void forward_tile(const void **rows, const float **taps, int count, void *out, int64_t ow, const Shape *s,
                         const Ending *end, int64_t lanes, int inside, int K, int S, int low) {
    floats first = end ? load(end->bias, LANES, 0) : (floats){0}, sums[TILE];
    UNROLL for (int t = 0; t < TILE; t++) sums[t] = first;
    for (int r = 0; r < count; r++) {
        floats weight[WIDEST];
        UNROLL for (int k = 0; k < K; k++) weight[k] = load(taps[r] + k * padded(s), LANES, 0);
        UNROLL for (int p = 0; p < (TILE - 1) * S + K; p++) {
            floats v = beside(rows[r], ow * S - s->left + p, s->w, s, lanes, inside, low);
            UNROLL for (int k = 0; k < K; k++)
                if (p >= k && (p - k) % S == 0 && (p - k) / S < TILE) sums[(p - k) / S] += v * weight[k];
        }
    }
    UNROLL for (int t = 0; t < TILE; t++) {
        if (end) sums[t] = clamp(sums[t], everywhere(end->floor), everywhere(end->ceiling));
        if (inside || ow + t < s->ow) store((void *)at(out, (ow + t) * s->c, low), sums[t], lanes, low);
    }
}

/* The same for any dilation, output by output; of those nobody asks for an ending. */
INLINE void forward_dilated(const void **rows, const float **taps, int count, void *out, const Shape *s, int64_t lanes, int K,
                            int S, int low) {
    for (int64_t ow = 0; ow < s->ow; ow++) {
        floats sum = {0};
        for (int r = 0; r < count; r++)
            for (int k = 0; k < K; k++)
                sum += beside(rows[r], ow * S - s->left + k * s->dilation, s->w, s, lanes, 0, low) * load(taps[r] + k * padded(s), LANES, 0);
        store((void *)at(out, ow * s->c, low), sum, lanes, low);
    }
}

/* Forward: one row of outputs, one block of channels. */
INLINE void forward_row(const void *x, const float *weight, void *y, const Shape *s, const Ending *all, int64_t n, int64_t oh,
                        int64_t c0, int64_t lanes, int K, int S, int low) {
    ask(x, n * s->h + oh * S - s->top + (K - 1) * s->dilation + 1, S, s->w, s, c0, low);
    const void *rows[WIDEST];
    const float *taps[WIDEST];
    int count = 0;
    for (int k = 0; k < K; k++) {
        int64_t ih = oh * S - s->top + k * s->dilation;
        if (ih < 0 || ih >= s->h) continue;
        rows[count] = at(x, (n * s->h + ih) * s->w * s->c + c0, low);
        taps[count++] = weight + k * K * padded(s) + c0;
    }
    void *out = (void *)at(y, (n * s->oh + oh) * s->ow * s->c + c0, low);
    if (s->dilation != 1) {
        forward_dilated(rows, taps, count, out, s, lanes, K, S, low);
        return;
    }
    Ending own = {0}, *end = NULL;
    if (all && !low) own = *all, own.bias += c0, end = &own;
    for (int64_t ow = 0; ow < s->ow; ow += TILE) {
        int64_t first = ow * S - s->left;
        if (first >= 0 && first + (TILE - 1) * S + K <= s->w && ow + TILE <= s->ow)
            forward_tile(rows, taps, count, out, ow, s, end, lanes, 1, K, S, low);
        else
            forward_tile(rows, taps, count, out, ow, s, end, lanes, 0, K, S, low);
    }
}

/* Gradient of the weight: what up to TILE neighbouring outputs add to the sums of G rows of the window. */
INLINE void weight_tile(const void **rows, const void *line, floats *sums, int64_t ow, const Shape *s, int64_t lanes,
                        int inside, int G, int K, int S, int low) {
    floats g[TILE];
    UNROLL for (int t = 0; t < TILE; t++) g[t] = beside(line, ow + t, s->ow, s, lanes, inside, low);
    UNROLL for (int i = 0; i < G; i++)
        UNROLL for (int p = 0; p < (TILE - 1) * S + K; p++) {
            floats v = beside(rows[i], ow * S - s->left + p, s->w, s, lanes, inside, low);
            UNROLL for (int k = 0; k < K; k++)
                if (p >= k && (p - k) % S == 0 && (p - k) / S < TILE) sums[i * K + k] += v * g[(p - k) / S];
        }
}

/* G neighbouring rows of the window over one row of outputs. */
INLINE void weight_rows(const void **rows, const void *line, float *to, const Shape *s, int64_t lanes, int G, int K, int S,
                        int low) {
    floats sums[MOST];
    UNROLL for (int k = 0; k < G * K; k++) sums[k] = load(to + k * padded(s), LANES, 0);
    for (int64_t ow = 0; ow < s->ow; ow += TILE) {
        int64_t first = ow * S - s->left;
        if (first >= 0 && first + (TILE - 1) * S + K <= s->w && ow + TILE <= s->ow)
            weight_tile(rows, line, sums, ow, s, lanes, 1, G, K, S, low);
        else
            weight_tile(rows, line, sums, ow, s, lanes, 0, G, K, S, low);
    }
    UNROLL for (int k = 0; k < G * K; k++) store(to + k * padded(s), sums[k], LANES, 0);
}

INLINE void weight_dilated(const void *row, const void *line, float *to, const Shape *s, int64_t lanes, int K, int S, int low) {
    for (int k = 0; k < K; k++) {
        floats sum = load(to + k * padded(s), LANES, 0);
        for (int64_t ow = 0; ow < s->ow; ow++)
            sum += beside(row, ow * S - s->left + k * s->dilation, s->w, s, lanes, 0, low) * load(at(line, ow * s->c, low), lanes, low);
        store(to + k * padded(s), sum, LANES, 0);
    }
}

/* What one row of outputs, one block of channels, adds to sums [k * k, padded]. Rows of the window are taken in threes if
 * their sums stay in registers, then in twos; sums of one wait for each other. */
INLINE void weight_row(const void *x, const void *gradient, float *sums, const Shape *s, int64_t n, int64_t oh, int64_t c0,
                       int64_t lanes, int K, int S, int low) {
    const void *line = at(gradient, (n * s->oh + oh) * s->ow * s->c + c0, low), *rows[WIDEST];
    float *to = sums + c0;
    int count = 0, done = 0;
    ask(x, n * s->h + oh * S - s->top + (K - 1) * s->dilation + 1, S, s->w, s, c0, low);
    ask(gradient, n * s->oh + oh + 1, 1, s->ow, s, c0, low);
    for (int k = 0; k < K; k++) {
        int64_t ih = oh * S - s->top + k * s->dilation;
        if (ih < 0) to += K * padded(s);
        if (ih < 0 || ih >= s->h) continue;
        rows[count++] = at(x, (n * s->h + ih) * s->w * s->c + c0, low);
    }
    if (s->dilation != 1)
        for (; done < count; done++) weight_dilated(rows[done], line, to + done * K * padded(s), s, lanes, K, S, low);
    if (3 * K <= MOST && count >= 3 && !done) {
        weight_rows(rows, line, to, s, lanes, 3, K, S, low);
        done = 3;
    }
    for (; done + 2 <= count; done += 2) weight_rows(rows + done, line, to + done * K * padded(s), s, lanes, 2, K, S, low);
    if (done < count) weight_rows(rows + done, line, to + done * K * padded(s), s, lanes, 1, K, S, low);
}

/* Gradient of up to TILE neighbours of one row of inputs, gathered from `count` rows of outputs that saw it; `iw` is such
 * that iw + left is a multiple of the stride. */
INLINE void input_tile(const void **rows, const float **taps, int count, void *out, int64_t iw, const Shape *s, int64_t lanes,
                       int inside, int K, int S, int low) {
    floats sums[TILE] = {0};
    int64_t last = (iw + s->left) / S; /* the output whose window begins at iw */
    for (int r = 0; r < count; r++) {
        floats weight[WIDEST];
        UNROLL for (int k = 0; k < K; k++) weight[k] = load(taps[r] + k * padded(s), LANES, 0);
        UNROLL for (int p = -((K - 1) / S); p <= (TILE - 1) / S; p++) {
            floats g = beside(rows[r], last + p, s->ow, s, lanes, inside, low);
            UNROLL for (int k = 0; k < K; k++)
                if (p * S + k >= 0 && p * S + k < TILE) sums[p * S + k] += g * weight[k];
        }
    }
    UNROLL for (int t = 0; t < TILE; t++)
        if (inside || (uint64_t)(iw + t) < (uint64_t)s->w) store((void *)at(out, (iw + t) * s->c, low), sums[t], lanes, low);
}

INLINE void input_dilated(const void **rows, const float **taps, int count, void *out, const Shape *s, int64_t lanes, int K,
                          int S, int low) {
    for (int64_t iw = 0; iw < s->w; iw++) {
        floats sum = {0};
        for (int k = 0; k < K; k++) {
            int64_t reached = iw + s->left - k * s->dilation;
            if (reached < 0 || reached % S || reached / S >= s->ow) continue;
            for (int r = 0; r < count; r++)
                sum += load(at(rows[r], reached / S * s->c, low), lanes, low) * load(taps[r] + k * padded(s), LANES, 0);
        }
        store((void *)at(out, iw * s->c, low), sum, lanes, low);
    }
}

/* Gradient of the input: one row of inputs, one block of channels. */
INLINE void input_row(const void *gradient, const float *weight, void *result, const Shape *s, int64_t n, int64_t ih,
                      int64_t c0, int64_t lanes, int K, int S, int low) {
    if ((ih + s->top) % S == 0) ask(gradient, n * s->oh + (ih + s->top) / S + 1, 1, s->ow, s, c0, low);
    const void *rows[WIDEST];
    const float *taps[WIDEST];
    int count = 0;
    for (int k = 0; k < K; k++) {
        int64_t reached = ih + s->top - k * s->dilation;
        if (reached < 0 || reached % S || reached / S >= s->oh) continue;
        rows[count] = at(gradient, (n * s->oh + reached / S) * s->ow * s->c + c0, low);
        taps[count++] = weight + k * K * padded(s) + c0;
    }
    void *out = (void *)at(result, (n * s->h + ih) * s->w * s->c + c0, low);
    if (s->dilation != 1) {
        input_dilated(rows, taps, count, out, s, lanes, K, S, low);
        return;
    }
    for (int64_t iw = -(s->left % S); iw < s->w; iw += TILE) {
        int64_t last = (iw + s->left) / S;
        if (iw >= 0 && iw + TILE <= s->w && last >= (K - 1) / S && last + (TILE - 1) / S < s->ow)
            input_tile(rows, taps, count, out, iw, s, lanes, 1, K, S, low);
        else
            input_tile(rows, taps, count, out, iw, s, lanes, 0, K, S, low);
    }
}

/* One row of all channels for a window, a stride and a type; only the last, short block pays for being short. */
#define KERNEL(K, S, low, name)                                                                                          \
    static void forward_##name(const void *x, const float *weight, void *y, const Shape *s, const Ending *end, int64_t n, \
                               int64_t oh) {                                                                              \
        int64_t c0 = 0;                                                                                                   \
        for (; c0 + LANES <= s->c; c0 += LANES) forward_row(x, weight, y, s, end, n, oh, c0, LANES, K, S, low);           \
        if (c0 < s->c) forward_row(x, weight, y, s, end, n, oh, c0, s->c - c0, K, S, low);                                \
    }                                                                                                                     \
    static void weight_##name(const void *x, const void *g, float *sums, const Shape *s, int64_t n, int64_t oh) {         \
        int64_t c0 = 0;                                                                                                   \
        for (; c0 + LANES <= s->c; c0 += LANES) weight_row(x, g, sums, s, n, oh, c0, LANES, K, S, low);                   \
        if (c0 < s->c) weight_row(x, g, sums, s, n, oh, c0, s->c - c0, K, S, low);                                        \
    }                                                                                                                     \
    static void input_##name(const void *g, const float *weight, void *result, const Shape *s, int64_t n, int64_t ih) {   \
        int64_t c0 = 0;                                                                                                   \
        for (; c0 + LANES <= s->c; c0 += LANES) input_row(g, weight, result, s, n, ih, c0, LANES, K, S, low);             \
        if (c0 < s->c) input_row(g, weight, result, s, n, ih, c0, s->c - c0, K, S, low);                                  \
    }

KERNEL(3, 1, 0, 310)
KERNEL(3, 1, 1, 311)
KERNEL(3, 2, 0, 320)
KERNEL(3, 2, 1, 321)
KERNEL(5, 1, 0, 510)
KERNEL(5, 1, 1, 511)
KERNEL(5, 2, 0, 520)
KERNEL(5, 2, 1, 521)
KERNEL(7, 1, 0, 710)
KERNEL(7, 1, 1, 711)
KERNEL(7, 2, 0, 720)
KERNEL(7, 2, 1, 721)

#define CHOOSE(what, ...)                                  \
    switch (s->window * 100 + s->stride * 10 + low) {      \
    case 310: what##_310(__VA_ARGS__); break;              \
    case 311: what##_311(__VA_ARGS__); break;              \
    case 320: what##_320(__VA_ARGS__); break;              \
    case 321: what##_321(__VA_ARGS__); break;              \
    case 510: what##_510(__VA_ARGS__); break;              \
    case 511: what##_511(__VA_ARGS__); break;              \
    case 520: what##_520(__VA_ARGS__); break;              \
    case 521: what##_521(__VA_ARGS__); break;              \
    case 710: what##_710(__VA_ARGS__); break;              \
    case 711: what##_711(__VA_ARGS__); break;              \
    case 720: what##_720(__VA_ARGS__); break;              \
    case 721: what##_721(__VA_ARGS__); break;              \
    }

void depthwise_forward(const void *x, const float *weight, void *y, const Shape *s, int low, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->n * s->oh; i++) { CHOOSE(forward, x, weight, y, s, NULL, i / s->oh, i % s->oh) }
}

void depthwise_rows(const float *x, const float *weight, float *y, const Shape *s, const Ending *end, int64_t from, int64_t to) {
    const int low = 0;
    for (int64_t i = from; i < to; i++) { CHOOSE(forward, x, weight, y, s, end, i / s->oh, i % s->oh) }
}

void depthwise_input(const void *gradient, const float *weight, void *result, const Shape *s, int low, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->n * s->h; i++) { CHOOSE(input, gradient, weight, result, s, i / s->h, i % s->h) }
}

/* sums is [threads, k * k, padded], zero at first; each thread adds up in its own, and the caller adds those. */
void depthwise_weight(const void *x, const void *gradient, float *sums, const Shape *s, int low, int threads) {
    int64_t each = s->window * s->window * padded(s), rows = s->n * s->oh;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++)
        for (int64_t i = rows * t / threads; i < rows * (t + 1) / threads; i++) {
            CHOOSE(weight, x, gradient, sums + t * each, s, i / s->oh, i % s->oh)
        }
}
