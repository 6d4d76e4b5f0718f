/* SPDX-License-Identifier: Apache-2.0 */
/* `guild select`: prints the id of a run, or an attribute of it, for use in other commands. */
#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/run/colspec.h"
#include "cli/runs_args.h"
#include "cli/runs_format.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/run/index.h"

static const CliOption select_options[] = {
        {"all", "-A, --all", OPT_FLAG, NULL, "Select all matching runs, not just the latest."},
        {"min", "-min, --min", OPT_STRING, "COLSPEC", "Select the run with the lowest COLSPEC."},
        {"max", "-max, --max", OPT_STRING, "COLSPEC", "Select the run with the highest COLSPEC."},
        {"short_id", "-s, --short-id", OPT_FLAG, NULL, "Print the short id."},
        {"attr", "-a, --attr", OPT_STRING, "ATTR", "Print an attribute of the run.", "run-attr"},
        {"path", "-p, --path, --dir", OPT_FLAG, NULL, "Print the run directory."},
        CLI_OPTIONS_END,
};

static int print_attr(Run *run, const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) raw = run_get_attr(run, name, &error);
    if (error) /* also where a listing would show nothing instead */
        return cli_gerror(g_steal_pointer(&error));
    g_autoptr(Value) formatted = runs_detail(run, name, 0);
    if (formatted) {
        g_autofree char *text = value_str(formatted);
        puts(text);
        return 0;
    }
    if (!raw && !run_has_attr(run, name))
        return cli_error("no such run attribute '%s'", name);
    g_autofree char *text = yaml_dump(raw);
    puts(text);
    return 0;
}

static int print_run(Run *run, CliArgs *args)
{
    const char *attr = cli_string(args, "attr");
    if (attr && *attr)
        return print_attr(run, attr);
    if (cli_flag(args, "short_id"))
        printf("%.8s\n", run_id(run));
    else
        puts(cli_flag(args, "path") ? run_dir(run) : run_id(run));
    return 0;
}

/* The first run with the lowest (highest) value; runs without one are last (first) as null sorts
 * lowest. */
static int print_extreme(RunsChoice *choice, GPtrArray *runs, const char *spec, gboolean highest)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) columns = colspec_parse(spec, &error);
    if (!columns)
        return cli_error("invalid col spec '%s': %s", spec, error->message);
    if (columns->len > 1)
        return cli_error("invalid col spec '%s': multiple cols not supported", spec);
    const ColSpec *column = columns->pdata[0];
    if (column->kind == COLSPEC_SCALAR && column->named_as)
        log_warning("ignoring 'as %s' in scalar", column->named_as);
    g_autoptr(RunIndex) index = run_index_open(choice->store);
    if (column->kind == COLSPEC_SCALAR)
        run_index_expect_scalars(index, runs);
    Run *best = NULL;
    g_autoptr(Value) best_value = NULL;
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(Value) v = colspec_value(column, runs->pdata[i], index);
        int c = best ? colspec_compare(v, best_value) : 0;
        if (best && (highest ? c <= 0 : c >= 0))
            continue;
        best = runs->pdata[i];
        value_unref(best_value);
        best_value = g_steal_pointer(&v);
    }
    return best ? print_run(best, choice->args) : cli_error("no matching runs");
}

static int print_all(GPtrArray *runs, CliArgs *args)
{
    int status = 0;
    for (guint i = 0; i < runs->len && status == 0; i++)
        status = print_run(runs->pdata[i], args);
    return status;
}

static int select_runs(CliArgs *args)
{
    static const char *const incompatible[] = {"short_id", "attr", "min", "max", NULL};
    if (!runs_check_incompatible(args, incompatible))
        return 1;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    const char *min = cli_string(args, "min"), *max = cli_string(args, "max");
    const char *const *run_args = cli_positional(args);
    if (!min && !max && !cli_flag(args, "all") && cli_n_positional(args) <= 1) {
        g_autoptr(Run) run = runs_choice_one(&choice, run_args[0]);
        return run ? print_run(run, args) : choice.status;
    }
    g_autoptr(GPtrArray) runs = runs_choice_selected(&choice, run_args);
    if (!runs)
        return choice.status;
    return min || max ? print_extreme(&choice, runs, min ? min : max, max != NULL)
                      : print_all(runs, args);
}

static const CliOption *const tables[] = {
        select_options, runs_common_filters, runs_status_filters, runs_remote_option, NULL};

const CliCommand cmd_select = {
        .name = "select",
        .args = "[RUN]...",
        .summary = "Select a run and show its ID.",
        .help = "Prints the id of a run, the latest unless RUN is given, for use in other "
                "commands: "
                "'guild run --restart $(guild select -Fo train)'. COLSPEC is a column as "
                "'guild compare' knows them: a scalar, '=FLAG' or '.ATTRIBUTE'.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = select_runs,
        .args_complete = "run",
};
