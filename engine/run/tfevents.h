/* SPDX-License-Identifier: Apache-2.0 */
/* TensorBoard event files, written and read. A file is a row of records: 8 bytes length, 4 bytes
 * masked CRC-32C of them, the data, 4 bytes masked CRC-32C of it, all little endian (TensorFlow's
 * record_writer). The data is a protobuf `Event` (tfevents.proto, TensorFlow's field numbers). */
#pragma once

#include <glib.h>

typedef struct TfEventWriter TfEventWriter;

/* Creates `DIR/events.out.tfevents.SECONDS.HOST.PID.N` + suffix, where N counts the files of this
 * process, and writes the version record. */
TfEventWriter *tfevent_writer_new(const char *dir, const char *suffix, GError **error);
/* One record in one write(2), so that who watches the file sees it whole. wall_time is now. */
gboolean tfevent_writer_scalar(
        TfEventWriter *w, const char *tag, float value, gint64 step, GError **error);
gboolean tfevent_writer_text(TfEventWriter *w, const char *tag, const char *text, GError **error);
void tfevent_writer_free(TfEventWriter *w); /* NULL is ignored */

/* What a summary value in a file says. */
typedef struct TfEvent {
    const char *tag;  /* UTF-8; valid during the call */
    const char *text; /* a logged text, or NULL for a number */
    double value;
    gint64 step;
    double wall_time; /* seconds since 1970 */
} TfEvent;

typedef void (*TfEventFn)(const TfEvent *event, gpointer data);

/* Calls fn for every scalar and text in the file up to its end or its first damage. Values of
 * other kinds (images, histograms) are passed over. FALSE only if it can't be opened. */
gboolean tfevents_read_file(const char *path, TfEventFn fn, gpointer data);
/* The same over bytes in memory; gives the number of records read. For tests and fuzzers. */
gsize tfevents_read_bytes(const guint8 *bytes, gsize len, TfEventFn fn, gpointer data);
