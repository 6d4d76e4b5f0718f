/* SPDX-License-Identifier: Apache-2.0 */
/* Flags to points and back: see space.h. */
#include "engine/batch/space.h"

#include <math.h>
#include <string.h>

/* Reals this close are one point: what a text of 17 digits and back may change, and no more. */
#define SAME 1e-9

static gsize n_choices(const Dim *d)
{
    return value_list_size(d->choices);
}

static double int_span(const Dim *d)
{
    return (double)d->int_high - (double)d->int_low;
}

/* Points along the dimension; G_MAXINT64 if there is no end. */
static gint64 dim_size(const Dim *d)
{
    if (d->kind == DIM_REAL)
        return G_MAXINT64;
    if (d->kind == DIM_CHOICE)
        return (gint64)n_choices(d);
    gint64 span;
    gboolean endless = __builtin_sub_overflow(d->int_high, d->int_low, &span) || span == G_MAXINT64;
    return endless ? G_MAXINT64 : span + 1;
}

Space *space_new(GPtrArray *dims)
{
    Space *s = g_new0(Space, 1);
    s->owner = g_ptr_array_ref(dims);
    s->n = dims->len;
    s->dims = (const Dim *const *)dims->pdata;
    s->is_choice = g_new0(gboolean, s->n);
    s->size = 1;
    for (gsize i = 0; i < s->n; i++) {
        s->is_choice[i] = s->dims[i]->kind == DIM_CHOICE;
        if (__builtin_mul_overflow(s->size, dim_size(s->dims[i]), &s->size))
            s->size = G_MAXINT64;
    }
    return s;
}

void space_free(Space *s)
{
    if (!s)
        return;
    g_ptr_array_unref(s->owner);
    g_free(s->is_choice);
    g_free(s);
}

static gboolean encode_choice(const Dim *d, const Value *v, double *x)
{
    for (gsize i = 0; i < n_choices(d); i++) {
        if (value_equal(value_list_at(d->choices, i), v)) {
            *x = (double)i;
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean encode_range(const Dim *d, const Value *v, double *x)
{
    if (!value_is_number(v))
        return FALSE;
    double val = value_get_float(v);
    if (d->log)
        *x = (log(val) - log(d->low)) / (log(d->high) - log(d->low));
    else
        *x = val / (d->high - d->low) - d->low / (d->high - d->low);
    return isfinite(*x);
}

gboolean space_encode(const Space *s, const Value *flags, double *x)
{
    for (gsize i = 0; i < s->n; i++) {
        const Dim *d = s->dims[i];
        const Value *v = value_map_get(flags, d->flag);
        if (!v || !(s->is_choice[i] ? encode_choice(d, v, &x[i]) : encode_range(d, v, &x[i])))
            return FALSE;
    }
    return TRUE;
}

static Value *decode_int(const Dim *d, double u)
{
    double val = round(u * int_span(d) + (double)d->int_low);
    if (val >= (double)d->int_high)
        return value_new_int(d->int_high);
    return value_new_int(MAX((gint64)val, d->int_low));
}

static Value *decode_real(const Dim *d, double u)
{
    double val = d->log ? exp(log(d->low) + u * (log(d->high) - log(d->low)))
                        : d->low * (1 - u) + d->high * u;
    return value_new_float(CLAMP(val, d->low, d->high));
}

void space_decode(const Space *s, const double *x, Value *flags)
{
    for (gsize i = 0; i < s->n; i++) {
        const Dim *d = s->dims[i];
        double u = CLAMP(x[i], 0, 1);
        Value *v;
        if (d->kind == DIM_CHOICE)
            v = value_ref(value_list_at(d->choices, (gsize)x[i]));
        else
            v = d->kind == DIM_INT ? decode_int(d, u) : decode_real(d, u);
        value_map_set(flags, d->flag, v);
    }
}

double space_step(const Space *s, gsize dim)
{
    return s->dims[dim]->kind == DIM_INT ? 1 / int_span(s->dims[dim]) : 0;
}

void space_snap(const Space *s, double *x)
{
    for (gsize i = 0; i < s->n; i++) {
        const Dim *d = s->dims[i];
        if (d->kind == DIM_CHOICE) {
            x[i] = CLAMP(floor(x[i]), 0, (double)n_choices(d) - 1);
            continue;
        }
        x[i] = CLAMP(x[i], 0, 1);
        if (d->kind == DIM_INT)
            x[i] = round(x[i] * int_span(d)) / int_span(d);
    }
}

void space_sample(const Space *s, Rng *rng, double *x)
{
    for (gsize i = 0; i < s->n; i++) {
        const Dim *d = s->dims[i];
        gint64 size = dim_size(d);
        if (d->kind == DIM_CHOICE)
            x[i] = (double)rng_below(rng, (guint64)size);
        else if (d->kind == DIM_INT && size < G_MAXINT64)
            x[i] = (double)rng_below(rng, (guint64)size) / int_span(d);
        else
            x[i] = rng_unit(rng);
    }
}

void space_at(const Space *s, gint64 index, double *x)
{
    for (gsize i = s->n; i-- > 0;) {
        const Dim *d = s->dims[i];
        gint64 size = dim_size(d);
        x[i] = (double)(index % size);
        if (d->kind == DIM_INT)
            x[i] /= int_span(d);
        index /= size;
    }
}

static double perturbed(const Space *s, gsize dim, double x, double width, Rng *rng)
{
    if (s->is_choice[dim])
        return (double)rng_below(rng, n_choices(s->dims[dim]));
    double moved = x + width * rng_normal(rng), step = space_step(s, dim);
    if (step > 0 && fabs(moved - x) < step) /* at least to the next one */
        moved = x + (moved < x ? -step : step);
    return moved;
}

void space_perturb(const Space *s, const double *x, double width, Rng *rng, double *out)
{
    memcpy(out, x, s->n * sizeof *x);
    gsize sure = rng_below(rng, s->n);
    double share = MIN(1, 3.0 / (double)s->n);
    for (gsize i = 0; i < s->n; i++)
        if (i == sure || rng_unit(rng) < share)
            out[i] = perturbed(s, i, x[i], width, rng);
    space_snap(s, out);
}

gboolean space_same(const Space *s, const double *a, const double *b)
{
    for (gsize i = 0; i < s->n; i++)
        if (fabs(a[i] - b[i]) > MIN(SAME, space_step(s, i) > 0 ? space_step(s, i) / 2 : SAME))
            return FALSE;
    return TRUE;
}
