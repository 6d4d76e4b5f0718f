/* SPDX-License-Identifier: Apache-2.0 */
/* See runs_comments.h. Text is wrapped to the terminal's width as click's help formatter does. */
#include "cli/runs_comments.h"

#include <stdio.h>
#include <string.h>

#include "cli/runs_format.h"
#include "engine/run/describe.h"

#define MAX_TEXT_WIDTH 78
#define MIN_TEXT_WIDTH 50

/* Appends words of one paragraph, as many a line as fit; a longer word is cut. */
static void wrap_paragraph(GString *out, const char *paragraph, guint indent, glong width)
{
    g_auto(GStrv) words = g_strsplit_set(paragraph, " \t\n", -1);
    g_autofree char *margin = g_strnfill(indent, ' ');
    glong room = width - indent, used = 0;
    g_string_append(out, margin);
    for (char **w = words; *w; w++) {
        const char *word = *w;
        glong len = g_utf8_strlen(word, -1);
        if (len == 0)
            continue;
        if (used > 0 && used + 1 + len > room) {
            g_string_append_printf(out, "\n%s", margin);
            used = 0;
        }
        if (used > 0) {
            g_string_append_c(out, ' ');
            used++;
        }
        for (; len > room; len -= room) {
            const char *cut = g_utf8_offset_to_pointer(word, room);
            g_string_append_len(out, word, cut - word);
            g_string_append_printf(out, "\n%s", margin);
            word = cut;
        }
        g_string_append(out, word);
        used += len;
    }
}

static char *wrap_text(const char *text, guint indent)
{
    glong width = CLAMP(out_width() - 2, MIN_TEXT_WIDTH, MAX_TEXT_WIDTH);
    g_auto(GStrv) paragraphs = g_strsplit(text, "\n\n", -1);
    GString *out = g_string_new(NULL);
    for (char **p = paragraphs; *p; p++) {
        if (p != paragraphs)
            g_string_append(out, "\n\n");
        wrap_paragraph(out, *p, indent, width);
    }
    return g_string_free(out, FALSE);
}

static char *comment_header(const Value *comment)
{
    const char *user = value_map_string(comment, "user", "");
    const char *host = value_map_string(comment, "host", "");
    const Value *time = value_map_get(comment, "time");
    g_autofree char *when = value_kind(time) == VALUE_INT
                                    ? run_format_timestamp(value_get_int(time))
                            : time ? value_str(time)
                                   : g_strdup("");
    return g_strdup_printf("%s%s%s %s", user, *host ? "@" : "", host, when);
}

static void add_comment(OutTable *table, const Value *comment, guint index, gboolean numbered)
{
    g_autofree char *header = comment_header(comment);
    g_autofree char *line =
            numbered ? g_strdup_printf("[%u] %s", index, header) : g_strdup_printf("  %s", header);
    g_autofree char *body = wrap_text(value_map_string(comment, "body", ""), numbered ? 2 : 4);
    out_table_detail(table, line);
    out_table_detail(table, "");
    out_table_detail(table, body);
    out_table_detail(table, "");
}

void runs_comments_print(GPtrArray *runs, const char *const *columns, gboolean numbered)
{
    for (guint i = 0; i < runs->len; i++)
        if (!run_peek_opref(runs->pdata[i]))
            g_ptr_array_remove_index(runs, i--);
    g_autoptr(OutTable) table = runs_table(runs, columns, FALSE);
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(Value) comments = run_try_attr(runs->pdata[i], "comments");
        gsize n = comments && value_is_list(comments) ? value_list_size(comments) : 0;
        out_table_select(table, i);
        for (gsize c = 0; c < n; c++)
            add_comment(table, value_list_at(comments, c), (guint)c + 1, numbered);
        if (n == 0 && numbered)
            out_table_detail(table, "  <no comments>");
    }
    out_table_print(table, stdout, 0, numbered ? OUT_YELLOW : OUT_PLAIN);
}
