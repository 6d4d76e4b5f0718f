/* SPDX-License-Identifier: Apache-2.0 */
/* What a run printed: `.guild/output`, the bytes of both streams as they came, and
 * `.guild/output.index`, one record a line in the order in which lines ended (reference:
 * guild/op_util.py RunOutput): 8 bytes big endian milliseconds since 1970, 1 byte stream (0 stdout,
 * 1 stderr). A last line without a newline has a record too, written when its stream ends. */
#pragma once

#include "engine/run/run.h"

typedef enum { RUN_STDOUT = 0, RUN_STDERR = 1 } RunStream;

typedef struct RunOutput RunOutput;

/* Gets each line with its newline if it has one; control bytes below tab are left out. A line
 * longer than 1 MiB comes in pieces. */
typedef void (*RunOutputLineFn)(RunStream stream, const char *line, gsize len, gpointer data);

/* Truncates both files. line_fn may be NULL. */
RunOutput *run_output_open(Run *run, RunOutputLineFn line_fn, gpointer data, GError **error);
/* Goes on with what is there: a line that was cut off is completed by what comes next, whatever its
 * stream, and the index gets or loses what a kill between the two writes left amiss. Both files are
 * read through. */
RunOutput *run_output_append(Run *run, RunOutputLineFn line_fn, gpointer data, GError **error);
/* A chunk as read from the child. */
gboolean run_output_write(
        RunOutput *out, RunStream stream, const void *data, gsize len, GError **error);
/* The stream is at its end: a line without a newline is complete now. */
void run_output_end(RunOutput *out, RunStream stream);
/* Ends both streams and frees. */
void run_output_close(RunOutput *out);

/* Reading, line by line. Lines beyond the index have time 0 and stream stdout. */
typedef struct RunOutputReader RunOutputReader;
typedef struct RunOutputLine {
    const char *text; /* without the newline; valid until the next call */
    gsize len;
    gint64 time_ms;
    RunStream stream;
} RunOutputLine;
RunOutputReader *run_output_reader_open(Run *run, GError **error); /* error if there is no output */
gboolean run_output_reader_next(RunOutputReader *r, RunOutputLine *line);
void run_output_reader_free(RunOutputReader *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunOutputReader, run_output_reader_free)
