/* SPDX-License-Identifier: Apache-2.0 */
/* `.guild/manifest`. See manifest.h. */
#include "engine/run/manifest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/text.h"

#define FLUSH_BYTES 65536

struct RunManifest {
    char *path;
    int fd;
    GString *pending;
    GError *error; /* the first failed write */
};

RunManifest *run_manifest_open(Run *run, GError **error)
{
    g_autofree char *path = run_guild_path(run, "manifest");
    int fd = fs_open_own(path, O_WRONLY | O_APPEND);
    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot write %s: %s",
                path, g_strerror(errno));
        return NULL;
    }
    RunManifest *m = g_new0(RunManifest, 1);
    m->path = g_steal_pointer(&path);
    m->fd = fd;
    m->pending = g_string_new(NULL);
    return m;
}

static void flush_pending(RunManifest *m)
{
    for (gsize done = 0; done < m->pending->len && !m->error;) {
        ssize_t n = write(m->fd, m->pending->str + done, m->pending->len - done);
        if (n >= 0)
            done += (gsize)n;
        else if (errno != EINTR)
            g_set_error(&m->error, G_FILE_ERROR, g_file_error_from_errno(errno),
                    "cannot write %s: %s", m->path, g_strerror(errno));
    }
    g_string_truncate(m->pending, 0);
}

void run_manifest_add(RunManifest *m, const char *const *args)
{
    g_autofree char *line = text_shell_join(args);
    g_string_append(m->pending, line);
    g_string_append_c(m->pending, '\n');
    if (m->pending->len > FLUSH_BYTES)
        flush_pending(m);
}

void run_manifest_add_sourcecode(
        RunManifest *m, const char *run_path, const char *sha1, const char *project_path)
{
    run_manifest_add(m, (const char *const[]){"s", run_path, sha1, project_path, NULL});
}

void run_manifest_add_file(RunManifest *m, char kind, const char *run_path, const char *sha1,
        const char *uri, const char *subpath)
{
    const char kind_text[] = {kind, '\0'};
    run_manifest_add(
            m, (const char *const[]){kind_text, run_path, sha1 ? sha1 : "-", uri, subpath, NULL});
}

gboolean run_manifest_close(RunManifest *m, GError **error)
{
    flush_pending(m);
    close(m->fd);
    gboolean ok = m->error == NULL;
    if (m->error)
        g_propagate_error(error, m->error);
    g_string_free(m->pending, TRUE);
    g_free(m->path);
    g_free(m);
    return ok;
}

GPtrArray *run_manifest_read(Run *run)
{
    GPtrArray *entries = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    g_autofree char *path = run_guild_path(run, "manifest");
    g_autofree char *text = fs_read_regular(path, 0, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        char **parts = **line ? text_shell_split(*line, NULL) : NULL;
        if (parts && g_strv_length(parts) >= 2)
            g_ptr_array_add(entries, parts);
        else
            g_strfreev(parts);
    }
    return entries;
}
