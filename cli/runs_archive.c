/* SPDX-License-Identifier: Apache-2.0 */
/* See runs_archive.h. */
#include "cli/runs_archive.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/deps/archive.h"

/* The folder of ~/.guild/archives whose archive.json has this label. */
static char *named_archive(const char *name)
{
    g_autofree char *root = fs_expanduser("~/.guild/archives");
    g_auto(GStrv) dirs = fs_is_dir(root) ? fs_list(root, NULL) : NULL;
    for (char **dir = dirs; dir && *dir; dir++) {
        g_autofree char *path = g_build_filename(root, *dir, NULL);
        g_autofree char *meta_path = g_build_filename(path, "archive.json", NULL);
        g_autoptr(Value) meta = json_parse_file(meta_path, NULL);
        if (g_strcmp0(value_map_string(meta, "label", NULL), name) == 0)
            return g_steal_pointer(&path);
    }
    return NULL;
}

static RunStore *open_zip(const char *path, char **scratch, GError **error)
{
    *scratch = fs_mkdtemp("guild-archive-", error);
    if (!*scratch)
        return NULL;
    /* Listing an archive is no occasion to speak of unpacking it. */
    LogLevel level = log_level();
    log_set_level(MAX(level, LOG_WARNING));
    g_auto(GStrv) names = archive_unpack(path, "zip", *scratch, error);
    log_set_level(level);
    if (!names) {
        g_prefix_error(error, "cannot read from %s: ", path);
        return NULL;
    }
    return run_store_open_dir(*scratch);
}

RunStore *runs_archive_open(const char *path_or_name, char **scratch, GError **error)
{
    g_autofree char *named = fs_exists(path_or_name) ? NULL : named_archive(path_or_name);
    const char *path = named ? named : path_or_name;
    g_autofree char *lower = g_ascii_strdown(path, -1);
    if (!fs_exists(path)) {
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO,
                "'%s' is not a valid archive - use a path to a file/directory or specify an archive "
                "name returned by 'guild archive --list'.", path_or_name);
        return NULL;
    }
    g_autofree char *absolute = fs_abspath(path, NULL);
    return g_str_has_suffix(lower, ".zip") && fs_is_file(path)
            ? open_zip(absolute, scratch, error)
            : run_store_open_dir(absolute);
}
