/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of models: see surrogate.h. Numbers of trees and their shape are scikit-optimize's, but
 * for leaves of one point in a forest, where that takes three: with the few trials of a batch a
 * forest of larger ones sees next to nothing (tests/bench shows it). */
#include "engine/batch/surrogate.h"

#include <math.h>
#include <string.h>

#include "engine/batch/gp.h"
#include "engine/batch/trees.h"

/* ---- Gaussian process ---- */

static gpointer fit_gp(const SurrogateInput *in)
{
    GpData data = {in->x, in->y, in->n, in->dims, in->is_choice};
    g_autoptr(GpParams) params = gp_learn(&data, in->noise, in->cancel);
    g_autoptr(Gp) gp = gp_new(&data, params);
    if (!in->n_pending)
        return g_steal_pointer(&gp);
    gsize all = in->n + in->n_pending;
    g_autofree double *y = g_new(double, all), *std = g_new(double, in->n_pending);
    memcpy(y, in->y, in->n * sizeof *y);
    gp_predict(gp, in->x + in->n * in->dims, in->n_pending, y + in->n, std);
    GpData believed = {in->x, y, all, in->dims, in->is_choice};
    return gp_new(&believed, params);
}

static void predict_gp(gconstpointer model, const double *x, gsize m, double *mean, double *std)
{
    gp_predict(model, x, m, mean, std);
}

static void predict_gp_grad(gconstpointer model, const double *x, double *mean, double *std,
        double *dmean, double *dstd)
{
    gp_predict_grad(model, x, mean, std, dmean, dstd);
}

static double cost_gp(gsize n, gsize dims)
{
    return (double)n * ((double)n + 10 + 2 * (double)dims);
}

static void free_gp(gpointer model)
{
    gp_free(model);
}

const SurrogateClass surrogate_gp = {fit_gp, predict_gp, predict_gp_grad, cost_gp, free_gp};

/* ---- trees ---- */

enum { FOREST_TREES = 100, FOREST_LEAF = 1, BOOST_ROUNDS = 30, BOOST_DEPTH = 3 };
#define BOOST_RATE 0.1

/* The results with a lie for each point that is being tried; 0 is their mean. New. */
static double *with_lies(const SurrogateInput *in)
{
    double *y = g_new0(double, in->n + in->n_pending);
    memcpy(y, in->y, in->n * sizeof *y);
    return y;
}

/* A walk down a hundred trees is a hundred times some steps, each to memory that is not near; and a
 * few thousand points show all leaves. */
static double cost_trees(gsize n, gsize dims)
{
    return 1e5;
}

/* Trees are as sure of themselves far from any point as near one, and a search would stay where it
 * was lucky first. So their variance is added to by this share of the distance to the nearest
 * point, squared; a distance of 1 is from border to border in every dimension. */
#define DOUBT 0.5

typedef struct {
    gsize n, dims;
    double *x; /* n points, tried or being tried */
    gboolean *is_choice;
} Neighbours;

static void neighbours_init(Neighbours *nb, const SurrogateInput *in)
{
    nb->n = in->n + in->n_pending;
    nb->dims = in->dims;
    nb->x = g_memdup2(in->x, nb->n * in->dims * sizeof *in->x);
    nb->is_choice = g_memdup2(in->is_choice, in->dims * sizeof *in->is_choice);
}

static void neighbours_clear(Neighbours *nb)
{
    g_free(nb->x);
    g_free(nb->is_choice);
}

/* The standard deviation with that of the distance. */
static double with_doubt(const Neighbours *nb, const double *x, double std)
{
    double nearest = HUGE_VAL;
    for (gsize i = 0; i < nb->n; i++) {
        double sum = 0;
        for (gsize k = 0; k < nb->dims; k++) {
            double off = x[k] - nb->x[i * nb->dims + k];
            sum += nb->is_choice[k] ? off != 0 : off * off;
        }
        nearest = MIN(nearest, sum / (double)nb->dims);
    }
    return sqrt(std * std + DOUBT * DOUBT * nearest);
}

typedef struct {
    Neighbours near;
    Forest *forest;
} DoubtingForest;

static gpointer fit_forest(const SurrogateInput *in)
{
    g_autofree double *y = with_lies(in);
    TreeData data = {in->x, y, in->n + in->n_pending, in->dims, in->is_choice};
    DoubtingForest *f = g_new0(DoubtingForest, 1);
    neighbours_init(&f->near, in);
    f->forest = forest_fit(&data, FOREST_TREES, FOREST_LEAF, in->rng);
    return f;
}

static void predict_forest(gconstpointer model, const double *x, gsize m, double *mean, double *std)
{
    const DoubtingForest *f = model;
    for (gsize i = 0; i < m; i++) {
        const double *at = x + i * f->near.dims;
        forest_predict(f->forest, at, &mean[i], &std[i]);
        std[i] = with_doubt(&f->near, at, std[i]);
    }
}

static void free_forest(gpointer model)
{
    DoubtingForest *f = model;
    neighbours_clear(&f->near);
    forest_free(f->forest);
    g_free(f);
}

const SurrogateClass surrogate_forest = {fit_forest, predict_forest, NULL, cost_trees, free_forest};

/* Half of the way from the 16 % to the 84 % quantile is the standard deviation of a normal one. */
static const double quantiles[] = {0.16, 0.5, 0.84};

typedef struct {
    Neighbours near;
    Boost *boosts[G_N_ELEMENTS(quantiles)];
} Quantiles;

static gpointer fit_boost(const SurrogateInput *in)
{
    g_autofree double *y = with_lies(in);
    TreeData data = {in->x, y, in->n + in->n_pending, in->dims, in->is_choice};
    Quantiles *q = g_new0(Quantiles, 1);
    neighbours_init(&q->near, in);
    for (gsize i = 0; i < G_N_ELEMENTS(quantiles); i++)
        q->boosts[i] = boost_fit(&data, quantiles[i], BOOST_ROUNDS, BOOST_RATE, BOOST_DEPTH);
    return q;
}

static void predict_boost(gconstpointer model, const double *x, gsize m, double *mean, double *std)
{
    const Quantiles *q = model;
    for (gsize i = 0; i < m; i++) {
        const double *at = x + i * q->near.dims;
        double low = boost_predict(q->boosts[0], at), high = boost_predict(q->boosts[2], at);
        mean[i] = boost_predict(q->boosts[1], at);
        std[i] = with_doubt(&q->near, at, MAX(high - low, 0) / 2);
    }
}

static void free_boost(gpointer model)
{
    Quantiles *q = model;
    neighbours_clear(&q->near);
    for (gsize i = 0; i < G_N_ELEMENTS(quantiles); i++)
        boost_free(q->boosts[i]);
    g_free(q);
}

const SurrogateClass surrogate_boost = {fit_boost, predict_boost, NULL, cost_trees, free_boost};
