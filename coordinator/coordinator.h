/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinator: takes staged batches and runs, decides with the scheduler which worker runs
 * what, hands tasks out under numbered leases, and writes results into the run directories of its
 * home. There are two ways to have one, and only what DESIGN names differs between them:
 *
 *   coordinator_new_local()  inside a `guild run` that runs a batch here: inproc, no keys, no queue
 * file coordinator_new()        `guild coordinator`: tcp with CURVE, the durable queue, a lock on
 * the home
 *
 * Runs on one GMainContext, without threads of its own (libzmq's apart). */
#pragma once

#include "engine/run/run.h"

/* In the environment of a command that is run here for a peer (command.h): such a command shows runs
 * of this home and nothing else, whatever links they hold. */
#define COMMAND_FOR_REMOTE "GUILD_FOR_REMOTE"

typedef struct Coordinator Coordinator;
typedef struct Job Job; /* a submitted batch or run (job.h is private) */

typedef struct {
    const char *home;
    const char *bind;         /* "tcp://0.0.0.0:7707"; port 0 or * for any free one */
    gint64 lease_us;          /* 0: 30 s */
    int retries;              /* default of jobs that don't say; -1: 3 */
    guint64 cache_bytes;      /* limit of the blob cache; 0: none */
    int metrics_port;         /* 0: off */
    const char *metrics_bind; /* default 127.0.0.1 */
    guint commit_ms;          /* 0: 2 */
} CoordinatorOptions;

#define COORDINATOR_ERROR coordinator_error_quark()
GQuark coordinator_error_quark(void);
typedef enum {
    COORDINATOR_ERROR_LOCKED, /* another coordinator serves this home */
    COORDINATOR_ERROR_BIND,
    COORDINATOR_ERROR_KEYS,
    COORDINATOR_ERROR_RUN,     /* the run can't be served: it is no staged or pending run */
    COORDINATOR_ERROR_STARTED, /* somebody else has started the run */
} CoordinatorError;

Coordinator *coordinator_new(
        const CoordinatorOptions *options, GMainContext *context, GError **error);
/* `zmq` is the context that the worker's socket must share; `endpoint` e.g. "inproc://guild". */
Coordinator *coordinator_new_local(
        const char *home, void *zmq, const char *endpoint, GMainContext *context, GError **error);
void coordinator_free(Coordinator *c); /* NULL is ignored */

const char *coordinator_endpoint(Coordinator *c); /* what it is bound to, with the real port */

typedef struct {
    const char *user; /* NULL: "" */
    int priority;
    int retries; /* -1: default */
    int retry_failed;
    Value *request;       /* NULL: the operation's own */
    Value *options;       /* further ones by name (`sync`: list of patterns), or NULL */
    gboolean want_output; /* local -j1: tell output as it comes */
    gboolean stage_only;  /* make the trials, start none (--stage-trials) */
} JobOptions;

typedef struct {
    guint64 total;               /* trials of the batch; G_MAXUINT64 if its optimizer can't tell */
    guint64 waiting;             /* of those; the same */
    guint done, running, failed; /* failed ones are among the done */
} JobProgress;

/* What a job tells: in this process to its listener, to others as EVENT and OUTPUT. Any may be
 * NULL. */
typedef struct {
    void (*line)(Job *job, int level /* LogLevel */, const char *text, gpointer data);
    void (*output)(Job *job, Run *trial, int stream, const void *bytes, gsize len, gpointer data);
    void (*progress)(Job *job, const JobProgress *p, gpointer data);
    void (*ended)(Job *job, int exit_status, gpointer data);
} JobListener;

/* A batch run (has `.guild/proto`) or a single staged or pending run in this home. The run must be
 * prepared: for a batch the coordinator writes LOCK, `started`, `exit_status` and `stopped` itself.
 */
Job *coordinator_add(Coordinator *c, Run *run, const JobOptions *options,
        const JobListener *listener, gpointer data, GError **error);
/* A line of the batch run's own output that the coordinator did not say itself: what its process
 * logged. Shown and told to nobody. */
void coordinator_job_log(Job *job, const char *line);
/* Stops its trials (SIGTERM, after grace SIGKILL); with stage_rest, stages what is left first. The
 * job ends when they are gone; `ended` tells. */
void coordinator_stop_job(Coordinator *c, Job *job, gint64 grace_us, gboolean stage_rest);
const char *job_run_id(Job *job);

/* TRUE when a coordinator that was asked to stop has nothing open any more. */
void coordinator_shutdown(Coordinator *c, void (*done)(gpointer), gpointer data);
