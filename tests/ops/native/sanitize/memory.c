/* Memory that nobody may leave, and results of two rounds that must be alike. */
#define _GNU_SOURCE
#include "fuzz.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#define MOST 64
#define AROUND 64    /* bytes before a piece of memory that are looked at or poisoned */
#define UNTOUCHED 0x5c

typedef struct {
    char *whole, *start;
    int64_t bytes, before, after; /* how much of `whole` there is around the piece that may be touched */
} Piece;

static Piece pieces[MOST];
static int count_of_pieces;
static void *kept[MOST];
static int count_of_kept, next_kept;

#ifdef __SANITIZE_ADDRESS__

static Piece cut(int64_t bytes, int64_t size) {
    int64_t before = AROUND + fuzz_draw(0, 15) * size;
    Piece p = {malloc(before + bytes), NULL, bytes, before, 0};
    p.start = p.whole + before;
    memset(p.whole, UNTOUCHED, before);
    ASAN_POISON_MEMORY_REGION(p.whole, before); /* but for the last few bytes, if they share eight with the piece */
    return p;
}

static void give_back(Piece *p) {
    ASAN_UNPOISON_MEMORY_REGION(p->whole, p->before);
    free(p->whole);
}

#else

static Piece cut(int64_t bytes, int64_t size) {
    int64_t page = sysconf(_SC_PAGESIZE), room = (bytes + page - 1 + AROUND) / page * page;
    char *all = mmap(NULL, room + 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) fuzz_fail("there is no memory for the fuzz itself");
    mprotect(all, page, PROT_NONE);
    mprotect(all + page + room, page, PROT_NONE);
    int64_t before = fuzz_draw(0, 1) ? 0 : room - bytes;
    if (before) before -= fuzz_draw(0, 3) == 0 ? fuzz_draw(0, 15) * size % (before + 1) / size * size : 0; /* now and then neither end */
    memset(all + page, UNTOUCHED, room);
    return (Piece){all + page, all + page + before, bytes, before, room - bytes - before};
}

static void give_back(Piece *p) {
    int64_t page = sysconf(_SC_PAGESIZE), room = p->before + p->bytes + p->after;
    munmap(p->whole - page, room + 2 * page);
}

#endif

void *fuzz_memory(int64_t count, int64_t size) {
    if (count_of_pieces == MOST) fuzz_fail("the fuzz has too few pieces of memory");
    pieces[count_of_pieces] = cut(count * size, size);
    return pieces[count_of_pieces++].start;
}

static int untouched(const char *from, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i++)
        if (from[i] != UNTOUCHED) return 0;
    return 1;
}

void look_around_and_give_back(void) {
    for (int i = 0; i < count_of_pieces; i++) {
        Piece *p = &pieces[i];
#ifdef __SANITIZE_ADDRESS__
        ASAN_UNPOISON_MEMORY_REGION(p->whole, p->before);
#endif
        if (!untouched(p->whole, p->before)) fuzz_fail("something was written before piece %d of memory", i);
        if (!untouched(p->start + p->bytes, p->after)) fuzz_fail("something was written behind piece %d of memory", i);
        give_back(p);
    }
    count_of_pieces = 0;
    for (int i = 0; i < count_of_kept; i++) free(kept[i]);
    count_of_kept = next_kept = 0;
}

static float number(void) {
    static const float odd[] = {INFINITY, -INFINITY, NAN, 1e-45f, 3e38f, 0.0f, -0.0f};
    if (fuzz_draw(0, 499) == 0) return odd[fuzz_draw(0, 6)];
    return (float)fuzz_draw(-1000000, 1000000) / 500000;
}

void *fuzz_numbers(int64_t count, int64_t size) {
    char *start = fuzz_memory(count, size);
    for (int64_t i = 0; i < count; i++) {
        float value = number();
        uint32_t bits;
        memcpy(&bits, &value, 4);
        uint16_t half = bits >> 16;
        memcpy(start + i * size, size == 4 ? (void *)&bits : (void *)&half, size);
    }
    return start;
}

void *fuzz_perhaps(void *pointer) { return fuzz_draw(0, 1) ? pointer : NULL; }

void fuzz_spoil(void *start, int64_t count, int64_t size, int round) { memset(start, round ? 0x3e : 0xc1, count * size); }

void fuzz_compare(const char *name, const void *start, int64_t count, int64_t size, int round) {
    if (round == 0) {
        if (count_of_kept == MOST) fuzz_fail("the fuzz has too few pieces of memory");
        kept[count_of_kept] = malloc(count * size + 1);
        memcpy(kept[count_of_kept++], start, count * size);
        return;
    }
    const char *first = kept[next_kept++], *second = start;
    for (int64_t i = 0; i < count * size; i++)
        if (first[i] != second[i]) fuzz_fail("%s: number %ld of %ld differs between two rounds", name, (long)(i / size), (long)count);
}
