/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: one line each, in the order that `guild --help` shows them. */
#include "cli/commands.h"

const CliCommand *const cli_commands[] = {
        &cmd_run,
        &cmd_runs,
        &cmd_ls,
        &cmd_cat,
        &cmd_select,
        &cmd_label,
        &cmd_tag,
        &cmd_comment,
        &cmd_mark,
        &cmd_stop,
        &cmd_compare,
        &cmd_diff,
        &cmd_open,
        &cmd_export,
        &cmd_import,
        &cmd_watch,
        &cmd_man,
        &cmd_api,
        &cmd_batch,
        &cmd_queue_op,
        &cmd_steps,
        NULL,
};
