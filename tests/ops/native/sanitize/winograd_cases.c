/* Convolutions of 3x3 windows in tiles: outputs, gradients of inputs (the turned weight) and of weights. */
#include "winograd.c"

#include "fuzz.h"
#include <math.h>

int pointwise_multiplies(void);

void winograd_case(void) {
    if (!pointwise_multiplies()) return;
    static const float floors[] = {-INFINITY, 0, 0}, ceilings[] = {INFINITY, INFINITY, 6};
    int act = fuzz_draw(0, 2), normalised = fuzz_draw(0, 1), turned = fuzz_draw(0, 1), threads = fuzz_draw(1, 5);
    int64_t top = fuzz_draw(0, 2), left = fuzz_draw(0, 2), h = fuzz_draw_side() + 2, w = fuzz_draw_side() + 2;
    const Tiling s = {.n = fuzz_draw(1, 4), .h = h, .w = w, .inputs = fuzz_draw(1, 70), .oh = h + 2 * top - 2,
                      .ow = w + 2 * left - 2, .outputs = fuzz_draw(1, 70), .top = top, .left = left, .floor = floors[act],
                      .ceiling = ceilings[act]};
    fuzz_describe(" n %ld, %ldx%ld, %ld to %ld channels, padding %ld %ld, turned %d, normalised %d, activation %d, threads %d",
                  s.n, h, w, s.inputs, s.outputs, top, left, turned, normalised, act, threads);
    const void *x = fuzz_numbers(s.n * h * w * s.inputs, 2), *gradient = fuzz_numbers(s.n * s.oh * s.ow * s.outputs, 2);
    const float *weight = fuzz_numbers(s.outputs * 9 * s.inputs, 4), *bias = fuzz_perhaps(fuzz_numbers(s.outputs, 4));
    const float *scale = fuzz_numbers(s.inputs, 4), *shift = fuzz_numbers(s.inputs, 4);
    if (!normalised) scale = shift = NULL;
    int64_t count = winograd_parts(s.inputs, s.outputs), outputs = s.n * s.oh * s.ow * s.outputs;
    uint32_t *parts = fuzz_memory(count, 4);
    uint16_t *y = fuzz_memory(outputs, 2);
    float *result = fuzz_memory(s.outputs * 9 * s.inputs, 4);
    for (int round = 0; round < 2; round++) {
        fuzz_spoil(parts, count, 4, round);
        fuzz_spoil(y, outputs, 2, round);
        fuzz_spoil(result, s.outputs * 9 * s.inputs, 4, round);
        /* A turned weight takes what the weight gives, and gives what it takes. */
        winograd_weights(weight, parts, turned ? s.outputs : s.inputs, turned ? s.inputs : s.outputs, turned, threads);
        fuzz_compare("parts of the weight", parts, count, 4, round);
        if (winograd_forward(x, parts, bias, y, &s, threads)) fuzz_fail("no memory for parts");
        fuzz_compare("output", y, outputs, 2, round);
        if (winograd_weight(x, gradient, scale, shift, result, &s, threads)) fuzz_fail("no memory for parts");
        fuzz_compare("gradient of the weight", result, s.outputs * 9 * s.inputs, 4, round);
    }
}
