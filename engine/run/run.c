/* SPDX-License-Identifier: Apache-2.0 */
/* A run directory: attributes, opref, markers, lock, status. See run.h. */
#include "engine/run/run.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"

G_DEFINE_QUARK(run - error - quark, run_error)

struct Run {
    gint refs;
    char *id;
    char *dir;
    OpRef *opref; /* NULL until read */
    gboolean opref_read;
    gpointer snapshot; /* NULL: everything is read from disk */
    const RunSnapshotOps *ops;
};

static const char *const status_names[] = {
        [RUN_RUNNING] = "running",
        [RUN_PENDING] = "pending",
        [RUN_STAGED] = "staged",
        [RUN_COMPLETED] = "completed",
        [RUN_ERROR] = "error",
        [RUN_TERMINATED] = "terminated",
};

char *run_new_id(void)
{
    uuid_t uuid;
    uuid_generate_random(uuid);
    GString *id = g_string_sized_new(2 * sizeof(uuid));
    for (gsize i = 0; i < sizeof(uuid); i++)
        g_string_append_printf(id, "%02x", uuid[i]);
    return g_string_free(id, FALSE);
}

Run *run_new(const char *dir, const char *id)
{
    Run *run = g_new0(Run, 1);
    run->refs = 1;
    run->dir = g_strdup(dir);
    run->id = id ? g_strdup(id) : g_path_get_basename(dir);
    return run;
}

/* After a write the snapshot may be wrong about anything. */
static void drop_snapshot(Run *run)
{
    if (run->snapshot)
        run->ops->unref(run->snapshot);
    run->snapshot = NULL;
}

void run_set_snapshot(Run *run, gpointer snapshot, const RunSnapshotOps *ops)
{
    drop_snapshot(run);
    run->snapshot = snapshot;
    run->ops = ops;
}

gpointer run_snapshot(const Run *run, const RunSnapshotOps *ops)
{
    return run->snapshot && run->ops == ops ? run->snapshot : NULL;
}

gboolean run_may_have(const Run *run, RunPresence what)
{
    return !run->snapshot || (run->ops->present(run->snapshot) & what);
}

Run *run_ref(Run *run)
{
    g_atomic_int_inc(&run->refs);
    return run;
}

void run_unref(Run *run)
{
    if (!run || !g_atomic_int_dec_and_test(&run->refs))
        return;
    g_free(run->id);
    g_free(run->dir);
    opref_free(run->opref);
    drop_snapshot(run);
    g_free(run);
}

GPtrArray *run_array_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)run_unref);
}

const char *run_id(const Run *run)
{
    return run->id;
}

const char *run_dir(const Run *run)
{
    return run->dir;
}

char *run_short_id(const Run *run)
{
    return g_strndup(run->id, 8);
}

char *run_guild_path(const Run *run, const char *sub)
{
    return sub ? g_strconcat(run->dir, "/.guild/", sub, NULL)
               : g_strconcat(run->dir, "/.guild", NULL);
}

gboolean run_exists(Run *run)
{
    return run_has_marker(run, "opref");
}

void run_warn_unreadable(const Run *run)
{
    static GMutex mutex;
    static GHashTable *said;
    g_autofree char *opref = run_guild_path(run, "opref");
    if (access(opref, F_OK) == 0 || errno != EACCES)
        return;
    g_mutex_lock(&mutex);
    if (!said)
        said = g_hash_table_new(g_str_hash, g_str_equal);
    if (g_hash_table_add(said, g_strdup(run->dir)))
        log_warning("cannot read run '%s' (%s): %s", run->id, run->dir, g_strerror(EACCES));
    g_mutex_unlock(&mutex);
}

static char *attr_path(const Run *run, const char *name)
{
    return g_strconcat(run->dir, "/.guild/attrs/", name, NULL);
}

gboolean run_init_skel(Run *run, GError **error)
{
    g_autofree char *attrs = run_guild_path(run, "attrs");
    if (!fs_mkdirs(attrs, error))
        return FALSE;
    if (run_has_attr(run, "initialized"))
        return TRUE;
    return run_write_attr_string(run, "id", run->id, error) &&
           run_write_attr_int(run, "initialized", clock_timestamp_us(), error);
}

Value *run_get_attr(Run *run, const char *name, GError **error)
{
    Value *known;
    if (run->snapshot && run->ops->attr(run->snapshot, name, NULL, &known))
        return known;
    g_autofree char *path = attr_path(run, name);
    g_autoptr(GError) read_error = NULL;
    gsize len;
    g_autofree char *text = fs_read_regular(path, 0, &len, &read_error);
    if (!text) {
        if (!g_error_matches(read_error, G_FILE_ERROR, G_FILE_ERROR_NOENT) &&
                !g_error_matches(read_error, G_FILE_ERROR, G_FILE_ERROR_NOTDIR))
            g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_ATTR,
                    "cannot read attribute '%s' of run %s: %s", name, run->id, read_error->message);
        return NULL;
    }
    Value *v = yaml_parse(text, (gssize)len, path, &read_error);
    if (!v)
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_ATTR,
                "cannot read attribute '%s' of run %s: %s", name, run->id, read_error->message);
    return v;
}

Value *run_try_attr(Run *run, const char *name)
{
    Value *v = run_get_attr(run, name, NULL);
    if (v && value_is_null(v))
        g_clear_pointer(&v, value_unref);
    return v;
}

char *run_attr_text(Run *run, const char *name)
{
    g_autoptr(Value) v = run_try_attr(run, name);
    return v ? value_str(v) : NULL;
}

static gint64 as_int(const Value *v, gint64 dflt)
{
    switch (value_kind(v)) {
    case VALUE_INT:
        return value_get_int(v);
    case VALUE_BOOL:
        return value_get_bool(v);
    case VALUE_FLOAT: {
        double d = value_get_float(v);
        return d > -9e18 && d < 9e18 ? (gint64)d : dflt;
    }
    default:
        return dflt;
    }
}

gint64 run_attr_int(Run *run, const char *name, gint64 dflt)
{
    g_autoptr(Value) v = run_try_attr(run, name);
    return v ? as_int(v, dflt) : dflt;
}

static gboolean is_text_of(const char *path, const char *text)
{
    gsize want = strlen(text), len = 0;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return FALSE;
    gboolean same = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (gsize)st.st_size == want;
    g_autofree char *is = same ? g_malloc(want + 1) : NULL;
    while (same && len < want) {
        ssize_t n = read(fd, is + len, want - len);
        same = n > 0;
        len += same ? (gsize)n : 0;
    }
    close(fd);
    return same && !memcmp(is, text, want);
}

/* What a run is does not change when it is begun, and is not written again: it is on the disk, and
 * if the power goes a file that was emptied and written anew is not. */
static gboolean write_changed(const char *path, const char *text, GError **error)
{
    return is_text_of(path, text) || fs_write_own(path, text, -1, error);
}

gboolean run_write_attr_raw(Run *run, const char *name, const char *text, GError **error)
{
    g_autofree char *path = attr_path(run, name);
    g_autofree char *data = g_strconcat(text, "\n", NULL);
    g_autoptr(GError) problem = NULL;
    drop_snapshot(run);
    if (write_changed(path, data, &problem))
        return TRUE;
    if (g_error_matches(problem, G_FILE_ERROR, G_FILE_ERROR_NOSPC))
        unlink(path); /* rather none than half of one */
    g_propagate_error(error, g_steal_pointer(&problem));
    return FALSE;
}

gboolean run_write_attr(Run *run, const char *name, const Value *value, GError **error)
{
    g_autofree char *text = yaml_dump_attr(value);
    return run_write_attr_raw(run, name, text, error);
}

gboolean run_write_attr_string(Run *run, const char *name, const char *text, GError **error)
{
    g_autoptr(Value) v = value_new_string(text);
    return run_write_attr(run, name, v, error);
}

gboolean run_write_attr_int(Run *run, const char *name, gint64 n, GError **error)
{
    g_autoptr(Value) v = value_new_int(n);
    return run_write_attr(run, name, v, error);
}

void run_del_attr(Run *run, const char *name)
{
    g_autofree char *path = attr_path(run, name);
    drop_snapshot(run);
    unlink(path);
}

gboolean run_has_attr(Run *run, const char *name)
{
    g_autofree char *path = attr_path(run, name);
    return access(path, F_OK) == 0;
}

gboolean run_attr_is_core(const char *name)
{
    static const char *const names[] = {"cmd", "deps", "env", "exit_status", "flags", "host", "id",
            "initialized", "label", "op", "opdef_attrs", "platform", "plugins", "random_seed",
            "run_params", "sourcecode_digest", "started", "stopped", "user", "user_flags",
            "vcs_commit", "pip_freeze", "r_sys_info", "r_packages_loaded", NULL};
    return g_strv_contains(names, name);
}

char **run_attr_names(Run *run)
{
    g_autofree char *dir = run_guild_path(run, "attrs");
    char **names = fs_list(dir, NULL);
    return names ? names : g_new0(char *, 1);
}

Value *run_attr_item(Run *run, const char *name, const char *key)
{
    Value *known;
    if (run->snapshot && run->ops->attr(run->snapshot, name, key, &known))
        return known;
    g_autoptr(Value) map = run_try_attr(run, name);
    return value_ref(value_map_get(map, key));
}

Value *run_opdef_attr(Run *run, const char *name)
{
    return run_attr_item(run, "opdef_attrs", name);
}

static gboolean read_opref(Run *run, GError **error)
{
    if (run->opref_read && run->opref)
        return TRUE;
    run->opref_read = TRUE;
    if (run->snapshot && (run->opref = run->ops->opref(run->snapshot)))
        return TRUE;
    g_autofree char *path = run_guild_path(run, "opref");
    g_autoptr(GError) inner = NULL;
    g_autofree char *text = fs_read_regular(path, 1 << 16, NULL, &inner);
    if (text)
        run->opref = opref_parse(text, &inner);
    if (!run->opref)
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_OPREF, "invalid opref for run '%s' (%s): %s",
                run->id, run->dir, inner->message);
    return run->opref != NULL;
}

OpRef *run_opref(Run *run, GError **error)
{
    return read_opref(run, error) ? opref_copy(run->opref) : NULL;
}

const OpRef *run_peek_opref(Run *run)
{
    if (!run->opref_read)
        read_opref(run, NULL);
    return run->opref;
}

gboolean run_write_opref(Run *run, const OpRef *ref, GError **error)
{
    g_autofree char *path = run_guild_path(run, "opref");
    g_autofree char *text = opref_to_string(ref);
    g_clear_pointer(&run->opref, opref_free);
    run->opref_read = FALSE;
    drop_snapshot(run);
    return write_changed(path, text, error);
}

/* In a container, process 1 may be a program that never collects what it inherits: a trial of a
 * guild that was killed stays there as a zombie. One with another parent is about to be collected,
 * by the guild that then writes how it ended. */
static gboolean is_left_zombie(pid_t pid)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
    g_autofree char *text = fs_read_regular(path, 0, NULL, NULL);
    const char *rest = text ? strrchr(text, ')') : NULL; /* the name before it may hold anything */
    return rest && g_str_has_prefix(rest, ") Z 1 ");
}

gboolean run_has_process(Run *run)
{
    pid_t pid = run_pid(run);
    return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM) && !is_left_zombie(pid);
}

/* RUN_ERROR, and *unsaid, if the run did not say how it ended. */
static RunStatus look_at_status(Run *run, gboolean *unsaid)
{
    if (run_has_marker(run, "LOCK.remote"))
        return RUN_RUNNING;
    if (run_has_marker(run, "PENDING"))
        return RUN_PENDING;
    if (run_has_marker(run, "STAGED"))
        return RUN_STAGED;
    g_autoptr(Value) v = run_try_attr(run, "exit_status");
    if (v) {
        gint64 code = as_int(v, 1);
        return code == 0 ? RUN_COMPLETED : code < 0 ? RUN_TERMINATED : RUN_ERROR;
    }
    if (run_has_process(run))
        return RUN_RUNNING;
    *unsaid = TRUE;
    return RUN_ERROR;
}

/* A run that seems to have vanished may have begun or ended between two looks, of which the first
 * may be the snapshot's: it is asked once more, and nothing older than that counts. */
RunStatus run_status(Run *run)
{
    gboolean unsaid = FALSE;
    RunStatus status = look_at_status(run, &unsaid);
    if (!unsaid)
        return status;
    g_autoptr(Run) now = run_new(run->dir, run->id);
    return look_at_status(now, &unsaid);
}

const char *run_status_name(RunStatus status)
{
    return status_names[status];
}

pid_t run_pid(Run *run)
{
    if (!run_may_have(run, RUN_HAS_LOCK))
        return 0;
    g_autofree char *path = run_guild_path(run, "LOCK");
    g_autofree char *text = fs_read_regular(path, 4096, NULL, NULL);
    if (!text)
        return 0;
    if (strlen(text) > 10)
        text[10] = '\0';
    g_strstrip(text);
    guint64 pid;
    return g_ascii_string_to_unsigned(text, 10, 1, G_MAXINT, &pid, NULL) ? (pid_t)pid : 0;
}

char *run_remote(Run *run)
{
    if (!run_may_have(run, RUN_HAS_REMOTE_LOCK))
        return NULL;
    g_autofree char *path = run_guild_path(run, "LOCK.remote");
    char *text = fs_read_regular(path, 4096, NULL, NULL);
    return text ? g_strstrip(text) : NULL;
}

gint64 run_timestamp_us(Run *run)
{
    gint64 started = run_attr_int(run, "started", 0);
    return started ? started : run_attr_int(run, "initialized", 0);
}

gboolean run_set_marker(Run *run, const char *marker, GError **error)
{
    g_autofree char *guild_dir = run_guild_path(run, NULL);
    g_autofree char *path = run_guild_path(run, marker);
    drop_snapshot(run);
    return fs_mkdirs(guild_dir, error) && fs_write_own(path, "", 0, error);
}

void run_clear_marker(Run *run, const char *marker)
{
    g_autofree char *path = run_guild_path(run, marker);
    drop_snapshot(run);
    unlink(path);
}

guint run_presence_of(const char *name)
{
    static const struct {
        const char *name;
        RunPresence what;
    } names[] = {
            {"LOCK", RUN_HAS_LOCK},
            {"LOCK.remote", RUN_HAS_REMOTE_LOCK},
            {"PENDING", RUN_HAS_PENDING},
            {"STAGED", RUN_HAS_STAGED},
            {"proto", RUN_HAS_PROTO},
            {"opref", RUN_HAS_OPREF},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(name, names[i].name) == 0)
            return names[i].what;
    return 0;
}

gboolean run_has_marker(Run *run, const char *marker)
{
    guint what = run_presence_of(marker);
    if (what && run->snapshot)
        return run_may_have(run, what);
    g_autofree char *path = run_guild_path(run, marker);
    return access(path, F_OK) == 0;
}

gboolean run_write_lock(Run *run, pid_t pid, GError **error)
{
    g_autofree char *path = run_guild_path(run, "LOCK");
    g_autofree char *text = g_strdup_printf("%d", (int)pid);
    return fs_write_own(path, text, -1, error);
}

void run_delete_lock(Run *run)
{
    run_clear_marker(run, "LOCK");
}

char *run_neighbour(Run *run, const char *rel)
{
    g_autofree char *link = g_build_filename(run->dir, rel, NULL);
    if (!fs_is_link(link))
        return NULL;
    g_autofree char *target = fs_read_link(link, NULL);
    g_autofree char *folder = g_path_get_dirname(link);
    g_autofree char *joined = fs_join(folder, target ? target : "");
    g_autofree char *path = fs_normpath(joined);
    g_autofree char *beside = g_path_get_dirname(path);
    g_autofree char *runs = g_path_get_dirname(run->dir);
    return strcmp(beside, runs) || !strcmp(path, run->dir) ? NULL : g_path_get_basename(path);
}

typedef struct Neighbours {
    Run *run;
    GPtrArray *names, *links;
} Neighbours;

static gboolean add_neighbour(
        const char *root, const char *rel, const struct stat *st, gpointer data)
{
    Neighbours *n = data;
    char *name = S_ISLNK(st->st_mode) ? run_neighbour(n->run, rel) : NULL;
    if (name) {
        g_ptr_array_add(n->names, name);
        g_ptr_array_add(n->links, g_build_filename(root, rel, NULL));
    }
    return strcmp(rel, ".guild") != 0;
}

static void find_neighbours(Run *run, GPtrArray *names, GPtrArray *links)
{
    Neighbours n = {run, names, links};
    fs_walk(run->dir, FALSE, add_neighbour, &n, NULL);
}

char **run_neighbours(Run *run)
{
    GPtrArray *names = g_ptr_array_new();
    g_autoptr(GPtrArray) links = g_ptr_array_new_with_free_func(g_free);
    find_neighbours(run, names, links);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

void run_unlink_neighbours(Run *run)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) links = g_ptr_array_new_with_free_func(g_free);
    find_neighbours(run, names, links);
    for (guint i = 0; i < links->len; i++)
        fs_remove(links->pdata[i], NULL);
}

Run *run_batch_proto(Run *run)
{
    if (!run_may_have(run, RUN_HAS_PROTO))
        return NULL;
    g_autofree char *dir = run_guild_path(run, "proto");
    g_autoptr(Run) proto = run_new(dir, NULL);
    return run_exists(proto) ? g_steal_pointer(&proto) : NULL;
}
