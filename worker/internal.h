/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a worker share:
 *   worker.c   the whole: options, ends
 *   link.c     the connection: hello, renewal, loss and return
 *   task.c     one task: from the message that gives it to its acknowledged report
 *   place.c    where a run that is not in place is built
 *   build.c    a run's directory made, on a thread if it is large
 *   resolve.c  dependencies that take long, brought in by a process
 *   echo.c     what a trial prints, sent on
 *   room.c     whether its disk has room for trials
 *   gather.c   what such a run left, found on a thread
 *   children.c runs that such a run made
 *   confine.c  a trial kept to its cores and memory
 *   alone.c    a run that no worker executes, kept to them too
 *   machine.c  what this machine has */
#pragma once

#include "engine/exec/exec.h"
#include "engine/run/store.h"
#include "engine/wire/resources.h"
#include "engine/wire/transfer.h"
#include "engine/wire/wire.h"
#include "engine/wire/zsource.h"
#include "worker/confine.h"
#include "worker/worker.h"

typedef struct Link Link;
typedef struct Place Place;
typedef struct Gather Gather;
typedef struct Build Build;
typedef struct Resolve Resolve;

struct Worker {
    GMainContext *context;
    WorkerListener listener;
    gpointer data;
    char *home, *url, *name, *session;
    gboolean inproc;
    void *zmq;
    gboolean own_zmq;
    Link *link;
    Value *have; /* what we tell: map */
    char **labels;
    char **gpus;   /* device names, in the order of Taken.gpu_mask */
    Resources res; /* what is free */
    ConfineHost *confine;
    gint64 connect_us, give_up_us, again_us, ends_us, idle_exit_us;
    Place *place; /* NULL until a task comes that is not in place */
    BlobStore *blobs;
    guint64 cache_bytes;
    GPtrArray *tasks; /* WTask, in the order they came */
    gboolean in_place, draining, stopping, over;
    gboolean room_short; /* so it was, when we looked last */
    char *room_text;     /* NULL: not told yet */
    gint64 idle_since_us;
    GSource *begin; /* a look at what can begin is due */
    GSource *tick;
};

typedef enum {
    W_FILES,   /* its list is coming */
    W_CONTENT, /* its files are */
    W_READY,   /* waits for room */
    W_PREPARE, /* has room; told as started, about to be */
    W_RUNNING,
    W_GATHER, /* over; what it left is looked through */
    W_REPORT, /* over; its report is not acknowledged */
} WTaskStage;

typedef struct WTask {
    Worker *w;
    guint64 task, lease;
    guint attempt;
    WTaskStage stage;
    char *run_id, *dir;
    char *home; /* of its own; NULL in place */
    Run *run;
    Request request;
    Taken taken;
    gboolean holds; /* counts in w->res */
    gboolean want_output, in_place, asks_cpus, memory_exceeded;
    gboolean stop_asked, dropped, hand_back;
    gint64 grace_us;
    char **sync;
    GPtrArray *files; /* as they came */
    TransferWant want;
    GPtrArray *before; /* scan after building */
    Build *build;      /* while it is built */
    gint build_off;    /* atomic: nobody wants to know any more */
    Exec *exec;
    Confine *confine;                  /* while the process runs */
    guint64 output_sent, output_total; /* bytes of what it printed; see echo.h */
    guint64 output_lines; /* sent, up to the end of a line; of that, when the last PING was sent, */
    guint64 output_marked, output_heard; /* and by the last PING that was answered */
    gint64 started_us;
    MsgDone done;
    Resolve *resolve; /* while dependencies are brought in */
    gboolean resolved;
    Gather *gather;
    gint gather_off;     /* atomic: nobody wants to know any more */
    GPtrArray *changes;  /* the report's list */
    char *left;          /* what of its files can't travel, for people; NULL: all can */
    GPtrArray *children; /* runs that it made: see children.h */
    TransferOffer offer;
    gint64 report_at_us; /* monotonic: when to repeat the report */
    guint reports;
    GSource *later;
    gint64 mem_peak_bytes;
} WTask;

/* worker.c */
void worker_over(Worker *w, int status, const char *error);
void worker_look(Worker *w); /* something may begin, or all may be over */

/* link.c */
Link *link_new(Worker *w, const AccessKey *key, GError **error);
void link_free(Link *l);
gboolean link_up(Link *l);
gboolean link_send(Link *l, MsgKind kind, const void *msg);
gboolean link_send_output(Link *l, const MsgOutput *m);      /* FALSE: no room for it now, either */
gboolean link_transfer_send(GBytes *message, gpointer link); /* a TransferSend */
Transfer *link_transfer(Link *l);
gint64 link_lease_us(Link *l);
gint64 link_unrenewed_us(
        Link *l); /* age of our leases: since the last PING that was answered was sent */
void link_tick(Link *l, gint64 now_us);

/* task.c */
void wtask_start(Worker *w, const MsgStart *m);
void wtask_files(Worker *w, MsgFiles *m);
void wtask_stop(Worker *w, const MsgStop *m);
void wtask_ack(Worker *w, const MsgAck *m);
void wtask_begin(WTask *t);     /* it has room */
void wtask_say_again(WTask *t); /* that it runs, if it does: nobody heard it, perhaps */
void wtask_end_process(WTask *t, gint64 grace_us);
void wtask_drop(WTask *t); /* not ours any more: end it, say nothing */
void wtask_give_back(WTask *t, const char *reason);
void wtask_report(WTask *t);
void wtask_free(gpointer task);
gboolean wtask_unstarted(const WTask *t);

/* place.c */
Place *place_new(const char *home, const char *session, GError **error);
void place_free(Place *p);                                      /* removes it */
void place_discard(Place *p, const char *home);                 /* removes a task's home, soon */
char *place_task_home(Place *p, guint64 lease, GError **error); /* made; NULL with error */
gboolean place_build(WTask *t, GError **error);                 /* its directory, from t->files */
GPtrArray *place_attributes(WTask *t);                          /* small ones, as they are now */
GPtrArray *place_changes(WTask *t, GError **error);             /* since it was built */

/* machine.c */
Value *machine_resources(int slots, const Value *have); /* map for HELLO */
char *machine_name(void);
