/* SPDX-License-Identifier: Apache-2.0 */
/* `guild run`, in parts: cmd_run.c is the command; run_options.c its options and which of them
 * exclude each other; run_state.c makes of them the operations to run; run_preview.c asks the user;
 * run_start.c runs or stages; run_batch.c shows or saves trials; run_info.c answers questions about
 * an operation; run_remote.c hands a run to a coordinator; run_messages.c words errors. Follows
 * guild/commands/run_impl.py of the reference. */
#pragma once

#include "cli/cli.h"
#include "engine/op/op.h"
#include "engine/run/store.h"

/* The reference's options, with its names for them as keys; ours are in a table of their own. */
extern const CliOption run_options[];
extern const CliOption run_own_options[];

typedef struct RunArgs {
    const CliArgs *cli;
    char *opspec;  /* NULL: the default operation, or that of a run */
    char **flags;  /* FLAG=VAL and @FILE */
    Value *params; /* map: every option of run_options, for attribute `run_params` */
} RunArgs;

/* Options of `run` are asked for through `a->cli` by their keys. */
RunArgs *run_args_new(const CliArgs *cli);
void run_args_free(RunArgs *a);
/* 0, or an exit status after a message: options that exclude each other, values out of range. */
int run_args_check(const RunArgs *a);
static inline gboolean run_flag(const RunArgs *a, const char *key)
{
    return cli_flag(a->cli, key);
}
/* An option that was given, maybe as "": a label may be empty. */
static inline const char *run_text(const RunArgs *a, const char *key)
{
    return cli_string(a->cli, key);
}
/* As "not given" if it is empty, as in the reference: there is no folder, run or file named "". */
static inline const char *run_string(const RunArgs *a, const char *key)
{
    const char *text = run_text(a, key);
    return text && *text ? text : NULL;
}

/* What is to be run: `batch_op` is not NULL if it is a batch of trials of `user_op`. */
typedef struct RunState {
    RunArgs *args;
    RunStore *store;
    Run *restart_run, *proto_run;
    Op *user_op, *batch_op;
    OpDef *help_opdef;       /* for --help-op and --help-model, which need no more */
    gboolean linked_project; /* the run that is sent has links to it: see steps_project.h */
    char *fetched_dir; /* where a run of the remote that is restarted was copied to; or NULL */
} RunState;

/* NULL after a message; *status is then the exit status. */
RunState *run_state_new(RunArgs *args, int *status);
void run_state_free(RunState *s);

/* Prints the error as the reference words it and frees it; gives the exit status. `opspec` is what
 * was looked for and `for_run` the run it was needed for, where the error may be about an operation
 * that is not found; both may be NULL. */
int run_print_error(GError *error, const char *opspec, Run *for_run);

/* Asks on the terminal; TRUE to go on. */
gboolean run_confirm(RunState *s);
/* "train", "model:train", "train.py" as seen from the current folder. Newly allocated. */
char *run_op_desc(const Op *op);

/* The batch run in `dir` (NULL: a new one) and, in it, the proto of its trials. */
Run *run_init_batch(RunState *s, const char *dir, GError **error);
/* What trials ask of a machine, a map; NULL without error for nothing in particular. */
Value *run_resource_request(RunState *s, GError **error);

/* Actions; each gives the exit status. */
int run_start(RunState *s);
int run_remotely(RunState *s); /* --remote */
/* A copy of the remote's run `spec` (an id or the beginning of one) in s->fetched_dir. */
Run *run_fetch_remote(RunState *s, const char *spec, GError **error);
int run_print_cmd(RunState *s);
int run_print_env(RunState *s);
int run_print_trials(RunState *s);
int run_save_trials(RunState *s, const char *path);
/* An optimizer that is an operation of its own tells its trials itself: it is run in a temporary
 * folder with variable `name` set (PRINT_TRIALS, SAVE_TRIALS, PRINT_TRIALS_CMD: see
 * guild.batch_util). */
int run_tmp_batch(RunState *s, const char *name, const char *value);
gboolean run_has_own_optimizer(const RunState *s);
int run_test_flags(RunState *s);
int run_test_sourcecode(RunState *s);
int run_test_output(RunState *s, const char *path, gboolean scalars);

/* The flag maps of the trials that the batch would begin with; NULL after an error, which says that
 * `what` ("printing trials") can't be had of an optimizer that learns. */
Value *run_preview_trials(RunState *s, const char *what, GError **error);
/* -1 if they can't be told before. */
gint64 run_count_trials(RunState *s);
