/* SPDX-License-Identifier: Apache-2.0 */
/* What commands print: tables, notes, prompts. Styles are used only where the stream is a terminal
 * (and $SHELL is set, as in the reference); columns are cut to the terminal's width only there. */
#pragma once

#include <glib.h>
#include <stdio.h>

typedef enum { OUT_PLAIN, OUT_DIM, OUT_YELLOW } OutStyle;

/* `text` between the style's codes, or as it is. Newly allocated. */
char *out_style(FILE *stream, OutStyle style, const char *text);
/* A line on the stream in a style. */
void out_line(FILE *stream, OutStyle style, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* A dim line on stderr: hints that are no part of the result. */
void out_note(const char *fmt, ...) G_GNUC_PRINTF(1, 2);

/* Columns of a terminal ($COLUMNS, else the terminal's own), 80 if unknown. */
int out_width(void);

typedef struct OutTable OutTable;
OutTable *out_table_new(guint n_columns);
/* `cells`: n_columns newly allocated strings, the vector and they are taken over; NULL is "". */
void out_table_add(OutTable *table, char **cells);
/* Text behind a cell of the last row, the first part dim. */
void out_table_suffix(OutTable *table, guint column, const char *dim, const char *plain);
/* Makes row `index` the one that suffixes and details go to, until the next row is added. */
void out_table_select(OutTable *table, guint index);
/* A line printed below the last row as it is. */
void out_table_detail(OutTable *table, const char *line);
/* Lets rows be longer than the terminal is wide. */
void out_table_unclip(OutTable *table);
/* The whole table in a style; two spaces between columns, the last one not padded. */
void out_table_print(OutTable *table, FILE *stream, guint indent, OutStyle style);
void out_table_free(OutTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OutTable, out_table_free)

/* "PROMPT (y/N) " on stderr and a line from stdin. An end of input and Ctrl-C are no answer: the
 * process ends with status 1, as the reference does. */
gboolean out_confirm(const char *prompt, gboolean dflt);
