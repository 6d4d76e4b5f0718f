/* SPDX-License-Identifier: Apache-2.0 */
/* Hyperparameters of a Gaussian process: gp_learn() of gp.h. */
#include <math.h>
#include <string.h>

#include "engine/batch/gp.h"
#include "engine/batch/minimize.h"

/* Of the logarithm of a hyperparameter: a normal distribution and bounds. */
typedef struct {
    double mean, sd, low, high;
} Prior;

/* The typical distance of two points grows with the root of their dimensions, and so do the length
 * scales that are likely (Hvarfner, Hellsten, Nardi 2024). */
static Prior length_prior(gsize dims)
{
    return (Prior){log(0.5 * sqrt((double)MAX(dims, 1))), 1, log(0.01), log(100)};
}
static const Prior amplitude_prior = {0, 1, -4.6, 4.6};
static const Prior noise_prior = {-7, 2, -13.8, 0};

/* Where the searches begin: this many sd from the mean, for lengths and for noise. */
static const struct {
    double length, noise;
} starts[] = {{0, 0}, {-1.5, 1.5}, {1.5, 1.5}};

typedef struct {
    const GpData *data;
    Prior *priors; /* of each theta */
    const gint *cancel;
} Search;

static double cost(unsigned n, const double *theta, double *grad, gpointer data)
{
    const Search *s = data;
    GpParams p = {s->data->dims, (double *)theta};
    g_autofree double *slope = grad ? g_new(double, n) : NULL;
    double sum = -gp_log_likelihood(s->data, &p, slope);
    for (unsigned i = 0; i < n; i++) {
        const Prior *prior = &s->priors[i];
        double z = prior->sd > 0 ? (theta[i] - prior->mean) / prior->sd : 0;
        sum += 0.5 * z * z;
        if (grad)
            grad[i] = -slope[i] + (prior->sd > 0 ? z / prior->sd : 0);
    }
    return sum;
}

static Prior *make_priors(gsize dims, double noise)
{
    Prior *priors = g_new(Prior, dims + 2);
    priors[0] = amplitude_prior;
    for (gsize k = 0; k < dims; k++)
        priors[1 + k] = length_prior(dims);
    double known = log(MAX(noise, 1e-10));
    priors[dims + 1] = noise < 0 ? noise_prior : (Prior){known, 0, known, known};
    return priors;
}

GpParams *gp_learn(const GpData *data, double noise, const gint *cancel)
{
    gsize n = data->dims + 2;
    g_autofree Prior *priors = make_priors(data->dims, noise);
    g_autofree double *low = g_new(double, n), *high = g_new(double, n), *at = g_new(double, n);
    for (gsize i = 0; i < n; i++) {
        low[i] = priors[i].low;
        high[i] = priors[i].high;
    }
    Search search = {data, priors, cancel};
    GpParams *best = gp_params_new(data->dims);
    double best_cost = HUGE_VAL;
    for (gsize s = 0; s < G_N_ELEMENTS(starts); s++) {
        for (gsize i = 0; i < n; i++) {
            double shift = i == 0 ? 0 : i <= data->dims ? starts[s].length : starts[s].noise;
            at[i] = CLAMP(priors[i].mean + shift * priors[i].sd, low[i], high[i]);
        }
        double value = minimize(cost, &search, (unsigned)n, low, high, 50, cancel, at);
        if (value < best_cost || s == 0) {
            best_cost = value;
            memcpy(best->theta, at, n * sizeof *at);
        }
    }
    return best;
}
