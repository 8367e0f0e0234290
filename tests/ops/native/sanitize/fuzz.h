/* What the cases of all kernels share: numbers drawn at random, and memory that nobody may leave. */
#ifndef FUZZ_H
#define FUZZ_H
#include <stddef.h>
#include <stdint.h>

/* Whole numbers from `least` to `most`; the same case always draws the same ones. */
int64_t fuzz_draw(int64_t least, int64_t most);

/* The side of a picture: 1 to 40, mostly small. */
int64_t fuzz_draw_side(void);

/* What is printed if anything goes wrong from now on. */
void fuzz_describe(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Memory for `count` numbers of `size` bytes that begins at any multiple of `size`. Under the address sanitizer what
 * lies around it is poisoned. Otherwise one of its ends, drawn at random, touches a page that cannot be read or written,
 * and what lies before the other is looked at when all memory of a case is given back. */
void *fuzz_memory(int64_t count, int64_t size);

/* The same, full of floats (size 4) or bfloat16s (size 2): mostly from -2 to 2, now and then an infinity, the smallest
 * number or none. */
void *fuzz_numbers(int64_t count, int64_t size);

/* NULL half of the time. */
void *fuzz_perhaps(void *pointer);

/* Fill memory with what no result should contain, another pattern in each round. */
void fuzz_spoil(void *start, int64_t count, int64_t size, int round);

/* Remember a result in round 0, and stop the program in round 1 if it differs by a bit: then something that should be
 * written was not, or hangs on what was there, or on the number of threads. `name` is for the message. */
void fuzz_compare(const char *name, const void *start, int64_t count, int64_t size, int round);

/* Stop the program with a message. */
void fuzz_fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* One case of a kernel: calls it in two rounds. */
void chain_case(void);
void dense_case(void);
void depthwise_case(void);
void norm_case(void);
void pointwise_case(void);
void pooling_case(void);
void windows_case(void);
void winograd_case(void);

/* Faults made on purpose: a run must end with a message for each. */
void planted_read(void);
void planted_write(void);
void planted_write_ahead(void);
void planted_forgotten(void);
void planted_overflow(void);
void planted_race(void);

#endif
