/* SPDX-License-Identifier: Apache-2.0 */
/* See suggest.h. */
#include "engine/batch/suggest.h"

#include <math.h>
#include <string.h>

#include "engine/batch/minimize.h"
#include "engine/batch/trees.h"

enum {
    MAX_CANDIDATES = 10000,
    MIN_CANDIDATES = 500,
    BLOCK = 256,     /* candidates looked at together */
    BEST_POINTS = 3, /* whose surroundings are looked at more closely */
    NEAR_EACH = 100, /* candidates near each of them */
    REFINED = 5,     /* of the candidates */
    ROUNDS = 3,      /* of steps and descents */
    DESCENT_EVALS = 40,
};
/* Steps of arithmetic for all candidates of a suggestion: less than a second. */
#define BUDGET 4e8

/* A result this many times as far from the median as the best one is, on the other side, is as bad
 * as bad can be: a diverged loss of 1e30 would make all others look the same. */
#define WORST 20

typedef struct {
    const SuggestInput *in;
    const SuggestOptions *options;
    const gint *cancel;
    Rng rng;
    Acq acq;
    gpointer model, time_model; /* time_model NULL: seconds don't count */
    double *at;                 /* the point being refined */
} Search;

/* ---- results ---- */

static gsize take_numbers(const double *y, gsize n, double *numbers)
{
    gsize count = 0;
    for (gsize i = 0; i < n; i++)
        if (isfinite(y[i]))
            numbers[count++] = y[i];
    return count;
}

/* Bad results become the worst of the others, and all are brought to mean 0 and variance 1. New;
 * *unit is what 1 stands for. */
static double *standardize(const double *y, gsize n, double *unit)
{
    g_autofree double *numbers = g_new(double, n);
    gsize count = take_numbers(y, n, numbers);
    double scale = 1, best = HUGE_VAL, worst = -HUGE_VAL, mean = 0, variance = 0;
    for (gsize i = 0; i < count; i++)
        scale = MAX(scale, fabs(numbers[i]) / 1e100);
    for (gsize i = 0; i < count; i++) {
        numbers[i] /= scale;
        best = MIN(best, numbers[i]);
        worst = MAX(worst, numbers[i]);
    }
    double median = quantile(numbers, count, 0.5);
    if (median > best)
        worst = MIN(worst, median + WORST * (median - best));
    double *out = g_new(double, n);
    for (gsize i = 0; i < n; i++) {
        out[i] = isfinite(y[i]) ? MIN(y[i] / scale, worst) : worst;
        mean += out[i] / (double)n;
    }
    for (gsize i = 0; i < n; i++)
        variance += (out[i] - mean) * (out[i] - mean) / (double)n;
    double std = sqrt(variance);
    if (!(std > 1e-12 * MAX(fabs(mean), 1e-280)))
        std = 1 / scale; /* all the same: any unit will do */
    for (gsize i = 0; i < n; i++)
        out[i] = (out[i] - mean) / std;
    *unit = std * scale;
    return out;
}

static gpointer fit(
        Search *s, const double *x, const double *y, gsize n, gsize n_pending, double noise)
{
    const Space *space = s->in->space;
    SurrogateInput in = {x, y, n, n_pending, space->n, space->is_choice, noise, s->cancel, &s->rng};
    return s->options->model->fit(&in);
}

/* A model of the logarithm of the seconds that a trial takes, where any are known. */
static void fit_time(Search *s)
{
    const SuggestInput *in = s->in;
    gsize dims = in->space->n, n = 0;
    g_autofree double *x = g_new(double, in->n *dims), *y = g_new(double, in->n);
    for (gsize i = 0; in->seconds && i < in->n; i++) {
        if (!(in->seconds[i] > 0))
            continue;
        memcpy(x + n * dims, in->x + i * dims, dims * sizeof *x);
        y[n++] = log(in->seconds[i]);
    }
    if (n)
        s->time_model = fit(s, x, y, n, 0, -1);
}

static void fit_models(Search *s)
{
    const SuggestInput *in = s->in;
    double unit;
    g_autofree double *y = standardize(in->y, in->n, &unit);
    double noise = s->options->noise < 0 ? -1 : s->options->noise / (unit * unit);
    s->model = fit(s, in->x, y, in->n, in->n_pending, noise);
    s->acq = (Acq){.kind = s->options->acq,
            .kappa = s->options->kappa,
            .xi = s->options->xi / unit,
            .best = HUGE_VAL};
    if (s->options->any_acq)
        s->acq.kind = (AcqKind)rng_below(&s->rng, N_ACQ);
    for (gsize i = 0; i < in->n; i++)
        s->acq.best = MIN(s->acq.best, y[i]);
    if (s->options->per_second)
        fit_time(s);
}

/* ---- the value of a point ---- */

static void evaluate(const Search *s, const double *x, gsize m, double *values)
{
    double mean[BLOCK], std[BLOCK], log_time[BLOCK], time_std[BLOCK];
    gsize dims = s->in->space->n;
    for (gsize from = 0; from < m; from += BLOCK) {
        gsize n = MIN(m - from, BLOCK);
        s->options->model->predict(s->model, x + from * dims, n, mean, std);
        if (s->time_model)
            s->options->model->predict(s->time_model, x + from * dims, n, log_time, time_std);
        for (gsize i = 0; i < n; i++) {
            values[from + i] = acq_value(&s->acq, mean[i], std[i], NULL, NULL);
            if (s->time_model) /* by the second: improvement / exp(log_time) */
                values[from + i] += log_time[i];
            if (isnan(values[from + i]))
                values[from + i] = HUGE_VAL;
        }
    }
}

static double smooth_value(unsigned n, const double *x, double *grad, gpointer data)
{
    const Search *s = data;
    g_autofree double *dmean = g_new(double, n), *dstd = g_new(double, n);
    double mean, std, by_mean, by_std;
    s->options->model->predict_grad(s->model, x, &mean, &std, dmean, dstd);
    double value = acq_value(&s->acq, mean, std, &by_mean, &by_std);
    for (unsigned i = 0; grad && i < n; i++)
        grad[i] = by_mean * dmean[i] + by_std * dstd[i];
    if (s->time_model) {
        s->options->model->predict_grad(s->time_model, x, &mean, &std, dmean, dstd);
        value += mean;
        for (unsigned i = 0; grad && i < n; i++)
            grad[i] += dmean[i];
    }
    return value;
}

/* ---- candidates ---- */

typedef struct {
    gsize n;
    double *x, *values;
} Candidates;

/* Numbers of the best results, best first. */
static gsize best_results(const Search *s, gsize *best)
{
    gsize n = 0;
    for (gsize i = 0; i < s->in->n; i++) {
        double y = s->in->y[i];
        if (!isfinite(y))
            continue;
        gsize place = n;
        while (place > 0 && y < s->in->y[best[place - 1]])
            place--;
        if (place >= BEST_POINTS)
            continue;
        n = MIN(n + 1, BEST_POINTS);
        for (gsize j = n - 1; j > place; j--)
            best[j] = best[j - 1];
        best[place] = i;
    }
    return n;
}

/* Not for trees: what they predict is flat around a point, and a choice among equals would stay
 * there. */
static void add_near_best(Search *s, Candidates *c)
{
    static const double widths[] = {0.2, 0.05, 0.01};
    const Space *space = s->in->space;
    gsize best[BEST_POINTS];
    gsize n = best_results(s, best);
    for (gsize i = 0; i < n; i++)
        for (gsize j = 0; j < NEAR_EACH; j++)
            space_perturb(space, s->in->x + best[i] * space->n, widths[j % G_N_ELEMENTS(widths)],
                    &s->rng, c->x + c->n++ * space->n);
}

static void make_candidates(Search *s, Candidates *c)
{
    const Space *space = s->in->space;
    gsize model_size = s->in->n + s->in->n_pending;
    double affordable = BUDGET / s->options->model->cost(model_size, space->n);
    gsize n = (gsize)CLAMP(affordable, MIN_CANDIDATES, MAX_CANDIDATES);
    gboolean all = space->size <= (gint64)n;
    n = all ? (gsize)space->size : n;
    c->x = g_new(double, (n + BEST_POINTS * NEAR_EACH) * space->n);
    for (; c->n < n; c->n++) {
        if (all)
            space_at(space, (gint64)c->n, c->x + c->n * space->n);
        else
            space_sample(space, &s->rng, c->x + c->n * space->n);
    }
    if (!all && s->options->model->predict_grad)
        add_near_best(s, c);
    c->values = g_new(double, c->n + REFINED);
    c->x = g_renew(double, c->x, (c->n + REFINED) * space->n);
    evaluate(s, c->x, c->n, c->values);
}

/* Where several are best, one of them: the first is a corner of the grid. */
static gsize best_candidate(Search *s, const Candidates *c)
{
    gsize best = 0, ties = 0;
    for (gsize i = 0; i < c->n; i++) {
        if (i == 0 || c->values[i] < c->values[best]) {
            best = i;
            ties = 1;
        } else if (c->values[i] == c->values[best] && rng_below(&s->rng, ++ties) == 0) {
            best = i;
        }
    }
    return best;
}

/* ---- refining ---- */

static double descend(Search *s, double *x, double value)
{
    gsize n = s->in->space->n;
    g_autofree double *low = g_new(double, n), *high = g_new(double, n);
    gboolean any = FALSE;
    for (gsize i = 0; i < n; i++) {
        gboolean real = s->in->space->dims[i]->kind == DIM_REAL;
        low[i] = real ? 0 : x[i];
        high[i] = real ? 1 : x[i];
        any |= real;
    }
    return any ? minimize(smooth_value, s, (unsigned)n, low, high, DESCENT_EVALS, s->cancel, x)
               : value;
}

/* The best of the points that differ in one coordinate that is not real, by one step or a few; TRUE
 * if it is better than *value. */
static gboolean step_aside(Search *s, double *x, double *value)
{
    static const double moves[] = {-1, 1, -0.05, 0.05};
    const Space *space = s->in->space;
    gboolean moved = FALSE;
    g_autofree double *at = g_new(double, space->n);
    for (gsize i = 0; i < space->n; i++) {
        if (space->dims[i]->kind == DIM_REAL)
            continue;
        gsize n = space->is_choice[i] ? MIN(value_list_size(space->dims[i]->choices), 50)
                                      : G_N_ELEMENTS(moves);
        for (gsize j = 0; j < n; j++) {
            memcpy(at, x, space->n * sizeof *at);
            at[i] = space->is_choice[i] ? (double)j
                                        : x[i] + moves[j] * (j < 2 ? space_step(space, i) : 1);
            space_snap(space, at);
            double there;
            evaluate(s, at, 1, &there);
            if (!(there < *value))
                continue;
            *value = there;
            memcpy(x, at, space->n * sizeof *at);
            moved = TRUE;
        }
    }
    return moved;
}

static double refine(Search *s, double *x, double value)
{
    for (int round = 0; round < ROUNDS; round++) {
        value = descend(s, x, value);
        if (!step_aside(s, x, &value))
            break;
    }
    return value;
}

/* Adds what the best few become. */
static void refine_best(Search *s, Candidates *c)
{
    gsize dims = s->in->space->n, n = c->n, taken[REFINED];
    g_autofree double *kept = g_memdup2(c->values, n * sizeof *kept);
    for (gsize k = 0; k < MIN(REFINED, n); k++) {
        taken[k] = best_candidate(s, c);
        c->values[taken[k]] = HUGE_VAL;
    }
    memcpy(c->values, kept, n * sizeof *kept);
    for (gsize k = 0; k < MIN(REFINED, n); k++) {
        double *x = c->x + c->n * dims;
        memcpy(x, c->x + taken[k] * dims, dims * sizeof *x);
        c->values[c->n] = refine(s, x, c->values[taken[k]]);
        c->n++;
    }
}

/* ---- the choice ---- */

static gboolean is_taken(const SuggestInput *in, const double *x)
{
    for (gsize i = 0; i < in->n + in->n_pending; i++)
        if (space_same(in->space, x, in->x + i * in->space->n))
            return TRUE;
    return FALSE;
}

static void choose(Search *s, Candidates *c, double *out)
{
    gsize dims = s->in->space->n, first = best_candidate(s, c), best = first;
    for (gsize i = 0; i < c->n && is_taken(s->in, c->x + best * dims); i++) {
        c->values[best] = HUGE_VAL;
        best = best_candidate(s, c);
    }
    if (is_taken(s->in, c->x + best * dims))
        best = first; /* there is no other */
    memcpy(out, c->x + best * dims, dims * sizeof *out);
}

void suggest(const SuggestInput *in, const SuggestOptions *options, Rng rng, const gint *cancel,
        double *out)
{
    Search s = {.in = in, .options = options, .cancel = cancel, .rng = rng};
    Candidates c = {0};
    fit_models(&s);
    make_candidates(&s, &c);
    if (options->model->predict_grad && in->space->size > (gint64)c.n)
        refine_best(&s, &c);
    choose(&s, &c, out);
    g_free(c.x);
    g_free(c.values);
    options->model->free(s.model);
    if (s.time_model)
        options->model->free(s.time_model);
}
