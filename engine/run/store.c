/* SPDX-License-Identifier: Apache-2.0 */
/* A home's folders and what moves runs between them. See store.h. */
#include "engine/run/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/base/log.h"

struct RunStore {
    char *home; /* NULL: only a folder of runs */
    char *runs_dir, *trash_dir, *cache_dir, *locks_dir;
};

RunStore *run_store_open(const char *home, GError **error)
{
    (void)error;
    RunStore *store = g_new0(RunStore, 1);
    store->home = g_strdup(home);
    store->runs_dir = g_build_filename(home, "runs", NULL);
    store->trash_dir = g_build_filename(home, "trash", "runs", NULL);
    store->cache_dir = g_build_filename(home, "cache", NULL);
    store->locks_dir = g_build_filename(home, "locks", NULL);
    return store;
}

RunStore *run_store_open_dir(const char *dir)
{
    RunStore *store = g_new0(RunStore, 1);
    store->runs_dir = g_strdup(dir);
    return store;
}

void run_store_free(RunStore *store)
{
    if (!store)
        return;
    g_free(store->home);
    g_free(store->runs_dir);
    g_free(store->trash_dir);
    g_free(store->cache_dir);
    g_free(store->locks_dir);
    g_free(store);
}

const char *run_store_home(const RunStore *store)
{
    return store->home;
}

const char *run_store_runs_dir(const RunStore *store)
{
    return store->runs_dir;
}

const char *run_store_trash_dir(const RunStore *store)
{
    return store->trash_dir;
}

const char *run_store_cache_dir(const RunStore *store)
{
    return store->cache_dir;
}

const char *run_store_locks_dir(const RunStore *store)
{
    return store->locks_dir;
}

gboolean run_store_ensure(RunStore *store, GError **error)
{
    if (!fs_mkdirs(store->runs_dir, error))
        return FALSE;
    if (access(store->runs_dir, W_OK | X_OK) == 0)
        return TRUE;
    g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot write to %s: %s", store->runs_dir,
            g_strerror(errno));
    return FALSE;
}

Run *run_store_new_run(RunStore *store, const char *id)
{
    g_autofree char *new_id = id ? g_strdup(id) : run_new_id();
    g_autofree char *dir = g_build_filename(store->runs_dir, new_id, NULL);
    return run_new(dir, new_id);
}

static GPtrArray *scan_dir(const char *root, gboolean check)
{
    GPtrArray *runs = run_array_new();
    DIR *dir = opendir(root);
    if (!dir) {
        if (errno != ENOENT)
            log_warning("cannot read folder %s: %s", root, g_strerror(errno));
        return runs;
    }
    struct dirent *entry;
    char sub[NAME_MAX + sizeof("/.guild/opref")];
    while ((entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (entry->d_type == DT_REG)
            continue;
        g_snprintf(sub, sizeof(sub), "%s/.guild/opref", entry->d_name);
        gboolean is_run = !check || faccessat(dirfd(dir), sub, F_OK, 0) == 0;
        if (!is_run && errno != EACCES)
            continue;
        g_autofree char *path = g_build_filename(root, entry->d_name, NULL);
        g_autoptr(Run) run = run_new(path, entry->d_name);
        if (is_run)
            g_ptr_array_add(runs, run_ref(run));
        else
            run_warn_unreadable(run);
    }
    closedir(dir);
    return runs;
}

/* The runs that a run folder links to: its trials. Links to elsewhere are not runs of this store.
 */
static GPtrArray *scan_parent(RunStore *store, const char *root, const char *parent)
{
    GPtrArray *runs = run_array_new();
    g_autofree char *parent_dir = fs_join(root, parent);
    g_autofree char *real_root = fs_realpath(root);
    g_auto(GStrv) names = fs_list(parent_dir, NULL);
    for (char **name = names; name && *name; name++) {
        g_autofree char *link = g_build_filename(parent_dir, *name, NULL);
        g_autofree char *target = fs_realpath(link);
        g_autofree char *target_root = g_path_get_dirname(target);
        if (strcmp(target_root, real_root) == 0)
            g_ptr_array_add(runs, run_new(target, NULL));
    }
    return runs;
}

static GPtrArray *scan(RunStore *store, RunStoreWhere where, gboolean check)
{
    const char *root = where == RUN_STORE_TRASH ? store->trash_dir : store->runs_dir;
    if (!root)
        return run_array_new();
    const char *parent = g_getenv("GUILD_RUNS_PARENT");
    if (parent && *parent && store->home)
        return scan_parent(store, root, parent);
    return scan_dir(root, check);
}

GPtrArray *run_store_scan(RunStore *store, RunStoreWhere where)
{
    return scan(store, where, TRUE);
}

GPtrArray *run_store_scan_folders(RunStore *store, RunStoreWhere where)
{
    return scan(store, where, FALSE);
}

typedef struct {
    Run *run;
    gint64 timestamp_us;
} Dated;

static int newest_first(const void *a, const void *b)
{
    gint64 x = ((const Dated *)a)->timestamp_us, y = ((const Dated *)b)->timestamp_us;
    if (x != y)
        return x < y ? 1 : -1;
    return strcmp(run_id(((const Dated *)a)->run), run_id(((const Dated *)b)->run));
}

void run_store_sort(GPtrArray *runs)
{
    g_autofree Dated *dated = g_new(Dated, runs->len ? runs->len : 1);
    for (guint i = 0; i < runs->len; i++)
        dated[i] = (Dated){runs->pdata[i], run_timestamp_us(runs->pdata[i])};
    qsort(dated, runs->len, sizeof(Dated), newest_first);
    for (guint i = 0; i < runs->len; i++)
        runs->pdata[i] = dated[i].run;
}

GPtrArray *run_store_list(RunStore *store, RunStoreWhere where)
{
    GPtrArray *runs = run_store_scan(store, where);
    run_store_sort(runs);
    return runs;
}

/* Of a whole id, which is most of what is asked for: no look at all the others. */
static Run *find_by_id(RunStore *store, const char *id)
{
    const char *parent = g_getenv("GUILD_RUNS_PARENT");
    if ((parent && *parent) || !store->runs_dir || strlen(id) != 32 || !text_is_hex(id))
        return NULL;
    g_autofree char *dir = g_build_filename(store->runs_dir, id, NULL);
    g_autoptr(Run) run = run_new(dir, id);
    return run_exists(run) ? g_steal_pointer(&run) : NULL;
}

Run *run_store_find(RunStore *store, const char *id_prefix, GError **error)
{
    Run *by_id = find_by_id(store, id_prefix);
    if (by_id)
        return by_id;
    g_autoptr(GPtrArray) runs = run_store_scan(store, RUN_STORE_RUNS);
    Run *found = NULL;
    guint matches = 0;
    for (guint i = 0; i < runs->len; i++) {
        Run *run = runs->pdata[i];
        if (strcmp(run_id(run), id_prefix) == 0)
            return run_ref(run);
        if (g_str_has_prefix(run_id(run), id_prefix)) {
            found = run;
            matches++;
        }
    }
    if (matches == 1)
        return run_ref(found);
    if (matches > 1)
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_AMBIGUOUS, "'%s' matches multiple runs",
                id_prefix);
    else
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_NOT_FOUND,
                "could not find a run matching '%s'", id_prefix);
    return NULL;
}

/* Keeps a run of the same id that is already there under ID_ and random letters. */
static gboolean move_aside(const char *path, GError **error)
{
    g_autofree char *backup = NULL;
    do {
        g_autofree char *suffix = run_new_id();
        g_free(backup);
        backup = g_strdup_printf("%s_%.8s", path, suffix);
    } while (fs_lexists(backup));
    log_warning("%s exists, moving to %s", path, backup);
    if (rename(path, backup) == 0)
        return TRUE;
    g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot move %s to %s: %s", path, backup,
            g_strerror(errno));
    return FALSE;
}

static gboolean move_run(Run *run, const char *dest_root, GError **error)
{
    g_autofree char *dest = g_build_filename(dest_root, run_id(run), NULL);
    if (!fs_mkdirs(dest_root, error))
        return FALSE;
    if (fs_lexists(dest) && !move_aside(dest, error))
        return FALSE;
    if (rename(run_dir(run), dest) == 0)
        return TRUE;
    if (errno == EXDEV)
        return fs_copy_tree(run_dir(run), dest, error) && fs_remove_tree(run_dir(run), error);
    g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot move %s to %s: %s", run_dir(run), dest,
            g_strerror(errno));
    return FALSE;
}

gboolean run_store_delete(RunStore *store, Run *run, GError **error)
{
    if (!store->trash_dir) {
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "runs in %s can't be deleted",
                store->runs_dir);
        return FALSE;
    }
    return move_run(run, store->trash_dir, error);
}

gboolean run_store_is_restored(RunStore *store, Run *run)
{
    g_autofree char *dest = g_build_filename(store->runs_dir, run_id(run), NULL);
    g_autofree char *real_dest = fs_realpath(dest);
    g_autofree char *real_dir = fs_realpath(run_dir(run));
    return strcmp(real_dest, real_dir) == 0;
}

gboolean run_store_restore(RunStore *store, Run *run, GError **error)
{
    return move_run(run, store->runs_dir, error);
}

static gboolean is_below(const char *dir, const char *root)
{
    gsize n = root ? strlen(root) : 0;
    return n > 0 && strncmp(dir, root, n) == 0 && dir[n] == '/' && dir[n + 1] != '\0';
}

gboolean run_store_purge(RunStore *store, Run *run, GError **error)
{
    if (is_below(run_dir(run), store->runs_dir) || is_below(run_dir(run), store->trash_dir))
        return fs_remove_tree(run_dir(run), error);
    g_set_error(
            error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "%s is not in %s", run_dir(run), store->runs_dir);
    return FALSE;
}
