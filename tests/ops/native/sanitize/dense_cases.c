/* Dense layers of few rows, all three products. */
#include "dense.c"

#include "fuzz.h"

/* Of two numbers that are none, which one a sum becomes is left to the compiler, and may differ from block to block. */
static void compare(const char *name, float *numbers, int64_t count, int round) {
    for (int64_t i = 0; i < count; i++)
        if (numbers[i] != numbers[i]) numbers[i] = __builtin_nanf("");
    fuzz_compare(name, numbers, count, 4, round);
}

void dense_case(void) {
    int threads = fuzz_draw(1, 5);
    const Dense d = {.rows = fuzz_draw(1, 35), .inputs = fuzz_draw(0, 7) ? fuzz_draw(1, 200) : fuzz_draw(760, 1700), .outputs = fuzz_draw(1, 70)};
    const float *x = fuzz_numbers(d.rows * d.inputs, 4), *weight = fuzz_numbers(d.outputs * d.inputs, 4);
    const float *gradient = fuzz_numbers(d.rows * d.outputs, 4), *bias = fuzz_perhaps(fuzz_numbers(d.outputs, 4));
    float *y = fuzz_memory(d.rows * d.outputs, 4), *for_x = fuzz_memory(d.rows * d.inputs, 4);
    float *for_weight = fuzz_memory(d.outputs * d.inputs, 4);
    fuzz_describe(" rows %ld, %ld to %ld, bias %d, threads %d", d.rows, d.inputs, d.outputs, !!bias, threads);
    for (int round = 0; round < 2; round++) {
        int count = round ? threads : 1;
        fuzz_spoil(y, d.rows * d.outputs, 4, round);
        if (dense_forward(x, weight, bias, y, &d, count)) fuzz_fail("no memory for sums");
        compare("output", y, d.rows * d.outputs, round);
        fuzz_spoil(for_x, d.rows * d.inputs, 4, round);
        if (dense_input(gradient, weight, for_x, &d, count)) fuzz_fail("no memory for sums");
        compare("gradient of the input", for_x, d.rows * d.inputs, round);
        fuzz_spoil(for_weight, d.outputs * d.inputs, 4, round);
        if (dense_weight(gradient, x, for_weight, &d, count)) fuzz_fail("no memory for tiles");
        compare("gradient of the weight", for_weight, d.outputs * d.inputs, round);
    }
}
