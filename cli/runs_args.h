/* SPDX-License-Identifier: Apache-2.0 */
/* The options that all commands about runs share, and how they choose runs. A command opens a
 * RunsChoice from its arguments, may narrow its query, and asks for all, the selected or one run;
 * errors are printed here. With `--remote` the runs are those of a remote: see runs_remote. */
#pragma once

#include "cli/cli.h"
#include "engine/run/select.h"

#define EXIT_ABORTED 4 /* the user said no */

extern const CliOption runs_common_filters[]; /* -F -Fo -Fl ... */
extern const CliOption runs_status_filters[]; /* -S -Sr -Sc ... */
extern const CliOption runs_yes_option[];     /* -y */
extern const CliOption runs_remote_option[];  /* -r, --remote */
extern const CliOption runs_archive_option[]; /* -A, --archive */

/* Help paragraphs that several commands append to theirs. */
#define RUNS_HELP_RUNS                                                                             \
    "RUN may be a run ID, the beginning of one, or an index (from 1) into the list that 'guild "   \
    "runs' shows under the same filters. START:END stands for the indexes from START to END; "     \
    "either may be left out."
#define RUNS_HELP_FILTERS                                                                          \
    "Filters choose runs before an index counts. -F takes an expression over attributes, flags "   \
    "and "                                                                                         \
    "scalars, such as 'operation = train and (acc > 0.9 or loss < 0.3)', 'lr in [0.1,0.01]', "     \
    "'label contains best', 'lr is undefined'; the prefixes 'attr:', 'flag:' and 'scalar:' say "   \
    "which is meant. -Fs takes a range of time: 'after 7-1', 'before 9:00', 'between 1-1 and "     \
    "4-30', 'last 30 min', 'today', 'this week', '3 days ago'. Letters of status options join: "   \
    "-Set."

typedef struct RunsChoice {
    CliArgs *args;
    RunStore *store;
    RunQuery query;
    char *scratch;      /* a temporary folder to remove, or NULL */
    const char *remote; /* NULL: here */
    gboolean terse;     /* errors about RUN don't point to the command's help */
    int status;         /* exit status after an error was printed */
} RunsChoice;

/* What the remote commands supply. `open` fetches what is known of a remote's runs into a folder
 * and gives it as a store, scratch folder included (removed by runs_choice_clear()); with `files`
 * it also brings the files of the runs, as `ls`, `cat` and `diff` need. `apply` does an action
 * ("delete", "label", ...) there with the command's arguments and gives an exit status. NULL where
 * there is none. */
typedef struct RunsRemote {
    RunStore *(*open)(const char *remote, gboolean files, char **scratch, GError **error);
    int (*apply)(const char *remote, const char *action, GPtrArray *runs, CliArgs *args);
} RunsRemote;
extern const RunsRemote *runs_remote;

/* FALSE after an error was printed; status is set. `files` as in RunsRemote. */
gboolean runs_choice_init(RunsChoice *choice, CliArgs *args, gboolean files);
/* The same for the runs of an archive (runs_archive.h) whatever the options say. */
gboolean runs_choice_init_archive(RunsChoice *choice, CliArgs *args, const char *archive);
void runs_choice_clear(RunsChoice *choice);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(RunsChoice, runs_choice_clear)

/* Runs that match the filters, newest first; NULL after an error. */
GPtrArray *runs_choice_filtered(RunsChoice *choice);
/* Those that `run_args` name (NULL-terminated; empty: all of them); NULL after an error. */
GPtrArray *runs_choice_selected(RunsChoice *choice, const char *const *run_args);
/* The run that `run_arg` names; NULL or "": the latest. NULL after an error. */
Run *runs_choice_one(RunsChoice *choice, const char *run_arg);

/* FALSE with a message if two options of `pairs` (key, key, ..., NULL) were given together. */
gboolean runs_check_incompatible(CliArgs *args, const char *const *pairs);
/* FALSE with a message unless one of the options was given. */
gboolean runs_check_required(CliArgs *args, const char *const *keys);
