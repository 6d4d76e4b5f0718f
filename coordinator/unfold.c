/* SPDX-License-Identifier: Apache-2.0 */
/* See unfold.h. */
#include "coordinator/unfold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"

typedef struct {
    const char *dir, *runs;
    GHashTable *seen; /* paths below dir that are no links (any more) */
} Unfold;

/* What `link` leads to, if that is a folder of another run; newly allocated, or NULL. */
static char *folder_of_another(const Unfold *u, const char *link)
{
    g_autofree char *real = fs_realpath(link);
    gboolean good = fs_is_dir(real) && fs_is_really_below(real, u->runs) &&
                    !fs_is_really_below(real, u->dir) && !fs_is_really_below(u->dir, real);
    return good ? g_steal_pointer(&real) : NULL;
}

/* Links in `folder`, which will be at `path`, to all that is in `there`. */
static gboolean fill(const char *folder, const char *path, const char *there, GError **error)
{
    g_autofree char *above = g_path_get_dirname(path);
    g_autofree char *real_above = fs_realpath(above);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *here = g_build_filename(real_above, base, NULL);
    g_auto(GStrv) names = fs_list(there, NULL);
    for (char **name = names; *name; name++) {
        g_autofree char *to = g_build_filename(there, *name, NULL);
        g_autofree char *target = fs_relpath(to, here);
        g_autofree char *link = g_build_filename(folder, *name, NULL);
        if (!fs_symlink(target, link, error))
            return FALSE;
    }
    return TRUE;
}

/* Whole at once: a coordinator that is killed here is sent the same list again. */
static gboolean put(const char *folder, const char *path, GError **error)
{
    if (renameat2(AT_FDCWD, folder, AT_FDCWD, path, RENAME_EXCHANGE) == 0)
        return fs_remove(folder, error);
    if (fs_remove(path, error) && rename(folder, path) == 0)
        return TRUE;
    if (!error || !*error)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot make %s: %s", path,
                g_strerror(errno));
    return FALSE;
}

static gboolean unfold(Unfold *u, const char *rel, GError **error)
{
    g_autofree char *path = g_build_filename(u->dir, rel, NULL);
    if (!g_hash_table_add(u->seen, g_strdup(rel)) || !fs_is_link(path))
        return TRUE;
    g_autofree char *folder = g_build_filename(u->dir, ".guild", "unfolding", NULL);
    g_autofree char *there = folder_of_another(u, path);
    return fs_remove_tree(folder, error) && fs_mkdirs(folder, error) &&
           (!there || fill(folder, path, there, error)) && put(folder, path, error);
}

gboolean unfold_links(const char *dir, const char *runs, GPtrArray *files, GError **error)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Unfold u = {dir, runs, seen};
    for (guint i = 0; i < files->len; i++) {
        const FileEntry *e = files->pdata[i];
        for (const char *slash = e->path; (slash = strchr(slash, '/')); slash++) {
            g_autofree char *rel = g_strndup(e->path, (gsize)(slash - e->path));
            if (!unfold(&u, rel, error))
                return FALSE;
        }
        if (e->kind == FILE_DIR && !unfold(&u, e->path, error))
            return FALSE;
    }
    return TRUE;
}
