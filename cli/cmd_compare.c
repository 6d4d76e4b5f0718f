/* SPDX-License-Identifier: Apache-2.0 */
/* `guild compare`: runs side by side, as a table or a CSV file. Where the reference opens a full
 * screen table, this prints the table. */
#include "cli/commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/compare_data.h"
#include "cli/out.h"
#include "cli/runs_args.h"
#include "engine/base/fs.h"
#include "engine/run/describe.h"
#include "engine/run/scalars.h"

static const CliOption compare_options[] = {
        {"min_col", "--min", OPT_STRING, "COLUMN", "Show the lowest values of COLUMN first."},
        {"max_col", "--max", OPT_STRING, "COLUMN", "Show the highest values of COLUMN first."},
        {"limit", "-n, --limit, --top", OPT_INT, "N", "Show only the first N runs.",
                .at_least = "1"},
        {"extra_cols", "-e, --extra-cols", OPT_FLAG, NULL,
                "Show extra columns, such as the source code's digest."},
        {"all_scalars", "-s, --all-scalars", OPT_FLAG, NULL, "Show system scalars too."},
        {"cols", "-c, --cols, --columns", OPT_STRING, "COLUMNS",
                "More columns, separated by commas. Not with --strict-cols."},
        {"strict_cols", "-cc, --strict-cols, --strict-columns", OPT_STRING, "COLUMNS",
                "Only these columns, separated by commas. Not with --cols."},
        {"skip_op_cols", "-p, --skip-op-cols", OPT_FLAG, NULL,
                "Leave out the columns of the operation."},
        {"skip_core", "-r, --skip-core", OPT_FLAG, NULL, "Leave out the core columns."},
        {"skip_unchanged", "-u, --skip-unchanged", OPT_FLAG, NULL,
                "Leave out columns in which all values are the same."},
        {"table", "-t, --table", OPT_FLAG, NULL, "Print a table (the default)."},
        {"csv", "--csv", OPT_STRING, "PATH", "Write a CSV file; '-' prints it.", "file"},
        {"tool", "--tool", OPT_STRING, "TOOL", "Compare with another tool; none is supported.",
                .hidden = TRUE},
        {"include_batch", "--include-batch", OPT_FLAG, NULL, "Include batch runs."},
        {"print_scalars", "--print-scalars", OPT_FLAG, NULL, "Show the scalars that there are."},
        {"remote", "--remote", OPT_STRING, "REMOTE",
                "Use the runs of REMOTE rather than those here.", "remote"},
        CLI_OPTIONS_END,
};

static int print_scalars(GPtrArray *runs, RunIndex *index)
{
    for (guint i = 0; i < runs->len; i++) {
        g_autofree char *operation = run_format_operation(runs->pdata[i]);
        g_autoptr(Value) scalars = run_index_scalars(index, runs->pdata[i]);
        printf("[%.8s] %s\n", run_id(runs->pdata[i]), operation);
        for (gsize k = 0; k < value_list_size(scalars); k++) {
            const Value *s = value_list_at(scalars, k);
            g_autofree char *key =
                    scalar_key(value_map_string(s, "prefix", ""), value_map_string(s, "tag", ""));
            printf("  %s: %.6f (step %" G_GINT64_FORMAT ")\n", key,
                    value_get_float(value_map_get(s, "last_val")),
                    value_map_int(s, "last_step", 0));
        }
    }
    return 0;
}

static void print_table(const CompareTable *data)
{
    guint n = data->header->len;
    if (n == 0)
        return;
    g_autoptr(OutTable) table = out_table_new(n);
    out_table_unclip(table);
    char **heading = g_new0(char *, n + 1);
    for (guint c = 0; c < n; c++)
        heading[c] = g_strdup(data->header->pdata[c]);
    out_table_add(table, heading);
    for (guint r = 0; r < data->rows->len; r++) {
        GPtrArray *row = data->rows->pdata[r];
        char **cells = g_new0(char *, n + 1);
        for (guint c = 0; c < n; c++)
            cells[c] = value_str(row->pdata[c]);
        out_table_add(table, cells);
    }
    out_table_print(table, stdout, 0, OUT_PLAIN);
}

/* A cell with a comma, quote or line break stands in quotes. */
static void write_csv_cell(FILE *out, const char *text, gboolean only)
{
    if (!strpbrk(text, ",\"\n\r") && !(only && !*text)) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

static void write_csv_rows(const CompareTable *data, FILE *out)
{
    guint n = data->header->len;
    for (guint c = 0; c < n; c++) {
        fputs(c ? "," : "", out);
        write_csv_cell(out, data->header->pdata[c], n == 1);
    }
    if (n > 0)
        fputc('\n', out);
    for (guint r = 0; r < data->rows->len; r++) {
        GPtrArray *row = data->rows->pdata[r];
        for (guint c = 0; c < n; c++) {
            Value *v = row->pdata[c];
            g_autofree char *text = v && !value_is_null(v) ? value_str(v) : g_strdup("");
            fputs(c ? "," : "", out);
            write_csv_cell(out, text, n == 1);
        }
        fputc('\n', out);
    }
}

static int write_csv(const CompareTable *data, const char *path)
{
    if (strcmp(path, "-") == 0) {
        write_csv_rows(data, stdout);
        return 0;
    }
    g_autofree char *dir = g_path_get_dirname(path);
    g_autoptr(GError) error = NULL;
    if (!fs_mkdirs(dir, &error))
        return cli_gerror(g_steal_pointer(&error));
    FILE *out = fopen(path, "we");
    if (!out)
        return cli_error("error opening %s: %s", path, g_strerror(errno));
    write_csv_rows(data, out);
    if (fclose(out) != 0)
        return cli_error("error writing %s: %s", path, g_strerror(errno));
    int n = data->header->len ? (int)data->rows->len : -1;
    fprintf(stderr, "Wrote %d row(s) to %s\n", n, path);
    return 0;
}

static gboolean check_args(CliArgs *args)
{
    static const char *const incompatible[] = {
            "table", "csv", "table", "tool", "csv", "tool", NULL};
    if (!runs_check_incompatible(args, incompatible))
        return FALSE;
    if (cli_is_set(args, "strict_cols") && cli_is_set(args, "cols"))
        cli_error("--cols cannot be used with --strict-cols");
    else if (cli_given(args, "tool"))
        cli_error("unknown compare tool '%s' - use --csv and open the file with it",
                cli_string(args, "tool"));
    else
        return TRUE;
    return FALSE;
}

static GPtrArray *without_batches(GPtrArray *runs /* taken over */)
{
    GPtrArray *kept = run_array_new();
    for (guint i = 0; i < runs->len; i++)
        if (!run_has_marker(runs->pdata[i], "proto"))
            g_ptr_array_add(kept, run_ref(runs->pdata[i]));
    g_ptr_array_unref(runs);
    return kept;
}

static int compare(CliArgs *args)
{
    if (!check_args(args))
        return 1;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, TRUE))
        return choice.status;
    choice.terse = TRUE;
    g_autoptr(GPtrArray) runs = runs_choice_selected(&choice, cli_positional(args));
    if (!runs)
        return choice.status;
    g_autoptr(RunIndex) index = run_index_open(choice.store);
    run_index_expect_scalars(index, runs);
    if (cli_flag(args, "print_scalars"))
        return print_scalars(runs, index);
    if (!cli_flag(args, "include_batch"))
        runs = without_batches(runs);
    const char *csv = cli_string(args, "csv"), *strict = cli_string(args, "strict_cols");
    const CompareOptions options = {
            .skip_core = strict || cli_flag(args, "skip_core"),
            .skip_op_cols = strict || cli_flag(args, "skip_op_cols"),
            .extra_cols = cli_flag(args, "extra_cols"),
            .all_scalars = cli_flag(args, "all_scalars"),
            .skip_unchanged = cli_flag(args, "skip_unchanged"),
            .cols = strict                     ? strict
                    : cli_is_set(args, "cols") ? cli_string(args, "cols")
                                               : NULL,
            .min_col = cli_string(args, "min_col"),
            .max_col = cli_string(args, "max_col"),
            .limit = cli_int(args, "limit", 0),
            .format = csv == NULL,
    };
    g_autoptr(CompareTable) table = compare_table_new(runs, index, &options);
    if (csv)
        return write_csv(table, csv);
    print_table(table);
    return 0;
}

static const CliOption *const tables[] = {
        compare_options, runs_common_filters, runs_status_filters, NULL};

const CliCommand cmd_compare = {
        .name = "compare",
        .args = "[RUN]...",
        .summary = "Compare run results.",
        .help = "Prints a table of runs with their flags and the last values of their scalars; of "
                "all "
                "runs unless RUN is given.\n\nA column in COLUMNS is a scalar ('loss', 'min loss', "
                "'loss step'), '=FLAG' or '.ATTRIBUTE', each with 'as HEADING' if another heading "
                "is "
                "wanted. --min and --max take a heading.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = compare,
        .args_complete = "run",
};
