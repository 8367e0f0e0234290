/* Depthwise windows over channels-last maps, as other kernels ask for them and as their parts know each other.
 *
 * x is [n, h, w, c], y and its gradient [n, oh, ow, c], all contiguous; weights are [k * k, padded] floats, padded
 * being c rounded up to sixteen. Padding is never there: windows that reach over the border leave those taps out. */

typedef struct {
    int64_t n, h, w, c, oh, ow, window, stride, dilation, top, left;
} Shape;

INLINE int64_t padded(const Shape *s) { return (s->c + 15) & -16; } /* blocks of sixteen, whatever vectors hold */

typedef struct { /* what happens to a sum of float before it is stored; bias is filled up as weights are */
    const float *bias;
    float floor, ceiling;
} Ending;

/* Rows `from` to `to` of all that come out, of float maps. */
void depthwise_rows(const float *x, const float *weight, float *y, const Shape *s, const Ending *end, int64_t from, int64_t to);

/* What one row is computed by, for a window, a stride and a type of numbers: a row of outputs (whose sums begin and end
 * as `end` says if it is there), what a row of outputs adds to the sums [k * k, padded] of the weight's gradient, and a
 * row of the input's gradient; each for all channels. */
typedef struct {
    void (*forward)(const void *x, const float *weight, void *y, const Shape *s, const Ending *end, int64_t n, int64_t oh);
    void (*weight)(const void *x, const void *gradient, float *sums, const Shape *s, int64_t n, int64_t oh);
    void (*input)(const void *gradient, const float *weight, void *result, const Shape *s, int64_t n, int64_t ih);
} Rows;

/* By stride - 1, and by whether numbers are bfloat16. Each window is a unit of its own, so that compilers share the work. */
typedef const Rows Ways[2][2];
extern __attribute__((visibility("hidden"))) Ways depthwise_3, depthwise_5, depthwise_7;
