/* Matrix products of maps in bfloat16 for the taps of windows, plain and normalised on the way. */
#include "windows.c"

#include "fuzz.h"
#include <math.h>

int pointwise_multiplies(void);

void windows_case(void) {
    if (!pointwise_multiplies()) return;
    static const float floors[] = {-INFINITY, 0, 0}, ceilings[] = {INFINITY, INFINITY, 6};
    int act = fuzz_draw(0, 2), normalised = fuzz_draw(0, 1);
    int64_t rows = fuzz_draw(1, 7), columns = fuzz_draw(1, 7), top = fuzz_draw(0, rows - 1), left = fuzz_draw(0, columns - 1);
    int64_t h = fuzz_draw_side() + rows - 1, w = fuzz_draw_side() + columns - 1;
    const Window s = {.n = fuzz_draw(1, 4), .h = h, .w = w, .inputs = fuzz_draw(1, 70), .oh = h + 2 * top - rows + 1,
                      .ow = w + 2 * left - columns + 1, .outputs = fuzz_draw(1, 70), .rows = rows, .columns = columns,
                      .top = top, .left = left, .floor = floors[act], .ceiling = ceilings[act]};
    int threads = windows_threads(&s, fuzz_draw(1, 5));
    fuzz_describe(" n %ld, %ldx%ld, %ld to %ld channels, window %ldx%ld, padding %ld %ld, normalised %d, activation %d, threads %d",
                  s.n, h, w, s.inputs, s.outputs, rows, columns, top, left, normalised, act, threads);
    const void *x = fuzz_numbers(s.n * h * w * s.inputs, 2), *gradient = fuzz_numbers(s.n * s.oh * s.ow * s.outputs, 2);
    const float *scale = fuzz_numbers(s.inputs, 4), *shift = fuzz_numbers(s.inputs, 4);
    if (!normalised) scale = shift = NULL;
    int64_t each = windows_sums(&s), count = s.outputs * rows * columns * s.inputs;
    float *sums = fuzz_memory(threads * each, 4), *result = fuzz_memory(count, 4);
    for (int round = 0; round < 2; round++) {
        memset(sums, 0, threads * each * 4);
        if (windows_weight(x, gradient, scale, shift, sums, result, &s, threads)) fuzz_fail("no memory for panels");
        fuzz_compare("gradient of the weight", result, count, 4, round);
    }
}
