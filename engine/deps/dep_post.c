/* SPDX-License-Identifier: Apache-2.0 */
/* `post-process` of a source: a shell command of the project's author that is run once where the
 * source's files are, with `$(project-src PATH)` replaced by a path in the project. */
#include "engine/deps/source.h"

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"

#include <string.h>

/* PATH below the resource's folder or one that its guildfile extends. */
static char *project_source(const SourceJob *job, const char *path, GError **error)
{
    char *first = fs_abspath(path, job->dep->location);
    if (fs_exists(first))
        return first;
    g_free(first);
    for (guint i = 0; job->dep->parents && job->dep->parents[i]; i++) {
        char *full = fs_abspath(path, job->dep->parents[i]);
        if (fs_exists(full))
            return full;
        g_free(full);
    }
    g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED,
            "project-src failed: could not find '%s' in path '%s'", path, job->dep->location);
    return NULL;
}

static char *apply_functions(const SourceJob *job, const char *script, GError **error)
{
    static const char call[] = "$(project-src ";
    g_autoptr(GString) out = g_string_new(NULL);
    const char *at;
    while ((at = strstr(script, call)) && strchr(at, ')')) {
        const char *end = strchr(at, ')');
        const char *arg = at + strlen(call);
        g_autofree char *quoted = g_strndup(arg, (gsize)(end - arg));
        g_auto(GStrv) args = text_shell_split(quoted, error);
        g_autofree char *path = args && args[0] ? project_source(job, args[0], error) : NULL;
        if (!path)
            return NULL;
        g_string_append_len(out, script, at - script);
        g_string_append(out, path);
        script = end + 1;
    }
    g_string_append(out, script);
    return g_string_free(g_steal_pointer(&out), FALSE);
}

static char *marker_path(const char *dir, const char *command)
{
    g_autofree char *sha1 = g_compute_checksum_for_string(G_CHECKSUM_SHA1, command, -1);
    g_autofree char *name = g_strdup_printf(".guild-cache-%s.post", sha1);
    return g_build_filename(dir, name, NULL);
}

gboolean source_post_process(const SourceJob *job, const char *dir, GError **error)
{
    if (!value_is_string(job->source->post_process))
        return TRUE;
    g_autofree char *script = g_strdup(value_get_string(job->source->post_process));
    g_strdelimit(g_strstrip(script), "\n", ' ');
    if (!*script)
        return TRUE;
    g_autofree char *command = apply_functions(job, script, error);
    if (!command || !fs_mkdirs(dir, error))
        return FALSE;
    g_autofree char *marker = marker_path(dir, command);
    if (fs_exists(marker))
        return TRUE;
    g_autofree char *resource = resdef_resolving_name(job->dep->resdef);
    log_info("Post processing %s resource in %s: '%s'", resource, dir, command);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    GError *run_error = NULL;
    int status = 0;
    gboolean ok = g_spawn_sync(dir, (char **)argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL,
                          NULL, NULL, &status, &run_error) &&
                  g_spawn_check_wait_status(status, &run_error);
    if (!ok) {
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "error post processing %s resource: %s",
                resource, run_error->message);
        g_error_free(run_error);
        return FALSE;
    }
    return fs_touch(marker, error);
}
