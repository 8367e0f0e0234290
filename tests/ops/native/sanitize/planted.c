/* Faults made on purpose, of the kinds that kernels have: whoever does not find these would find none. */
#include "vectors.h"

#include "fuzz.h"
#include <pthread.h>

enum { NUMBERS = 37 };

/* A whole vector where a short one is left. */
void planted_read(void) {
    const float *x = fuzz_numbers(NUMBERS, 4);
    float *y = fuzz_memory(LANES, 4);
    for (int round = 0; round < 32; round++) { /* not every piece of memory ends at a page */
        store(y, load(x + NUMBERS / LANES * LANES, LANES, 0), LANES, 0);
        x = fuzz_numbers(NUMBERS, 4);
    }
}

void planted_write(void) {
    for (int round = 0; round < 4; round++) {
        char *y = fuzz_memory(NUMBERS, 2);
        store(y + NUMBERS / LANES * LANES * 2, (floats){1}, NUMBERS % LANES + 1, 1);
    }
}

void planted_write_ahead(void) {
    for (int round = 0; round < 4; round++) {
        float *y = fuzz_memory(NUMBERS, 4);
        store(y - 2, (floats){1}, LANES, 0);
    }
}

/* One number of a result is never written. */
void planted_forgotten(void) {
    float *y = fuzz_memory(NUMBERS, 4);
    for (int round = 0; round < 2; round++) {
        fuzz_spoil(y, NUMBERS, 4, round);
        for (int i = 1; i < NUMBERS; i++) y[i] = i;
        fuzz_compare("output", y, NUMBERS, 4, round);
    }
}

void planted_overflow(void) {
    volatile int32_t rows = 1 << 20, channels = 1 << 12;
    fuzz_describe(" %d", rows * channels);
}

static void *add(void *sums) {
    for (int i = 0; i < 1000; i++) store(sums, load(sums, LANES, 0) + 1, LANES, 0);
    return NULL;
}

/* Two threads add up in one place. */
void planted_race(void) {
    float *sums = fuzz_numbers(LANES, 4);
    pthread_t other;
    if (pthread_create(&other, NULL, add, sums)) fuzz_fail("there is no thread to be had");
    add(sums);
    pthread_join(other, NULL);
}
