/* Products of places and weights, block of sums after block of sums.
 *
 * Weights lie in panels: a few vectors of outputs with all of their inputs, input after input. A block of sums is up to TALL
 * places by the vectors of one panel. Who includes this says by three macros what a JOB, a NUMBER of a place and a WEIGHT
 * are, and how the job sums up a block and finds its places. */
#include "panels.h"

#ifdef __AVX512F__
#define TALL 8
#else
#define TALL 4 /* there are half as many registers, or vectors that take two */
#endif
#define NEAR (128 << 10) /* bytes of places that stay in a core's own caches while weights go by */

/* Sums of `tall` places and `wide` vectors of outputs from block b on, the last of so many `lanes`. */
INLINE void sums(const JOB *j, const NUMBER *const *x, const WEIGHT *w, int64_t place, int64_t b, int64_t lanes, int tall, int wide);

/* Where the job finds `count` neighbouring places. */
INLINE void lay(const JOB *j, const NUMBER **x, int64_t place, int64_t count);

#define ROWS(tall, wide) \
    case tall: sums(j, x, w, place, b, lanes, tall, wide); break;
#if TALL == 8
#define MORE(wide) ROWS(5, wide) ROWS(6, wide) ROWS(7, wide) ROWS(8, wide)
#else
#define MORE(wide)
#endif
/* A function for each width: of all blocks in one, compilers forget to keep sums in registers. */
#define PANEL(wide)                                                                                                     \
    static void sums_##wide(const JOB *j, const NUMBER *const *x, const WEIGHT *w, int64_t place, int64_t b,            \
                            int64_t lanes, int64_t tall) {                                                              \
        switch (tall) { ROWS(1, wide) ROWS(2, wide) ROWS(3, wide) ROWS(4, wide) MORE(wide) }                            \
    }
PANEL(1)
PANEL(2)
PANEL(3)

/* One thread's part: places `from` to `to`, blocks `first` to `last` of `outputs`, which begin and end with panels. Of a
 * vector of outputs there are `inputs` vectors of weights, and of a place `bytes` that are read or written. */
static void sweep(const JOB *j, const WEIGHT *weights, int64_t inputs, int64_t bytes, int64_t outputs, int64_t from, int64_t to,
                    int64_t first, int64_t last) {
    int64_t places = to - from, count = (places + TALL - 1) / TALL, together = 1 + NEAR / (TALL * bytes);
    for (int64_t t0 = 0; t0 < count; t0 += together)
        for (int64_t b = first, wide; b < last; b += wide) {
            wide = across_of(blocks(outputs) - b);
            const WEIGHT *w = weights + b * LANES * inputs;
            const NUMBER *x[TALL];
            int64_t lanes = least(LANES, outputs - (b + wide - 1) * LANES);
            for (int64_t t = t0; t < least(count, t0 + together); t++) {
                int64_t place = from + places * t / count, tall = from + places * (t + 1) / count - place;
                lay(j, x, place, tall);
                if (wide == 3) sums_3(j, x, w, place, b, lanes, tall);
                if (wide == 2) sums_2(j, x, w, place, b, lanes, tall);
                if (wide == 1) sums_1(j, x, w, place, b, lanes, tall);
            }
        }
}
