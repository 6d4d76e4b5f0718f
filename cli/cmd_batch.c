/* SPDX-License-Identifier: Apache-2.0 */
/* `guild _batch`: what a batch run executes when it is started by its command (`source .guild/ENV`
 * and the printed line) and not by `guild run`, by way of the Python modules guild.batch_main,
 * guild.plugins.random_main and their like. */
#include "cli/commands.h"
#include "cli/local_cluster.h"
#include "cli/opmode.h"

static int batch_main(CliArgs *args)
{
    opmode_init_log();
    GError *error = NULL;
    g_autoptr(Run) run = opmode_current_run(&error);
    if (!run)
        return cli_gerror(error);
    g_autoptr(Run) proto = run_batch_proto(run);
    if (!proto)
        return cli_error(
                "run %s is no batch (%s/.guild/proto is missing)", run_id(run), run_dir(run));
    g_autoptr(Value) params = run_try_attr(run, "run_params");
    g_autoptr(Value) stage = run_try_attr(run, "stage_trials");
    LocalBatchOptions options = {
            .home = cli_home(),
            .jobs = (int)value_map_int(params, "jobs", 1),
            .retries = -1,
            .stage_trials = value_truthy(stage),
    };
    int status = local_batch_run(run, &options, &error);
    return error ? cli_gerror(error) : status;
}

static const CliOption *const no_options[] = {NULL};

const CliCommand cmd_batch = {
        .name = "_batch",
        .args = "",
        .summary = "Run the trials of the current batch run.",
        .help = "Runs the trials of the batch run in $RUN_DIR. Started by batch runs.",
        .options = no_options,
        .run = batch_main,
        .hidden = TRUE,
};
