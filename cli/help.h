/* SPDX-License-Identifier: Apache-2.0 */
/* The --help texts, laid out as click lays them out: 80 columns or the terminal's width. */
#pragma once

#include "cli/cli.h"

/* Newly allocated. `path` as the user types the command: "guild runs info". */
char *cli_help_text(const CliCommand *command, const char *path);
/* Of `guild` itself. */
char *cli_help_main(void);
