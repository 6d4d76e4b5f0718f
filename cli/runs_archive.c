/* SPDX-License-Identifier: Apache-2.0 */
/* See runs_archive.h. */
#include "cli/runs_archive.h"

#include <string.h>

#include "cli/cli.h"
#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/deps/archive.h"
#include "engine/project/userconfig.h"

#define META_NAME "archive.json"

void runs_archive_free(RunsArchive *archive)
{
    if (!archive)
        return;
    g_free(archive->name);
    g_free(archive->description);
    g_free(archive->path);
    g_free(archive);
}

static char *archives_dir(void)
{
    g_autofree char *config = userconfig_path(cli_cwd());
    g_autofree char *config_dir = g_path_get_dirname(config);
    return g_build_filename(config_dir, "archives", NULL);
}

/* What archive.json in the folder says, a map; empty, after a message, if it makes no sense. */
static Value *archive_meta(const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *path = g_build_filename(dir, META_NAME, NULL);
    if (!fs_exists(path))
        return value_new_map();
    g_autoptr(Value) meta = json_parse_file(path, &error);
    if (value_is_map(meta))
        return g_steal_pointer(&meta);
    log_error("cannot read archive metadata in %s: %s", path,
            error ? error->message : "it is no JSON object");
    return value_new_map();
}

static gint by_name(gconstpointer a, gconstpointer b)
{
    return strcmp((*(RunsArchive *const *)a)->name, (*(RunsArchive *const *)b)->name);
}

GPtrArray *runs_archive_list(void)
{
    GPtrArray *archives = g_ptr_array_new_with_free_func((GDestroyNotify)runs_archive_free);
    g_autofree char *root = archives_dir();
    g_auto(GStrv) names = fs_is_dir(root) ? fs_list(root, NULL) : NULL;
    for (char **name = names; name && *name; name++) {
        g_autofree char *path = g_build_filename(root, *name, NULL);
        if (!fs_is_dir(path))
            continue;
        g_autoptr(Value) meta = archive_meta(path);
        RunsArchive *archive = g_new0(RunsArchive, 1);
        archive->name = g_strdup(value_map_string(meta, "label", *name));
        archive->description = g_strdup(value_map_string(meta, "description", ""));
        archive->path = g_steal_pointer(&path);
        g_ptr_array_add(archives, archive);
    }
    g_ptr_array_sort(archives, by_name);
    return archives;
}

char *runs_archive_find(const char *name)
{
    g_autoptr(GPtrArray) archives = runs_archive_list();
    for (guint i = 0; i < archives->len; i++) {
        const RunsArchive *archive = archives->pdata[i];
        if (g_str_equal(archive->name, name))
            return g_strdup(archive->path);
    }
    return NULL;
}

char *runs_archive_create(const char *name, const char *description, GError **error)
{
    g_autofree char *root = archives_dir(), *id = run_new_id();
    g_autofree char *path = g_build_filename(root, id, NULL);
    g_autofree char *meta_path = g_build_filename(path, META_NAME, NULL);
    g_autoptr(Value) meta = value_new_map();
    value_map_set_string(meta, "label", name);
    if (description && *description)
        value_map_set_string(meta, "description", description);
    g_autofree char *text = json_dump(meta, 0, FALSE);
    if (!fs_mkdirs(path, error) || !fs_write(meta_path, text, -1, error))
        return NULL;
    return g_steal_pointer(&path);
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
    g_autofree char *named = fs_exists(path_or_name) ? NULL : runs_archive_find(path_or_name);
    const char *path = named ? named : path_or_name;
    g_autofree char *lower = g_ascii_strdown(path, -1);
    if (!fs_exists(path)) {
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO,
                "'%s' is not a valid archive - use a path to a file/directory or specify an "
                "archive "
                "name returned by 'guild archive --list'.",
                path_or_name);
        return NULL;
    }
    g_autofree char *absolute = fs_abspath(path, NULL);
    return g_str_has_suffix(lower, ".zip") && fs_is_file(path) ? open_zip(absolute, scratch, error)
                                                               : run_store_open_dir(absolute);
}
