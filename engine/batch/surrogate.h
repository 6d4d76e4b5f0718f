/* SPDX-License-Identifier: Apache-2.0 */
/* A model of the objective that an optimizer asks in its place: fitted to results, it predicts a
 * mean and a standard deviation anywhere. Numbers only; a kind is a row of functions.
 *
 * Points that are being tried have no result yet. A Gaussian process takes its own mean for it (the
 * "kriging believer": nothing is learned, but there is nothing left to learn at that place). Trees
 * take the mean of all results (a "constant liar": nothing special is there), and doubt less near
 * them (surrogate.c). */
#pragma once

#include <glib.h>

#include "engine/batch/rng.h"

typedef struct SurrogateInput {
    const double *x; /* n + n_pending rows of dims */
    const double *y; /* n, of mean 0 and variance 1 */
    gsize n, n_pending, dims;
    const gboolean *is_choice; /* dims */
    double noise;              /* variance of the results' noise if known, or negative */
    const gint *cancel;        /* not 0: whoever asked has gone */
    Rng *rng;
} SurrogateInput;

typedef struct SurrogateClass {
    gpointer (*fit)(const SurrogateInput *in);
    void (*predict)(gconstpointer model, const double *x, gsize m, double *mean, double *std);
    /* At one point, with derivatives by its coordinates; NULL if the model is not smooth. */
    void (*predict_grad)(gconstpointer model, const double *x, double *mean, double *std,
            double *dmean, double *dstd);
    /* About what a prediction costs, given n and dims. */
    double (*cost)(gsize n, gsize dims);
    void (*free)(gpointer model);
} SurrogateClass;

extern const SurrogateClass surrogate_gp, surrogate_forest, surrogate_boost;
