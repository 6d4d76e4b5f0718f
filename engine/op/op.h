/* SPDX-License-Identifier: Apache-2.0 */
/* An operation made concrete: flags resolved, command built, ready to become a run. It is built
 * either from a definition (a project's operation) or from a run that exists (a staged or finished
 * run, the proto of a batch), and what it holds is what the run keeps in its attributes, so that
 * any machine that has the run directory can build the same operation again. The fields mirror the
 * reference's Operation (guild/op.py, guild/commands/run_impl.py). */
#pragma once

#include "engine/base/value.h"
#include "engine/op/opcmd.h"
#include "engine/project/opdef.h"
#include "engine/run/opref.h"
#include "engine/run/run.h"

#define OP_ERROR op_error_quark()
GQuark op_error_quark(void);
typedef enum {
    OP_ERROR_CONFIG, /* a run lacks what is needed to start it again */
    OP_ERROR_CMD,    /* the command can't be made */
    OP_ERROR_OPDEF,  /* the definition is invalid */
    OP_ERROR_DEPS,   /* "run failed because a dependency was not met: ..." */
    OP_ERROR_ABORT,  /* the user gave up in an editor; nothing is left to say */
} OpError;

/* What of `guild run` decides how an operation is made. A zeroed struct is "no options": a worker
 * that starts a staged run uses that. Nothing is owned; all must live while op_for_*() runs. */
typedef struct OpRequest {
    const char *const *flags; /* NAME=VALUE; NULL for none */
    Value *batch_trials;      /* list of flag maps from batch files; one alone counts as flags */
    const char *label, *comment;
    const char *const *tags;
    gboolean keep_run, force_flags, force_sourcecode;
    const char *gpus;
    gboolean no_gpus;
    const char *const *breaks;
    gboolean break_on_error;
    const char *debug_sourcecode;
    const char *run_dir, *run_id; /* absolute directory, or an id below `home`/runs */
    gint64 random_seed;           /* 0: the run's own, else a new one */
    const char *const *deps;      /* paths */
    Value *run_params;   /* every option, for attribute `run_params`; NULL: a run keeps its own */
    Value *kept_params;  /* of the run that is restarted: of these, `run_params` only replaces what
                            may  be given anew (label, tags, gpus, ...); may be NULL */
    const char *home;    /* NULL: home_current() */
    const char *cwd;     /* for relative paths; NULL: the process's */
    Value *preset_flags; /* an optimizer's own settings; may be NULL */
    gboolean is_batch;   /* this is the batch operation: the next four count */
    gint64 max_trials;   /* 0: the run's own, else the definition's default */
    const char *objective; /* "loss", "-accuracy" */
    gboolean stage_trials;
    gboolean run_is_proto; /* op_for_run(): a new run like this one, not a restart of it */
    /* --edit-flags: gives the edited map, or NULL with an error. */
    Value *(*edit_flags)(const Value *flags, const OpDef *opdef, gpointer data, GError **error);
    gpointer edit_data;
} OpRequest;

typedef struct Op {
    OpRef *opref;
    OpDef *opdef; /* borrowed reference kept; NULL for a restart without new flags */
    Run *run;     /* the run it was made from, or NULL */
    gboolean run_is_proto;
    gboolean force_sourcecode;
    char *home;

    Value *user_flag_vals, *flag_vals; /* maps */
    Value *flag_null_labels;
    Value *flags_extra;  /* or NULL */
    Value *batch_trials; /* list or NULL */

    OpCmd *op_cmd;
    Value *op_cmd_run_attrs; /* map */
    char **cmd_args;         /* NULL-terminated */
    Value *cmd_env;          /* map of strings */
    Value *private_env;      /* list of names that attribute `env` leaves out, or NULL */
    Value *python_requires;
    char **plugins; /* NULL if unknown (a restart) */

    char *run_dir; /* NULL: a new id below the home */
    char *sourcecode_root, *sourcecode_dest;
    char **sourcecode_paths;

    char *label_template, *label;
    Value *tags; /* list */
    char *comment;
    Value *output_scalars, *output_attrs; /* rules; NULL: the defaults; an empty list: none */
    gboolean delete_on_success;           /* see op_deletes_run() */
    gint64 random_seed, max_trials;       /* max_trials 0: none */
    char *objective;

    GPtrArray *deps; /* Dep* */
    gboolean
            deps_done; /* op_resolve() was called for the run already, perhaps in another process */
    Value *run_attrs;  /* map: what op_init_run() writes, in order */
} Op;

/* NULL and an error of FLAGS_ERROR, OPCMD_ERROR, OP_ERROR or another room's. */
Op *op_for_opdef(OpDef *opdef, const OpRequest *req, GError **error);
/* `opdef` (may be NULL) is needed where flags or --force-sourcecode are given. */
Op *op_for_run(Run *run, OpDef *opdef, const OpRequest *req, GError **error);
void op_free(Op *op);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Op, op_free)

/* Makes the run directory (or uses the existing one): marker PENDING, skeleton, attributes, and for
 * a new run its source code, manifest, digest and commit. `run_dir` NULL: op->run_dir. The
 * Run is the caller's. On error nothing new is left behind. */
Run *op_init_run(Op *op, const char *run_dir, GError **error);

/* op_init_run() plus ENV, dependencies other than operations, marker STAGED. When a dependency is
 * not met the run stays, as the reference has it, with status error. */
Run *op_stage(Op *op, gboolean force_deps, GError **error);
/* The same of a run that came from elsewhere and will be started elsewhere: nothing that it requires
 * is looked for on this machine, and this machine's environment does not get into it. */
Run *op_stage_apart(Op *op, GError **error);

/* For a run that op_init_run() gave: clears STAGED, resolves dependencies, clears PENDING (also on
 * error), sets `started`. */
gboolean op_prepare_start(Op *op, Run *run, gboolean force_deps, GError **error);
/* Its dependencies alone, which op_prepare_start() then finds done. */
gboolean op_resolve(Op *op, Run *run, GError **error);

/* The environment of the process: ours, the operation's, the run's. NULL-terminated NAME=VALUE, by
 * name, newly allocated. */
char **op_proc_env(Op *op, Run *run);
/* The part of such an environment that attribute `env` may show: no secrets. A map. */
Value *op_safe_env(Op *op, const char *const *env);

/* Lets the batch operation put its own notation on the flags of the operation that it will run: an
 * optimizer's search space from `choices`, `min` and `max` where the user gave no value. */
void op_encode_flags_for_batch(Op *user_op, const Op *batch_op);

/* Files of the project that dependencies bring into a run: they are no source code. Relative paths,
 * newly allocated strv. */
char **op_local_dep_paths(const Op *op);

/* TRUE if the run is to be deleted once it has succeeded. */
gboolean op_deletes_run(const Op *op, Run *run);
/* TRUE if the operation is one that makes trials and is not `+` or `random`. */
gboolean op_is_likely_optimizer(const Op *op);

/* $HOST, else the machine's name; what attribute `host` and comments say. Borrowed. */
const char *op_host_name(void);
/* Attribute `platform` of this machine; what needs the interpreter is cached below `home`. */
Value *op_platform_info(const char *home);
