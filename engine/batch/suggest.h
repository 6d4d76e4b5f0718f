/* SPDX-License-Identifier: Apache-2.0 */
/* The next point to try, out of the results so far: a model is fitted to them, and the point that
 * promises most is looked for over the whole space. Numbers only, and nothing is kept between two
 * calls: the same input gives the same point, in any thread and after any restart.
 *
 * Where the space is small enough each of its points is looked at, else many at random and some
 * near the best results, the best few of which then go downhill: by the model's derivatives in real
 * dimensions, by steps in the others. A point that was tried or is being tried is only taken where
 * there is no other. */
#pragma once

#include "engine/batch/acquisition.h"
#include "engine/batch/space.h"
#include "engine/batch/surrogate.h"

typedef struct SuggestOptions {
    const SurrogateClass *model;
    gboolean any_acq; /* "gp_hedge": one of all kinds, by chance */
    AcqKind acq;
    gboolean per_second; /* improvement by the second: needs `seconds` */
    double kappa, xi;
    double noise; /* variance of the objective's noise; negative: not known */
} SuggestOptions;

typedef struct SuggestInput {
    const Space *space;
    const double *x;       /* n + n_pending points */
    const double *y;       /* n results; less is better. NaN: bad, as the worst of the others */
    const double *seconds; /* n durations; 0 is not known. May be NULL */
    gsize n, n_pending;
} SuggestInput;

/* Into `out`. At least one result is a number. The point is on the grid. */
void suggest(const SuggestInput *in, const SuggestOptions *options, Rng rng, const gint *cancel,
        double *out);
