/* The little of OpenMP that the kernels need, on POSIX threads.
 *
 * The thread sanitizer knows nothing of libgomp, which is not built for it: what libgomp puts in order looks like a race
 * to it. It knows these threads, and they give no order but the one that OpenMP promises, the beginning and the end of a
 * parallel region. A kernel that needs more of OpenMP than there is here cannot be linked; then it is to be written. */
#include "fuzz.h"
#include <pthread.h>
#include <stdlib.h>

typedef struct {
    void (*run)(void *);
    void *data;
    int number, threads;
    pthread_t thread;
} Worker;

static _Thread_local int own_number, team = 1;

static void *work(void *given) {
    Worker *w = given;
    own_number = w->number;
    team = w->threads;
    w->run(w->data);
    own_number = 0;
    team = 1;
    return NULL;
}

/* What compilers make of `#pragma omp parallel num_threads(threads)`. */
void GOMP_parallel(void (*run)(void *), void *data, unsigned threads, unsigned flags) {
    (void)flags;
    if (threads == 0) threads = 2;
    Worker *workers = calloc(threads, sizeof *workers);
    for (unsigned t = 0; t < threads; t++) {
        workers[t] = (Worker){run, data, (int)t, (int)threads, 0};
        if (t && pthread_create(&workers[t].thread, NULL, work, &workers[t])) fuzz_fail("there is no thread to be had");
    }
    work(&workers[0]);
    for (unsigned t = 1; t < threads; t++) pthread_join(workers[t].thread, NULL);
    free(workers);
}

int omp_get_thread_num(void) { return own_number; }

int omp_get_num_threads(void) { return team; }
