/* SPDX-License-Identifier: Apache-2.0 */
/* See tree.h. */
#include "engine/batch/tree.h"

#include <stdlib.h>
#include <string.h>

/* A way to part a node's points, and by how much the sum of squared errors falls (times their
 * number). */
typedef struct {
    int dim;
    double threshold, gain;
} Split;

typedef struct {
    const TreeData *data;
    const TreeRules *rules;
    Tree *tree;
    gsize *points; /* numbers of points; a node's are side by side */
    gsize *sorted; /* room for as many */
} Grower;

static double at(const Grower *g, gsize point, gsize dim)
{
    return g->data->x[point * g->data->dims + dim];
}

static gboolean goes_left(gboolean is_choice, double value, double threshold)
{
    return is_choice ? value == threshold : value <= threshold;
}

static void consider(Split *best, gsize dim, double threshold, double sum_left, gsize n_left,
        double sum, gsize n, gsize min_leaf)
{
    gsize n_right = n - n_left;
    if (n_left < MAX(min_leaf, 1) || n_right < MAX(min_leaf, 1))
        return;
    double left = (double)n_left, right = (double)n_right;
    double difference = right * sum_left - left * (sum - sum_left);
    double gain = difference * difference / (left * right);
    if (gain > best->gain)
        *best = (Split){(int)dim, threshold, gain};
}

static void consider_threshold(const Grower *g, const gsize *points, gsize n, double sum, gsize dim,
        double threshold, Split *best)
{
    double sum_left = 0;
    gsize n_left = 0;
    for (gsize i = 0; i < n; i++) {
        if (!goes_left(g->data->is_choice[dim], at(g, points[i], dim), threshold))
            continue;
        sum_left += g->data->y[points[i]];
        n_left++;
    }
    consider(best, dim, threshold, sum_left, n_left, sum, n, g->rules->min_leaf);
}

/* One threshold for each dimension, anywhere between the values or any one of the choices. */
static void random_splits(const Grower *g, const gsize *points, gsize n, double sum, Split *best)
{
    Rng *rng = g->rules->rng;
    for (gsize dim = 0; dim < g->data->dims; dim++) {
        double low = at(g, points[0], dim), high = low;
        for (gsize i = 1; i < n; i++) {
            low = MIN(low, at(g, points[i], dim));
            high = MAX(high, at(g, points[i], dim));
        }
        if (low == high)
            continue;
        double threshold = g->data->is_choice[dim] ? at(g, points[rng_below(rng, n)], dim)
                                                   : low + rng_unit(rng) * (high - low);
        consider_threshold(g, points, n, sum, dim, threshold, best);
    }
}

static int compare_points(const void *a, const void *b, void *values)
{
    double x = ((const double *)values)[*(const gsize *)a];
    double y = ((const double *)values)[*(const gsize *)b];
    return (x > y) - (x < y);
}

static void best_threshold(const Grower *g, const gsize *points, gsize n, double sum, gsize dim,
        const double *values, Split *best)
{
    gsize *sorted = g->sorted;
    memcpy(sorted, points, n * sizeof *points);
    qsort_r(sorted, n, sizeof *sorted, compare_points, (void *)values);
    double sum_left = 0;
    for (gsize i = 0; i + 1 < n; i++) {
        sum_left += g->data->y[sorted[i]];
        double here = values[sorted[i]], next = values[sorted[i + 1]];
        double middle = here + (next - here) / 2;
        if (here < next)
            consider(best, dim, middle < next ? middle : here, sum_left, i + 1, sum, n,
                    g->rules->min_leaf);
    }
}

static void best_splits(const Grower *g, const gsize *points, gsize n, double sum, Split *best)
{
    g_autofree double *values = g_new(double, g->data->n);
    for (gsize dim = 0; dim < g->data->dims; dim++) {
        for (gsize i = 0; i < n; i++)
            values[points[i]] = at(g, points[i], dim);
        if (!g->data->is_choice[dim])
            best_threshold(g, points, n, sum, dim, values, best);
        else
            for (gsize i = 0; i < n; i++)
                consider_threshold(g, points, n, sum, dim, values[points[i]], best);
    }
}

/* Brings the points that go left to the front; gives their number. */
static gsize part(const Grower *g, gsize *points, gsize n, const Split *split)
{
    gsize n_left = 0;
    for (gsize i = 0; i < n; i++) {
        double value = at(g, points[i], (gsize)split->dim);
        if (!goes_left(g->data->is_choice[split->dim], value, split->threshold))
            continue;
        gsize point = points[i];
        points[i] = points[n_left];
        points[n_left++] = point;
    }
    return n_left;
}

static guint grow(Grower *g, gsize *points, gsize n, guint depth)
{
    double sum = 0, squares = 0;
    for (gsize i = 0; i < n; i++)
        sum += g->data->y[points[i]];
    double mean = sum / (double)n;
    for (gsize i = 0; i < n; i++) {
        double off = g->data->y[points[i]] - mean;
        squares += off * off;
    }
    TreeNode node = {.dim = -1, .mean = mean, .variance = squares / (double)n};
    g_array_append_val(g->tree->nodes, node);
    guint number = g->tree->nodes->len - 1;
    Split best = {.dim = -1};
    if (squares > 0 && n >= 2 * g->rules->min_leaf && depth < g->rules->max_depth)
        (g->rules->rng ? random_splits : best_splits)(g, points, n, sum, &best);
    if (best.dim < 0)
        return number;
    gsize n_left = part(g, points, n, &best);
    guint left = grow(g, points, n_left, depth + 1);
    guint right = grow(g, points + n_left, n - n_left, depth + 1);
    TreeNode *self = &g_array_index(g->tree->nodes, TreeNode, number);
    self->dim = best.dim;
    self->threshold = best.threshold;
    self->left = left;
    self->right = right;
    return number;
}

Tree *tree_grow(const TreeData *data, const TreeRules *rules)
{
    g_autofree gsize *points = g_new(gsize, data->n), *sorted = g_new(gsize, data->n);
    for (gsize i = 0; i < data->n; i++)
        points[i] = i;
    Tree *t = g_new0(Tree, 1);
    t->nodes = g_array_new(FALSE, FALSE, sizeof(TreeNode));
    t->is_choice = data->is_choice;
    Grower g = {data, rules, t, points, sorted};
    grow(&g, points, data->n, 0);
    return t;
}

void tree_free(Tree *t)
{
    if (!t)
        return;
    g_array_unref(t->nodes);
    g_free(t);
}

const TreeNode *tree_node(const Tree *t, guint i)
{
    return &g_array_index(t->nodes, TreeNode, i);
}

guint tree_leaf(const Tree *t, const double *x)
{
    guint i = 0;
    for (const TreeNode *node = tree_node(t, 0); node->dim >= 0; node = tree_node(t, i))
        i = goes_left(t->is_choice[node->dim], x[node->dim], node->threshold) ? node->left
                                                                              : node->right;
    return i;
}
