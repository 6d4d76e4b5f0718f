/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the coordinator share. The parts:
 *   coordinator.c  the whole: what is opened in which order, how it ends
 *   server.c       the socket: messages in, messages out, peers and their roles
 *   zap.c          lets peers in
 *   members.c      workers: who is there, leases, loss and return
 *   dispatch.c     decisions of the scheduler carried out; tasks started, stopped, lost
 *   attempt.c      a run directory before and between attempts at it
 *   results.c      what workers report, and results into run directories
 *   unfold.c       links of a run that are in a result's way
 *   tidy.c         what a lost attempt left
 *   batch.c        jobs: telling, stopping, ending
 *   trials.c       their trials: asking for them (feed.c), making them
 *   jobs.c         how jobs begin, and begin again after a restart
 *   beside.c       long work on threads
 *   submit.c       run directories that clients send
 *   calls.c        questions and orders of clients; command.c runs commands for them
 *   watch.c        who listens to which run
 *   alloc.c        workers asked of Slurm
 *   metrics.c      numbers over HTTP
 * The scheduler (scheduler.c, decide.c) and the queue (queue.c) know nothing of these. */
#pragma once

#include "coordinator/alloc.h"
#include "coordinator/coordinator.h"
#include "coordinator/queue.h"
#include "coordinator/scheduler.h"
#include "engine/base/digest.h"
#include "engine/exec/scalars_out.h"
#include "engine/run/output.h"
#include "engine/run/store.h"
#include "engine/wire/keys.h"
#include "engine/wire/transfer.h"
#include "engine/wire/wire.h"
#include "engine/wire/zsource.h"

typedef struct Peer Peer;
typedef struct Member Member;
typedef struct Task Task;
typedef struct Zap Zap;
typedef struct Metrics Metrics;

struct Coordinator {
    char *home;
    char *endpoint;
    char *instance; /* random */
    GMainContext *context;
    gboolean local; /* inproc, in somebody's process */
    gint64 lease_us;
    int retries;

    void *zmq;
    gboolean own_zmq;
    ZSource *router;
    ZMonitor *monitor;
    Zap *zap;
    KeyRing *keys;
    int lock_fd;

    Queue *queue; /* NULL: local */
    Scheduler *sched;
    RunStore *store;
    BlobStore *blobs;
    DigestCache *digests;

    GHashTable *peers;    /* routing id (GBytes) → Peer */
    GHashTable *uses;     /* public key → KeyUse; as many as keys that ever spoke to us */
    GHashTable *members;  /* session → Member */
    gint64 slots;         /* of all members: how far ahead trials are staged */
    GPtrArray *by_handle; /* SchedWorker → Member */
    GHashTable *jobs;     /* id → Job */
    GHashTable *tasks;    /* id → Task */
    GHashTable *runs;     /* run id → Job or Task's job, for questions */

    GSource *wake; /* a look at the scheduler is due */
    GSource *tick; /* leases */
    gint64 ticked_us;
    gint64 ready_us; /* after a start: until then tasks wait for workers that still run them */
    GSource *hold;   /* the home can't be written: nothing is given out until this fires */
    gboolean closing;
    void (*closed)(gpointer);
    gpointer closed_data;

    GHashTable *beside;     /* work on threads; beside.h. NULL: there was none yet */
    GHashTable *submitting; /* run id → Submission that is built; NULL: there was none yet */
    guint n_watches;        /* of all clients */
    guint n_commands;       /* that are run for peers now */
    guint64 n_dropped;      /* frames that were no messages */
    guint64 n_finished, n_failed, n_lost;
    Metrics *metrics;
    Alloc *alloc; /* NULL: local */
};

/* What is done now for one key, whatever the number of its connections. */
typedef struct {
    guint n_watches, n_commands;
} KeyUse;

/* A connection. */
struct Peer {
    Coordinator *c;
    GBytes *id;
    char *key; /* public key, "" for inproc */
    char *key_name;
    KeyUse *use;
    KeyRole role;
    char *name;
    int fd;         /* of the connection, to match the monitor's events; -1 unknown */
    gint64 seen_us; /* monotonic */
    gboolean welcomed, closing;
    gboolean again; /* its connection had said HELLO before */
    Member *member; /* if it is a worker */
    Transfer *xfer;
    TransferOffer shown;         /* files of the run that it asked for last; 0: none */
    GHashTable *submissions;     /* id → Submission */
    GHashTable *watches;         /* run id → Watch */
    guint64 out_sent, out_acked; /* bytes of output that it watches */
};

/* A worker process, connected or not. */
struct Member {
    Coordinator *c;
    char *session, *name, *software;
    Value *resources;
    gint64 slots;
    char **labels;
    Peer *peer; /* NULL: not connected */
    SchedWorker handle;
    gboolean in_place;
    gboolean same_host;
    int pid;
    gboolean draining, leaving;
    gint64 ends_us;
    gint64 since_us;   /* wall clock */
    gint64 renewed_us; /* monotonic: last sign of life */
    gint64 worked_us;  /* of work: anything but a PING, and what it was given */
    gint64 lost_at_us; /* monotonic: when its tasks are given away if it does not come back */
    int load_permille;
    gint64 mem_free_bytes;
    guint64 n_finished;
    guint n_misses;    /* tasks in a row that it could not run */
    gboolean declines; /* it gave back what it was given, which was said */
    gint64 paused_until_us;
    GHashTable *tasks; /* Task set */
};

#define OUTPUT_TOLD_UNKNOWN G_MAXUINT64

typedef enum {
    TS_QUEUED,  /* waits in the scheduler */
    TS_GIVEN,   /* a worker has it */
    TS_RUNNING, /* and says that it runs */
    TS_RESULT,  /* it ended; its files are on their way */
    TS_ENDED,
} TaskStage;

struct Task {
    guint64 id;
    Job *job;
    gint64 index;
    char *run_id;
    char *desc; /* "x=1, y=2", for the line that says it runs; NULL: not read yet */
    TaskStage stage;
    gboolean fresh;  /* its run was made by this process: not one to be begun anew */
    gboolean unsure; /* begun before the machine was started: what there is of it may be in parts */
    SchedTask handle; /* 0: not in the scheduler */
    guint64 lease;
    int attempt, failures;
    int spared; /* attempts that were nobody's fault: handed back by a worker that left */
    Member *member;
    gboolean stop_asked;
    gint64 started_us;
    Value *devices;
    /* of a task that executes elsewhere */
    TransferOffer offer;
    RunOutput *output;
    guint64 output_size;
    Sha256 *output_sum;  /* of that */
    guint64 output_told; /* what watchers and its batch got of this attempt's: it may come again */
    GString *line[2];    /* what it printed of a line, for its batch's watchers; of each stream */
    GPtrArray *files;    /* FileEntry coming in */
    gsize list_bytes;    /* what they take */
    TransferWant want;
    MsgDone *done;           /* the report whose files are on their way */
    struct Placing *placing; /* they are here, and a thread puts them in their place */
    GSource *later;          /* there was no room for them: when they are fetched again */
    guint waits;             /* how often there was none */
    gboolean reading; /* given, but not told: its lease is not on disk, what it needs not read */
};

typedef struct Feed Feed; /* where a batch's trials come from; feed.h */

struct Job {
    Coordinator *c;
    guint64 id;
    Run *run;
    gboolean batch;
    char *user;
    int priority, retries, retry_failed;
    Value *request;
    Value *options;
    Request needs; /* of each of its tasks */
    char **sync;
    SchedGroup group;
    JobListener listener;
    gpointer data;
    gboolean want_output, stage_only, fail_fast;
    gboolean recorded; /* the queue has it on disk */
    gboolean begun; /* a batch: it is marked as running, and asks for no trial before */
    gboolean interim; /* trials that succeed are deleted: `delete-on-success` without --keep-run */
    JobState state;
    gboolean stopping, stage_rest;
    gint64 stop_grace_us; /* while stopping; -1: what runs may end by itself */
    gint64 submitted_us;
    int exit_status;
    Feed *feed;    /* NULL: a single run */
    char *op_name; /* of its trials, as listings show it; NULL: not read yet */
    Value *stuck;  /* flags of a trial that could not be made yet: the disk was full */
    Run *unstaged; /* a trial that could not be made ready for the user, for the same reason */
    struct Beside *making; /* a trial is made, or made ready, on a thread: no other meanwhile */
    gboolean asked_all;
    gboolean told_nowhere; /* it was said that no worker has what it asks for */
    guint n_asked, n_done, n_failed, n_running, n_waiting;
    GHashTable *tasks; /* Task set: those not ended */
    GHashTable *said;  /* runs of which it was said, before we were restarted, that they run */
    GSource *staging;  /* idle */
    GSource *ending;
    GSource *deadline;   /* --stop-after */
    RunOutput *output;   /* the batch run's own */
    ScalarsOut *scalars; /* found in it */
    gboolean ended;
};

/* server.c */
gboolean server_open_local(Coordinator *c, const char *endpoint, GError **error);
gboolean server_open(Coordinator *c, const char *bind, GError **error);
void server_close(Coordinator *c);
void server_drop_revoked(Coordinator *c); /* who may not speak any more is told so, once */
/* Nothing is sent to a revoked key: FALSE, as for a peer that is gone. */
gboolean peer_send(Peer *p, MsgKind kind, const void *msg);
gboolean peer_transfer_send(GBytes *message, gpointer peer); /* a TransferSend */
void peer_drop(Peer *p);                                     /* forget it; its member stays */

/* members.c */
void member_hello(Peer *p, const MsgHello *m);
void member_disconnected(Member *m, gboolean orderly);
void member_bye(Member *m, const char *reason);
void member_remove(Member *m, const char *why); /* gives its tasks away */
void member_missed(Member *m); /* it could not run a task: not the next one at once */
void member_declined(Member *m, const char *why); /* it gave back what it had not begun */
void member_drain(Member *m);
void members_tick(Coordinator *c, gint64 now_us);
void member_free(gpointer member);

/* coordinator.c */
/* The home can't be written at the moment, or could not be when `problem` came up. */
gboolean coordinator_is_full(Coordinator *c, const GError *problem);

/* dispatch.c */
void dispatch_hold(Coordinator *c); /* not before a second has passed */
void dispatch_wake(Coordinator *c); /* soon */
void task_enqueue(Task *t);
void task_lost(Task *t, const char *why); /* its worker is gone, or could not: again, or give up */
void task_again(Task *t);                 /* it failed by itself and may try again */
void task_handed_back(Task *t, const char *why); /* it ran, and its worker left in good order */
void task_returned(Task *t);                     /* never started: again, and it does not count */
void task_unheard_of(Task *t); /* given to a worker that is gone: it may have begun it in place */
void task_stop(Task *t, gint64 grace_us);
void task_recall(Task *t);    /* if it has not begun */
#define TASK_NOT_RUN G_MININT /* as exit_status: it was not run, and stays pending */
void task_end(Task *t, int exit_status, const char *error); /* recorded: tells its job */
void task_release(Task *t);                                 /* from its worker and the scheduler */
void task_unref_member(Task *t);
void task_free(gpointer task);
void task_store(Task *t, TaskState state);
Run *task_run(Task *t); /* new reference */
/* After work on a thread for it: NULL if its worker has lost it, or it is not wanted any more (then
 * it goes back, or ends). */
Task *task_still_given(Coordinator *c, guint64 id, guint64 lease);

/* results.c */
void result_started(Peer *p, const MsgStarted *m);
void result_output(Peer *p, const MsgOutput *m);
void result_files(Peer *p, MsgFiles *m);
void result_done(Peer *p, const MsgDone *m);
void result_returned(Peer *p, const MsgReturned *m);
void result_abandon(Task *t); /* what was on its way */
void result_orphan(Task *t);  /* the task is freed while its result is put in its place */
/* What is left of a task whose worker is lost: TRUE if its result came before that, and is recorded
 * now. */
gboolean result_recover(Task *t);
Task *task_of_lease(Peer *p, guint64 id, guint64 lease);

/* attempt.c: a run directory before and between attempts */
typedef void (*AttemptReady)(Task *t, Run *run, const GError *error);
/* `ready` is called once, from here or from a later turn of the loop; not if the task is meanwhile
 * no more its worker's. */
void attempt_begin(Task *t, Run *run, AttemptReady ready);
/* What another machine needs; with FILELIST_BRIEF G_FILE_ERROR_AGAIN if it is long. From any
 * thread.
 */
GPtrArray *attempt_files(Coordinator *c, const char *dir, FileListFlags flags, GError **error);
gboolean attempt_has_ended(Run *run); /* its result is here whole: what says so comes last */
void attempt_failed(Task *t, Run *run, const GError *error); /* it can't be given out: ends */
void attempt_skipped(Task *t, Run *run, const char *why);    /* it is somebody else's, or over */

/* batch.c */
void job_task_started(Task *t);
void job_task_ended(Task *t, int exit_status, const char *error);
void job_check_fit(Job *j); /* says so if no worker could ever run it; local: ends it */
Task *job_task_new(Job *j, const char *run_id);
void task_enqueue_durably(Task *t); /* once the queue knows of it: a crash would make it twice */
void job_store(Job *j);
void job_maybe_end(Job *j); /* if nothing is left of it; from a later turn of the loop */

void job_say(Job *j, int level, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
/* "Trial ID HOW WHY", of a batch's. Who follows a single run is told its error with its end. */
void task_say_error(Task *t, const char *how, const char *why);
JobProgress job_progress(Job *j);
/* A stop is to be over within 5 s, children and all. */
#define STOP_GRACE_US (4 * G_USEC_PER_SEC)

/* trials.c */
void job_pump(Job *j); /* asks for trials as far ahead as needed */

/* jobs.c */
gboolean job_begin(Job *j, GError **error); /* a batch; FALSE: not yet, and may be tried again */
void job_close_output(Job *j);              /* twice does no harm */
void job_free(gpointer job);
Job *job_for_run(Coordinator *c, const char *run_id);
gboolean jobs_restore(Coordinator *c, GError **error);
void jobs_drop_deleted(Coordinator *c); /* whose run directory is gone */

/* submit.c */
/* Whether a run of another machine may have this id here: it becomes the name of a folder. */
gboolean run_id_ok(const char *id);
void submit_begin(Peer *p, MsgSubmit *m);
void submit_files(Peer *p, MsgFiles *m);
void submission_free(gpointer s);

/* calls.c */
Task *task_for_run(Coordinator *c, const char *run_id); /* NULL: no task of a batch */
/* Marked as executing on a worker, and the queue has not got it: it is lost or older (a copy that was
 * put back), or the run was taken out of the trash. */
gboolean run_is_forgotten(Coordinator *c, Run *run);
char *job_waits_for(Job *j); /* in words, newly allocated; NULL for nothing */
void call_handle(Peer *p, const MsgCall *m);
/* Calls `answer` once (unless the peer has gone), when all that the queue was given is on disk; or,
 * if that can't be at present, with `error`, which says so. `run` may be NULL. */
typedef void (*DurableAnswer)(Peer *p, guint64 id, const char *run, const char *error);
void answer_when_durable(Peer *p, guint64 id, const char *run, DurableAnswer answer);

/* watch.c */
void watch_begin(Peer *p, const MsgWatch *m);
void watch_free(gpointer w);
void watch_tick(Coordinator *c);
void watch_received(Peer *p, guint64 bytes);              /* of all output sent to it */
void watch_restarted(Coordinator *c, const char *run_id); /* its output begins anew */
void watch_end(Coordinator *c, const char *run_id, int exit_status);
/* `in_file`: how much at the end of the run's output file says the same. Takes `data`. */
void watch_event(Coordinator *c, const char *run_id, const char *what, gsize in_file, Value *data);
/* To those who watch the run (of one that executes elsewhere: after its output file has it), and into
 * the output of its batch. */
void watch_output(Coordinator *c, Task *t, int stream, const void *data, gsize len);
void watch_batch_output(Coordinator *c, Task *t, int stream, const void *data, gsize len);
void watch_output_end(Task *t); /* a last line without a newline */

/* zap.c */
Zap *zap_new(Coordinator *c, GError **error);
void zap_free(Zap *z);

/* metrics.c */
Metrics *metrics_new(Coordinator *c, const char *bind, int port, GError **error);
void metrics_free(Metrics *m);
