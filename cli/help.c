/* SPDX-License-Identifier: Apache-2.0 */
/* See help.h. */
#include "cli/help.h"

#include "cli/parse.h"

#include <string.h>

enum { MAX_WIDTH = 80, FIRST_COLUMN_MAX = 30, GAP = 2 };

typedef struct {
    char *term;
    char *text;
} Row;

static void row_clear(gpointer data)
{
    Row *row = data;
    g_free(row->term);
    g_free(row->text);
}

static GArray *rows_new(void)
{
    GArray *rows = g_array_new(FALSE, FALSE, sizeof(Row));
    g_array_set_clear_func(rows, row_clear);
    return rows;
}

/* Appends text wrapped to `width`, each line but the first after `indent` spaces. */
static void append_wrapped(GString *out, const char *text, guint indent, guint width)
{
    g_auto(GStrv) words = g_strsplit_set(text, " \n", -1);
    guint column = 0;
    for (gsize i = 0; words[i]; i++) {
        guint n = (guint)g_utf8_strlen(words[i], -1);
        if (n == 0)
            continue;
        if (column > 0 && column + 1 + n > width) {
            g_string_append_printf(out, "\n%*s", (int)indent, "");
            column = 0;
        } else if (column > 0) {
            g_string_append_c(out, ' ');
            column++;
        }
        g_string_append(out, words[i]);
        column += n;
    }
    g_string_append_c(out, '\n');
}

/* Paragraphs are wrapped; one whose lines begin with spaces is kept as it is (an example). */
static void append_paragraphs(GString *out, const char *text)
{
    g_auto(GStrv) paragraphs = g_strsplit(text, "\n\n", -1);
    for (gsize i = 0; paragraphs[i]; i++) {
        if (paragraphs[i][0] == ' ') {
            g_auto(GStrv) lines = g_strsplit(paragraphs[i], "\n", -1);
            for (gsize l = 0; lines[l]; l++)
                g_string_append_printf(out, "  %s\n", lines[l]);
        } else {
            g_string_append(out, "  ");
            append_wrapped(out, paragraphs[i], 2, MAX_WIDTH - 4);
        }
        g_string_append_c(out, '\n');
    }
}

static void append_rows(GString *out, const char *title, const GArray *rows)
{
    guint first = 0;
    for (guint i = 0; i < rows->len; i++)
        first = MAX(first, (guint)g_utf8_strlen(g_array_index(rows, Row, i).term, -1));
    first = MIN(first, FIRST_COLUMN_MAX) + GAP;
    g_string_append_printf(out, "%s:\n", title);
    for (guint i = 0; i < rows->len; i++) {
        const Row *row = &g_array_index(rows, Row, i);
        guint n = (guint)g_utf8_strlen(row->term, -1);
        g_string_append_printf(out, "  %s", row->term);
        if (n + GAP <= first)
            g_string_append_printf(out, "%*s", (int)(first - n), "");
        else
            g_string_append_printf(out, "\n%*s", (int)first + 2, "");
        append_wrapped(out, row->text, first + 2, MAX_WIDTH - 2 - first);
    }
    g_string_append_c(out, '\n');
}

static gboolean add_option_row(const CliOption *o, gpointer data)
{
    const char *names = o->shown ? o->shown : o->names;
    if (o->hidden || !*names)
        return FALSE;
    Row row = {
            .term = o->metavar ? g_strdup_printf("%s %s", names, o->metavar) : g_strdup(names),
            .text = g_strdup(o->help),
    };
    g_array_append_val((GArray *)data, row);
    return FALSE;
}

static void append_options(GString *out, const CliOption *const *tables)
{
    g_autoptr(GArray) rows = rows_new();
    cli_each_option(tables, add_option_row, rows);
    Row help = {g_strdup("--help"), g_strdup("Show this message and exit.")};
    g_array_append_val(rows, help);
    append_rows(out, "Options", rows);
}

static int compare_rows(gconstpointer a, gconstpointer b)
{
    return strcmp(((const Row *)a)->term, ((const Row *)b)->term);
}

static void append_commands(GString *out, const CliCommand *const *commands)
{
    g_autoptr(GArray) rows = rows_new();
    for (gsize i = 0; commands && commands[i]; i++) {
        if (commands[i]->hidden)
            continue;
        g_auto(GStrv) names = g_strsplit(commands[i]->name, "|", -1);
        Row row = {g_strjoinv(", ", names), g_strdup(commands[i]->summary)};
        g_array_append_val(rows, row);
    }
    g_array_sort(rows, compare_rows);
    if (rows->len > 0)
        append_rows(out, "Commands", rows);
}

static char *finish(GString *out)
{
    while (out->len >= 2 && out->str[out->len - 2] == '\n')
        g_string_truncate(out, out->len - 1);
    return g_string_free(out, FALSE);
}

char *cli_help_text(const CliCommand *command, const char *path)
{
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "Usage: %s [OPTIONS]%s%s%s\n\n", path,
            command->args && command->args[0] ? " " : "", command->args ? command->args : "",
            command->sub ? " [COMMAND] [ARGS]..." : "");
    append_paragraphs(out, command->help ? command->help : command->summary);
    append_options(out, command->options);
    append_commands(out, command->sub);
    return finish(out);
}

char *cli_help_main(void)
{
    const CliOption *const tables[] = {cli_global_options, NULL};
    GString *out = g_string_new("Usage: guild [OPTIONS] COMMAND [ARGS]...\n\n");
    append_paragraphs(out, CLI_MAIN_SUMMARY);
    append_options(out, tables);
    append_commands(out, cli_commands);
    return finish(out);
}
