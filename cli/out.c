/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, notes and prompts. See out.h. */
#include "cli/out.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define COLUMN_GAP 2

char *out_style(FILE *stream, OutStyle style, const char *text)
{
    static const char *const codes[] = {[OUT_DIM] = "\033[2m", [OUT_YELLOW] = "\033[33m"};
    if (style == OUT_PLAIN || !isatty(fileno(stream)) || !g_getenv("SHELL"))
        return g_strdup(text);
    return g_strconcat(codes[style], text, "\033[0m", NULL);
}

static void line_va(FILE *stream, OutStyle style, const char *fmt, va_list args)
{
    g_autofree char *text = g_strdup_vprintf(fmt, args);
    g_autofree char *styled = out_style(stream, style, text);
    fprintf(stream, "%s\n", styled);
}

void out_line(FILE *stream, OutStyle style, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    line_va(stream, style, fmt, args);
    va_end(args);
}

void out_note(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    line_va(stderr, OUT_DIM, fmt, args);
    va_end(args);
}

int out_width(void)
{
    const char *columns = g_getenv("COLUMNS");
    int n = columns ? atoi(columns) : 0;
    struct winsize size;
    if (n > 0)
        return n;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

/* --- tables --- */

typedef struct {
    char **cells, **dims, **tails;
    GPtrArray *details;
} Row;

struct OutTable {
    guint n_columns;
    GPtrArray *rows;
    guint current; /* the row that suffixes and details go to */
    glong *widths;
    gboolean unclipped;
};

static void row_free(gpointer data)
{
    Row *row = data;
    g_strfreev(row->cells);
    g_strfreev(row->dims);
    g_strfreev(row->tails);
    g_ptr_array_unref(row->details);
    g_free(row);
}

OutTable *out_table_new(guint n_columns)
{
    OutTable *table = g_new0(OutTable, 1);
    table->n_columns = n_columns;
    table->rows = g_ptr_array_new_with_free_func(row_free);
    table->widths = g_new0(glong, n_columns);
    return table;
}

void out_table_free(OutTable *table)
{
    g_ptr_array_unref(table->rows);
    g_free(table->widths);
    g_free(table);
}

static glong cell_width(const Row *row, guint column)
{
    return g_utf8_strlen(row->cells[column], -1) + g_utf8_strlen(row->dims[column], -1) +
           g_utf8_strlen(row->tails[column], -1);
}

void out_table_add(OutTable *table, char **cells)
{
    Row *row = g_new0(Row, 1);
    row->cells = g_new0(char *, table->n_columns + 1);
    row->dims = g_new0(char *, table->n_columns + 1);
    row->tails = g_new0(char *, table->n_columns + 1);
    row->details = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < table->n_columns; i++) {
        row->cells[i] = cells[i] ? cells[i] : g_strdup("");
        row->dims[i] = g_strdup("");
        row->tails[i] = g_strdup("");
        table->widths[i] = MAX(table->widths[i], cell_width(row, i));
    }
    g_free(cells);
    table->current = table->rows->len;
    g_ptr_array_add(table->rows, row);
}

void out_table_select(OutTable *table, guint index)
{
    table->current = index;
}

static Row *current_row(OutTable *table)
{
    return table->rows->pdata[table->current];
}

void out_table_suffix(OutTable *table, guint column, const char *dim, const char *plain)
{
    Row *row = current_row(table);
    g_free(row->dims[column]);
    g_free(row->tails[column]);
    row->dims[column] = g_strdup(dim);
    row->tails[column] = g_strdup(plain);
    table->widths[column] = MAX(table->widths[column], cell_width(row, column));
}

void out_table_detail(OutTable *table, const char *line)
{
    g_ptr_array_add(current_row(table)->details, g_strdup(line));
}

/* Prints at most *room characters of text and takes them off. */
static void print_cut(FILE *stream, OutStyle style, const char *text, glong *room)
{
    glong n = MIN(g_utf8_strlen(text, -1), *room);
    g_autofree char *cut = g_strndup(text, (gsize)(g_utf8_offset_to_pointer(text, n) - text));
    if (*cut) {
        g_autofree char *styled = out_style(stream, style, cut);
        fputs(styled, stream);
    }
    *room -= n;
}

static void print_row(const OutTable *table, const Row *row, FILE *stream, guint indent,
        OutStyle style, glong room)
{
    fprintf(stream, "%*s", (int)indent, "");
    room -= indent;
    for (guint i = 0; i < table->n_columns && room > 0; i++) {
        print_cut(stream, style, row->cells[i], &room);
        print_cut(stream, style == OUT_PLAIN ? OUT_DIM : style, row->dims[i], &room);
        print_cut(stream, style, row->tails[i], &room);
        if (i + 1 < table->n_columns) {
            gsize gap = (gsize)(table->widths[i] + COLUMN_GAP - cell_width(row, i));
            g_autofree char *pad = g_strnfill(gap, ' ');
            print_cut(stream, OUT_PLAIN, pad, &room);
        }
    }
    fputc('\n', stream);
    for (guint i = 0; i < row->details->len; i++)
        fprintf(stream, "%*s%s\n", (int)indent, "", (char *)row->details->pdata[i]);
}

void out_table_unclip(OutTable *table)
{
    table->unclipped = TRUE;
}

void out_table_print(OutTable *table, FILE *stream, guint indent, OutStyle style)
{
    glong room = isatty(STDOUT_FILENO) && !table->unclipped ? out_width() : G_MAXLONG;
    for (guint i = 0; i < table->rows->len; i++)
        print_row(table, table->rows->pdata[i], stream, indent, style, room);
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
    interrupted = sig;
}

/* Ctrl-C at the question ends the wait for its answer like the end of the input, from the moment
 * that it is asked; elsewhere it has its usual meaning. */
typedef struct {
    gboolean on;
    struct sigaction action;
    sigset_t mask;
} Interrupts;

static void hold_interrupts(Interrupts *before)
{
    const struct sigaction ends_wait = {.sa_handler = on_interrupt};
    sigset_t interrupt;
    sigaction(SIGINT, NULL, &before->action);
    before->on = before->action.sa_handler == SIG_DFL && isatty(STDIN_FILENO);
    if (!before->on)
        return;
    sigemptyset(&interrupt);
    sigaddset(&interrupt, SIGINT);
    sigprocmask(SIG_BLOCK, &interrupt, &before->mask);
    sigaction(SIGINT, &ends_wait, NULL);
}

static void release_interrupts(const Interrupts *before)
{
    if (!before->on)
        return;
    sigaction(SIGINT, &before->action, NULL);
    sigprocmask(SIG_SETMASK, &before->mask, NULL);
}

/* A terminal gives a line at a time, so nothing waits in stdin's buffer. */
static ssize_t read_answer(char **line, size_t *size, const Interrupts *held)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    while (held->on && ppoll(&in, 1, NULL, &held->mask) < 0)
        if (interrupted || errno != EINTR)
            return -1;
    return getline(line, size, stdin);
}

gboolean out_confirm(const char *prompt, gboolean dflt)
{
    Interrupts before;
    hold_interrupts(&before);
    fflush(stdout);
    fprintf(stderr, "%s %s ", prompt, dflt ? "(Y/n)" : "(y/N)");
    fflush(stderr);
    char *line = NULL;
    size_t size = 0;
    ssize_t n = read_answer(&line, &size, &before);
    release_interrupts(&before);
    g_autofree char *answer = g_ascii_strdown(n > 0 ? line : "", -1);
    free(line);
    if (n < 0) { /* nobody answers: as the reference, this is an error and no "no" */
        fputc('\n', stderr);
        exit(1);
    }
    g_strstrip(answer);
    return strcmp(answer, "y") == 0 || strcmp(answer, "yes") == 0 || (dflt && !*answer);
}
