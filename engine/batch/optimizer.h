/* SPDX-License-Identifier: Apache-2.0 */
/* Who decides what a batch's trials are. A caller asks for trials until told that there are none,
 * and tells the result of each as it ends:
 *
 *   while ((flags = optimizer_ask(o, &state, &error))) start a trial;
 *   state OPTIMIZER_WAIT: nothing before another result has been told; OPTIMIZER_DONE: no more.
 *
 * Grid (`+`) and `random` are optimizers whose answers don't depend on results, so that a caller
 * needs no case for them. Several trials may be out at once, and results come in any order. A model
 * based optimizer is one more OptimizerClass in the table of optimizer.c. */
#pragma once

#include "engine/base/value.h"
#include "engine/batch/dims.h"
#include "engine/run/run.h"

#define OPTIMIZER_DEFAULT_MAX_TRIALS 20
#define OPTIMIZER_DEFAULT_OBJECTIVE "loss"

typedef enum {
    OPTIMIZER_READY, /* a trial was given */
    OPTIMIZER_WAIT,  /* ask again when a result has been told */
    OPTIMIZER_DONE,
    OPTIMIZER_FAILED, /* the error is set */
} OptimizerState;

/* What a batch asks for. */
typedef struct OptimizerSpec {
    const Value *flags;      /* the operation's flags: values, lists, functions */
    const Value *user_flags; /* of the command line; may be NULL */
    const Value *rows;       /* trials of batch files: list of maps, or NULL */
    const Value *options;    /* the optimizer's own flags ("kappa", "random-starts"), or NULL */
    guint64 seed;
    gint64 max_trials;     /* 0: not said */
    const char *objective; /* "loss", "-accuracy"; NULL: loss */
} OptimizerSpec;

typedef struct TrialResult {
    gboolean completed;     /* FALSE: it failed or was stopped */
    gboolean has_objective; /* FALSE: it gave no such scalar */
    double objective;       /* as it is in the run; the optimizer applies the sign */
} TrialResult;

typedef struct Optimizer Optimizer;

typedef struct OptimizerClass {
    const char *name;           /* "+", "random" */
    const char *const *aliases; /* "skopt:random"; NULL-terminated or NULL */
    gboolean can_list;          /* answers don't depend on results: --print-trials works */
    gpointer (*new_state)(const OptimizerSpec *spec, GError **error);
    /* A map with every flag, or NULL with *state saying why. */
    Value *(*ask)(gpointer self, OptimizerState *state, GError **error);
    /* NULL if results don't matter. */
    void (*tell)(gpointer self, const Value *flags, const TrialResult *result);
    /* Trials in all; -1 if not known. */
    gint64 (*count)(gpointer self);
    /* Forgets what was asked and goes on at trial `index`; NULL if the class can't. */
    void (*seek)(gpointer self, gint64 index);
    void (*free_state)(gpointer self);
} OptimizerClass;

/* The built-in optimizer of that name ("+", "random", "skopt:random"), NULL if there is none: then
 * the operation of that name is one that runs as a process. */
const OptimizerClass *optimizer_class_find(const char *name);

Optimizer *optimizer_new(const OptimizerClass *klass, const OptimizerSpec *spec, GError **error);
/* For a batch run, from its attributes (flags, max_trials, random_seed, objective) and its proto's
 * (flags, user_flags, trials); the class is that of its operation. BATCH_ERROR_RUN if it is no
 * batch run, BATCH_ERROR_OPTIONS if the optimizer is not built in, BATCH_ERROR_ARGS and _DIMS as
 * dims.h has them. */
Optimizer *optimizer_for_run(Run *batch_run, GError **error);
void optimizer_free(Optimizer *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Optimizer, optimizer_free)

const OptimizerClass *optimizer_class(const Optimizer *o);
Value *optimizer_ask(Optimizer *o, OptimizerState *state, GError **error);
void optimizer_tell(Optimizer *o, const Value *flags, const TrialResult *result);
gint64 optimizer_count(Optimizer *o); /* -1: not known */
/* FALSE if this optimizer can't. For a coordinator that starts again in the middle of a batch. */
gboolean optimizer_seek(Optimizer *o, gint64 index);

/* "-accuracy" -> name "accuracy" (new), -1. NULL or "": "loss", 1. To minimise: sign * value. */
char *optimizer_objective(const char *objective, int *sign);
