/* SPDX-License-Identifier: Apache-2.0 */
/* click's text layout; see help_writer.h. */
#include "cli/help_writer.h"

#include <string.h>

#include "cli/out.h"

#define INDENT 2
#define MAX_TERM 30
#define TERM_SPACING 2

HelpWriter *help_writer_new(void)
{
    HelpWriter *w = g_new0(HelpWriter, 1);
    w->text = g_string_new(NULL);
    w->width = MAX(MIN(out_width(), 80) - 2, 50);
    return w;
}

void help_writer_free(HelpWriter *w)
{
    g_string_free(w->text, TRUE);
    g_free(w);
}

void help_indent(HelpWriter *w)
{
    w->indent += INDENT;
}

void help_dedent(HelpWriter *w)
{
    w->indent -= INDENT;
}

static glong columns(const char *s)
{
    return g_utf8_strlen(s, -1);
}

/* Wrapping as Python's textwrap does it: words may be broken behind a hyphen between letters, and anywhere
 * if they are longer than a line. */

typedef struct Wrap {
    GString *out;
    const char *first, *rest; /* what a line begins with */
    glong width;
    glong used; /* columns of the current line; -1: none has begun */
} Wrap;

static void wrap_begin_line(Wrap *w)
{
    const char *prefix = w->used < 0 ? w->first : w->rest;
    if (w->used >= 0)
        g_string_append_c(w->out, '\n');
    g_string_append(w->out, prefix);
    w->used = columns(prefix);
}

/* Adds a piece that begins behind `blanks` blanks, unless it begins a line. */
static void wrap_add(Wrap *w, guint blanks, const char *piece, gsize len)
{
    g_autofree char *copy = g_strndup(piece, len);
    const char *p = copy;
    glong n = columns(p);
    gboolean at_start = w->used < 0 || w->used == columns(w->used < 0 ? w->first : w->rest);
    gboolean fits = w->used + (glong)blanks + n <= w->width;
    /* What is longer than any line is cut where it stands. */
    gboolean cut_here = n > w->width - columns(w->rest) && w->used + (glong)blanks < w->width;
    if (w->used < 0) {
        wrap_begin_line(w);
    } else if (!fits && !cut_here && !at_start) {
        wrap_begin_line(w);
    } else {
        g_string_append_printf(w->out, "%*s", (int)blanks, "");
        w->used += blanks;
    }
    while (w->used + n > w->width && w->width > w->used) {
        const char *cut = g_utf8_offset_to_pointer(p, w->width - w->used);
        g_string_append_len(w->out, p, cut - p);
        w->used = w->width;
        p = cut;
        n = columns(p);
        if (n)
            wrap_begin_line(w);
    }
    g_string_append(w->out, p);
    w->used += n;
}

/* End of the part of `word` up to which it must stay in one line. */
static const char *piece_end(const char *word, const char *end)
{
    for (const char *p = word + 1; p + 1 < end; p++)
        if (*p == '-' && g_ascii_isalpha(p[-1]) && g_ascii_isalpha(p[1]))
            return p + 1;
    return end;
}

static char *wrap(const char *text, guint width, const char *first, const char *rest)
{
    Wrap w = {g_string_new(NULL), first, rest, width, -1};
    const char *p = text;
    while (*p) {
        guint blanks = strspn(p, " \t\n");
        p += blanks;
        const char *end = p + strcspn(p, " \t\n");
        while (p < end) {
            const char *stop = piece_end(p, end);
            wrap_add(&w, blanks, p, stop - p);
            blanks = 0;
            p = stop;
        }
    }
    return g_string_free(w.out, FALSE);
}

typedef struct Paragraphs {
    GString *out;
    GPtrArray *lines; /* of the current one, borrowed */
    guint width, indent, extra;
} Paragraphs;

static void flush_paragraph(Paragraphs *p)
{
    if (!p->lines->len)
        return;
    if (p->out->len)
        g_string_append(p->out, "\n\n");
    g_autofree char *prefix = g_strnfill(p->indent + p->extra, ' ');
    if (strcmp(g_ptr_array_index(p->lines, 0), "\b") == 0) {
        for (guint i = 1; i < p->lines->len; i++)
            g_string_append_printf(p->out, "%s%s%s", i > 1 ? "\n" : "", prefix,
                    (char *)g_ptr_array_index(p->lines, i));
    } else {
        g_ptr_array_add(p->lines, NULL);
        g_autofree char *joined = g_strjoinv(" ", (char **)p->lines->pdata);
        g_autofree char *text = wrap(joined, p->width, prefix, prefix);
        g_string_append(p->out, text);
    }
    g_ptr_array_set_size(p->lines, 0);
}

static char *wrap_paragraphs(const char *text, guint width, guint indent)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    Paragraphs p = {g_string_new(NULL), g_ptr_array_new(), width, indent, 0};
    for (char **l = lines; *l; l++) {
        if (!**l) {
            flush_paragraph(&p);
            continue;
        }
        const char *line = *l;
        if (!p.lines->len) {
            p.extra = strspn(line, " ");
            line += p.extra;
        }
        g_ptr_array_add(p.lines, (gpointer)line);
    }
    flush_paragraph(&p);
    g_ptr_array_unref(p.lines);
    return g_string_free(p.out, FALSE);
}

void help_write_usage(HelpWriter *w, const char *program, const char *args)
{
    g_autofree char *first = g_strdup_printf("Usage: %s ", program);
    g_autofree char *rest = g_strnfill(columns(first), ' ');
    g_autofree char *text = wrap(args, w->width - w->indent, first, rest);
    g_string_append_printf(w->text, "%s\n", text);
}

void help_write_paragraph(HelpWriter *w)
{
    if (w->text->len)
        g_string_append_c(w->text, '\n');
}

void help_write_heading(HelpWriter *w, const char *heading)
{
    g_string_append_printf(w->text, "%*s%s:\n", w->indent, "", heading);
}

void help_write_text(HelpWriter *w, const char *text)
{
    guint width = MAX((int)w->width - (int)w->indent, 11);
    g_autofree char *wrapped = wrap_paragraphs(text, width, w->indent);
    g_string_append_printf(w->text, "%s\n", wrapped);
}

static void write_item(HelpWriter *w, const HelpItem *item, guint first_col)
{
    g_string_append_printf(w->text, "%*s%s", w->indent, "", item->term);
    if (!item->text || !*item->text) {
        g_string_append_c(w->text, '\n');
        return;
    }
    guint len = columns(item->term);
    if (len + TERM_SPACING <= first_col)
        g_string_append_printf(w->text, "%*s", first_col - len, "");
    else
        g_string_append_printf(w->text, "\n%*s", first_col + w->indent, "");
    guint width = MAX((int)w->width - (int)first_col - 2, 10);
    g_autofree char *wrapped = wrap_paragraphs(item->text, width, 0);
    g_auto(GStrv) lines = g_strsplit(g_strchomp(wrapped), "\n", -1);
    for (char **l = lines; *l; l++) {
        if (l == lines)
            g_string_append_printf(w->text, "%s\n", *l);
        else
            g_string_append_printf(w->text, "%*s%s\n", first_col + w->indent, "", *l);
    }
    if (!lines[0])
        g_string_append_c(w->text, '\n');
    else if (lines[1])
        g_string_append_c(w->text, '\n');
}

void help_write_items(HelpWriter *w, const HelpItem *items, gsize n)
{
    glong longest = 0;
    for (gsize i = 0; i < n; i++)
        longest = MAX(longest, columns(items[i].term));
    for (gsize i = 0; i < n; i++)
        write_item(w, &items[i], MIN(longest, MAX_TERM) + TERM_SPACING);
}
