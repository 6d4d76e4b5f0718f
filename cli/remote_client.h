/* SPDX-License-Identifier: Apache-2.0 */
/* A command's connection to a coordinator: found by the remote's name in the user's configuration,
 * opened with its key, used for one thing after the other, each waited for. An error says which of
 * it is: no such host, nobody listens there, the key is not accepted, no answer; within 10 s. */
#pragma once

#include "engine/base/value.h"
#include "engine/run/run.h"
#include "engine/wire/filelist.h"

typedef struct RemoteClient RemoteClient;

#define REMOTE_ERROR remote_error_quark()
GQuark remote_error_quark(void);
typedef enum {
    REMOTE_ERROR_CONFIG,  /* the remote's definition or key file */
    REMOTE_ERROR_CONNECT, /* cannot connect, or lost while waiting */
    REMOTE_ERROR_REFUSED, /* the coordinator said no */
} RemoteError;

/* `name` of a remote of type coordinator in the user's configuration; NULL or "local" (if none has
 * that name): the coordinator that runs on our own home. */
RemoteClient *remote_open(const char *name, GError **error);
void remote_close(RemoteClient *c);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RemoteClient, remote_close)
const char *remote_name(RemoteClient *c);

/* Asks and waits; if the connection is lost meanwhile, asks again on the next. `args` may be NULL. New
 * reference; NULL with error. */
Value *remote_call(RemoteClient *c, const char *method, const Value *args, GError **error);

typedef struct {
    int priority;
    int retries; /* -1: the coordinator's default */
    int retry_failed;
    Value *request;   /* or NULL */
    gboolean start;   /* FALSE: keep it staged there */
    gboolean replace; /* it may take the place of a run that ended there (a restart) */
    gboolean copy;    /* of a run that may be there, and be over: not if the copy is older */
    gboolean output;  /* trials' output belongs to the batch's, as with -j1 */
    gboolean stage_trials;
    Value *sync; /* patterns for what to bring back (list), or NULL */
} RemoteSubmit;

/* Sends the run directory `run`; when this gives TRUE the coordinator has all of it, durably. */
gboolean remote_submit(RemoteClient *c, Run *run, const RemoteSubmit *options, GError **error);

/* What is told while a run is watched. Any may be NULL. */
typedef struct {
    void (*output)(int stream, const void *bytes, gsize len, gpointer data);
    void (*log)(int level, const char *text, gpointer data);
    void (*progress)(gint64 done, gint64 running, gint64 failed, gint64 left, gpointer data);
} RemoteWatcher;
/* Until the run ends (its exit status), the connection is lost for long, or SIGINT (then -SIGINT;
 * the run goes on). Reconnects by itself meanwhile. `offset`: of the run's output, what was seen
 * before. */
int remote_watch(RemoteClient *c, const char *run_id, guint64 offset, const RemoteWatcher *watcher,
        gpointer data, GError **error);

/* How the run that was watched last ended, as `guild runs` shows it; NULL if that was not said. */
const char *remote_end_status(RemoteClient *c);

/* Brings a run into runs_dir/ID: only what differs travels. With `only_guild`, no more than what is
 * known of the run (`.guild` without output and source code). */
gboolean remote_pull(RemoteClient *c, const char *run_id, const char *runs_dir, gboolean only_guild,
        GError **error);

/* Runs a command of `guild` (argv without "guild") on the coordinator's home. It is an error if the
 * connection is lost before it is over, for it may have been. */
typedef struct {
    char *out, *err;
    int exit_status;
} RemoteOutput;
RemoteOutput *remote_command(RemoteClient *c, const char *const *argv, GError **error);
void remote_output_free(RemoteOutput *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RemoteOutput, remote_output_free)
