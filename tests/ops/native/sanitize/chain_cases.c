/* Chains of a few layers of all kinds, whose maps are read again and added, one picture at a time and all together. */
#include "chain.c"

#include "fuzz.h"
#include <math.h>

#define LONGEST 4

static int64_t stops(int64_t size, int64_t before, int64_t after, int64_t window, int64_t stride) {
    return (size + before + after - window) / stride + 1;
}

/* A layer behind maps of h x w x c; a window always fits at least once. */
static Layer drawn(int64_t h, int64_t w, int64_t c) {
    static const float floors[] = {NAN, 0, 0}, ceilings[] = {NAN, NAN, 6};
    int act = fuzz_draw(0, 2);
    Layer l = {.kind = fuzz_draw(0, 3), .adds = -1, .h = h, .w = w, .c = c, .oh = 1, .ow = 1, .o = c, .high = 1, .wide = 1,
               .stride = 1, .floor = floors[act], .ceiling = ceilings[act]};
    if (l.kind == MEAN) return l;
    l.stride = fuzz_draw(1, l.kind == DEPTHWISE ? 2 : 3);
    l.high = l.kind == DEPTHWISE ? 3 + 2 * fuzz_draw(0, 2) : fuzz_draw(1, 5);
    l.wide = l.kind == DEPTHWISE ? l.high : fuzz_draw(1, 5);
    l.top = fuzz_draw(0, l.high - 1), l.left = fuzz_draw(0, l.wide - 1);
    int64_t down = fuzz_draw(0, l.high - 1), right = fuzz_draw(0, l.wide - 1);
    if (h + l.top + down < l.high) l.top = down = l.high - 1;
    if (w + l.left + right < l.wide) l.left = right = l.wide - 1;
    l.oh = stops(h, l.top, down, l.high, l.stride), l.ow = stops(w, l.left, right, l.wide, l.stride);
    if (l.kind != WINDOW) return l;
    l.o = fuzz_draw(1, 70);
    int64_t inputs = l.high * l.wide * c;
    float *packed = fuzz_memory(inputs * ((l.o + 15) & -16), 4);
    chain_pack(fuzz_numbers(l.o * inputs, 4), packed, l.o, inputs);
    l.weight = packed;
    return l;
}

/* Of two numbers that are none, which one a sum becomes is left to the compiler, and may differ from block to block. */
static void compare(float *map, int64_t count, int round) {
    for (int64_t i = 0; i < count; i++)
        if (map[i] != map[i]) map[i] = NAN;
    fuzz_compare("map", map, count, 4, round);
}

void chain_case(void) {
    int threads = fuzz_draw(1, 5), count = fuzz_draw(1, LONGEST), singly = fuzz_draw(0, count);
    int64_t n = fuzz_draw(1, 3), h = fuzz_draw_side(), w = fuzz_draw_side(), c = fuzz_draw(1, 70), desk = 0;
    int64_t apart[LONGEST + 1] = {h * w * c}, sizes[LONGEST + 1] = {h * w * c};
    float *maps[LONGEST + 1] = {fuzz_numbers(n * h * w * c, 4)};
    Layer layers[LONGEST];
    fuzz_describe(" n %ld, %ldx%ldx%ld, %d layers, %d singly, threads %d:", n, h, w, c, count, singly, threads);
    for (int i = 0; i < count; i++) {
        Layer l = drawn(h, w, c);
        l.reads = i, l.writes = i + 1;
        if (l.kind == DEPTHWISE) l.weight = fuzz_numbers(l.high * l.wide * ((c + 15) & -16), 4);
        if (l.kind < MAXIMUM) l.bias = fuzz_numbers((l.o + 15) & -16, 4);
        int64_t high = (l.oh - 1) * l.stride + l.high, wide = (l.ow - 1) * l.stride + l.wide;
        if (l.kind == WINDOW && high * wide * c > desk) desk = high * wide * c;
        h = l.oh, w = l.ow, c = l.o;
        apart[i + 1] = sizes[i + 1] = h * w * c;
        for (int j = 0; l.kind == WINDOW && j <= i; j++)
            if (sizes[j] == sizes[i + 1] && fuzz_draw(0, 1)) l.adds = j;
        maps[i + 1] = fuzz_memory(n * h * w * c, 4);
        layers[i] = l;
    }
    float *room = fuzz_memory(desk * n + 1, 4);
    for (int round = 0; round < 2; round++) {
        for (int i = 1; i <= count; i++) fuzz_spoil(maps[i], n * sizes[i], 4, round);
        /* Rounds differ in all that must not matter. */
        chain_run(layers, count, round ? singly : 0, maps, apart, room, n, round ? threads : 1);
        for (int i = 1; i <= count; i++) compare(maps[i], n * sizes[i], round);
    }
}
