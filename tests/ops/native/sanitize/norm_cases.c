/* Batch norms with and without a residual, an activation, and statistics of their own. */
#include "norm.c"

#include "fuzz.h"
#include <math.h>

void norm_case(void) {
    static const float floors[] = {-INFINITY, 0, 0}, ceilings[] = {INFINITY, INFINITY, 6};
    int low = fuzz_draw(0, 1), threads = fuzz_draw(1, 5), act = fuzz_draw(0, 2);
    const Map m = {.rows = fuzz_draw(1, 3) * fuzz_draw_side() * fuzz_draw_side(), .channels = fuzz_draw(1, 70), .floor = floors[act], .ceiling = ceilings[act]};
    int64_t size = low ? 2 : 4, count = m.rows * m.channels;
    const void *x = fuzz_numbers(count, size), *gradient = fuzz_numbers(count, size), *residual = fuzz_perhaps(fuzz_numbers(count, size));
    const float *scale = fuzz_numbers(m.channels, 4), *shift = fuzz_numbers(m.channels, 4), *inverse = fuzz_numbers(m.channels, 4);
    float *mean = fuzz_memory(m.channels, 4), *variance = fuzz_memory(m.channels, 4);
    float *for_weight = fuzz_memory(m.channels, 4), *for_bias = fuzz_memory(m.channels, 4);
    void *y = fuzz_memory(count, size), *gated = residual ? fuzz_perhaps(fuzz_memory(count, size)) : NULL;
    void *result = fuzz_draw(0, 3) ? fuzz_memory(count, size) : NULL;
    double rate = fuzz_draw(0, 1) / (double)m.rows;
    fuzz_describe(" rows %ld, channels %ld, activation %d, residual %d, gated %d, result %d, rate %g, low %d, threads %d", m.rows,
             m.channels, act, !!residual, !!gated, !!result, rate, low, threads);
    for (int round = 0; round < 2; round++) {
        fuzz_spoil(mean, m.channels, 4, round);
        fuzz_spoil(variance, m.channels, 4, round);
        if (norm_statistics(x, mean, variance, &m, low, threads)) fuzz_fail("no memory for statistics");
        fuzz_compare("mean", mean, m.channels, 4, round);
        fuzz_compare("variance", variance, m.channels, 4, round);
        fuzz_spoil(y, count, size, round);
        if (norm_apply(x, residual, y, scale, shift, &m, low, round ? threads : 1)) fuzz_fail("no memory for tables");
        fuzz_compare("output", y, count, size, round);
        fuzz_spoil(for_weight, m.channels, 4, round);
        fuzz_spoil(for_bias, m.channels, 4, round);
        if (gated) fuzz_spoil(gated, count, size, round);
        if (result) fuzz_spoil(result, count, size, round);
        if (norm_backward(gradient, x, residual, gated, result, mean, inverse, scale, shift, for_weight, for_bias, rate, &m, low, threads))
            fuzz_fail("no memory for sums");
        fuzz_compare("gradient of the weight", for_weight, m.channels, 4, round);
        fuzz_compare("gradient of the bias", for_bias, m.channels, 4, round);
        if (gated) fuzz_compare("gradient of the residual", gated, count, size, round);
        if (result) fuzz_compare("gradient of the input", result, count, size, round);
    }
}
