/* SPDX-License-Identifier: Apache-2.0 */
/* The course that all commands take which change runs: choose, show, ask, do. */
#pragma once

#include "cli/out.h"
#include "cli/runs_args.h"

typedef struct RunsOp {
    const char *action;  /* for remotes: "delete", "label", ... */
    const char *preview; /* line above the list of runs */
    OutStyle preview_style;
    const char *prompt;              /* a format with one %u, or without */
    const char *no_runs;             /* when nothing was chosen */
    const char *const *default_runs; /* RUN arguments if the user gave none; NULL: all */
    gboolean confirm_default;
    /* Keeps runs for which this holds; NULL: all. */
    gboolean (*wanted)(Run *run);
    /* Does it; gives an exit status. */
    int (*apply)(GPtrArray *runs, RunsChoice *choice);
} RunsOp;

extern const char *const runs_latest[]; /* {"1", NULL} */

/* run_args: the user's RUN arguments. Gives an exit status. */
int runs_op(RunsChoice *choice, const char *const *run_args, const RunsOp *op);
/* The same for runs that are already chosen. */
int runs_op_on(RunsChoice *choice, GPtrArray *runs, const RunsOp *op);
