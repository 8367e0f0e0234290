/* A network that only answers: layers that read each other's maps, all in one call, in float.
 *
 * Maps are [n, h, w, c]. What norms do is in weights and biases already; additions and activations are done on the way out
 * of a window. Weights lie in panels of a few vectors of outputs, each with all of its inputs one after the other. Every sum
 * is added up in the same order, whatever the number of threads or of pictures. */
#include "panels.h"

#include "depthwise.h"

#define UNROLL _Pragma("GCC unroll 8")

enum { WINDOW, DEPTHWISE, MAXIMUM, MEAN, NEAREST };

typedef struct {
    int64_t kind, reads, adds, writes; /* places in the list of maps; nothing is added where `adds` is less than zero */
    int64_t h, w, c, oh, ow, o, high, wide, stride, top, left;
    const float *weight, *bias;
    float floor, ceiling;
} Layer;

/* A window at all places where it stops; nothing reaches over a border any more. It sees `run` numbers in each of `rows`
 * rows, which are `row` numbers apart; from stop to stop it is `step` numbers, down to the next ones `down`. */
typedef struct {
    const float *x, *added, *bias;
    float *y;
    int64_t rows, run, row, step, down, picture, oh, ow, o;
    float floor, ceiling;
} Job;

#define JOB Job
#define NUMBER float
#define WEIGHT float
#include "sweep.h"

/* Weights [o, inputs] into panels, which are zero where there is no output. */
void chain_pack(const float *weight, float *to, int64_t o, int64_t inputs) {
    for (int64_t b = 0, vectors; b < blocks(o); b += vectors) {
        int64_t width = (vectors = across_of(blocks(o) - b)) * LANES;
        for (int64_t j = 0; j < width; j++)
            for (int64_t k = 0; k < inputs; k++)
                to[k * width + j] = b * LANES + j < o ? weight[(b * LANES + j) * inputs + k] : 0;
        to += width * inputs;
    }
}

INLINE void sums(const Job *j, const float *const *x, const float *w, int64_t place, int64_t b, int64_t lanes, int tall, int wide) {
    floats s[TALL][ACROSS];
    UNROLL for (int r = 0; r < tall; r++)
        UNROLL for (int a = 0; a < wide; a++) s[r][a] = load(j->bias + (b + a) * LANES, LANES, 0);
    for (int64_t i = 0; i < j->rows; i++) {
        const float *p[TALL];
        UNROLL for (int r = 0; r < tall; r++) p[r] = x[r] + i * j->row;
        for (int64_t k = 0; k < j->run; k++, w += wide * LANES) {
            floats v[ACROSS];
            UNROLL for (int a = 0; a < wide; a++) v[a] = load(w + a * LANES, LANES, 0);
            UNROLL for (int r = 0; r < tall; r++) {
                floats g = everywhere(p[r][k]);
                UNROLL for (int a = 0; a < wide; a++) s[r][a] += g * v[a];
            }
        }
    }
    floats floor = everywhere(j->floor), ceiling = everywhere(j->ceiling);
    UNROLL for (int r = 0; r < tall; r++)
        UNROLL for (int a = 0; a < wide; a++) {
            int64_t to = (place + r) * j->o + (b + a) * LANES, there = a + 1 < wide ? LANES : lanes;
            floats v = s[r][a];
            if (j->added) v += load(j->added + to, there, 0);
            store(j->y + to, clamp(v, floor, ceiling), there, 0);
        }
}

INLINE void lay(const Job *j, const float **x, int64_t place, int64_t count) {
    int64_t ow = place % j->ow, oh = place / j->ow % j->oh, n = place / j->ow / j->oh;
    for (int64_t r = 0; r < count; r++) {
        x[r] = j->x + n * j->picture + oh * j->down + ow * j->step;
        if (++ow == j->ow) {
            ow = 0;
            if (++oh == j->oh) oh = 0, n++;
        }
    }
}

/* The block with which the share of thread t begins, where threads share the outputs. */
static int64_t share(int64_t o, int t, int threads) {
    int64_t b = 0, wanted = blocks(o) * t / threads;
    while (b < wanted) b += across_of(blocks(o) - b);
    return b;
}

/* Row i of a map with its padding. */
static void pad_row(const Layer *l, const float *x, float *to, int64_t i, int64_t high, int64_t wide) {
    int64_t row = i % high - l->top, before = least(l->left, wide), there = least(l->w, wide - before);
    if (row < 0 || row >= l->h) before = wide, there = 0;
    memset(to, 0, 4 * before * l->c);
    if (there) memcpy(to + before * l->c, x + (i / high * l->h + row) * l->w * l->c, 4 * there * l->c);
    memset(to + (before + there) * l->c, 0, 4 * (wide - before - there) * l->c);
}

static void window(const Layer *l, const float *x, const float *added, float *y, float *scratch, int64_t n, int threads) {
    int64_t high = l->h, wide = l->w;
    if (l->high > 1 || l->wide > 1) {
        high = (l->oh - 1) * l->stride + l->high, wide = (l->ow - 1) * l->stride + l->wide;
#pragma omp parallel for num_threads(threads) schedule(static)
        for (int64_t i = 0; i < n * high; i++) pad_row(l, x, scratch + i * wide * l->c, i, high, wide);
        x = scratch;
    }
    Job j = {.x = x, .added = added, .bias = l->bias, .y = y, .rows = l->high, .run = l->wide * l->c,
             .row = wide * l->c, .step = l->stride * l->c, .down = l->stride * wide * l->c, .picture = high * wide * l->c,
             .oh = l->oh, .ow = l->ow, .o = l->o, .floor = l->floor, .ceiling = l->ceiling};
    /* Who shares places reads all weights, who shares outputs the whole map: the smaller one. */
    int64_t places = n * l->oh * l->ow;
    int64_t inputs = j.rows * j.run, outputs = l->o;
    int by_outputs = inputs * outputs > places * (l->c + outputs);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) {
        int64_t from = by_outputs ? 0 : places * t / threads, to = by_outputs ? places : places * (t + 1) / threads;
        int64_t first = by_outputs ? share(outputs, t, threads) : 0, last = by_outputs ? share(outputs, t + 1, threads) : blocks(outputs);
        sweep(&j, l->weight, inputs, 4 * inputs, outputs, from, to, first, last);
    }
}

static void depthwise(const Layer *l, const float *x, float *y, int64_t n, int threads) {
    Shape s = {.n = n, .h = l->h, .w = l->w, .c = l->c, .oh = l->oh, .ow = l->ow, .window = l->high, .stride = l->stride,
               .dilation = 1, .top = l->top, .left = l->left};
    Ending end = {l->bias, l->floor, l->ceiling};
    int64_t rows = n * l->oh;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int t = 0; t < threads; t++) depthwise_rows(x, l->weight, y, &s, &end, rows * t / threads, rows * (t + 1) / threads);
}

/* The largest number of a window's part inside the map; what is no number stays none. */
INLINE floats largest(const Layer *l, const float *x, int64_t row, int64_t column, int64_t lanes) {
    floats best = everywhere(-__builtin_inff());
    for (int64_t i = row < 0 ? -row : 0; i < least(l->high, l->h - row); i++)
        for (int64_t k = column < 0 ? -column : 0; k < least(l->wide, l->w - column); k++) {
            floats v = load(x + ((row + i) * l->w + column + k) * l->c, lanes, 0);
            words taken = (words)(v > best) | (words)(v != v);
            best = (floats)(((words)v & taken) | ((words)best & ~taken));
        }
    return best;
}

static void maximum(const Layer *l, const float *x, float *y, int64_t n, int threads) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n * l->oh; i++)
        for (int64_t ow = 0; ow < l->ow; ow++)
            for (int64_t c = 0; c < l->c; c += LANES) {
                const float *seen = x + i / l->oh * l->h * l->w * l->c + c;
                floats best = largest(l, seen, i % l->oh * l->stride - l->top, ow * l->stride - l->left, l->c - c);
                store(y + (i * l->ow + ow) * l->c + c, best, l->c - c, 0);
            }
}

static void mean(const Layer *l, const float *x, float *y, int64_t n, int threads) {
    int64_t each = blocks(l->c), places = l->h * l->w;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n * each; i++) {
        int64_t c = i % each * LANES, lanes = l->c - c;
        floats sum = {0}, lost = {0}; /* Kahan's: of a large, even map all roundings go one way */
        for (int64_t p = 0; p < places; p++) {
            floats value = load(x + (i / each * places + p) * l->c + c, lanes, 0) - lost, next = sum + value;
            lost = next - sum - value;
            sum = next;
        }
        store(y + i / each * l->c + c, sum / everywhere(places), lanes, 0);
    }
}

/* Which of `from` places lies under place i of `to`, in torch's own arithmetic. */
static int64_t nearest_of(int64_t i, int64_t from, int64_t to) {
    return from == to ? i : least((int64_t)(i * ((float)from / to)), from - 1);
}

static void nearest(const Layer *l, const float *x, const float *added, float *y, int64_t n, int threads) {
    floats floor = everywhere(l->floor), ceiling = everywhere(l->ceiling);
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t i = 0; i < n * l->oh; i++)
        for (int64_t ow = 0; ow < l->ow; ow++) {
            const float *seen = x + ((i / l->oh * l->h + nearest_of(i % l->oh, l->h, l->oh)) * l->w + nearest_of(ow, l->w, l->ow)) * l->c;
            int64_t to = (i * l->ow + ow) * l->c;
            for (int64_t c = 0; c < l->c; c += LANES) {
                floats v = load(seen + c, l->c - c, 0);
                if (added) v += load(added + to + c, l->c - c, 0);
                store(y + to + c, clamp(v, floor, ceiling), l->c - c, 0);
            }
        }
}

static void run(const Layer *l, float *const *maps, const int64_t *apart, float *scratch, int64_t picture, int64_t n, int threads) {
    const float *x = maps[l->reads] + picture * apart[l->reads];
    const float *added = l->adds < 0 ? NULL : maps[l->adds] + picture * apart[l->adds];
    float *y = maps[l->writes] + picture * apart[l->writes];
    if (l->kind == WINDOW) window(l, x, added, y, scratch, n, threads);
    if (l->kind == DEPTHWISE) depthwise(l, x, y, n, threads);
    if (l->kind == MAXIMUM) maximum(l, x, y, n, threads);
    if (l->kind == MEAN) mean(l, x, y, n, threads);
    if (l->kind == NEAREST) nearest(l, x, added, y, n, threads);
}

/* The first `singly` layers picture by picture, whose large maps so stay in the caches; the others of all n together, which
 * so read their weights once. Pictures are `apart` numbers in each map, zero in those that hold one at a time. */
void chain_run(const Layer *layers, int64_t count, int64_t singly, float *const *maps, const int64_t *apart, float *scratch, int64_t n,
               int threads) {
    for (int64_t picture = 0; picture < n; picture++)
        for (int64_t i = 0; i < singly; i++) run(layers + i, maps, apart, scratch, picture, 1, threads);
    for (int64_t i = singly; i < count; i++) run(layers + i, maps, apart, scratch, 0, n, threads);
}
