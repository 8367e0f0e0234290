/* Matrix products of maps in bfloat16, plain and normalised on the way; and of maps and weights, turned or not. */
#include "pointwise.c"

#include "fuzz.h"
#include <math.h>

/* One layer over all places, or the gradient of its input. */
static void forward_case(void) {
    int turned = fuzz_draw(0, 1), threads = fuzz_draw(1, 5);
    int64_t places = fuzz_draw(1, 900), inputs = 2 * fuzz_draw(1, 40), outputs = fuzz_draw(1, 120);
    fuzz_describe(" %ld places, %ld to %ld, turned %d, threads %d", places, inputs, outputs, turned, threads);
    const void *x = fuzz_numbers(places * inputs, 2);
    const float *weight = fuzz_numbers(inputs * outputs, 4), *bias = fuzz_perhaps(fuzz_numbers(outputs, 4));
    int64_t count = inputs / 2 * ((outputs + 15) & -16);
    uint32_t *panels = fuzz_memory(count, 4);
    uint16_t *y = fuzz_memory(places * outputs, 2);
    for (int round = 0; round < 2; round++) {
        int team = round ? threads : 1; /* sums are added up alike by any number of threads */
        fuzz_spoil(panels, count, 4, round);
        pointwise_weights(weight, panels, inputs, outputs, turned, team);
        fuzz_compare("panels of the weight", panels, count, 4, round);
        fuzz_spoil(y, places * outputs, 2, round);
        pointwise_forward(x, panels, bias, y, places, inputs, outputs, team);
        for (int64_t i = 0; i < places * outputs; i++) /* which of two that are no numbers is left to the compiler */
            if ((y[i] & 0x7fff) > 0x7f80) y[i] = 0x7fc0;
        fuzz_compare("output", y, places * outputs, 2, round);
    }
}

void pointwise_case(void) {
    if (!pointwise_multiplies()) return;
    if (fuzz_draw(0, 1)) {
        forward_case();
        return;
    }
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
