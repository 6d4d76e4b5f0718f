/* SPDX-License-Identifier: Apache-2.0 */
/* See minimize.h. */
#include "engine/batch/minimize.h"

#include <math.h>
#include <string.h>

#include "engine/batch/lazy_nlopt.h"

typedef struct {
    MinimizeFunc f;
    gpointer data;
    const gint *cancel;
    double best;
    double *best_x;
} Descent;

/* NLopt stops at a value that is no number, and at a line search that fails it keeps the last
 * point, so the best is remembered here. */
static double evaluate(unsigned n, const double *x, double *grad, void *data)
{
    Descent *d = data;
    if (d->cancel && g_atomic_int_get(d->cancel)) {
        if (grad)
            memset(grad, 0, n * sizeof *grad);
        return d->best; /* flat: there is nowhere to go */
    }
    double value = d->f(n, x, grad, d->data);
    if (!isfinite(value))
        value = 1e300;
    for (unsigned i = 0; grad && i < n; i++)
        if (!isfinite(grad[i]))
            grad[i] = 0;
    if (value < d->best) {
        d->best = value;
        memcpy(d->best_x, x, n * sizeof *x);
    }
    return value;
}

double minimize(MinimizeFunc f, gpointer data, unsigned n, const double *low, const double *high,
        int max_evals, const gint *cancel, double *x)
{
    g_autofree double *at = g_memdup2(x, n * sizeof *x);
    Descent d = {f, data, cancel, 1e301, x};
    nlopt_opt opt = nlopt_create(NLOPT_LD_LBFGS, n);
    nlopt_set_lower_bounds(opt, low);
    nlopt_set_upper_bounds(opt, high);
    nlopt_set_min_objective(opt, evaluate, &d);
    nlopt_set_maxeval(opt, max_evals);
    nlopt_set_ftol_rel(opt, 1e-6);
    double value;
    nlopt_optimize(opt, at, &value); /* whatever ended it, the best point stands */
    nlopt_destroy(opt);
    return d.best;
}
