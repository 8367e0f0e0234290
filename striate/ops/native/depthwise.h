/* Depthwise windows as other kernels ask for them. */

typedef struct {
    int64_t n, h, w, c, oh, ow, window, stride, dilation, top, left;
} Shape;

typedef struct { /* what happens to a sum of float before it is stored; bias is filled up as weights are */
    const float *bias;
    float floor, ceiling;
} Ending;

/* Rows `from` to `to` of all that come out, of float maps. */
void depthwise_rows(const float *x, const float *weight, float *y, const Shape *s, const Ending *end, int64_t from, int64_t to);
