/* SPDX-License-Identifier: Apache-2.0 */
/* See acquisition.h. */
#include "engine/batch/acquisition.h"

#include <math.h>

/* From here on outward the tails' series are exact enough (relative error below 1e-4). */
#define FAR (-12.0)
/* Below this there is nothing to hope for that is not known: without it a model that is too sure of
 * itself (trees) would be asked about the same place for ever. */
#define MIN_STD 1e-9
#define HOPELESS 1e300

static double log_density(double z)
{
    return -0.5 * z * z - 0.5 * log(2 * G_PI);
}

static double log_probability(double z)
{
    if (z > FAR)
        return log(0.5 * erfc(-z / G_SQRT2));
    double q = 1 / (z * z);
    return log_density(z) - log(-z) + log1p(-q + 3 * q * q);
}

/* Logarithm of z P(z) + p(z). */
static double log_improvement(double z)
{
    if (z > FAR / 4)
        return log(z * 0.5 * erfc(-z / G_SQRT2) + exp(log_density(z)));
    if (z > FAR) { /* cancellation: as p(z) (1 - |z| P(z) / p(z)) */
        double ratio = -z * 0.5 * erfc(-z / G_SQRT2) / exp(log_density(z));
        return log_density(z) + log1p(-ratio);
    }
    double q = 1 / (z * z);
    return log_density(z) + log(q * (1 - 3 * q));
}

static double confidence_bound(const Acq *a, double mean, double std, double *dm, double *ds)
{
    gboolean only_std = isinf(a->kappa);
    *dm = only_std ? 0 : 1;
    *ds = only_std ? -1 : -a->kappa;
    return only_std ? -std : mean - a->kappa * std;
}

/* With improvement I = best - xi - mean and z = I / std:
 *   log EI = log std + log(z P + p),  d/dmean = -P / EI,  d/dstd = p / EI
 *   log PI = log P(z),                d/dz = p / P */
static double improvement(const Acq *a, double mean, double std, double *dm, double *ds)
{
    *dm = *ds = 0;
    if (!(std > MIN_STD))
        return HOPELESS;
    double z = (a->best - a->xi - mean) / std;
    double log_p = log_probability(z), log_d = log_density(z);
    if (a->kind == ACQ_PI) {
        double slope = exp(log_d - log_p) / std;
        *dm = slope;
        *ds = slope * z;
        return -log_p;
    }
    double log_ei = log(std) + log_improvement(z);
    *dm = exp(log_p - log_ei);
    *ds = -exp(log_d - log_ei);
    return -log_ei;
}

double acq_value(const Acq *a, double mean, double std, double *by_mean, double *by_std)
{
    double dm, ds;
    double value = a->kind == ACQ_LCB ? confidence_bound(a, mean, std, &dm, &ds)
                                      : improvement(a, mean, std, &dm, &ds);
    if (by_mean)
        *by_mean = dm;
    if (by_std)
        *by_std = ds;
    return value;
}
