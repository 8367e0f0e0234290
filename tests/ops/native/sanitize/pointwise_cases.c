/* Matrix products of maps in bfloat16, plain and normalised on the way. */
#include "pointwise.c"

#include "fuzz.h"
#include <math.h>

void pointwise_case(void) {
    if (!pointwise_multiplies()) return;
    static const float floors[] = {-INFINITY, 0, 0}, ceilings[] = {INFINITY, INFINITY, 6};
    int threads = fuzz_draw(1, 5), act = fuzz_draw(0, 2), normalised = fuzz_draw(0, 1);
    int64_t stride = fuzz_draw(1, 3), h = fuzz_draw_side(), w = fuzz_draw_side();
    const Product s = {.n = fuzz_draw(1, 3), .h = h, .w = w, .inputs = fuzz_draw(1, 70), .oh = (h - 1) / stride + 1,
                       .ow = (w - 1) / stride + 1, .outputs = fuzz_draw(1, 70), .stride = stride,
                       .floor = floors[act], .ceiling = ceilings[act]};
    fuzz_describe(" n %ld, %ldx%ld, %ld to %ld channels, stride %ld, normalised %d, activation %d, threads %d", s.n, h, w, s.inputs,
             s.outputs, stride, normalised, act, threads);
    const void *x = fuzz_numbers(s.n * h * w * s.inputs, 2), *gradient = fuzz_numbers(s.n * s.oh * s.ow * s.outputs, 2);
    const float *scale = fuzz_numbers(s.inputs, 4), *shift = fuzz_numbers(s.inputs, 4);
    if (!normalised) scale = shift = NULL;
    int64_t each = pointwise_sums(&s), count = s.outputs * s.inputs;
    float *sums = fuzz_memory(threads * each, 4), *result = fuzz_memory(count, 4);
    for (int round = 0; round < 2; round++) {
        memset(sums, 0, threads * each * 4);
        if (pointwise_weight(x, gradient, scale, shift, sums, result, &s, threads)) fuzz_fail("no memory for panels");
        fuzz_compare("gradient of the weight", result, count, 4, round);
    }
}
