/* SPDX-License-Identifier: Apache-2.0 */
/* Who decides what a batch's trials are. A caller asks for trials until told that there are none,
 * and tells the result of each as it ends:
 *
 *   while ((flags = optimizer_ask(o, &state, &error))) start a trial;
 *   state OPTIMIZER_WAIT: nothing now; ask again when a result was told or the optimizer woke you;
 *   state OPTIMIZER_DONE: no more.
 *
 * Grid (`+`) and `random` are optimizers whose answers don't depend on results, so that a caller
 * needs no case for them; `gp`, `forest` and `gbrt` (smbo.h) learn. Several trials may be out at
 * once, and results come in any order. An optimizer is one row of functions in the table of
 * optimizer.c.
 *
 * One that learns may think for seconds. A caller with a main loop has that done apart
 * (optimizer_think_apart()); without it optimizer_ask() takes its time. Flags are Values, which
 * belong to one thread: so a class thinks over numbers only, between its prepare and its ask. */
#pragma once

#include "engine/base/value.h"
#include "engine/batch/dims.h"
#include "engine/batch/objective.h"
#include "engine/run/run.h"

#define OPTIMIZER_DEFAULT_MAX_TRIALS 20

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
    Run *batch_run;        /* whose earlier trials are learned from, with those in */
    const char *runs_dir;  /* HOME/runs; both may be NULL */
} OptimizerSpec;

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
    /* A trial with these flags was given before, by a process that has ended; with tell. */
    void (*asked)(gpointer self, const Value *flags);
    /* Before each ask of a class that has to think: collects what think() works on; FALSE if there
     * is nothing to think about. NULL with think: it doesn't think. */
    gboolean (*prepare)(gpointer self);
    /* On any thread, while no other function but cancel is called. */
    void (*think)(gpointer self);
    /* think() may return without a result that is worth anything: nobody will ask. */
    void (*cancel)(gpointer self);
    /* A line for the user about the last answer, or NULL. */
    const char *(*note)(gpointer self);
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
 * (flags, user_flags, trials); the class is that of its operation. `runs_dir` is HOME/runs.
 * BATCH_ERROR_RUN if it is no batch run, BATCH_ERROR_OPTIONS if the optimizer is not built in or
 * its own flags are wrong, BATCH_ERROR_ARGS and _DIMS as dims.h has them. */
Optimizer *optimizer_for_run(Run *batch_run, const char *runs_dir, GError **error);
void optimizer_free(Optimizer *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Optimizer, optimizer_free)

const OptimizerClass *optimizer_class(const Optimizer *o);
/* From now on it thinks on a thread of its own: optimizer_ask() says OPTIMIZER_WAIT meanwhile, and
 * `wake` is called from the context's loop (the caller's) when it may be asked again. */
void optimizer_think_apart(
        Optimizer *o, GMainContext *context, void (*wake)(gpointer data), gpointer data);
Value *optimizer_ask(Optimizer *o, OptimizerState *state, GError **error);
/* What to tell the user about the last answer, or NULL. */
const char *optimizer_note(Optimizer *o);
void optimizer_tell(Optimizer *o, const Value *flags, const TrialResult *result);
gint64 optimizer_count(Optimizer *o); /* -1: not known */
/* For a coordinator that starts again in the middle of a batch: either goes on at trial `index`
 * (FALSE if this optimizer can't) or, where answers depend on results, hears of each trial that it
 * gave before, in their order, and is then told those results that there are. */
gboolean optimizer_seek(Optimizer *o, gint64 index);
void optimizer_asked(Optimizer *o, const Value *flags);
