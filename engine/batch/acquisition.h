/* SPDX-License-Identifier: Apache-2.0 */
/* How promising a point is, out of what a model says of it: made small, like the objective. Names
 * are the reference's (acq-func). In place of expected improvement and of probabilities stand their
 * negative logarithms: the same order, and no plain of zeros where a search would be lost. */
#pragma once

#include <glib.h>

typedef enum {
    ACQ_LCB, /* lower confidence bound: mean - kappa std */
    ACQ_EI,  /* expected improvement over best - xi */
    ACQ_PI,  /* probability of that improvement */
    N_ACQ,
} AcqKind;

typedef struct Acq {
    AcqKind kind;
    double kappa; /* infinite: only std counts */
    double xi;
    double best; /* the smallest result so far */
} Acq;

/* The value; *by_mean and *by_std (may be NULL) are its derivatives. */
double acq_value(const Acq *a, double mean, double std, double *by_mean, double *by_std);
