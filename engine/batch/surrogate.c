/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of models: see surrogate.h. Numbers of trees and their shape are scikit-optimize's. */
#include "engine/batch/surrogate.h"

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

enum { FOREST_TREES = 100, FOREST_LEAF = 3, BOOST_ROUNDS = 30, BOOST_DEPTH = 3 };
#define BOOST_RATE 0.1

/* The results with a lie for each point that is being tried; 0 is their mean. New. */
static double *with_lies(const SurrogateInput *in)
{
    double *y = g_new0(double, in->n + in->n_pending);
    memcpy(y, in->y, in->n * sizeof *y);
    return y;
}

static double cost_trees(gsize n, gsize dims)
{
    return 100 * 20;
}

static gpointer fit_forest(const SurrogateInput *in)
{
    g_autofree double *y = with_lies(in);
    TreeData data = {in->x, y, in->n + in->n_pending, in->dims, in->is_choice};
    return forest_fit(&data, FOREST_TREES, FOREST_LEAF, in->rng);
}

static void predict_forest(gconstpointer model, const double *x, gsize m, double *mean, double *std)
{
    gsize dims = forest_dims(model);
    for (gsize i = 0; i < m; i++)
        forest_predict(model, x + i * dims, &mean[i], &std[i]);
}

static void free_forest(gpointer model)
{
    forest_free(model);
}

const SurrogateClass surrogate_forest = {
        fit_forest, predict_forest, NULL, cost_trees, free_forest};

/* Half of the way from the 16 % to the 84 % quantile is the standard deviation of a normal one. */
static const double quantiles[] = {0.16, 0.5, 0.84};

typedef struct {
    gsize dims;
    Boost *boosts[G_N_ELEMENTS(quantiles)];
} Quantiles;

static gpointer fit_boost(const SurrogateInput *in)
{
    g_autofree double *y = with_lies(in);
    TreeData data = {in->x, y, in->n + in->n_pending, in->dims, in->is_choice};
    Quantiles *q = g_new0(Quantiles, 1);
    q->dims = in->dims;
    for (gsize i = 0; i < G_N_ELEMENTS(quantiles); i++)
        q->boosts[i] = boost_fit(&data, quantiles[i], BOOST_ROUNDS, BOOST_RATE, BOOST_DEPTH);
    return q;
}

static void predict_boost(gconstpointer model, const double *x, gsize m, double *mean, double *std)
{
    const Quantiles *q = model;
    for (gsize i = 0; i < m; i++) {
        const double *at = x + i * q->dims;
        double low = boost_predict(q->boosts[0], at), high = boost_predict(q->boosts[2], at);
        mean[i] = boost_predict(q->boosts[1], at);
        std[i] = MAX(high - low, 0) / 2;
    }
}

static void free_boost(gpointer model)
{
    Quantiles *q = model;
    for (gsize i = 0; i < G_N_ELEMENTS(quantiles); i++)
        boost_free(q->boosts[i]);
    g_free(q);
}

const SurrogateClass surrogate_boost = {fit_boost, predict_boost, NULL, cost_trees, free_boost};
