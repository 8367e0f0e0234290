/* fuzz SEED FIRST COUNT: cases FIRST to FIRST + COUNT - 1 of every kernel; fuzz planted NAME: a fault made on purpose.
 * Ends with 0 if all is well. Whatever goes wrong, the case is printed; `fuzz SEED CASE 1` runs it again. */
#include "fuzz.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void look_around_and_give_back(void);

static uint64_t state;
static char description[512];

int64_t fuzz_draw(int64_t least, int64_t most) {
    /* Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014, figure 17 (with its later mix). */
    uint64_t z = state += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    z ^= z >> 31;
    return least + (int64_t)(z % (uint64_t)(most - least + 1));
}

int64_t fuzz_draw_side(void) { return fuzz_draw(0, 3) ? fuzz_draw(1, 12) : fuzz_draw(1, 40); }

void fuzz_describe(const char *format, ...) {
    size_t used = strcspn(description, ":") + 1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(description + used, sizeof description - used - 1, format, arguments);
    va_end(arguments);
}

static void tell(void) {
    ssize_t written = write(2, "in ", 3);
    written += write(2, description, strlen(description));
    written += write(2, "\n", 1);
    (void)written;
}

void fuzz_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "fuzz: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    tell();
    _exit(1);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void __sanitizer_set_death_callback(void (*callback)(void));
#else
static void hit(int signal) {
    static const char text[] = "fuzz: memory was read or written outside\n";
    ssize_t written = write(2, text, sizeof text - 1);
    (void)written, (void)signal;
    tell();
    _exit(1);
}
#endif

static const struct {
    const char *name;
    void (*run)(void);
} KERNELS[] = {{"chain", chain_case},
               {"dense", dense_case},
               {"depthwise", depthwise_case},
               {"norm", norm_case},
               {"pointwise", pointwise_case},
               {"pooling", pooling_case},
               {"windows", windows_case},
               {"winograd", winograd_case}},
  FAULTS[] = {{"read", planted_read},           {"write", planted_write},       {"write_ahead", planted_write_ahead},
              {"forgotten", planted_forgotten}, {"overflow", planted_overflow}, {"race", planted_race}};

#define COUNT(table) (sizeof table / sizeof *table)

int main(int count, char **words) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    __sanitizer_set_death_callback(tell);
#else
    signal(SIGSEGV, hit);
    signal(SIGBUS, hit);
#endif
    if (count == 3 && !strcmp(words[1], "planted")) {
        for (size_t i = 0; i < COUNT(FAULTS); i++)
            if (!strcmp(words[2], FAULTS[i].name)) {
                snprintf(description, sizeof description, "planted %s:", words[2]);
                FAULTS[i].run();
                look_around_and_give_back();
                return 0;
            }
    }
    if (count != 4) {
        fprintf(stderr, "fuzz SEED FIRST COUNT, or fuzz planted NAME\n");
        return 2;
    }
    uint64_t seed = strtoull(words[1], NULL, 10), first = strtoull(words[2], NULL, 10), cases = strtoull(words[3], NULL, 10);
    for (uint64_t i = first; i < first + cases; i++)
        for (size_t k = 0; k < COUNT(KERNELS); k++) {
            state = (seed << 40) + i * COUNT(KERNELS) + k;
            state = (uint64_t)fuzz_draw(0, INT64_MAX - 1);
            snprintf(description, sizeof description, "case %lu %lu, %s:", (unsigned long)seed, (unsigned long)i, KERNELS[k].name);
            KERNELS[k].run();
            look_around_and_give_back();
        }
    printf("%lu cases\n", (unsigned long)(cases * COUNT(KERNELS)));
    return 0;
}
