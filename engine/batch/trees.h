/* SPDX-License-Identifier: Apache-2.0 */
/* Regression with many trees; numbers only. Two kinds: extremely randomized trees (Geurts, Ernst,
 * Wehenkel 2006), whose standard deviation is that of the leaves' and between the trees' (Hutter et
 * al. 2014, 4.3.2), and gradient boosting of a quantile (Friedman 2001, with Hastie's leaves for
 * the absolute loss). Both as scikit-learn's regressors do it. Points are rows of `dims` numbers;
 * in a dimension of choices a node asks for one of the values. */
#pragma once

#include <glib.h>

#include "engine/batch/rng.h"

typedef struct TreeData {
    const double *x; /* n rows of dims */
    const double *y; /* n */
    gsize n, dims;
    const gboolean *is_choice; /* dims */
} TreeData;

typedef struct Forest Forest;

/* Leaves hold `min_leaf` points or more. */
Forest *forest_fit(const TreeData *data, guint n_trees, gsize min_leaf, Rng *rng);
void forest_free(Forest *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Forest, forest_free)
void forest_predict(const Forest *f, const double *x, double *mean, double *std);

typedef struct Boost Boost;

/* The quantile (0 < q < 1) of y at x: `rounds` trees of `depth`, each taken with weight `rate`. */
Boost *boost_fit(const TreeData *data, double q, guint rounds, double rate, guint depth);
void boost_free(Boost *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Boost, boost_free)
double boost_predict(const Boost *b, const double *x);

/* The value below which a share q of the values lies, between two of them if need be. */
double quantile(const double *values, gsize n, double q);
