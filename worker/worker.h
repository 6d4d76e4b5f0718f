/* SPDX-License-Identifier: Apache-2.0 */
/* A worker: connects to a coordinator, takes as many tasks as it has room for, runs each in its run
 * directory and reports. Beside a local coordinator in one process it is the same, over inproc.
 *
 * Where a run is executed: in place, if the coordinator finds that we see its home; else in
 * HOME/worker/SESSION/LEASE/runs/ID, built from the file list and the blob cache, which goes when
 * the result has been accepted. */
#pragma once

#include <glib.h>

#include "engine/base/value.h"
#include "engine/wire/keys.h"

typedef struct Worker Worker;

typedef struct {
    const char *home;
    const char *url;      /* "tcp://host:7707" */
    const AccessKey *key; /* NULL for inproc */
    void *zmq;            /* a shared context for inproc; NULL: its own */
    int slots;            /* cpus to offer; 0: one per core */
    Value *have;          /* further resources (mem, gpus, NAME: amount); map or NULL */
    const char *const *labels;
    const char *name;    /* NULL: the host's */
    gint64 connect_us;   /* how long the first connection is waited for; 0: 8 s */
    gint64 give_up_us;   /* how long a lost coordinator is; 0: 1 h */
    gint64 again_us;     /* first pause before a coordinator is tried again; 0: 250 ms */
    gint64 ends_us;      /* when our allocation ends; 0: never */
    gint64 idle_exit_us; /* exit when idle for so long; 0: never */
    guint64 cache_bytes; /* limit of the blob cache; 0: none */
} WorkerOptions;

typedef struct {
    /* It is over: `status` 0 after a drain or a stop, 1 when it was refused or gave up; `error`
     * says why (NULL for 0). */
    void (*ended)(Worker *w, int status, const char *error, gpointer data);
    void (*connected)(Worker *w, gboolean in_place, gpointer data);
} WorkerListener;

Worker *worker_new(const WorkerOptions *options, GMainContext *context,
        const WorkerListener *listener, gpointer data, GError **error);
void worker_free(Worker *w);

/* Finishes what runs, takes no more, then ends. */
void worker_drain(Worker *w);
/* Hands everything back at once: stops what runs (SIGTERM, SIGKILL after grace), then ends. */
void worker_stop(Worker *w, gint64 grace_us);
