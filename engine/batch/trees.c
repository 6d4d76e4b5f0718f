/* SPDX-License-Identifier: Apache-2.0 */
/* Forests and boosted quantiles: see trees.h. */
#include "engine/batch/trees.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/batch/tree.h"

/* ---- forests ---- */

struct Forest {
    GPtrArray *trees;
    gboolean *is_choice;
};

Forest *forest_fit(const TreeData *data, guint n_trees, gsize min_leaf, Rng *rng)
{
    Forest *f = g_new0(Forest, 1);
    f->trees = g_ptr_array_new_with_free_func((GDestroyNotify)tree_free);
    f->is_choice = g_memdup2(data->is_choice, data->dims * sizeof *data->is_choice);
    TreeData own = *data;
    own.is_choice = f->is_choice;
    TreeRules rules = {rng, min_leaf, G_MAXUINT};
    for (guint i = 0; i < n_trees; i++)
        g_ptr_array_add(f->trees, tree_grow(&own, &rules));
    return f;
}

void forest_free(Forest *f)
{
    if (!f)
        return;
    g_ptr_array_unref(f->trees);
    g_free(f->is_choice);
    g_free(f);
}

void forest_predict(const Forest *f, const double *x, double *mean, double *std)
{
    double sum = 0, squares = 0, n = f->trees->len;
    for (guint i = 0; i < f->trees->len; i++) {
        const Tree *t = f->trees->pdata[i];
        const TreeNode *leaf = tree_node(t, tree_leaf(t, x));
        sum += leaf->mean;
        squares += leaf->variance + leaf->mean * leaf->mean;
    }
    *mean = sum / n;
    double variance = squares / n - *mean * *mean;
    *std = variance > 0 ? sqrt(variance) : 0;
}

/* ---- boosting ---- */

struct Boost {
    GPtrArray *trees;
    gboolean *is_choice;
    double base, rate;
};

static int compare_values(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double quantile(const double *values, gsize n, double q)
{
    g_autofree double *sorted = g_memdup2(values, n * sizeof *values);
    qsort(sorted, n, sizeof *sorted, compare_values);
    double place = q * (double)(n - 1);
    gsize below = MIN((gsize)place, n - 1), above = MIN(below + 1, n - 1);
    return sorted[below] + (place - (double)below) * (sorted[above] - sorted[below]);
}

/* The smallest of the values that a share q of them does not exceed. Sorts them. */
static double lower_quantile(double *values, gsize n, double q)
{
    qsort(values, n, sizeof *values, compare_values);
    gsize place = (gsize)ceil(q * (double)n);
    return values[CLAMP(place, 1, n) - 1];
}

/* What a leaf adds is the quantile of what is still missing at its points. */
static void set_leaves(Tree *t, const TreeData *data, const double *missing, double q)
{
    g_autofree guint *leaf = g_new(guint, data->n);
    g_autofree double *there = g_new(double, data->n);
    for (gsize i = 0; i < data->n; i++)
        leaf[i] = tree_leaf(t, data->x + i * data->dims);
    for (guint node = 0; node < t->nodes->len; node++) {
        gsize n = 0;
        for (gsize i = 0; i < data->n; i++)
            if (leaf[i] == node)
                there[n++] = missing[i];
        if (n)
            g_array_index(t->nodes, TreeNode, node).mean = lower_quantile(there, n, q);
    }
}

Boost *boost_fit(const TreeData *data, double q, guint rounds, double rate, guint depth)
{
    Boost *b = g_new0(Boost, 1);
    b->trees = g_ptr_array_new_with_free_func((GDestroyNotify)tree_free);
    b->is_choice = g_memdup2(data->is_choice, data->dims * sizeof *data->is_choice);
    b->base = quantile(data->y, data->n, q);
    b->rate = rate;
    g_autofree double *sum = g_new(double, data->n), *missing = g_new(double, data->n);
    g_autofree double *slope = g_new(double, data->n);
    for (gsize i = 0; i < data->n; i++)
        sum[i] = b->base;
    TreeData steps = {data->x, slope, data->n, data->dims, b->is_choice};
    TreeRules rules = {NULL, 1, depth};
    for (guint round = 0; round < rounds; round++) {
        for (gsize i = 0; i < data->n; i++) {
            missing[i] = data->y[i] - sum[i];
            slope[i] = data->y[i] > sum[i] ? q : q - 1;
        }
        Tree *t = tree_grow(&steps, &rules);
        set_leaves(t, &steps, missing, q);
        g_ptr_array_add(b->trees, t);
        for (gsize i = 0; i < data->n; i++)
            sum[i] += rate * tree_node(t, tree_leaf(t, data->x + i * data->dims))->mean;
    }
    return b;
}

void boost_free(Boost *b)
{
    if (!b)
        return;
    g_ptr_array_unref(b->trees);
    g_free(b->is_choice);
    g_free(b);
}

double boost_predict(const Boost *b, const double *x)
{
    double sum = b->base;
    for (guint i = 0; i < b->trees->len; i++) {
        const Tree *t = b->trees->pdata[i];
        sum += b->rate * tree_node(t, tree_leaf(t, x))->mean;
    }
    return sum;
}
