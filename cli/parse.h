/* SPDX-License-Identifier: Apache-2.0 */
/* Command line words to CliArgs, with click's rules (see cli.h). Used by cli.c; commands see only
 * the getters of cli.h. */
#pragma once

#include "cli/cli.h"

/* The command that a name calls among `commands` (aliases count), or NULL. */
const CliCommand *cli_find_command(const CliCommand *const *commands, const char *name);

/* A cursor over the tables of a command: calls fn for each option until it gives TRUE. Gives the
 * option for which it did, or NULL. --help is not among them: every command has it. */
typedef gboolean (*CliOptionFn)(const CliOption *option, gpointer data);
const CliOption *cli_each_option(const CliOption *const *tables, CliOptionFn fn, gpointer data);
/* The names of an option: "-m, --max-trials" as {"-m", "--max-trials", NULL}. */
char **cli_option_names(const CliOption *option);

/* Parses words (without the command's own name). `path` is how the user reaches the command
 * ("guild runs info"). If the command is a group, parsing stops at the first argument; *rest is
 * then the index of it, else the number of words. On error prints and gives NULL. Free with
 * cli_args_free(). */
CliArgs *cli_args_parse(
        const CliCommand *command, const char *path, const char *const *words, int *rest);
void cli_args_free(CliArgs *args);
const char *cli_args_path(const CliArgs *args);
gboolean cli_has_options(const CliArgs *args); /* any was given, but --help */
gboolean cli_args_wants_help(const CliArgs *args);
