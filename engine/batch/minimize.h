/* SPDX-License-Identifier: Apache-2.0 */
/* Smooth functions of some variables between bounds, made small (NLopt's L-BFGS). */
#pragma once

#include <glib.h>

/* The value at x; with `grad` its derivatives too. */
typedef double (*MinimizeFunc)(unsigned n, const double *x, double *grad, gpointer data);

/* Goes down from *x for at most `max_evals` evaluations, or until *cancel (may be NULL). Leaves the
 * best point that was seen in x, and returns its value. */
double minimize(MinimizeFunc f, gpointer data, unsigned n, const double *low, const double *high,
        int max_evals, const gint *cancel, double *x);
