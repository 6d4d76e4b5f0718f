/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary home for tests of run directories. */
#pragma once

#include "engine/base/fs.h"
#include "engine/run/store.h"

typedef struct {
    char *home;
    RunStore *store;
} RunFixture;

static inline void run_fixture_init(RunFixture *f, gconstpointer data)
{
    g_autoptr(GError) error = NULL;
    (void)data;
    f->home = fs_mkdtemp("guild-test-", &error);
    g_assert_no_error(error);
    f->store = run_store_open(f->home, &error);
    g_assert_no_error(error);
}

static inline void run_fixture_clear(RunFixture *f, gconstpointer data)
{
    (void)data;
    run_store_free(f->store);
    fs_remove_tree(f->home, NULL);
    g_free(f->home);
}

/* A run with an opref, started at `started_us`; completed if exit_status is 0. */
static inline Run *run_fixture_run(
        RunFixture *f, const char *id, const char *op, gint64 started_us, gint64 exit_status)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(OpRef) ref = opref_new("test", "/p", NULL, NULL, op);
    Run *run = run_store_new_run(f->store, id);
    g_assert_true(run_init_skel(run, &error));
    g_assert_true(run_write_opref(run, ref, &error));
    g_assert_true(run_write_attr_int(run, "started", started_us, &error));
    g_assert_true(run_write_attr_int(run, "exit_status", exit_status, &error));
    g_assert_no_error(error);
    return run;
}

/* Text of a file below .guild of the run. */
static inline char *run_fixture_text(Run *run, const char *sub)
{
    g_autofree char *path = run_guild_path(run, sub);
    g_autoptr(GError) error = NULL;
    char *text = fs_read(path, 0, NULL, &error);
    g_assert_no_error(error);
    return text;
}
