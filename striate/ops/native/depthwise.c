/* Depthwise windows: all rows of a batch, by the kernels for its window, stride and type of numbers. */
#include "vectors.h"

#include "depthwise.h"

static const Rows *rows_of(const Shape *s, int low) {
    Ways *ways = s->window == 3 ? &depthwise_3 : s->window == 5 ? &depthwise_5 : &depthwise_7;
    return &(*ways)[s->stride - 1][low];
}

void depthwise_forward(const void *x, const float *weight, void *y, const Shape *s, int low, int threads) {
    const Rows *row = rows_of(s, low);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->n * s->oh; i++) row->forward(x, weight, y, s, NULL, i / s->oh, i % s->oh);
}

void depthwise_rows(const float *x, const float *weight, float *y, const Shape *s, const Ending *end, int64_t from, int64_t to) {
    const Rows *row = rows_of(s, 0);
    for (int64_t i = from; i < to; i++) row->forward(x, weight, y, s, end, i / s->oh, i % s->oh);
}

void depthwise_input(const void *gradient, const float *weight, void *result, const Shape *s, int low, int threads) {
    const Rows *row = rows_of(s, low);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < s->n * s->h; i++) row->input(gradient, weight, result, s, i / s->h, i % s->h);
}

/* sums is [threads, k * k, padded], zero at first; each thread adds up in its own, and the caller adds those. */
void depthwise_weight(const void *x, const void *gradient, float *sums, const Shape *s, int low, int threads) {
    const Rows *row = rows_of(s, low);
    int64_t each = s->window * s->window * padded(s), rows = s->n * s->oh;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++)
        for (int64_t i = rows * t / threads; i < rows * (t + 1) / threads; i++)
            row->weight(x, gradient, sums + t * each, s, i / s->oh, i % s->oh);
}
