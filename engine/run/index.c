/* SPDX-License-Identifier: Apache-2.0 */
/* The index: which runs' entries come from the cache and which from disk. See index.h. Rows are keyed
 * "r/ID" (runs) and "t/ID" (trash). What had to be read is written back in one transaction when the
 * index is closed. */
#include "engine/run/index.h"

#include <string.h>
#include <unistd.h>

#include "engine/run/describe.h"
#include "engine/run/index_db.h"
#include "engine/run/index_entry.h"

/* Fewer runs are read from disk sooner than a database is opened. */
#define MIN_CACHED_RUNS 64

typedef struct {
    IndexTable table;
    char *key;
    GByteArray *bytes; /* NULL: delete the row */
} Change;

struct RunIndex {
    char *path; /* NULL: the store has no cache */
    char *runs_prefix, *trash_prefix; /* folders with a slash */
    IndexDb *db;
    gboolean db_tried;
    guint n_runs; /* loaded so far */
    GPtrArray *changes;
    GHashTable *scalars; /* run dir -> IndexScalars* */
    gboolean scalars_loaded;
    GHashTable *scalar_rows; /* key -> GBytes* */
};

static void change_free(gpointer data)
{
    Change *change = data;
    g_free(change->key);
    if (change->bytes)
        g_byte_array_unref(change->bytes);
    g_free(change);
}

RunIndex *run_index_open(RunStore *store)
{
    RunIndex *index = g_new0(RunIndex, 1);
    if (store && run_store_cache_dir(store)) {
        index->path = g_build_filename(run_store_cache_dir(store), "runs", "guild-index.db", NULL);
        index->trash_prefix = g_strconcat(run_store_trash_dir(store), "/", NULL);
    }
    if (store)
        index->runs_prefix = g_strconcat(run_store_runs_dir(store), "/", NULL);
    index->changes = g_ptr_array_new_with_free_func(change_free);
    index->scalars = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
            (GDestroyNotify)index_scalars_free);
    index->scalar_rows = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
            (GDestroyNotify)g_bytes_unref);
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
    IndexDb *db = index_db(index);
    if (!db || index->changes->len == 0 || !index_db_begin(db))
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
    g_ptr_array_unref(index->changes);
    g_hash_table_unref(index->scalars);
    g_hash_table_unref(index->scalar_rows);
    g_free(index->runs_prefix);
    g_free(index->trash_prefix);
    g_free(index->path);
    g_free(index);
}

/* "r/ID" or "t/ID"; NULL for a run that is in neither folder. */
static char *run_key(const RunIndex *index, const Run *run)
{
    const struct {
        const char *folder, *key;
    } folders[] = { { index->runs_prefix, "r/" }, { index->trash_prefix, "t/" } };
    for (gsize i = 0; i < G_N_ELEMENTS(folders); i++) {
        gsize n = folders[i].folder ? strlen(folders[i].folder) : 0;
        if (n > 0 && strncmp(run_dir(run), folders[i].folder, n) == 0
                && !strchr(run_dir(run) + n, '/'))
            return g_strconcat(folders[i].key, run_dir(run) + n, NULL);
    }
    return NULL;
}

static void add_change(RunIndex *index, IndexTable table, char *key /* taken over */,
        GByteArray *bytes /* taken over */)
{
    Change *change = g_new(Change, 1);
    *change = (Change){ table, key, bytes };
    g_ptr_array_add(index->changes, change);
}

/* --- snapshots --- */

typedef struct {
    RunIndex *index;
    GHashTable *wanted; /* key -> Run*, those still without a snapshot */
} Loading;

static void forget_if_gone(RunIndex *index, const char *key)
{
    const char *folder = key[0] == 't' ? index->trash_prefix : index->runs_prefix;
    g_autofree char *dir = g_strconcat(folder, key + 2, NULL);
    if (access(dir, F_OK) == 0)
        return;
    add_change(index, INDEX_RUNS, g_strdup(key), NULL);
    add_change(index, INDEX_SCALARS, g_strdup(key), NULL);
}

static void load_row(const char *key, const guint8 *bytes, gsize len, gpointer data)
{
    Loading *loading = data;
    Run *run = g_hash_table_lookup(loading->wanted, key);
    if (!run)
        forget_if_gone(loading->index, key);
    else if (index_entry_restore(run, bytes, len))
        g_hash_table_remove(loading->wanted, key);
}

static void load_cached(RunIndex *index, GHashTable *wanted)
{
    static const char *const prefixes[] = { "r/", "t/" };
    IndexDb *db = index_db(index);
    Loading loading = { index, wanted };
    for (gsize i = 0; db && i < G_N_ELEMENTS(prefixes); i++) {
        GHashTableIter it;
        gpointer key;
        gboolean any = FALSE;
        g_hash_table_iter_init(&it, wanted);
        while (!any && g_hash_table_iter_next(&it, &key, NULL))
            any = g_str_has_prefix(key, prefixes[i]);
        if (any)
            index_db_each(db, INDEX_RUNS, prefixes[i], load_row, &loading);
    }
}

void run_index_load(RunIndex *index, GPtrArray *runs)
{
    g_autoptr(GHashTable) wanted = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    index->n_runs += runs->len;
    for (guint i = 0; i < runs->len; i++) {
        char *key = run_key(index, runs->pdata[i]);
        if (key)
            g_hash_table_insert(wanted, key, runs->pdata[i]);
    }
    load_cached(index, wanted);
    GHashTableIter it;
    gpointer key, run;
    g_hash_table_iter_init(&it, wanted);
    while (g_hash_table_iter_next(&it, &key, &run)) {
        GByteArray *bytes = index_entry_read(run);
        if (bytes)
            add_change(index, INDEX_RUNS, g_strdup(key), bytes);
    }
}

/* --- scalars --- */

static void keep_row(const char *key, const guint8 *bytes, gsize len, gpointer data)
{
    g_hash_table_insert(data, g_strdup(key), g_bytes_new(bytes, len));
}

static void load_scalar_rows(RunIndex *index)
{
    IndexDb *db = index_db(index);
    if (!index->scalars_loaded && db) {
        index->scalars_loaded = TRUE;
        index_db_each(db, INDEX_SCALARS, "", keep_row, index->scalar_rows);
    }
}

static const IndexScalars *scalars_of(RunIndex *index, Run *run)
{
    IndexScalars *s = g_hash_table_lookup(index->scalars, run_dir(run));
    if (s)
        return s;
    load_scalar_rows(index);
    g_autofree char *key = run_key(index, run);
    GBytes *row = key ? g_hash_table_lookup(index->scalar_rows, key) : NULL;
    if (row)
        s = index_scalars_restore(run, g_bytes_get_data(row, NULL), g_bytes_get_size(row));
    if (!s) {
        GByteArray *bytes;
        s = index_scalars_read(run, &bytes);
        if (bytes && key)
            add_change(index, INDEX_SCALARS, g_steal_pointer(&key), bytes);
        else if (bytes)
            g_byte_array_unref(bytes);
    }
    g_hash_table_insert(index->scalars, g_strdup(run_dir(run)), s);
    return s;
}

Value *run_index_scalars(RunIndex *index, Run *run)
{
    return value_ref(scalars_of(index, run)->scalars);
}

Value *run_index_attrs(RunIndex *index, Run *run)
{
    g_autoptr(Value) opdef_attrs = run_try_attr(run, "opdef_attrs");
    Value *attrs = value_new_map();
    if (opdef_attrs && value_is_map(opdef_attrs))
        value_map_update(attrs, opdef_attrs);
    value_map_update(attrs, scalars_of(index, run)->attrs);
    for (gsize i = value_map_size(attrs); i-- > 0;)
        if (run_is_core_attr(value_map_key_at(attrs, i)))
            value_map_remove(attrs, value_map_key_at(attrs, i));
    return attrs;
}

Value *run_index_named_attr(RunIndex *index, Run *run, const char *name)
{
    Value *logged = run_is_core_attr(name) ? NULL
                                           : value_map_get(scalars_of(index, run)->attrs, name);
    return logged ? value_ref(logged) : run_named_attr(run, name);
}
