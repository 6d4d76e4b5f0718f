/* SPDX-License-Identifier: Apache-2.0 */
/* `guild _resolve`: brings in the dependencies of a run that is about to start. A worker starts it
 * for what may take long (a download, a post-process command), so that its own loop goes on. */
#include "cli/commands.h"
#include "cli/opmode.h"

#include <stdio.h>

#include "engine/op/op.h"

/* What went wrong is told on standard output: the rest is for people. */
static int resolve(CliArgs *args)
{
    opmode_init_log();
    g_autoptr(GError) error = NULL;
    g_autoptr(Run) run = opmode_current_run(&error);
    OpRequest req = {.home = cli_home()};
    g_autoptr(Op) op = run ? op_for_run(run, NULL, &req, &error) : NULL;
    if (op && op_resolve(op, run, &error))
        return 0;
    fputs(error->message, stdout);
    return 1;
}

static const CliOption *const no_options[] = {NULL};

const CliCommand cmd_resolve = {
        .name = "_resolve",
        .args = "",
        .summary = "Bring in what the current run depends on.",
        .help = "Resolves the dependencies of the run in $RUN_DIR. Started by workers.",
        .options = no_options,
        .run = resolve,
        .hidden = TRUE,
};
