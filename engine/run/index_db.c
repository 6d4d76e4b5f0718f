/* SPDX-License-Identifier: Apache-2.0 */
/* See index_db.h. */
#include "engine/run/index_db.h"

#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"

#define VERSION 6
#define BUSY_TIMEOUT_MS 200

struct IndexDb {
    sqlite3 *sqlite;
    char *path;
    gboolean broken;
    sqlite3_stmt *put[2], *delete[2];
};

static const char *const tables[] = {[INDEX_RUNS] = "runs", [INDEX_SCALARS] = "scalars"};

/* Remembers that the file is of no use; index_db_close() removes it then. */
static gboolean check(IndexDb *db, int code)
{
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
        return TRUE;
    int primary = code & 0xff;
    if (primary == SQLITE_CORRUPT || primary == SQLITE_NOTADB)
        db->broken = TRUE;
    log_debug("index %s: %s", db->path, sqlite3_errmsg(db->sqlite));
    return FALSE;
}

static int int_pragma(IndexDb *db, const char *sql)
{
    sqlite3_stmt *stmt = NULL;
    int n = -1;
    if (check(db, sqlite3_prepare_v2(db->sqlite, sql, -1, &stmt, NULL)) &&
            sqlite3_step(stmt) == SQLITE_ROW)
        n = sqlite3_column_int(stmt, 0);
    check(db, sqlite3_errcode(db->sqlite));
    sqlite3_finalize(stmt);
    return n;
}

static gboolean run_sql(IndexDb *db, const char *sql)
{
    return check(db, sqlite3_exec(db->sqlite, sql, NULL, NULL, NULL));
}

/* A cache needs no fsync: after a crash it is found broken or old and made again. */
static gboolean set_up(IndexDb *db)
{
    g_autofree char *create = g_strdup_printf(
            "CREATE TABLE IF NOT EXISTS runs (key TEXT PRIMARY KEY, bytes BLOB) WITHOUT ROWID;"
            "CREATE TABLE IF NOT EXISTS scalars (key TEXT PRIMARY KEY, bytes BLOB) WITHOUT ROWID;"
            "PRAGMA user_version = %d;",
            VERSION);
    sqlite3_busy_timeout(db->sqlite, BUSY_TIMEOUT_MS);
    if (!run_sql(db, "PRAGMA synchronous = OFF; PRAGMA journal_mode = MEMORY;"))
        return FALSE;
    int version = int_pragma(db, "PRAGMA user_version");
    if (version == VERSION)
        return TRUE;
    if (version > 0)
        db->broken = TRUE;
    return version == 0 && run_sql(db, create);
}

static IndexDb *try_open(const char *path)
{
    IndexDb *db = g_new0(IndexDb, 1);
    db->path = g_strdup(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    if (check(db, sqlite3_open_v2(path, &db->sqlite, flags, NULL)) && set_up(db))
        return db;
    index_db_close(db);
    return NULL;
}

IndexDb *index_db_open(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    if (!fs_mkdirs(dir, NULL))
        return NULL;
    IndexDb *db = try_open(path);
    /* A broken file is gone by now. */
    return db ? db : try_open(path);
}

void index_db_close(IndexDb *db)
{
    if (!db)
        return;
    for (int i = 0; i < 2; i++) {
        sqlite3_finalize(db->put[i]);
        sqlite3_finalize(db->delete[i]);
    }
    sqlite3_close(db->sqlite);
    if (db->broken)
        unlink(db->path);
    g_free(db->path);
    g_free(db);
}

void index_db_each(IndexDb *db, IndexTable table, const char *prefix, IndexRowFn fn, gpointer data)
{
    g_autofree char *sql = g_strdup_printf(
            "SELECT key, bytes FROM %s WHERE key >= ?1 AND key < ?1 || char(1114111)",
            tables[table]);
    sqlite3_stmt *stmt = NULL;
    if (!check(db, sqlite3_prepare_v2(db->sqlite, sql, -1, &stmt, NULL)))
        return;
    sqlite3_bind_text(stmt, 1, prefix, -1, SQLITE_STATIC);
    int code;
    while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
        const char *key = (const char *)sqlite3_column_text(stmt, 0);
        const guint8 *bytes = sqlite3_column_blob(stmt, 1);
        if (key && bytes)
            fn(key, bytes, (gsize)sqlite3_column_bytes(stmt, 1), data);
    }
    check(db, code);
    sqlite3_finalize(stmt);
}

static gboolean prepare(IndexDb *db, sqlite3_stmt **stmt, const char *fmt, IndexTable table)
{
    if (*stmt)
        return TRUE;
    g_autofree char *name = g_strdup(tables[table]);
    g_auto(GStrv) around = g_strsplit(fmt, "TABLE", 2);
    g_autofree char *sql = g_strconcat(around[0], name, around[1], NULL);
    return check(db, sqlite3_prepare_v2(db->sqlite, sql, -1, stmt, NULL));
}

gboolean index_db_begin(IndexDb *db)
{
    return !db->broken && run_sql(db, "BEGIN IMMEDIATE");
}

void index_db_put(IndexDb *db, IndexTable table, const char *key, GBytes *bytes)
{
    sqlite3_stmt **stmt = bytes ? &db->put[table] : &db->delete[table];
    const char *sql = bytes ? "INSERT OR REPLACE INTO TABLE VALUES (?1, ?2)"
                            : "DELETE FROM TABLE WHERE key = ?1";
    if (!prepare(db, stmt, sql, table))
        return;
    sqlite3_bind_text(*stmt, 1, key, -1, SQLITE_STATIC);
    if (bytes)
        sqlite3_bind_blob(*stmt, 2, g_bytes_get_data(bytes, NULL), (int)g_bytes_get_size(bytes),
                SQLITE_STATIC);
    check(db, sqlite3_step(*stmt));
    sqlite3_reset(*stmt);
    sqlite3_clear_bindings(*stmt);
}

void index_db_commit(IndexDb *db)
{
    if (!run_sql(db, "COMMIT"))
        run_sql(db, "ROLLBACK");
}
