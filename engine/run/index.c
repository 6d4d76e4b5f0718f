/* SPDX-License-Identifier: Apache-2.0 */
/* The index: which entries come from the cache and which from disk. See index.h. Rows are keyed
 * "r/ID" (runs) and "t/ID" (trash). Looking at ten thousand directories is what costs, so a few
 * threads share it. What had to be read is written back in one transaction when the index is
 * closed. */
#include "engine/run/index.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/run/describe.h"
#include "engine/run/index_db.h"
#include "engine/run/index_entry.h"

/* Fewer runs are read from disk sooner than a database is opened. */
#define MIN_CACHED_RUNS 64
#define MAX_THREADS 8
#define RUNS_PER_THREAD 500

/* Scalars and logged attributes of a run; decoded when first asked for, NULL until then. */
typedef struct {
    IndexEntry entry;
    Value *scalars, *attrs;
} RunScalars;

/* What a table says of a kind of entry. */
typedef struct {
    IndexTable table;
    gboolean (*check)(IndexEntry *entry, Run *run, int root_fd);
    void (*read)(IndexEntry *entry, Run *run);
} EntryKind;

static const EntryKind run_entries = {INDEX_RUNS, index_entry_check, index_entry_read};
static const EntryKind scalar_entries = {INDEX_SCALARS, index_scalars_check, index_scalars_read};

typedef struct {
    IndexTable table;
    char *key;
    GBytes *bytes; /* NULL: delete the row */
} Change;

struct RunIndex {
    char *path;                 /* NULL: the store has no cache */
    char *runs_dir, *trash_dir; /* may be NULL */
    int runs_fd, trash_fd;      /* -1: not open */
    IndexDb *db;
    gboolean db_tried;
    guint n_runs; /* loaded so far */
    GPtrArray *changes;
    GHashTable *scalars; /* run dir -> RunScalars* */
    GPtrArray *expected; /* runs whose scalars are to be loaded together, or NULL */
};

static void change_free(gpointer data)
{
    Change *change = data;
    g_free(change->key);
    g_clear_pointer(&change->bytes, g_bytes_unref);
    g_free(change);
}

static void run_scalars_free(gpointer data)
{
    RunScalars *s = data;
    index_entry_clear(&s->entry);
    value_unref(s->scalars);
    value_unref(s->attrs);
    g_free(s);
}

static int open_dir(const char *path)
{
    return path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

RunIndex *run_index_open(RunStore *store)
{
    RunIndex *index = g_new0(RunIndex, 1);
    if (store) {
        index->runs_dir = g_strdup(run_store_runs_dir(store));
        index->trash_dir = g_strdup(run_store_trash_dir(store));
        if (run_store_cache_dir(store))
            index->path =
                    g_build_filename(run_store_cache_dir(store), "runs", "guild-index.db", NULL);
    }
    index->runs_fd = open_dir(index->runs_dir);
    index->trash_fd = open_dir(index->trash_dir);
    index->changes = g_ptr_array_new_with_free_func(change_free);
    index->scalars = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, run_scalars_free);
    return index;
}

static IndexDb *index_db(RunIndex *index)
{
    if (!index->db_tried && index->path && index->n_runs >= MIN_CACHED_RUNS) {
        index->db_tried = TRUE;
        index->db = index_db_open(index->path);
    }
    return index->db;
}

static void write_changes(RunIndex *index)
{
    IndexDb *db = index->changes->len > 0 ? index_db(index) : NULL;
    if (!db || !index_db_begin(db))
        return;
    for (guint i = 0; i < index->changes->len; i++) {
        const Change *change = index->changes->pdata[i];
        index_db_put(db, change->table, change->key, change->bytes);
    }
    index_db_commit(db);
}

void run_index_close(RunIndex *index)
{
    if (!index)
        return;
    write_changes(index);
    index_db_close(index->db);
    if (index->runs_fd >= 0)
        close(index->runs_fd);
    if (index->trash_fd >= 0)
        close(index->trash_fd);
    g_ptr_array_unref(index->changes);
    g_hash_table_unref(index->scalars);
    g_clear_pointer(&index->expected, g_ptr_array_unref);
    g_free(index->runs_dir);
    g_free(index->trash_dir);
    g_free(index->path);
    g_free(index);
}

static void add_change(RunIndex *index, IndexTable table, const char *key, GBytes *bytes)
{
    Change *change = g_new(Change, 1);
    *change = (Change){table, g_strdup(key), bytes ? g_bytes_ref(bytes) : NULL};
    g_ptr_array_add(index->changes, change);
}

/* --- loading: a job a run, rows for them from the database, then threads --- */

typedef struct {
    Run *run;
    char *key; /* NULL: in neither folder of the store, always read */
    int root_fd;
    IndexEntry entry;
    gboolean from_cache;
} Job;

typedef struct {
    RunIndex *index;
    const EntryKind *kind;
    GArray *jobs;
    GHashTable *by_key; /* key of a job -> its index + 1 */
    gint next;          /* first job that no thread took yet */
} Loading;

static gboolean is_in(const char *dir, const char *folder)
{
    gsize n = folder ? strlen(folder) : 0;
    return n > 0 && strncmp(dir, folder, n) == 0 && dir[n] == '/' && !strchr(dir + n + 1, '/');
}

static void add_job(Loading *loading, Run *run)
{
    const RunIndex *index = loading->index;
    Job job = {.run = run, .root_fd = -1};
    gboolean trash = is_in(run_dir(run), index->trash_dir);
    if (trash || is_in(run_dir(run), index->runs_dir)) {
        const char *name = strrchr(run_dir(run), '/') + 1;
        job.key = g_strconcat(trash ? "t/" : "r/", name, NULL);
        job.root_fd = trash ? index->trash_fd : index->runs_fd;
        g_hash_table_insert(loading->by_key, job.key, GUINT_TO_POINTER(loading->jobs->len + 1));
    }
    g_array_append_val(loading->jobs, job);
}

static void forget_if_gone(RunIndex *index, const char *key)
{
    int fd = key[0] == 't' ? index->trash_fd : index->runs_fd;
    if (fd >= 0 && faccessat(fd, key + 2, F_OK, 0) == 0)
        return;
    add_change(index, INDEX_RUNS, key, NULL);
    add_change(index, INDEX_SCALARS, key, NULL);
}

static void take_row(const char *key, const guint8 *bytes, gsize len, gpointer data)
{
    Loading *loading = data;
    guint i = GPOINTER_TO_UINT(g_hash_table_lookup(loading->by_key, key));
    if (i > 0)
        g_array_index(loading->jobs, Job, i - 1).entry.bytes = g_bytes_new(bytes, len);
    else
        forget_if_gone(loading->index, key);
}

static void take_rows(Loading *loading)
{
    IndexDb *db = index_db(loading->index);
    gboolean runs = FALSE, trash = FALSE;
    for (guint i = 0; i < loading->jobs->len; i++) {
        const char *key = g_array_index(loading->jobs, Job, i).key;
        runs = runs || (key && key[0] == 'r');
        trash = trash || (key && key[0] == 't');
    }
    if (db && runs)
        index_db_each(db, loading->kind->table, "r/", take_row, loading);
    if (db && trash)
        index_db_each(db, loading->kind->table, "t/", take_row, loading);
}

static void do_job(Loading *loading, Job *job)
{
    job->from_cache = job->entry.bytes && job->root_fd >= 0 &&
                      loading->kind->check(&job->entry, job->run, job->root_fd);
    if (job->from_cache)
        return;
    index_entry_clear(&job->entry);
    loading->kind->read(&job->entry, job->run);
}

static gpointer do_jobs(gpointer data)
{
    Loading *loading = data;
    gint i;
    while ((i = g_atomic_int_add(&loading->next, 1)) < (gint)loading->jobs->len)
        do_job(loading, &g_array_index(loading->jobs, Job, i));
    return NULL;
}

/* Each job touches its own run and entry only; the database stays with this thread. */
static void do_all_jobs(Loading *loading)
{
    guint n = MIN(MIN(g_get_num_processors(), MAX_THREADS), loading->jobs->len / RUNS_PER_THREAD);
    GThread *threads[MAX_THREADS] = {NULL};
    for (guint i = 1; i < n; i++)
        threads[i] = g_thread_try_new("index", do_jobs, loading, NULL);
    do_jobs(loading);
    for (guint i = 1; i < n; i++)
        if (threads[i])
            g_thread_join(threads[i]);
}

static void job_clear(gpointer data)
{
    Job *job = data;
    g_free(job->key);
    index_entry_clear(&job->entry);
}

/* Calls `done` for each run with its entry (bytes NULL: nothing could be read). */
static void load(RunIndex *index, const EntryKind *kind, GPtrArray *runs,
        void (*done)(RunIndex *index, Run *run, const IndexEntry *entry))
{
    Loading loading = {.index = index,
            .kind = kind,
            .jobs = g_array_sized_new(FALSE, TRUE, sizeof(Job), runs->len),
            .by_key = g_hash_table_new(g_str_hash, g_str_equal)};
    g_array_set_clear_func(loading.jobs, job_clear);
    for (guint i = 0; i < runs->len; i++)
        add_job(&loading, runs->pdata[i]);
    take_rows(&loading);
    do_all_jobs(&loading);
    for (guint i = 0; i < loading.jobs->len; i++) {
        const Job *job = &g_array_index(loading.jobs, Job, i);
        done(index, job->run, &job->entry);
        if (job->entry.keep && job->key)
            add_change(index, kind->table, job->key, job->entry.bytes);
    }
    g_hash_table_unref(loading.by_key);
    g_array_unref(loading.jobs);
}

static void attach(RunIndex *index, Run *run, const IndexEntry *entry)
{
    (void)index;
    if (entry->bytes)
        index_entry_attach(entry, run);
}

void run_index_load(RunIndex *index, GPtrArray *runs)
{
    index->n_runs += runs->len;
    load(index, &run_entries, runs, attach);
}

/* A snapshot proves that there is an opref; a run without one may still have one that is broken. */
GPtrArray *run_index_scan(RunIndex *index, RunStore *store, RunStoreWhere where)
{
    g_autoptr(GPtrArray) folders = run_store_scan_folders(store, where);
    run_index_load(index, folders);
    GPtrArray *runs = run_array_new();
    for (guint i = 0; i < folders->len; i++)
        if (run_is_indexed(folders->pdata[i]) || run_exists(folders->pdata[i]))
            g_ptr_array_add(runs, run_ref(folders->pdata[i]));
    return runs;
}

static void remember_scalars(RunIndex *index, Run *run, const IndexEntry *entry)
{
    RunScalars *s = g_new0(RunScalars, 1);
    s->entry = *entry;
    g_bytes_ref(s->entry.bytes);
    g_hash_table_insert(index->scalars, g_strdup(run_dir(run)), s);
}

void run_index_expect_scalars(RunIndex *index, GPtrArray *runs)
{
    g_clear_pointer(&index->expected, g_ptr_array_unref);
    index->expected = g_ptr_array_ref(runs);
    index->n_runs = MAX(index->n_runs, runs->len);
}

/* --- what it knows --- */

static RunScalars *scalars_of(RunIndex *index, Run *run)
{
    RunScalars *s = g_hash_table_lookup(index->scalars, run_dir(run));
    if (!s && index->expected) {
        g_autoptr(GPtrArray) expected = g_steal_pointer(&index->expected);
        load(index, &scalar_entries, expected, remember_scalars);
        s = g_hash_table_lookup(index->scalars, run_dir(run));
    }
    if (s)
        return s;
    g_autoptr(GPtrArray) one = g_ptr_array_new();
    g_ptr_array_add(one, run);
    load(index, &scalar_entries, one, remember_scalars);
    return g_hash_table_lookup(index->scalars, run_dir(run));
}

static const Value *logged_attrs(RunIndex *index, Run *run)
{
    RunScalars *s = scalars_of(index, run);
    if (!s->attrs)
        s->attrs = index_scalars_attrs(&s->entry);
    return s->attrs;
}

Value *run_index_scalars(RunIndex *index, Run *run)
{
    RunScalars *s = scalars_of(index, run);
    if (!s->scalars)
        s->scalars = index_scalars_list(&s->entry);
    return value_ref(s->scalars);
}

Value *run_index_attrs(RunIndex *index, Run *run)
{
    g_autoptr(Value) opdef_attrs = run_try_attr(run, "opdef_attrs");
    Value *attrs = value_new_map();
    if (opdef_attrs && value_is_map(opdef_attrs))
        value_map_update(attrs, opdef_attrs);
    value_map_update(attrs, logged_attrs(index, run));
    for (gsize i = value_map_size(attrs); i-- > 0;)
        if (run_is_core_attr(value_map_key_at(attrs, i)))
            value_map_remove(attrs, value_map_key_at(attrs, i));
    return attrs;
}

/* Names with '#' are of other folders, such as trials that a batch run links to. */
static gboolean may_be_logged(Run *run, const char *name)
{
    return !run_is_core_attr(name) &&
            (strchr(name, '#') || run_may_have(run, RUN_HAS_LOGGED_ATTRS));
}

Value *run_index_named_attr(RunIndex *index, Run *run, const char *name)
{
    Value *logged = may_be_logged(run, name) ? value_map_get(logged_attrs(index, run), name) : NULL;
    return logged ? value_ref(logged) : run_named_attr(run, name);
}
