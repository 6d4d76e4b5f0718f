/* SPDX-License-Identifier: Apache-2.0 */
/* Gaussian processes: see gp.h. Matrices are column by column, as LAPACK has them; of symmetric
 * ones only the lower half is filled. */
#include "engine/batch/gp.h"

#include <math.h>
#include <string.h>

#include "engine/batch/lazy_lapacke.h"
#include "engine/batch/lazy_nlopt.h"

#define SQRT5 2.2360679774997896964

/* What keeps a matrix of nearly equal points invertible; made larger until it does. */
#define JITTER 1e-10
#define MAX_JITTER 1e-1

struct Gp {
    gsize n, dims;
    double *x;
    gboolean *is_choice;
    double amplitude;
    double *scale; /* 1 / length */
    double *chol;  /* n x n, lower */
    double *alpha; /* K^-1 y */
};

gboolean gp_ready(GError **error)
{
    if (!lazy_load(LAPACKE_SONAME, error) || !lazy_load(NLOPT_SONAME, error))
        return FALSE;
    /* The cores belong to the trials. */
    void (*set_threads)(int) = (void (*)(int))lazy_find(LAPACKE_SONAME, "openblas_set_num_threads");
    if (set_threads)
        set_threads(1);
    return TRUE;
}

GpParams *gp_params_new(gsize dims)
{
    GpParams *p = g_new0(GpParams, 1);
    p->dims = dims;
    p->theta = g_new0(double, dims + 2);
    return p;
}

void gp_params_free(GpParams *p)
{
    if (!p)
        return;
    g_free(p->theta);
    g_free(p);
}

static double *inverse_lengths(const GpParams *p)
{
    double *scale = g_new(double, MAX(p->dims, 1));
    for (gsize k = 0; k < p->dims; k++)
        scale[k] = exp(-p->theta[1 + k]);
    return scale;
}

static double distance(const double *a, const double *b, gsize k, const gboolean *is_choice)
{
    return is_choice[k] ? a[k] != b[k] : a[k] - b[k];
}

/* sqrt(5) r */
static double scaled_distance(const double *a, const double *b, const double *scale,
        const gboolean *is_choice, gsize dims)
{
    double sum = 0;
    for (gsize k = 0; k < dims; k++) {
        double d = distance(a, b, k, is_choice) * scale[k];
        sum += d * d;
    }
    return SQRT5 * sqrt(sum);
}

static double matern(double s)
{
    return (1 + s + s * s / 3) * exp(-s);
}

/* Lower half of the kernel's matrix, without noise. */
static double *kernel_matrix(const GpData *data, double amplitude, const double *scale)
{
    gsize n = data->n, d = data->dims;
    double *K = g_new(double, n *n);
    for (gsize j = 0; j < n; j++) {
        K[j + j * n] = amplitude;
        for (gsize i = j + 1; i < n; i++)
            K[i + j * n] = amplitude * matern(scaled_distance(data->x + i * d, data->x + j * d,
                                               scale, data->is_choice, d));
    }
    return K;
}

/* A new lower Cholesky factor of K + noise I; NULL if there is none. */
static double *factor(const double *K, gsize n, double amplitude, double noise)
{
    double *L = g_new(double, n *n);
    for (double jitter = JITTER; jitter <= MAX_JITTER; jitter *= 10) {
        memcpy(L, K, n * n * sizeof *L);
        for (gsize i = 0; i < n; i++)
            L[i + i * n] += noise + jitter * amplitude;
        if (LAPACKE_dpotrf(LAPACK_COL_MAJOR, 'L', (int)n, L, (int)n) == 0)
            return L;
    }
    g_free(L);
    return NULL;
}

/* K^-1 y, new. */
static double *solve(const double *L, const double *y, gsize n)
{
    double *alpha = g_memdup2(y, n * sizeof *y);
    LAPACKE_dpotrs(LAPACK_COL_MAJOR, 'L', (int)n, 1, L, (int)n, alpha, (int)n);
    return alpha;
}

/* Turns the Cholesky factor into alpha alpha' - K^-1 (lower half), whose product with a derivative
 * of K has twice that of the likelihood as its trace. */
static gboolean make_weights(double *L, const double *alpha, gsize n)
{
    if (LAPACKE_dpotri(LAPACK_COL_MAJOR, 'L', (int)n, L, (int)n) != 0)
        return FALSE;
    for (gsize j = 0; j < n; j++)
        for (gsize i = j; i < n; i++)
            L[i + j * n] = alpha[i] * alpha[j] - L[i + j * n];
    return TRUE;
}

static void add_gradient(const GpData *data, double amplitude, const double *scale, double noise,
        const double *K, const double *W, double *grad)
{
    gsize n = data->n, d = data->dims;
    memset(grad, 0, (d + 2) * sizeof *grad);
    for (gsize j = 0; j < n; j++) {
        const double *b = data->x + j * d;
        grad[0] += 0.5 * W[j + j * n] * amplitude;
        grad[d + 1] += 0.5 * W[j + j * n] * noise;
        for (gsize i = j + 1; i < n; i++) {
            const double *a = data->x + i * d;
            double s = scaled_distance(a, b, scale, data->is_choice, d);
            double weight = W[i + j * n];
            double common = weight * amplitude * 5.0 / 3 * (1 + s) * exp(-s);
            grad[0] += weight * K[i + j * n];
            for (gsize k = 0; k < d; k++) {
                double t = distance(a, b, k, data->is_choice) * scale[k];
                grad[1 + k] += common * t * t;
            }
        }
    }
}

double gp_log_likelihood(const GpData *data, const GpParams *p, double *grad)
{
    gsize n = data->n;
    double amplitude = exp(p->theta[0]), noise = exp(p->theta[p->dims + 1]);
    g_autofree double *scale = inverse_lengths(p);
    g_autofree double *K = kernel_matrix(data, amplitude, scale);
    g_autofree double *L = factor(K, n, amplitude, noise);
    if (grad)
        memset(grad, 0, (p->dims + 2) * sizeof *grad);
    if (!L)
        return -HUGE_VAL;
    g_autofree double *alpha = solve(L, data->y, n);
    double lml = -0.5 * (double)n * log(2 * G_PI);
    for (gsize i = 0; i < n; i++)
        lml -= 0.5 * data->y[i] * alpha[i] + log(L[i + i * n]);
    if (grad && make_weights(L, alpha, n))
        add_gradient(data, amplitude, scale, noise, K, L, grad);
    return lml;
}

Gp *gp_new(const GpData *data, const GpParams *p)
{
    gsize n = data->n, d = data->dims;
    double noise = exp(p->theta[d + 1]);
    Gp *gp = g_new0(Gp, 1);
    gp->n = n;
    gp->dims = d;
    gp->x = g_memdup2(data->x, n * d * sizeof *data->x);
    gp->is_choice = g_memdup2(data->is_choice, d * sizeof *data->is_choice);
    gp->amplitude = exp(p->theta[0]);
    gp->scale = inverse_lengths(p);
    g_autofree double *K = kernel_matrix(data, gp->amplitude, gp->scale);
    gp->chol = factor(K, n, gp->amplitude, noise);
    g_assert(gp->chol != NULL); /* MAX_JITTER is enough for any kernel's matrix */
    gp->alpha = solve(gp->chol, data->y, n);
    return gp;
}

void gp_free(Gp *gp)
{
    if (!gp)
        return;
    g_free(gp->x);
    g_free(gp->is_choice);
    g_free(gp->scale);
    g_free(gp->chol);
    g_free(gp->alpha);
    g_free(gp);
}

static double std_of(double variance)
{
    return variance > 0 ? sqrt(variance) : 0;
}

void gp_predict(const Gp *gp, const double *x, gsize m, double *mean, double *std)
{
    gsize n = gp->n, d = gp->dims;
    g_autofree double *k = g_new(double, n *m + 1);
    for (gsize j = 0; j < m; j++) {
        mean[j] = 0;
        for (gsize i = 0; i < n; i++) {
            k[i + j * n] = gp->amplitude * matern(scaled_distance(x + j * d, gp->x + i * d,
                                                   gp->scale, gp->is_choice, d));
            mean[j] += k[i + j * n] * gp->alpha[i];
        }
    }
    LAPACKE_dtrtrs(LAPACK_COL_MAJOR, 'L', 'N', 'N', (int)n, (int)m, gp->chol, (int)n, k, (int)n);
    for (gsize j = 0; j < m; j++) {
        double variance = gp->amplitude;
        for (gsize i = 0; i < n; i++)
            variance -= k[i + j * n] * k[i + j * n];
        std[j] = std_of(variance);
    }
}

void gp_predict_grad(
        const Gp *gp, const double *x, double *mean, double *std, double *dmean, double *dstd)
{
    gsize n = gp->n, d = gp->dims;
    g_autofree double *k = g_new(double, n), *slope = g_new(double, n);
    for (gsize i = 0; i < n; i++) {
        double s = scaled_distance(x, gp->x + i * d, gp->scale, gp->is_choice, d);
        k[i] = gp->amplitude * matern(s);
        slope[i] = -gp->amplitude * 5.0 / 3 * (1 + s) * exp(-s);
    }
    g_autofree double *weight = solve(gp->chol, k, n); /* K^-1 k */
    double variance = gp->amplitude;
    *mean = 0;
    for (gsize i = 0; i < n; i++) {
        *mean += k[i] * gp->alpha[i];
        variance -= k[i] * weight[i];
    }
    *std = std_of(variance);
    memset(dmean, 0, d * sizeof *dmean);
    memset(dstd, 0, d * sizeof *dstd);
    for (gsize c = 0; c < d; c++) {
        if (gp->is_choice[c])
            continue;
        for (gsize i = 0; i < n; i++) {
            double dk = slope[i] * (x[c] - gp->x[i * d + c]) * gp->scale[c] * gp->scale[c];
            dmean[c] += gp->alpha[i] * dk;
            if (*std > 0)
                dstd[c] -= weight[i] * dk / *std;
        }
    }
}
