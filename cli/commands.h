/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, each defined in cli/cmd_<name>.c. */
#pragma once

#include "cli/cli.h"

extern const CliCommand cmd_man;
extern const CliCommand cmd_run;
extern const CliCommand cmd_api;
extern const CliCommand cmd_batch;
extern const CliCommand cmd_queue_op;
extern const CliCommand cmd_steps;
