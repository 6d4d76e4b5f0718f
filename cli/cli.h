/* SPDX-License-Identifier: Apache-2.0 */
/* The command line as data. A command is a row: its name, its options as tables, a function. The
 * same tables parse, print --help, and make the shell completions and man pages, so that they
 * cannot drift apart. Spelling follows click, which the reference uses: `-x`, `--long VAL`,
 * `--long=VAL`, clusters `-Fo VAL` (long names of one dash and several letters are allowed: "-Fo"),
 * joined status letters `-Set`, options may follow arguments, `--` ends options. */
#pragma once

#include <glib.h>

typedef enum {
    OPT_FLAG,   /* present or not */
    OPT_COUNT,  /* may repeat: -aa */
    OPT_STRING, /* one value; a second replaces the first */
    OPT_INT,    /* one integer, checked */
    OPT_FLOAT,
    OPT_MULTI, /* one value each, may repeat */
    OPT_OPTIONAL, /* value may be left out: -L, -L5 (click's flag_value); then it is `optional_value` */
} CliOptionKind;

typedef struct CliOption {
    const char *key; /* how the command asks for it: "max_trials" */
    const char *
            names; /* "-m, --max-trials": as shown; parsed from here too; '/' joins an off switch */
    CliOptionKind kind;
    const char *metavar;  /* "N"; NULL for flags */
    const char *help;     /* sentences; wrapped by the help printer */
    const char *complete; /* what completes the value, a kind of complete.h; NULL: nothing */
    const char *optional_value;
    gboolean hidden;
    const char *at_least; /* the least that an OPT_INT may be; NULL: any */
    const char *undoes;   /* key of the flag that this one takes back: of both the last counts */
    const char *shown;    /* in --help in place of `names`; "": in the row of another option */
} CliOption;
#define CLI_OPTIONS_END                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

typedef struct CliArgs CliArgs;
typedef struct CliCommand CliCommand;
struct CliCommand {
    const char *name;    /* "runs"; aliases after '|': "select|sel" */
    const char *args;    /* usage of the arguments: "[OPERATION] [FLAG]..." */
    const char *summary; /* one line for `guild --help` */
    const char *help;    /* paragraphs of --help, blank line between; plain text */
    const CliOption *const
            *options;          /* NULL-terminated list of tables, each ended by CLI_OPTIONS_END */
    int (*run)(CliArgs *args); /* exit status; NULL if only a group */
    const CliCommand *const *sub; /* NULL-terminated; NULL for none */
    const char *args_complete;    /* as CliOption.complete, for arguments */
    gboolean hidden;
};

/* All commands; cli/commands.c. */
extern const CliCommand *const cli_commands[];
/* The options of `guild` itself, before a command; cli/cli.c. */
extern const CliOption cli_global_options[];
#define CLI_MAIN_SUMMARY "Runs experiments, here and on other machines."

gboolean cli_flag(const CliArgs *a, const char *key);
int cli_count(const CliArgs *a, const char *key);
const char *cli_string(const CliArgs *a, const char *key); /* NULL if not given */
gint64 cli_int(const CliArgs *a, const char *key, gint64 dflt);
double cli_float(const CliArgs *a, const char *key, double dflt);
const char *const *cli_multi(const CliArgs *a, const char *key); /* never NULL; may be empty */
gboolean cli_given(const CliArgs *a, const char *key);
/* Given, and not as an empty text, which the reference takes for none. */
gboolean cli_is_set(const CliArgs *a, const char *key);
const char *const *cli_positional(const CliArgs *a); /* NULL-terminated */
guint cli_n_positional(const CliArgs *a);
const CliCommand *cli_command(const CliArgs *a);

/* Global options: -C/--cwd DIR, -H PATH, --debug, --test etc. are applied before a command runs.
 * Where commands find things: */
const char *cli_cwd(void);  /* absolute */
const char *cli_home(void); /* Guild home, absolute (engine/project/home.h) */
/* For the completion of a line that has the global option of this key: finds things where it would,
 * if that is a folder. Makes none. */
void cli_complete_global(const char *key, const char *value);

/* Prints "guild: MESSAGE" on stderr and gives 1, for `return cli_error(...)`. */
int cli_error(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
int cli_gerror(GError *error /* taken over */);
/* FALSE with a message (exit status 2) if there are more than `max` arguments. Those of a command
 * that takes none are refused before it runs. */
gboolean cli_check_max_args(const CliArgs *a, guint max);
int cli_usage_error(const CliArgs *a, const char *fmt, ...) G_GNUC_PRINTF(2, 3); /* gives 2 */

/* Parses and runs; the program's main. */
int cli_main(int argc, char **argv);
/* Runs another command from within: argv without "guild". */
int cli_run_command(const char *const *argv);
