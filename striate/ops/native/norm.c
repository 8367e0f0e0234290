/* Batch norm, residual addition and activation in one pass over channels-last maps, and the gradients of all three.
 *
 * A map is [rows, channels], contiguous, float or bfloat16. An activation is a floor and a ceiling: (0, 6) is ReLU6; a
 * bound that is not there is no number, as ReLU's ceiling. Rows are taken as one long line of vectors: after `period`
 * numbers the channels begin anew, so tables spread over a period serve any number of channels without short vectors in
 * each row. Sums are kept in float over a few hundred periods, then in double. The second pass over a map goes backwards:
 * what the first one read last is still in the cache. */
#include "vectors.h"

#define ROWS 4     /* periods taken together: tables are loaded once for all, and additions do not wait for each other */
#define FLUSH 256  /* periods after which float sums go into the double ones */
#define PIVOTS 16  /* rows that pivots are taken from */

typedef struct {
    int64_t rows, channels;
    float floor, ceiling;
} Map;

typedef struct { /* a map as periods: how many numbers each has, how many there are, how many numbers stay over */
    int64_t period, periods, rest;
} Line;

INLINE Line line_of(const Map *m) {
    int64_t a = m->channels, b = LANES;
    while (b) {
        int64_t r = a % b;
        a = b;
        b = r;
    }
    int64_t period = m->channels / a * LANES, all = m->rows * m->channels;
    return (Line){period, all / period, all % period};
}

static void spread(const float *table, int64_t channels, int64_t period, float *to) {
    for (int64_t i = 0; i < period; i++) to[i] = table[i % channels];
}

/* y = act(x * scale + shift + residual) for `count` periods from `start` on, `lanes` numbers of a vector. */
INLINE void apply_block(const void *x, const void *residual, void *y, const float *scale, const float *shift, Map m,
                        int64_t period, int64_t start, int64_t j, int64_t lanes, int count, int low) {
    floats a = load(scale + j, LANES, 0), b = load(shift + j, LANES, 0), floor = everywhere(m.floor), ceiling = everywhere(m.ceiling);
    for (int r = 0; r < count; r++) {
        int64_t i = (start + r) * period + j;
        floats v = stream(x, i, -AHEAD, lanes, low) * a + b;
        if (residual) v += stream(residual, i, -AHEAD, lanes, low);
        store((void *)at(y, i, low), clamp(v, floor, ceiling), lanes, low);
    }
}

/* Sums of x - pivot and of its square. */
INLINE void statistics_block(const void *x, const float *pivot, float *sums, int64_t period, int64_t start, int64_t j,
                             int64_t lanes, int count, int low) {
    floats p = load(pivot + j, lanes, 0), s = {0}, q = {0};
    for (int r = 0; r < count; r++) {
        floats v = stream(x, (start + r) * period + j, AHEAD, lanes, low) - p;
        s += v;
        q += v * v;
    }
    store(sums + j, load(sums + j, lanes, 0) + s, lanes, 0);
    store(sums + period + j, load(sums + period + j, lanes, 0) + q, lanes, 0);
}

typedef struct {
    const void *gradient, *x, *residual; /* residual is NULL where nothing was added */
    void *gated;                         /* where the gated gradient is kept; NULL if it is computed again */
    const float *scale, *shift, *mean;
    int own; /* whether the statistics are the batch's own, which depend on x */
} Behind;

INLINE floats gated_at(const Behind *b, floats x, floats a, floats s, Map m, int64_t i, int64_t ahead, int64_t lanes,
                       int low) {
    floats g = stream(b->gradient, i, ahead, lanes, low);
    floats z = x * a + s;
    if (b->residual) z += stream(b->residual, i, ahead, lanes, low);
    return where_between(g, z, everywhere(m.floor), everywhere(m.ceiling));
}

/* Sums of the gradient g behind the activation and of g * (x - mean). */
INLINE void gradient_block(const Behind *b, float *sums, Map m, int64_t period, int64_t start, int64_t j, int64_t lanes,
                           int count, int low) {
    floats a = load(b->scale + j, lanes, 0), c = load(b->shift + j, lanes, 0), mean = load(b->mean + j, lanes, 0);
    floats s = {0}, q = {0};
    for (int r = 0; r < count; r++) {
        int64_t i = (start + r) * period + j;
        floats x = stream(b->x, i, AHEAD, lanes, low), g = gated_at(b, x, a, c, m, i, AHEAD, lanes, low);
        if (b->gated) store((void *)at(b->gated, i, low), g, lanes, low);
        s += g;
        q += g * (x - mean);
    }
    store(sums + j, load(sums + j, lanes, 0) + s, lanes, 0);
    store(sums + period + j, load(sums + period + j, lanes, 0) + q, lanes, 0);
}

/* The gradient of x: scale * g + slope * x + offset. */
INLINE void input_block(const Behind *b, const float *slope, const float *offset, void *result, Map m, int64_t period,
                        int64_t start, int64_t j, int64_t lanes, int count, int low) {
    floats a = load(b->scale + j, lanes, 0), c = load(b->shift + j, lanes, 0);
    floats k = load(slope + j, lanes, 0), o = load(offset + j, lanes, 0);
    for (int r = 0; r < count; r++) {
        int64_t i = (start + r) * period + j;
        floats x = stream(b->x, i, -AHEAD, lanes, low), g;
        g = b->gated ? stream(b->gated, i, -AHEAD, lanes, low) : gated_at(b, x, a, c, m, i, -AHEAD, lanes, low);
        store((void *)at(result, i, low), b->own ? g * a + x * k + o : g * a, lanes, low);
    }
}

/* Blocks of all vectors of `count` periods; what stays over behind the last period is one short period. */
#define PERIODS(start, count, block) \
    for (int64_t j = 0; j < line.period; j += LANES) block(start, j, LANES, count)
#define REST(block) \
    for (int64_t j = 0; j < line.rest; j += LANES) block(line.periods, j, line.rest - j, 1)

static void flush(float *part, double *sums, int64_t count) {
    for (int64_t i = 0; i < count; i++) sums[i] += part[i], part[i] = 0;
}

/* Sums of one thread's share, by the block of one kind; `block` is (start, j, lanes, count). */
#define SUM_UP(block)                                                                         \
    {                                                                                         \
        int64_t i = line.periods * t / threads, to = line.periods * (t + 1) / threads, n = 0; \
        for (; i + ROWS <= to; i += ROWS) {                                                   \
            PERIODS(i, ROWS, block);                                                          \
            if ((n += ROWS) % FLUSH == 0) flush(part, sums, 2 * line.period);                 \
        }                                                                                     \
        for (; i < to; i++) PERIODS(i, 1, block);                                             \
        if (t == threads - 1) REST(block);                                                    \
        flush(part, sums, 2 * line.period);                                                   \
    }

/* One thread's share of a pass that writes, from its end to its beginning. */
#define WRITE_BACKWARDS(block)                                                           \
    {                                                                                    \
        int64_t from = line.periods * t / threads, i = line.periods * (t + 1) / threads; \
        if (t == threads - 1) REST(block);                                               \
        for (; i - ROWS >= from; i -= ROWS) PERIODS(i - ROWS, ROWS, block);              \
        for (; i > from; i--) PERIODS(i - 1, 1, block);                                  \
    }

/* The type and what is there or not become constants of the loops. */
#define BY_TYPE(...)       \
    if (low) {             \
        const int low = 1; \
        __VA_ARGS__        \
    } else {               \
        const int low = 0; \
        __VA_ARGS__        \
    }

static void apply_part(const void *x, const void *residual, void *y, const float *scale, const float *shift, Map m,
                       Line line, int t, int threads, int low) {
#define ADDED(start, j, lanes, count) apply_block(x, residual, y, scale, shift, m, line.period, start, j, lanes, count, low)
#define ALONE(start, j, lanes, count) apply_block(x, NULL, y, scale, shift, m, line.period, start, j, lanes, count, low)
    if (residual) {
        BY_TYPE(WRITE_BACKWARDS(ADDED))
    } else {
        BY_TYPE(WRITE_BACKWARDS(ALONE))
    }
#undef ADDED
#undef ALONE
}

static void statistics_part(const void *x, const float *pivot, float *part, double *sums, Line line, int t, int threads, int low) {
#define BLOCK(start, j, lanes, count) statistics_block(x, pivot, part, line.period, start, j, lanes, count, low)
    BY_TYPE(SUM_UP(BLOCK))
#undef BLOCK
}

#define GRADIENT(start, j, lanes, count) gradient_block(&b, part, m, line.period, start, j, lanes, count, low)
#define INPUT(start, j, lanes, count) input_block(&b, slope, offset, result, m, line.period, start, j, lanes, count, low)

/* Whether something was added and whether the gated gradient is kept become constants, too. */
#define BY_PRESENCE(pass)                \
    {                                    \
        Behind b = *given;               \
        if (b.residual && b.gated) {     \
            BY_TYPE(pass)                \
        } else if (b.residual) {         \
            b.gated = NULL;              \
            BY_TYPE(pass)                \
        } else {                         \
            b.residual = b.gated = NULL; \
            BY_TYPE(pass)                \
        }                                \
    }

static void gradient_part(const Behind *given, float *part, double *sums, Map m, Line line, int t, int threads, int low)
    BY_PRESENCE(SUM_UP(GRADIENT))

static void input_part(const Behind *given, const float *slope, const float *offset, void *result, Map m, Line line, int t,
                       int threads, int low)
    BY_PRESENCE(WRITE_BACKWARDS(INPUT))

/* Memory of one call: per thread sums in float and double, and tables over a period. NULL if there is none. */
typedef struct {
    double *sums;
    float *parts, *tables;
} Desk;

static int scratch(Desk *d, int64_t period, int threads, int tables) {
    int64_t count = 2 * period * threads;
    d->sums = allocate(count * sizeof(double));
    d->parts = allocate(count * sizeof(float));
    d->tables = allocate(tables * period * sizeof(float));
    if (!d->sums || !d->parts || !d->tables) return 0;
    memset(d->sums, 0, count * sizeof(double));
    memset(d->parts, 0, count * sizeof(float));
    return 1;
}

static void clear(Desk *d) {
    free(d->sums);
    free(d->parts);
    free(d->tables);
}

/* Both sums of a channel over all threads and all its places in a period. */
static void fold(const Desk *d, const Map *m, int64_t period, int threads, int64_t channel, double *first, double *second) {
    *first = *second = 0;
    for (int t = 0; t < threads; t++)
        for (int64_t i = channel; i < period; i += m->channels) {
            *first += d->sums[2 * period * t + i];
            *second += d->sums[2 * period * t + period + i];
        }
}

/* A number near each channel's mean, over a period: squares of what is left do not cancel. The mean of a few rows from all
 * over the map, so that a single odd one does no harm. */
static void pivots(const void *x, const Map *m, int64_t period, int low, float *to) {
    int64_t count = m->rows < PIVOTS ? m->rows : PIVOTS;
    for (int64_t c = 0; c < m->channels; c += LANES) {
        int64_t lanes = m->channels - c < LANES ? m->channels - c : LANES;
        floats sum = {0};
        for (int64_t k = 0; k < count; k++) sum += load(at(x, m->rows * k / count * m->channels + c, low), lanes, low);
        store(to + c, sum / everywhere(count), lanes, 0);
    }
    for (int64_t i = m->channels; i < period; i++) to[i] = to[i - m->channels];
}

/* Mean and variance (of all, not of a sample) of each channel. 0 if all is well, 1 if there is no memory. */
int norm_statistics(const void *x, float *mean, float *variance, const Map *m, int low, int threads) {
    Line line = line_of(m);
    Desk d;
    int broken = !scratch(&d, line.period, threads, 1);
    if (!broken) {
        pivots(x, m, line.period, low, d.tables);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++)
            statistics_part(x, d.tables, d.parts + 2 * line.period * t, d.sums + 2 * line.period * t, line, t, threads, low);
        for (int64_t c = 0; c < m->channels; c++) {
            double first, second, off;
            fold(&d, m, line.period, threads, c, &first, &second);
            off = first / m->rows;
            mean[c] = d.tables[c] + off;
            second = second / m->rows - off * off;
            variance[c] = second < 0 ? 0 : second; /* what is no number stays none */
        }
    }
    clear(&d);
    return broken;
}

/* y = act(x * scale + shift + residual); residual may be NULL. */
int norm_apply(const void *x, const void *residual, void *y, const float *scale, const float *shift, const Map *m, int low,
               int threads) {
    Line line = line_of(m);
    float *tables = allocate(2 * line.period * sizeof(float));
    if (!tables) return 1;
    spread(scale, m->channels, line.period, tables);
    spread(shift, m->channels, line.period, tables + line.period);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) apply_part(x, residual, y, tables, tables + line.period, *m, line, t, threads, low);
    free(tables);
    return 0;
}

/* All gradients. `residual` is NULL where none was added, or there is no activation to see it; `gated`, NULL or a map,
 * receives the residual's gradient. `rate` is 1 / rows where the statistics were the batch's own, 0 where they were given. */
int norm_backward(const void *gradient, const void *x, const void *residual, void *gated, void *result, const float *mean,
                  const float *inverse, const float *scale, const float *shift, float *for_weight, float *for_bias,
                  double rate, const Map *m, int low, int threads) {
    Line line = line_of(m);
    int64_t period = line.period;
    Desk d;
    int broken = !scratch(&d, period, threads, 5);
    if (!broken) {
        float *slope = d.tables + 3 * period, *offset = d.tables + 4 * period;
        Behind b = {gradient, x, residual, gated, d.tables, d.tables + period, d.tables + 2 * period, rate != 0};
        spread(scale, m->channels, period, d.tables);
        spread(shift, m->channels, period, d.tables + period);
        spread(mean, m->channels, period, d.tables + 2 * period);
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int t = 0; t < threads; t++)
            gradient_part(&b, d.parts + 2 * period * t, d.sums + 2 * period * t, *m, line, t, threads, low);
        for (int64_t c = 0; c < m->channels; c++) {
            double first, second, k, o;
            fold(&d, m, period, threads, c, &first, &second);
            for_bias[c] = first;
            for_weight[c] = second * inverse[c];
            k = -scale[c] * second * inverse[c] * inverse[c] * rate;
            o = -scale[c] * first * rate - k * mean[c];
            for (int64_t i = c; i < period; i += m->channels) slope[i] = k, offset[i] = o;
        }
        if (result) {
#pragma omp parallel for num_threads(threads) schedule(static)
            for (int t = 0; t < threads; t++) input_part(&b, slope, offset, result, *m, line, t, threads, low);
        }
    }
    clear(&d);
    return broken;
}
