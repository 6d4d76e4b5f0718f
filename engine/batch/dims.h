/* SPDX-License-Identifier: Apache-2.0 */
/* What a flag may be in a search: one of a list, an integer or a real number between two bounds.
 * Made from the values that users write: a list is a choice, `[1:10]`, `uniform[0.1:1]` and
 * `loguniform[1e-5:1e-1]` are ranges, each with an optional third argument, the value that the
 * first trial has. The rules are the reference's (guild/plugins/skopt_util.py function_dim and
 * scikit-optimize's check_dimension): bounds are inclusive; two ints make a range of ints, two
 * texts a choice.
 *
 * Sampling keeps no state: a trial's number and the seed say what it gets. So trials can be made
 * in any order, again, and from the middle, by any process, and are the same. */
#pragma once

#include "engine/base/value.h"

#define BATCH_ERROR batch_error_quark()
GQuark batch_error_quark(void);
typedef enum {
    BATCH_ERROR_ARGS,    /* "invalid function args in 'x=uniform[2:1]': ..." */
    BATCH_ERROR_DIMS,    /* no search: unknown function, no dimension, bad objective; logged as an
                            error */
    BATCH_ERROR_FILE,    /* a batch file */
    BATCH_ERROR_OPTIONS, /* an optimizer's own flags, an unknown optimizer */
    BATCH_ERROR_RUN,     /* not a batch run, or its proto is unreadable */
} BatchError;

typedef enum { DIM_CHOICE, DIM_INT, DIM_REAL } DimKind;

typedef struct Dim {
    char *flag;
    DimKind kind;
    gboolean log;             /* DIM_REAL: uniform in the logarithm */
    double low, high;         /* DIM_REAL; inclusive */
    gint64 int_low, int_high; /* DIM_INT; inclusive */
    Value *choices;           /* DIM_CHOICE: list */
    Value *initial;           /* or NULL */
} Dim;

/* The dimension of flag `flag` with value `v`. NULL without error where the value is just a value;
 * NULL with BATCH_ERROR_ARGS or BATCH_ERROR_DIMS where it is a function that can't be. Lists make a
 * choice only if `lists` (a grid expands them instead). */
Dim *dim_for_value(const char *flag, const Value *v, gboolean lists, GError **error);
void dim_free(Dim *dim);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dim, dim_free)

/* All dimensions among the flags, by name. Array of Dim* with free function. */
GPtrArray *dims_for_flags(const Value *flags, GError **error);
/* The same; none at all is BATCH_ERROR_DIMS too. */
GPtrArray *dims_to_search(const Value *flags, GError **error);

/* The value in trial `trial` of a batch with that seed: the same for the same arguments. New. */
Value *dim_sample(const Dim *dim, guint64 seed, guint64 trial);

/* Random numbers behind it: 64 bits that depend on nothing but the arguments. */
guint64 batch_random(guint64 seed, guint64 trial, const char *stream);
/* As above below n (0: all 64 bits), and in [0, 1). */
guint64 batch_random_below(guint64 seed, guint64 trial, const char *stream, guint64 n);
double batch_random_unit(guint64 seed, guint64 trial, const char *stream);
