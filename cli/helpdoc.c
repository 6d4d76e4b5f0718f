/* SPDX-License-Identifier: Apache-2.0 */
/* Laying out help text. See helpdoc.h. The rules are those of click's formatter over Python's
 * textwrap. */
#include "cli/helpdoc.h"

#include <string.h>

#include "cli/out.h"

enum { WIDTH_MAX = 80, WIDTH_MIN = 50, TERM_MAX = 30, GAP = 2, TEXT_MIN = 10 };

HelpDoc *helpdoc_new(guint width)
{
    HelpDoc *doc = g_new0(HelpDoc, 1);
    doc->out = g_string_new(NULL);
    doc->width = width ? width : (guint)MAX(MIN(out_width(), WIDTH_MAX) - 2, WIDTH_MIN);
    return doc;
}

char *helpdoc_finish(HelpDoc *doc)
{
    char *text = g_string_free(doc->out, FALSE);
    g_free(doc);
    return text;
}

/* ---- wrapping ---- */

static guint text_len(const char *s, gssize n)
{
    return (guint)g_utf8_strlen(s, n);
}

static gboolean is_word(gunichar c)
{
    return g_unichar_isalnum(c) || c == '_';
}

static gboolean is_letter(gunichar c)
{
    return is_word(c) && !g_unichar_isdigit(c);
}

static gboolean is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

/* The `n`th character of `text` before `at`, 0 for none. */
static gunichar char_before(const char *text, const char *at, guint n)
{
    for (; n && at > text; n--)
        at = g_utf8_prev_char(at);
    return n ? 0 : g_utf8_get_char(at);
}

/* May the word be broken after the hyphen at `at`? So in "two-fold" and "e-b-it", not in "-1-2". */
static gboolean breaks_after_hyphen(const char *text, const char *at)
{
    if (!is_letter(char_before(text, at, 1)))
        return FALSE;
    gunichar before = char_before(text, at, 2);
    if (!is_letter(before) && (before != '-' || !is_letter(char_before(text, at, 3))))
        return FALSE;
    if (!is_letter(g_utf8_get_char(at + 1)))
        return FALSE;
    const char *next = g_utf8_next_char(at + 1);
    return is_letter(g_utf8_get_char(*next == '-' ? next + 1 : next));
}

/* The length of the dash of two or more hyphens at `at` that stands between words, else 0. */
static gsize dash_len(const char *text, const char *at)
{
    gsize n = strspn(at, "-");
    if (n < 2 || !is_word(g_utf8_get_char(at + n)))
        return 0;
    gunichar before = char_before(text, at, 1);
    return is_word(before) || (before && before < 0x80 && strchr("!\"'&.,?", (int)before)) ? n : 0;
}

/* The next piece of `text` at `s` that is not broken: spaces, a dash, or a word up to its end, a
 * hyphen or a dash. */
static gsize chunk_len(const char *text, const char *s)
{
    if (is_space(*s))
        return strspn(s, " \n\t");
    gsize dash = dash_len(text, s);
    if (dash)
        return dash;
    gsize n = 1;
    for (; s[n] && !is_space(s[n]); n++) {
        if (s[n] == '-' && dash_len(text, s + n))
            return n;
        if (s[n] == '-' && breaks_after_hyphen(text, s + n))
            return n + 1;
    }
    return n;
}

/* `text` in lines of at most `width` columns including the indents. */
static void append_filled(
        GString *out, const char *text, guint width, const char *first, const char *rest)
{
    const char *start = text;
    const char *end = text; /* of the piece that `text` is in */
    const char *indent = first;
    guint column = 0;
    const char *pending = NULL; /* spaces that come before the next word if it fits */
    gsize pending_len = 0;
    gboolean any = FALSE;
    gboolean cut = FALSE; /* is the line full of a word longer than a line? */
    while (*text) {
        if (text >= end)
            end = text + chunk_len(start, text);
        gsize n = (gsize)(end - text);
        if (is_space(*text)) {
            if (column || !any) {
                pending = text;
                pending_len = n;
            }
            text += n;
            continue;
        }
        guint room = width > text_len(indent, -1) ? width - text_len(indent, -1) : 1;
        guint cols = text_len(text, n);
        gboolean fills = cols > room && column + pending_len <= room && !cut;
        if (column && column + pending_len + cols > room && !fills) {
            g_string_append_c(out, '\n');
            indent = rest;
            column = 0;
            pending_len = 0;
            room = width > text_len(indent, -1) ? width - text_len(indent, -1) : 1;
        }
        if (!column)
            g_string_append(out, indent);
        g_string_append_len(out, pending, pending_len);
        column += pending_len;
        pending_len = 0;
        cut = cols > room;
        if (cut) {
            cols = MAX(room - MIN(room, column), 1);
            n = (gsize)(g_utf8_offset_to_pointer(text, cols) - text);
        }
        g_string_append_len(out, text, n);
        column += cols;
        any = TRUE;
        text += n;
    }
}

static void append_raw(GString *out, char **lines, const char *indent)
{
    for (guint i = 0; lines[i]; i++)
        g_string_append_printf(out, "%s%s%s", i ? "\n" : "", indent, lines[i]);
}

/* One paragraph: lines of text without an empty one among them. */
static void append_paragraph(GString *out, GPtrArray *lines, guint width, const char *indent)
{
    if (!lines->len)
        return;
    if (out->len)
        g_string_append(out, "\n\n");
    g_ptr_array_add(lines, NULL);
    char **all = (char **)lines->pdata;
    if (g_str_equal(all[0], "\b")) {
        append_raw(out, all + 1, indent);
    } else {
        const char *text = all[0];
        while (*text == ' ')
            text++;
        g_autofree char *deeper = g_strdup_printf("%s%*s", indent, (int)(text - all[0]), "");
        all[0] = (char *)text;
        g_autofree char *joined = g_strjoinv(" ", all);
        append_filled(out, joined, width, deeper, deeper);
    }
    g_ptr_array_set_size(lines, 0);
}

static char *wrapped(const char *text, guint width, const char *indent)
{
    GString *out = g_string_new(NULL);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) paragraph = g_ptr_array_new();
    for (char **line = lines; *line; line++) {
        if (**line)
            g_ptr_array_add(paragraph, *line);
        else
            append_paragraph(out, paragraph, width, indent);
    }
    append_paragraph(out, paragraph, width, indent);
    return g_string_free(out, FALSE);
}

/* ---- elements ---- */

static char *indent_text(const HelpDoc *doc)
{
    return g_strnfill(doc->indent, ' ');
}

void helpdoc_usage(HelpDoc *doc, const char *args)
{
    static const char prefix[] = "Usage: guild ";
    g_autofree char *rest = g_strnfill(strlen(prefix), ' ');
    append_filled(doc->out, args, doc->width, prefix, rest);
    g_string_append_c(doc->out, '\n');
}

void helpdoc_heading(HelpDoc *doc, const char *heading)
{
    g_string_append_printf(doc->out, "%*s%s:\n", (int)doc->indent, "", heading);
}

void helpdoc_paragraph(HelpDoc *doc)
{
    if (doc->out->len)
        g_string_append_c(doc->out, '\n');
}

void helpdoc_text(HelpDoc *doc, const char *text)
{
    g_autofree char *indent = indent_text(doc);
    g_autofree char *lines = wrapped(text, doc->width, indent);
    g_string_append_printf(doc->out, "%s\n", lines);
}

static void append_definition(HelpDoc *doc, const char *text, guint first_col)
{
    guint width = doc->width > first_col + 2 ? MAX(doc->width - first_col - 2, TEXT_MIN) : TEXT_MIN;
    g_autofree char *all = wrapped(text, width, "");
    g_auto(GStrv) lines = g_strsplit(all, "\n", -1);
    guint n = g_strv_length(lines);
    while (n && !*lines[n - 1])
        n--;
    if (!n) {
        g_string_append_c(doc->out, '\n');
        return;
    }
    for (guint i = 0; i < n; i++)
        g_string_append_printf(
                doc->out, "%*s%s\n", i ? (int)(first_col + doc->indent) : 0, "", lines[i]);
    if (n > 1)
        g_string_append_c(doc->out, '\n');
}

void helpdoc_dl(HelpDoc *doc, const char *const *terms, const char *const *texts, guint n)
{
    guint widest = 0;
    for (guint i = 0; i < n; i++)
        widest = MAX(widest, text_len(terms[i], -1));
    guint first_col = MIN(widest, TERM_MAX) + GAP;
    for (guint i = 0; i < n; i++) {
        g_string_append_printf(doc->out, "%*s%s", (int)doc->indent, "", terms[i]);
        guint len = text_len(terms[i], -1);
        if (!*texts[i]) {
            g_string_append_c(doc->out, '\n');
            continue;
        }
        if (len <= first_col - GAP)
            g_string_append_printf(doc->out, "%*s", (int)(first_col - len), "");
        else
            g_string_append_printf(doc->out, "\n%*s", (int)(first_col + doc->indent), "");
        append_definition(doc, texts[i], first_col);
    }
}

void helpdoc_indent(HelpDoc *doc)
{
    doc->indent += 2;
}

void helpdoc_dedent(HelpDoc *doc)
{
    doc->indent -= MIN(doc->indent, 2);
}
