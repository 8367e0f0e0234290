/* Pools of all kinds over maps of all sizes, among them windows that see nothing. */
#include "pooling.c"

#include "fuzz.h"

static int64_t outputs(int64_t size, int64_t before, int64_t after, int64_t reach, int64_t stride) {
    int64_t last = size + before + after - reach;
    return last < 0 ? 1 : last / stride + 1;
}

void pooling_case(void) {
    int low = fuzz_draw(0, 1), threads = fuzz_draw(1, 5), square = fuzz_draw(0, 2);
    int64_t h = fuzz_draw_side(), w = fuzz_draw_side(), rows = fuzz_draw(0, 9) ? fuzz_draw(1, 5) : fuzz_draw(6, 15);
    int64_t columns = square ? rows : fuzz_draw(1, 17), down = fuzz_draw(1, 4), across = square ? down : fuzz_draw(1, 4);
    int64_t dilation_down = fuzz_draw(0, 2) ? 1 : fuzz_draw(2, 4), dilation_across = fuzz_draw(0, 2) ? 1 : fuzz_draw(2, 4);
    int64_t tall = (rows - 1) * dilation_down + 1, broad = (columns - 1) * dilation_across + 1;
    int64_t top = fuzz_draw(0, tall + 1), left = fuzz_draw(0, broad + 1);
    int64_t bottom = fuzz_draw(0, tall + 1), right = fuzz_draw(0, broad + 1);
    const Shape s = {.n = fuzz_draw(1, 3), .h = h, .w = w, .c = fuzz_draw(1, 70),
                     .oh = outputs(h, top, bottom, tall, down), .ow = outputs(w, left, right, broad, across),
                     .rows = rows, .columns = columns, .down = down, .across = across,
                     .dilation_down = dilation_down, .dilation_across = dilation_across, .top = top, .left = left};
    fuzz_describe(" n %ld, %ldx%ld, c %ld to %ldx%ld, window %ldx%ld, stride %ld %ld, dilation %ld %ld, before %ld %ld, low %d, threads %d",
             s.n, h, w, s.c, s.oh, s.ow, rows, columns, down, across, dilation_down, dilation_across, top, left, low, threads);
    int64_t size = low ? 2 : 4, inputs = s.n * h * w * s.c, results = s.n * s.oh * s.ow * s.c;
    const void *x = fuzz_numbers(inputs, size), *gradient = fuzz_numbers(results, size);
    void *y = fuzz_memory(results, size), *for_x = fuzz_memory(inputs, size);
    uint8_t *places = fuzz_memory(results, 1);
    for (int round = 0; round < 2; round++) {
        int team = round ? threads : 1; /* rows are computed alike by any number of threads */
        fuzz_spoil(y, results, size, round);
        fuzz_spoil(places, results, 1, round);
        pooling_forward(x, y, places, &s, low, team);
        fuzz_compare("output", y, results, size, round);
        fuzz_compare("places", places, results, 1, round);
        for (int64_t i = 0; i < results; i++)
            if (places[i] >= rows * columns) fuzz_fail("a place outside of the window");
        fuzz_spoil(for_x, inputs, size, round);
        pooling_backward(gradient, places, for_x, &s, low, team);
        fuzz_compare("gradient of the input", for_x, inputs, size, round);
    }
}
