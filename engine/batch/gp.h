/* SPDX-License-Identifier: Apache-2.0 */
/* Gaussian process regression (Rasmussen and Williams 2006, algorithm 2.1) with a Matern 5/2 kernel
 * and a length scale for each dimension; numbers only. The kernel of two points is
 *
 *   a (1 + s + s^2 / 3) exp(-s),   s = sqrt(5) r,   r^2 = sum over k of (distance_k / length_k)^2
 *
 * with distance 0 or 1 in a dimension of choices, to which the results' own noise is added on the
 * diagonal. It is what the reference's scikit-optimize uses, but for choices, which that spreads
 * over one dimension a choice. Points are rows of `dims` numbers, one after the other.
 *
 * Needs LAPACKE and NLopt: gp_ready() first. No locks; one thread at a time for a Gp. */
#pragma once

#include <glib.h>

typedef struct GpData {
    const double *x; /* n rows of dims */
    const double *y; /* n */
    gsize n, dims;
    const gboolean *is_choice; /* dims */
} GpData;

/* Hyperparameters as logarithms: amplitude a, length of each dimension, variance of the noise; in
 * units of y as it is given. */
typedef struct GpParams {
    gsize dims;
    double *theta; /* dims + 2 */
} GpParams;

GpParams *gp_params_new(gsize dims);
void gp_params_free(GpParams *p);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GpParams, gp_params_free)

typedef struct Gp Gp;

/* FALSE: the libraries are not on this machine, the error says what to install. */
gboolean gp_ready(GError **error);

/* The logarithm of the marginal likelihood and, unless `grad` is NULL, its derivatives by theta. */
double gp_log_likelihood(const GpData *data, const GpParams *p, double *grad);
/* The most probable hyperparameters: those that make the likelihood largest, under weak priors that
 * keep them sane when there are few points. `y` should have mean 0 and variance 1. `noise` is the
 * variance if it is known, or negative. Ends early, with the best so far, once *cancel. */
GpParams *gp_learn(const GpData *data, double noise, const gint *cancel);

/* The posterior; copies the data. */
Gp *gp_new(const GpData *data, const GpParams *p);
void gp_free(Gp *gp);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Gp, gp_free)

/* Mean and standard deviation (without noise) at m points. */
void gp_predict(const Gp *gp, const double *x, gsize m, double *mean, double *std);
/* The same at one, with derivatives by its coordinates (0 for choices). */
void gp_predict_grad(
        const Gp *gp, const double *x, double *mean, double *std, double *dmean, double *dstd);
