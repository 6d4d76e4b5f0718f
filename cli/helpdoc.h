/* SPDX-License-Identifier: Apache-2.0 */
/* Text laid out as click's HelpFormatter lays it out: wrapped paragraphs, definition lists, nested
 * indents. The help of operations and projects is printed with it. Paragraphs are separated by
 * empty lines; one that begins with a line of a single "\b" is kept as it is. */
#pragma once

#include <glib.h>

typedef struct HelpDoc {
    GString *out;
    guint indent;
    guint width;
} HelpDoc;

/* width 0: the terminal's, at most 78. */
HelpDoc *helpdoc_new(guint width);
char *helpdoc_finish(HelpDoc *doc); /* the text; frees doc */

void helpdoc_usage(HelpDoc *doc, const char *args);      /* "Usage: guild ARGS" */
void helpdoc_heading(HelpDoc *doc, const char *heading); /* "Heading:" */
void helpdoc_paragraph(HelpDoc *doc);                    /* an empty line */
void helpdoc_text(HelpDoc *doc, const char *text);
/* One (term, description) after the other; descriptions wrap beside the longest term. */
void helpdoc_dl(HelpDoc *doc, const char *const *terms, const char *const *texts, guint n);
void helpdoc_indent(HelpDoc *doc);
void helpdoc_dedent(HelpDoc *doc);
