/* SPDX-License-Identifier: Apache-2.0 */
/* The index: snapshots for runs, and the file that they come from and go to. See index.h. Records
 * are keyed "r/ID" (runs) and "t/ID" (trash). */
#include "engine/run/index.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/run/describe.h"
#include "engine/run/index_file.h"
#include "engine/run/index_scalars.h"

/* Fewer runs are read from disk sooner than a cache is kept. */
#define MIN_CACHED_RUNS 64
/* The cache is written when it lacks a part for every so many runs: writing it costs as much as
 * reading so few parts again. */
#define RUNS_PER_NEWS 64
#define MAX_THREADS 8
#define RUNS_PER_THREAD 500
#define RUNS_PER_TURN 32

typedef struct {
    RunIndex *index;
    const char *key; /* NULL: in neither folder of the store, never cached */
    RunParts parts;
} Snapshot;

struct RunIndex {
    gint refs;                  /* the opener's, and one a snapshot in use */
    char *path;                 /* NULL: the store has no cache */
    char *runs_dir, *trash_dir; /* may be NULL */
    int runs_fd, trash_fd;      /* -1: not open */
    IndexFile *file;
    gboolean file_tried;
    guint n_runs;        /* loaded so far */
    GStringChunk *texts; /* keys and folders of snapshots */
    GPtrArray *blocks;   /* arrays of snapshots */
    GArray *block_sizes; /* guint */
    GPtrArray *expected; /* runs whose scalars are to be looked at together, or NULL */
};

static int open_dir(const char *path)
{
    return path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

RunIndex *run_index_open(RunStore *store)
{
    RunIndex *index = g_new0(RunIndex, 1);
    index->refs = 1;
    if (store) {
        index->runs_dir = g_strdup(run_store_runs_dir(store));
        index->trash_dir = g_strdup(run_store_trash_dir(store));
        if (run_store_cache_dir(store))
            index->path = g_build_filename(run_store_cache_dir(store), "runs", "guild-index", NULL);
    }
    index->runs_fd = open_dir(index->runs_dir);
    index->trash_fd = open_dir(index->trash_dir);
    index->texts = g_string_chunk_new(4096);
    index->blocks = g_ptr_array_new_with_free_func(g_free);
    index->block_sizes = g_array_new(FALSE, FALSE, sizeof(guint));
    return index;
}

/* --- writing --- */

static void each_snapshot(
        const RunIndex *index, void (*fn)(Snapshot *s, gpointer data), gpointer data)
{
    for (guint i = 0; i < index->blocks->len; i++) {
        Snapshot *block = index->blocks->pdata[i];
        for (guint k = 0; k < g_array_index(index->block_sizes, guint, i); k++)
            fn(&block[k], data);
    }
}

static void count_news(Snapshot *s, gpointer data)
{
    guint *n = data;
    if (s->key)
        *n += run_parts_count_news(&s->parts);
}

static void put_snapshot(Snapshot *s, gpointer data)
{
    GByteArray *out = data;
    if (!s->key)
        return;
    guint record = index_file_begin_record(out, s->key);
    run_parts_put(&s->parts, out);
    index_file_end_record(out, record);
}

typedef struct {
    const RunIndex *index;
    GByteArray *out;
} Others;

/* What this process did not ask for stays, unless the run is gone. */
static void put_other(const char *key, IndexReader r, gpointer data)
{
    const Others *others = data;
    int fd = key[0] == 't' ? others->index->trash_fd : others->index->runs_fd;
    if (strlen(key) < 3 || fd < 0 || faccessat(fd, key + 2, F_OK, 0) != 0)
        return;
    guint record = index_file_begin_record(others->out, key);
    g_byte_array_append(others->out, r.at, (guint)(r.end - r.at));
    index_file_end_record(others->out, record);
}

static void write_news(RunIndex *index)
{
    guint news = 0;
    if (!index->path || index->n_runs < MIN_CACHED_RUNS)
        return;
    each_snapshot(index, count_news, &news);
    if (news * RUNS_PER_NEWS < index->n_runs || news == 0)
        return;
    GByteArray *out = index_file_begin();
    each_snapshot(index, put_snapshot, out);
    if (index->file)
        index_file_each_other(index->file, put_other, &(Others){index, out});
    index_file_write(index->path, out);
}

static void clear_snapshot(Snapshot *s, gpointer data)
{
    (void)data;
    run_parts_clear(&s->parts);
}

static void unref(RunIndex *index)
{
    if (!g_atomic_int_dec_and_test(&index->refs))
        return;
    write_news(index);
    each_snapshot(index, clear_snapshot, NULL);
    index_file_free(index->file);
    if (index->runs_fd >= 0)
        close(index->runs_fd);
    if (index->trash_fd >= 0)
        close(index->trash_fd);
    g_string_chunk_free(index->texts);
    g_ptr_array_unref(index->blocks);
    g_array_unref(index->block_sizes);
    g_free(index->runs_dir);
    g_free(index->trash_dir);
    g_free(index->path);
    g_free(index);
}

void run_index_close(RunIndex *index)
{
    if (!index)
        return;
    g_clear_pointer(&index->expected, g_ptr_array_unref); /* whose snapshots may be ours */
    unref(index);
}

/* --- snapshots --- */

static gboolean snapshot_attr(gpointer snapshot, const char *name, const char *key, Value **value)
{
    Snapshot *s = snapshot;
    return run_parts_attr(&s->parts, name, key, value);
}

static guint snapshot_present(gpointer snapshot)
{
    Snapshot *s = snapshot;
    return run_parts_present(&s->parts);
}

static OpRef *snapshot_opref(gpointer snapshot)
{
    Snapshot *s = snapshot;
    return run_parts_opref(&s->parts);
}

static void snapshot_unref(gpointer snapshot)
{
    Snapshot *s = snapshot;
    unref(s->index);
}

static const RunSnapshotOps snapshot_ops = {
        snapshot_attr, snapshot_present, snapshot_opref, snapshot_unref};

static IndexFile *index_file(RunIndex *index)
{
    if (!index->file_tried && index->path && index->n_runs >= MIN_CACHED_RUNS) {
        index->file_tried = TRUE;
        index->file = index_file_read(index->path);
    }
    return index->file;
}

static gboolean is_in(const char *dir, const char *folder)
{
    gsize n = folder ? strlen(folder) : 0;
    return n > 0 && strncmp(dir, folder, n) == 0 && dir[n] == '/' && !strchr(dir + n + 1, '/');
}

/* A run of the store is looked at from its folder, which is much cheaper than from the root. */
static void locate(RunIndex *index, Run *run, Snapshot *s)
{
    const char *dir = run_dir(run);
    gboolean trash = is_in(dir, index->trash_dir);
    int fd = trash ? index->trash_fd : index->runs_fd;
    s->index = index;
    if (fd < 0 || (!trash && !is_in(dir, index->runs_dir))) {
        s->parts.fd = AT_FDCWD;
        s->parts.dir = g_string_chunk_insert(index->texts, dir);
        return;
    }
    char key[NAME_MAX + sizeof("r/")];
    g_snprintf(key, sizeof(key), "%s%s", trash ? "t/" : "r/", strrchr(dir, '/') + 1);
    s->key = g_string_chunk_insert(index->texts, key);
    s->parts.fd = fd;
    s->parts.dir = s->key + strlen("r/");
}

static void attach(RunIndex *index, Run *run, Snapshot *s)
{
    IndexReader r;
    locate(index, run, s);
    if (s->key && index_file(index) && index_file_find(index->file, s->key, &r))
        run_parts_take(&s->parts, &r);
    g_atomic_int_inc(&index->refs);
    run_set_snapshot(run, s, &snapshot_ops);
}

void run_index_load(RunIndex *index, GPtrArray *runs)
{
    Snapshot *block = g_new0(Snapshot, MAX(runs->len, 1));
    guint n = 0;
    index->n_runs += runs->len;
    for (guint i = 0; i < runs->len; i++)
        if (!run_snapshot(runs->pdata[i], &snapshot_ops))
            attach(index, runs->pdata[i], &block[n++]);
    g_ptr_array_add(index->blocks, block);
    g_array_append_val(index->block_sizes, n);
}

static RunParts *parts_of(RunIndex *index, Run *run)
{
    if (!run_snapshot(run, &snapshot_ops)) {
        g_autoptr(GPtrArray) one = g_ptr_array_new();
        g_ptr_array_add(one, run);
        run_index_load(index, one);
    }
    Snapshot *s = run_snapshot(run, &snapshot_ops);
    return &s->parts;
}

/* --- threads --- */

typedef struct {
    GPtrArray *runs;
    RunIndexTest test;
    gpointer data;
    guint8 *passed;
    gint next; /* first run that no thread took yet */
} Testing;

static gpointer do_tests(gpointer data)
{
    Testing *t = data;
    guint from;
    while ((from = (guint)g_atomic_int_add(&t->next, RUNS_PER_TURN)) < t->runs->len)
        for (guint i = from; i < MIN(from + RUNS_PER_TURN, t->runs->len); i++)
            t->passed[i] = t->test(t->runs->pdata[i], t->data) != FALSE;
    return NULL;
}

GPtrArray *run_index_filter(GPtrArray *runs, RunIndexTest test, gpointer data)
{
    g_autofree guint8 *passed = g_new0(guint8, runs->len + 1);
    Testing t = {runs, test, data, passed, 0};
    guint n = MIN(MIN(g_get_num_processors(), MAX_THREADS), runs->len / RUNS_PER_THREAD);
    GThread *threads[MAX_THREADS] = {NULL};
    for (guint i = 1; i < n; i++)
        threads[i] = g_thread_try_new("index", do_tests, &t, NULL);
    do_tests(&t);
    for (guint i = 1; i < n; i++)
        if (threads[i])
            g_thread_join(threads[i]);
    GPtrArray *kept = run_array_new();
    for (guint i = 0; i < runs->len; i++)
        if (passed[i])
            g_ptr_array_add(kept, run_ref(runs->pdata[i]));
    return kept;
}

/* --- scalars and attributes --- */

void run_index_expect_scalars(RunIndex *index, GPtrArray *runs)
{
    g_clear_pointer(&index->expected, g_ptr_array_unref);
    index->expected = g_ptr_array_ref(runs);
}

static gboolean look_at_scalars(Run *run, gpointer data)
{
    RunIndex *index = data;
    index_scalars_look(parts_of(index, run), run_dir(run));
    return FALSE;
}

/* The parts of a run whose scalars are about to be asked for. */
static RunParts *scalars_of(RunIndex *index, Run *run)
{
    if (index->expected) { /* never while several threads ask */
        g_autoptr(GPtrArray) expected = g_steal_pointer(&index->expected);
        run_index_load(index, expected);
        g_ptr_array_unref(run_index_filter(expected, look_at_scalars, index));
    }
    return parts_of(index, run);
}

Value *run_index_scalars(RunIndex *index, Run *run)
{
    return index_scalars_list(scalars_of(index, run), run_dir(run));
}

Value *run_index_last_scalar(RunIndex *index, Run *run, const char *key)
{
    return index_scalars_last(scalars_of(index, run), run_dir(run), key);
}

Value *run_index_attrs(RunIndex *index, Run *run)
{
    g_autoptr(Value) opdef_attrs = run_try_attr(run, "opdef_attrs");
    g_autoptr(Value) logged = index_scalars_attrs(scalars_of(index, run), run_dir(run));
    Value *attrs = value_new_map();
    if (opdef_attrs && value_is_map(opdef_attrs))
        value_map_update(attrs, opdef_attrs);
    value_map_update(attrs, logged);
    for (gsize i = value_map_size(attrs); i-- > 0;)
        if (run_is_core_attr(value_map_key_at(attrs, i)))
            value_map_remove(attrs, value_map_key_at(attrs, i));
    return attrs;
}

/* Names with '#' are of other folders, such as trials that a batch run links to; others are of
 * files that Guild wrote to .guild or a script to the run's directory. */
static gboolean may_be_logged(RunIndex *index, Run *run, const char *name)
{
    return !run_is_core_attr(name) &&
           (strchr(name, '#') || run_may_have(run, RUN_HAS_LOGGED_ATTRS) ||
                   run_parts_logs_attrs(parts_of(index, run)));
}

Value *run_index_named_attr(RunIndex *index, Run *run, const char *name)
{
    Value *logged = NULL;
    if (may_be_logged(index, run, name))
        logged = index_scalars_attr(scalars_of(index, run), run_dir(run), name);
    return logged ? logged : run_named_attr(run, name);
}
