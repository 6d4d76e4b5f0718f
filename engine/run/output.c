/* SPDX-License-Identifier: Apache-2.0 */
/* Writing and reading `.guild/output` and its index. See output.h. */
#include "engine/run/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/fs.h"

#define RECORD_BYTES 9
#define MAX_LINE_BYTES (1 << 20)
#define READ_BYTES (256 * 1024)

struct RunOutput {
    char *output_path;
    int output_fd, index_fd;
    RunOutputLineFn line_fn;
    gpointer data;
    GString *line[2];    /* bytes of the line so far, kept only for line_fn */
    gboolean in_line[2]; /* a line has begun */
    GByteArray *records;
};

static int open_for_writing(const char *path, int how, GError **error)
{
    int fd = fs_open_own(path, how);
    if (fd < 0)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot write %s: %s",
                path, g_strerror(errno));
    return fd;
}

static RunOutput *open_both(
        Run *run, int how, RunOutputLineFn line_fn, gpointer data, GError **error)
{
    g_autofree char *output_path = run_guild_path(run, "output");
    g_autofree char *index_path = run_guild_path(run, "output.index");
    int output_fd = open_for_writing(output_path, how, error);
    if (output_fd < 0)
        return NULL;
    int index_fd = open_for_writing(index_path, how, error);
    if (index_fd < 0) {
        close(output_fd);
        return NULL;
    }
    RunOutput *out = g_new0(RunOutput, 1);
    out->output_path = g_steal_pointer(&output_path);
    out->output_fd = output_fd;
    out->index_fd = index_fd;
    out->line_fn = line_fn;
    out->data = data;
    out->line[RUN_STDOUT] = g_string_new(NULL);
    out->line[RUN_STDERR] = g_string_new(NULL);
    out->records = g_byte_array_new();
    return out;
}

RunOutput *run_output_open(Run *run, RunOutputLineFn line_fn, gpointer data, GError **error)
{
    return open_both(run, O_WRONLY | O_TRUNC, line_fn, data, error);
}

static gboolean write_all(int fd, const void *data, gsize len)
{
    const char *p = data;
    while (len > 0) {
        ssize_t n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        p += n;
        len -= (gsize)n;
    }
    return TRUE;
}

static void add_record(RunOutput *out, RunStream stream)
{
    guint64 ms = GUINT64_TO_BE((guint64)(g_get_real_time() / 1000));
    guint8 record[RECORD_BYTES];
    memcpy(record, &ms, sizeof(ms));
    record[8] = (guint8)stream;
    g_byte_array_append(out->records, record, sizeof(record));
}

static void emit_line(RunOutput *out, RunStream stream)
{
    GString *line = out->line[stream];
    if (out->line_fn && line->len > 0)
        out->line_fn(stream, line->str, line->len, out->data);
    g_string_truncate(line, 0);
}

/* Control bytes below tab are not part of a line; alone they don't begin one. */
static void append_text(RunOutput *out, RunStream stream, const char *text, gsize len)
{
    for (gsize i = 0; i < len; i++) {
        if ((guchar)text[i] < '\t')
            continue;
        out->in_line[stream] = TRUE;
        if (!out->line_fn)
            return;
        g_string_append_c(out->line[stream], text[i]);
        if (out->line[stream]->len >= MAX_LINE_BYTES)
            emit_line(out, stream);
    }
}

static gboolean flush_records(RunOutput *out)
{
    gboolean ok = write_all(out->index_fd, out->records->data, out->records->len);
    g_byte_array_set_size(out->records, 0);
    return ok;
}

gboolean run_output_write(
        RunOutput *out, RunStream stream, const void *data, gsize len, GError **error)
{
    gboolean ok = write_all(out->output_fd, data, len);
    int err = errno;
    const char *p = data, *end = p + len;
    while (p < end) {
        const char *newline = memchr(p, '\n', (gsize)(end - p));
        append_text(out, stream, p, (gsize)((newline ? newline + 1 : end) - p));
        if (!newline)
            break;
        add_record(out, stream);
        emit_line(out, stream);
        out->in_line[stream] = FALSE;
        p = newline + 1;
    }
    if (!flush_records(out) && ok) {
        ok = FALSE;
        err = errno;
    }
    if (!ok)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "cannot write %s: %s",
                out->output_path, g_strerror(err));
    return ok;
}

/* Lines that ended; *in_line: another has begun. */
static guint64 count_lines(int fd, gboolean *in_line)
{
    g_autofree char *buf = g_malloc(READ_BYTES);
    guint64 lines = 0;
    ssize_t n;
    *in_line = FALSE;
    while ((n = read(fd, buf, READ_BYTES)) > 0) {
        for (const char *p = buf, *end = buf + n; (p = memchr(p, '\n', (gsize)(end - p))); p++)
            lines++;
        *in_line = buf[n - 1] != '\n';
    }
    return lines;
}

RunOutput *run_output_append(Run *run, RunOutputLineFn line_fn, gpointer data, GError **error)
{
    RunOutput *out = open_both(run, O_RDWR | O_APPEND, line_fn, data, error);
    struct stat st;
    if (!out)
        return NULL;
    guint64 lines = count_lines(out->output_fd, &out->in_line[RUN_STDERR]);
    guint64 known = fstat(out->index_fd, &st) == 0 ? (guint64)st.st_size / RECORD_BYTES : 0;
    if (ftruncate(out->index_fd, (off_t)(MIN(known, lines) * RECORD_BYTES)) == 0)
        for (; known < lines; known++)
            add_record(out, RUN_STDERR);
    flush_records(out);
    return out;
}

void run_output_end(RunOutput *out, RunStream stream)
{
    if (!out->in_line[stream])
        return;
    add_record(out, stream);
    flush_records(out);
    emit_line(out, stream);
    out->in_line[stream] = FALSE;
}

void run_output_close(RunOutput *out)
{
    run_output_end(out, RUN_STDOUT);
    run_output_end(out, RUN_STDERR);
    close(out->output_fd);
    close(out->index_fd);
    g_string_free(out->line[RUN_STDOUT], TRUE);
    g_string_free(out->line[RUN_STDERR], TRUE);
    g_byte_array_unref(out->records);
    g_free(out->output_path);
    g_free(out);
}

struct RunOutputReader {
    FILE *output, *index;
    char *line;
    size_t size;
};

static FILE *open_for_reading(const char *path)
{
    int fd = fs_open_regular(path);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (!file && fd >= 0)
        close(fd);
    return file;
}

RunOutputReader *run_output_reader_open(Run *run, GError **error)
{
    g_autofree char *output_path = run_guild_path(run, "output");
    g_autofree char *index_path = run_guild_path(run, "output.index");
    FILE *output = open_for_reading(output_path);
    if (!output) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot read %s: %s",
                output_path, g_strerror(errno));
        return NULL;
    }
    RunOutputReader *r = g_new0(RunOutputReader, 1);
    r->output = output;
    r->index = open_for_reading(index_path);
    return r;
}

gboolean run_output_reader_next(RunOutputReader *r, RunOutputLine *line)
{
    ssize_t n = getline(&r->line, &r->size, r->output);
    if (n < 0)
        return FALSE;
    if (n > 0 && r->line[n - 1] == '\n')
        r->line[--n] = '\0';
    *line = (RunOutputLine){.text = r->line, .len = (gsize)n};
    guint8 record[RECORD_BYTES];
    if (r->index && fread(record, sizeof(record), 1, r->index) == 1) {
        guint64 ms;
        memcpy(&ms, record, sizeof(ms));
        line->time_ms = (gint64)GUINT64_FROM_BE(ms);
        line->stream = record[8] == RUN_STDERR ? RUN_STDERR : RUN_STDOUT;
    }
    return TRUE;
}

void run_output_reader_free(RunOutputReader *r)
{
    if (!r)
        return;
    fclose(r->output);
    if (r->index)
        fclose(r->index);
    free(r->line);
    g_free(r);
}
