/* SPDX-License-Identifier: Apache-2.0 */
/* The table of commands: one line each, in the order that `guild --help` shows them. */
#include "cli/commands.h"

const CliCommand *const cli_commands[] = {
        &cmd_run,
        &cmd_man,
        &cmd_api,
        &cmd_batch,
        &cmd_queue_op,
        &cmd_steps,
        NULL,
};
