/* SPDX-License-Identifier: Apache-2.0 */
/* Help texts laid out as click's HelpFormatter lays them out (click/formatting.py), with the definition
 * lists of the reference (guild/click_util.py), so that help on a project's operations reads as the
 * reference's does. */
#pragma once

#include <glib.h>

typedef struct HelpWriter {
    GString *text;
    guint indent; /* columns */
    guint width;  /* of a line, columns */
} HelpWriter;

typedef struct HelpItem {
    const char *term;
    const char *text; /* paragraphs are kept; may be "" */
} HelpItem;

/* Lines as wide as the terminal less 2, between 50 and 78 columns. */
HelpWriter *help_writer_new(void);
void help_writer_free(HelpWriter *w);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HelpWriter, help_writer_free)

void help_write_usage(HelpWriter *w, const char *program, const char *args);
void help_write_paragraph(HelpWriter *w); /* a blank line, but not at the very beginning */
void help_write_heading(HelpWriter *w, const char *heading); /* "Flags:" */
/* Paragraphs with blank lines between; one that begins with a line of "\b" is not wrapped. */
void help_write_text(HelpWriter *w, const char *text);
void help_write_items(HelpWriter *w, const HelpItem *items, gsize n);
void help_indent(HelpWriter *w);
void help_dedent(HelpWriter *w);
