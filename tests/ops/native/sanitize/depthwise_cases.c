/* Depthwise windows of all kinds over maps of all sizes. */
#include "depthwise.c"

#include "fuzz.h"

static int64_t outputs(int64_t size, int64_t before, int64_t after, int64_t reach, int64_t stride) {
    int64_t last = size + before + after - reach;
    return last < 0 ? 1 : last / stride + 1;
}

void depthwise_case(void) {
    int low = fuzz_draw(0, 1), threads = fuzz_draw(1, 5);
    int64_t window = 3 + 2 * fuzz_draw(0, 2), stride = fuzz_draw(1, 2), dilation = fuzz_draw(0, 2) ? 1 : fuzz_draw(2, 3);
    int64_t reach = (window - 1) * dilation + 1, h = fuzz_draw_side(), w = fuzz_draw_side();
    int64_t top = fuzz_draw(0, reach + 2), left = fuzz_draw(0, reach + 2), bottom = fuzz_draw(0, reach + 2), right = fuzz_draw(0, reach + 2);
    const Shape s = {.n = fuzz_draw(1, 3), .h = h, .w = w, .c = fuzz_draw(1, 70),
                     .oh = outputs(h, top, bottom, reach, stride), .ow = outputs(w, left, right, reach, stride),
                     .window = window, .stride = stride, .dilation = dilation, .top = top, .left = left};
    fuzz_describe(" n %ld, %ldx%ld, c %ld to %ldx%ld, window %ld, stride %ld, dilation %ld, before %ld %ld, low %d, threads %d",
             s.n, s.h, s.w, s.c, s.oh, s.ow, window, stride, dilation, top, left, low, threads);
    int64_t size = low ? 2 : 4, inputs = s.n * h * w * s.c, results = s.n * s.oh * s.ow * s.c;
    int64_t rows = window * window * padded(&s);
    const void *x = fuzz_numbers(inputs, size), *gradient = fuzz_numbers(results, size);
    const float *weight = fuzz_numbers(rows, 4);
    void *y = fuzz_memory(results, size), *for_x = fuzz_memory(inputs, size);
    float *sums = fuzz_memory(threads * rows, 4);
    for (int round = 0; round < 2; round++) {
        int team = round ? threads : 1; /* rows are computed alike by any number of threads */
        fuzz_spoil(y, results, size, round);
        depthwise_forward(x, weight, y, &s, low, team);
        fuzz_compare("output", y, results, size, round);
        fuzz_spoil(for_x, inputs, size, round);
        depthwise_input(gradient, weight, for_x, &s, low, team);
        fuzz_compare("gradient of the input", for_x, inputs, size, round);
        memset(sums, 0, threads * rows * 4);
        depthwise_weight(x, gradient, sums, &s, low, threads);
        fuzz_compare("gradient of the weight", sums, threads * rows, 4, round);
    }
}
