/* Depthwise windows over channels-last maps: forward, and the gradients of the weight and of the input.
 *
 * x is [n, h, w, c], y and its gradient [n, oh, ow, c], all contiguous; weights are [k * k, padded] floats, padded
 * being c rounded up to sixteen. Padding is never there: windows that reach over the border leave those taps out. */
#include "vectors.h"

typedef struct {
    int64_t n, h, w, c, oh, ow, window, stride, dilation, top, left;
} Shape;

#define TILE 4 /* neighbouring outputs that share the loads of a row of weights */

INLINE int64_t padded(const Shape *s) { return (s->c + LANES - 1) / LANES * LANES; }

/* The first output, and the first one after it, whose whole window lies inside an axis of this size. */
INLINE void interior(int64_t size, int64_t outputs, int64_t before, int64_t reach, int64_t stride, int64_t *from, int64_t *to) {
    int64_t last = size - reach + before;
    *from = (before + stride - 1) / stride;
    *to = last < 0 ? 0 : last / stride + 1;
    if (*to > outputs) *to = outputs;
    if (*from > *to) *from = *to;
}

/* Forward: one row of outputs, one block of channels. */
INLINE void forward_row(const void *x, const float *weight, void *y, const Shape *s, int64_t n, int64_t oh, int64_t c0,
                        int64_t lanes, int K, int S, int low) {
    int64_t D = s->dilation, from, to, ow = 0;
    const void *rows[K];
    int taps[K], count = 0;
    for (int k = 0; k < K; k++) {
        int64_t ih = oh * S - s->top + k * D;
        if (ih < 0 || ih >= s->h) continue;
        rows[count] = at(x, (n * s->h + ih) * s->w * s->c + c0, low);
        taps[count++] = k;
    }
    void *out = (void *)at(y, (n * s->oh + oh) * s->ow * s->c + c0, low);
    interior(s->w, s->ow, s->left, (K - 1) * D + 1, S, &from, &to);
    while (ow < s->ow) {
        if (ow >= from && ow + TILE <= to) {
            floats sums[TILE] = {0};
            for (int r = 0; r < count; r++)
                for (int k = 0; k < K; k++) {
                    floats v = load(weight + (taps[r] * K + k) * padded(s) + c0, LANES, 0);
                    int64_t iw = ow * S - s->left + k * D;
                    for (int t = 0; t < TILE; t++) sums[t] += load(at(rows[r], (iw + t * S) * s->c, low), lanes, low) * v;
                }
            for (int t = 0; t < TILE; t++) store((void *)at(out, (ow + t) * s->c, low), sums[t], lanes, low);
            ow += TILE;
            continue;
        }
        floats sum = {0};
        for (int r = 0; r < count; r++)
            for (int k = 0; k < K; k++) {
                int64_t iw = ow * S - s->left + k * D;
                if (iw < 0 || iw >= s->w) continue;
                sum += load(at(rows[r], iw * s->c, low), lanes, low) * load(weight + (taps[r] * K + k) * padded(s) + c0, LANES, 0);
            }
        store((void *)at(out, ow * s->c, low), sum, lanes, low);
        ow++;
    }
}

/* Gradient of the weight: what one row of outputs, one block of channels, adds to sums [k * k, padded]. */
INLINE void weight_row(const void *x, const void *gradient, float *sums, const Shape *s, int64_t n, int64_t oh, int64_t c0,
                       int64_t lanes, int K, int S, int low) {
    int64_t D = s->dilation, first = oh * S - s->top, from, to;
    int inside = first >= 0 && first + (K - 1) * D < s->h;
    const void *line = at(gradient, (n * s->oh + oh) * s->ow * s->c + c0, low);
    floats taps[K * K];
    for (int k = 0; k < K * K; k++) taps[k] = load(sums + k * padded(s) + c0, LANES, 0);
    interior(s->w, s->ow, s->left, (K - 1) * D + 1, S, &from, &to);
    for (int64_t ow = 0; ow < s->ow; ow++) {
        if (inside && ow == from && from < to) {
            const void *rows[K];
            for (int k = 0; k < K; k++) rows[k] = at(x, (n * s->h + first + k * D) * s->w * s->c + c0, low);
            for (; ow < to; ow++) {
                floats g = load(at(line, ow * s->c, low), lanes, low);
                int64_t start = (ow * S - s->left) * s->c;
                for (int i = 0; i < K; i++)
                    for (int k = 0; k < K; k++) taps[i * K + k] += load(at(rows[i], start + k * D * s->c, low), lanes, low) * g;
            }
            if (ow == s->ow) break;
        }
        floats g = load(at(line, ow * s->c, low), lanes, low);
        for (int i = 0; i < K; i++) {
            int64_t ih = first + i * D;
            if (ih < 0 || ih >= s->h) continue;
            for (int k = 0; k < K; k++) {
                int64_t iw = ow * S - s->left + k * D;
                if (iw < 0 || iw >= s->w) continue;
                taps[i * K + k] += load(at(x, ((n * s->h + ih) * s->w + iw) * s->c + c0, low), lanes, low) * g;
            }
        }
    }
    for (int k = 0; k < K * K; k++) store(sums + k * padded(s) + c0, taps[k], LANES, 0);
}

/* Gradient of the input: one row of inputs, one block of channels, gathered from the outputs that saw it. */
INLINE void input_row(const void *gradient, const float *weight, void *result, const Shape *s, int64_t n, int64_t ih,
                      int64_t c0, int64_t lanes, int K, int S, int low) {
    int64_t D = s->dilation, iw = 0;
    const void *rows[K];
    int taps[K], count = 0;
    for (int k = 0; k < K; k++) {
        int64_t reached = ih + s->top - k * D;
        if (reached < 0 || reached % S || reached / S >= s->oh) continue;
        rows[count] = at(gradient, (n * s->oh + reached / S) * s->ow * s->c + c0, low);
        taps[count++] = k;
    }
    void *out = (void *)at(result, (n * s->h + ih) * s->w * s->c + c0, low);
    /* at stride 1: inputs that a whole window of outputs saw */
    int64_t from = (K - 1) * D - s->left, to = s->ow - s->left;
    if (from < 0) from = 0;
    if (to > s->w) to = s->w;
    while (iw < s->w) {
        if (S == 1 && iw >= from && iw + TILE <= to) {
            floats sums[TILE] = {0};
            for (int r = 0; r < count; r++)
                for (int k = 0; k < K; k++) {
                    floats v = load(weight + (taps[r] * K + k) * padded(s) + c0, LANES, 0);
                    int64_t ow = iw + s->left - k * D;
                    for (int t = 0; t < TILE; t++) sums[t] += load(at(rows[r], (ow + t) * s->c, low), lanes, low) * v;
                }
            for (int t = 0; t < TILE; t++) store((void *)at(out, (iw + t) * s->c, low), sums[t], lanes, low);
            iw += TILE;
            continue;
        }
        floats sum = {0};
        for (int k = 0; k < K; k++) {
            int64_t reached = iw + s->left - k * D;
            if (reached < 0 || reached % S || reached / S >= s->ow) continue;
            for (int r = 0; r < count; r++)
                sum += load(at(rows[r], reached / S * s->c, low), lanes, low) * load(weight + (taps[r] * K + k) * padded(s) + c0, LANES, 0);
        }
        store((void *)at(out, iw * s->c, low), sum, lanes, low);
        iw++;
    }
}

/* One row of all channels for a window, a stride and a type; only the last, short block pays for being short. */
#define KERNEL(K, S, low, name)                                                                                          \
    static void forward_##name(const void *x, const float *weight, void *y, const Shape *s, int64_t n, int64_t oh) {      \
        int64_t c0 = 0;                                                                                                   \
        for (; c0 + LANES <= s->c; c0 += LANES) forward_row(x, weight, y, s, n, oh, c0, LANES, K, S, low);                \
        if (c0 < s->c) forward_row(x, weight, y, s, n, oh, c0, s->c - c0, K, S, low);                                     \
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
    for (int64_t i = 0; i < s->n * s->oh; i++) { CHOOSE(forward, x, weight, y, s, i / s->oh, i % s->oh) }
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
