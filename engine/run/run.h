/* SPDX-License-Identifier: Apache-2.0 */
/* One run: a directory with `.guild/` inside. What is known of a run is in that folder only, as
 * the reference lays it out (guild/run.py): one YAML file per attribute in `.guild/attrs`, the
 * operation in `.guild/opref`, markers `PENDING` and `STAGED`, the pid of the process in `LOCK`,
 * `LOCK.remote` (name of a remote) while it executes elsewhere, `.guild/proto` in batch runs.
 *
 * A Run is a name for the directory and keeps nothing of it in memory but its opref, unless
 * run_set_snapshot() attached what the index knows (see index.h). It is not locked: one thread at a
 * time. */
#pragma once

#include <sys/types.h>

#include "engine/base/value.h"
#include "engine/run/opref.h"

typedef struct Run Run;

#define RUN_ERROR_DOMAIN run_error_quark()
GQuark run_error_quark(void);
typedef enum {
    RUN_ERR_ATTR,      /* attribute is not readable or not YAML; message names run and attribute */
    RUN_ERR_OPREF,     /* opref is not readable */
    RUN_ERR_NOT_FOUND, /* no run has this id */
    RUN_ERR_AMBIGUOUS, /* more than one run has it */
    RUN_ERR_FILTER,    /* syntax of a filter expression or a time range */
    RUN_ERR_IO,
} RunErrorCode;

typedef enum {
    RUN_RUNNING,
    RUN_PENDING,
    RUN_STAGED,
    RUN_COMPLETED,
    RUN_ERROR,
    RUN_TERMINATED,
} RunStatus;

/* A 32 digit hex id, random. Newly allocated. */
char *run_new_id(void);

/* No I/O. `id` NULL: the last part of `dir`. */
Run *run_new(const char *dir, const char *id);
Run *run_ref(Run *run);
void run_unref(Run *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_unref)

const char *run_id(const Run *run);
const char *run_dir(const Run *run);
char *run_short_id(const Run *run);                    /* first 8 characters */
char *run_guild_path(const Run *run, const char *sub); /* DIR/.guild/SUB; sub NULL: DIR/.guild */
gboolean run_exists(Run *run);                         /* has an opref, as listings demand */
/* Says in a warning why what is no run by run_exists() may yet be one: its folder can't be looked
 * into. Once for each folder. */
void run_warn_unreadable(const Run *run);

/* Makes `.guild/attrs` and, if `initialized` is missing, writes attributes id and initialized. */
gboolean run_init_skel(Run *run, GError **error);

/* The value of an attribute, a new reference. NULL without error if there is none. An attribute
 * file that is empty or says null gives a null Value. */
Value *run_get_attr(Run *run, const char *name, GError **error);
/* The same for readers that must not stop at a broken file: it counts as absent, and so does
 * null. */
Value *run_try_attr(Run *run, const char *name);
/* Text of a string attribute, "" or NULL if absent; other kinds in Python's str(). */
char *run_attr_text(Run *run, const char *name);
gint64 run_attr_int(Run *run, const char *name, gint64 dflt);
/* Rewrites the file in place, as the reference does. The text is yaml_dump_attr() and a newline. */
gboolean run_write_attr(Run *run, const char *name, const Value *value, GError **error);
gboolean run_write_attr_string(Run *run, const char *name, const char *text, GError **error);
gboolean run_write_attr_int(Run *run, const char *name, gint64 n, GError **error);
/* Writes `text` and a newline as they are. */
gboolean run_write_attr_raw(Run *run, const char *name, const char *text, GError **error);
void run_del_attr(Run *run, const char *name);
gboolean run_has_attr(Run *run, const char *name);
char **run_attr_names(Run *run); /* sorted; empty if there is no folder */
/* Whether Guild itself writes an attribute of this name into each run (guild/run.py CORE_RUN_ATTRS):
 * an operation's `run-attrs` and what a run logs can't have it. */
gboolean run_attr_is_core(const char *name);
/* What a map attribute has under a key; a new reference or NULL. */
Value *run_attr_item(Run *run, const char *name, const char *key);
/* A key of the attribute opdef_attrs; a new reference or NULL. */
Value *run_opdef_attr(Run *run, const char *name);

/* A new copy of the run's opref. */
OpRef *run_opref(Run *run, GError **error);
/* The same without a copy: owned by the run; NULL if it cannot be read. */
const OpRef *run_peek_opref(Run *run);
gboolean run_write_opref(Run *run, const OpRef *ref, GError **error);

/* In the order of the reference: LOCK.remote, PENDING, STAGED, exit_status, LOCK with a live pid;
 * otherwise RUN_ERROR. */
RunStatus run_status(Run *run);
const char *run_status_name(RunStatus status);
pid_t run_pid(Run *run);            /* from LOCK, alive or not; 0 if none */
gboolean run_has_process(Run *run); /* whether that one lives; FALSE for a zombie left to init */
char *run_remote(Run *run);         /* text of LOCK.remote; NULL if none */
gint64 run_timestamp_us(Run *run);  /* started, else initialized, else 0 */

gboolean run_set_marker(Run *run, const char *marker, GError **error); /* "PENDING", "STAGED" */
void run_clear_marker(Run *run, const char *marker);
gboolean run_has_marker(Run *run, const char *marker);
gboolean run_write_lock(Run *run, pid_t pid, GError **error);
void run_delete_lock(Run *run);

/* DIR/.guild/proto as a Run if it has an opref, else NULL: what tells a batch run from others.
 * New reference. */
Run *run_batch_proto(Run *run);

/* Name of the run beside this one that the link `rel` in it leads to (not of that to whose file it
 * does); it need not be there. Newly allocated, or NULL. */
char *run_neighbour(Run *run, const char *rel);
/* Names of all runs beside this one that links in it lead to: the trials of a batch,
 * the runs of steps. Newly allocated strv. */
char **run_neighbours(Run *run);
/* Removes those links. The runs stay. */
void run_unlink_neighbours(Run *run);

/* What the index knows of a run, so that reading costs less I/O. Any write through the Run drops
 * it. */
typedef enum {
    RUN_HAS_LOCK = 1 << 0,
    RUN_HAS_REMOTE_LOCK = 1 << 1,
    RUN_HAS_PENDING = 1 << 2,
    RUN_HAS_STAGED = 1 << 3,
    RUN_HAS_PROTO = 1 << 4,
    RUN_HAS_OPREF = 1 << 5,
    RUN_HAS_LOGGED_ATTRS =
            1 << 6, /* event files of attributes: those that Guild writes are there */
} RunPresence;
/* The bit for a name in .guild ("LOCK", "PENDING", ...); 0 for other names. */
guint run_presence_of(const char *name);
typedef struct RunSnapshotOps {
    /* TRUE if it is known: *value is then a new reference, or NULL for an attribute that is not
     * there; with `key` only what a map has under that, NULL if it is no map or has no such key.
     * FALSE: read it from disk. */
    gboolean (*attr)(gpointer snapshot, const char *name, const char *key, Value **value);
    guint (*present)(gpointer snapshot); /* RunPresence */
    OpRef *(*opref)(gpointer snapshot);  /* new; NULL: read it from disk */
    void (*unref)(gpointer snapshot);
} RunSnapshotOps;
/* Takes over a reference to the snapshot. */
void run_set_snapshot(Run *run, gpointer snapshot, const RunSnapshotOps *ops);
/* The run's snapshot if it has one of these ops, else NULL. */
gpointer run_snapshot(const Run *run, const RunSnapshotOps *ops);
/* FALSE if the run's snapshot says that .guild has no such thing; TRUE without a snapshot. */
gboolean run_may_have(const Run *run, RunPresence what);

/* Frees with run_unref. */
GPtrArray *run_array_new(void);
