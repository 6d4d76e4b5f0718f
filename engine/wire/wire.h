/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of the cluster: one C struct per message kind, packed to and from msgpack. This is
 * the border where bytes from strangers become structs: everything that comes out of
 * wire_unpack() is within its bounds, every string is UTF-8 without NUL, every path in a file list
 * is a safe relative name. Behind it, trust the struct.
 *
 * On the wire a message is ONE ZeroMQ frame holding the msgpack array [kind, {field: value}]. A
 * field that the receiver does not know is skipped, so a newer peer may add fields; one that is
 * missing is zero; an unknown kind, a field of the wrong type or over its limit refuses the
 * message. How kinds map to structs is data (wire.c: one table of fields a kind), which packs,
 * unpacks, frees and fuzzes them all with one loop.
 *
 * K is the coordinator, W a worker, C a client (a command). Times are µs since 1970. */
#pragma once

#include "engine/base/value.h"

#define WIRE_VERSION 1
#define WIRE_PORT 7707
/* No frame is larger (ZMQ_MAXMSGSIZE): a peer that sends one is disconnected by libzmq. */
#define WIRE_MAX_FRAME (1024 * 1024)
/* Content travels in pieces of this size at most. */
#define WIRE_CHUNK (256 * 1024)
/* Entries of a file list in one message at most; longer lists use several. */
#define WIRE_MAX_FILES 512

typedef enum {
    /* any peer */
    MSG_HELLO = 1, /* W,C→K  first message of a connection */
    MSG_WELCOME,   /* K→W,C */
    MSG_REFUSED,   /* K→W,C  and why; the peer should not try again with what it said */
    MSG_PING,      /* W,C→K  renews the worker's leases */
    MSG_PONG,      /* K→W,C */
    /* tasks */
    MSG_START,    /* K→W  run this under this lease; FILES follow unless in place */
    MSG_STARTED,  /* W→K  the process runs */
    MSG_OUTPUT,   /* W→K, K→C  what a run printed */
    MSG_DONE,     /* W→K  it ended, or could not start; FILES came before it */
    MSG_ACK,      /* K→W  the result is kept (or refused: an old lease): forget it */
    MSG_STOP,     /* K→W  end the process, report as usual; or drop: nobody wants its report */
    MSG_RETURNED, /* W→K  never started, take it back */
    MSG_DRAIN,    /* K→W  finish what runs, take no more */
    MSG_BYE,      /* W→K  the worker leaves: everything it still had is given back */
    /* content */
    MSG_FILES,   /* a part of a file list */
    MSG_GET,     /* a piece of the content with this digest, please */
    MSG_CHUNK,   /* here it is */
    MSG_MISSING, /* I have no such content */
    /* clients */
    MSG_SUBMIT,    /* C→K  a staged run directory; FILES follow */
    MSG_SUBMITTED, /* K→C  it is queued (durably), or why not */
    MSG_CALL,      /* C→K  a question or an order by name */
    MSG_REPLY,     /* K→C  its answer, or error */
    MSG_WATCH,     /* C→K  send OUTPUT and EVENT of this run until it ends */
    MSG_EVENT,     /* K→C  something happened to a watched run */
    MSG_N_KINDS,
} MsgKind;

typedef enum {
    HELD_WAITS, /* not started */
    HELD_RUNS,
    HELD_ENDED, /* its report is not acknowledged */
} HeldState;

/* What a worker has in hand, told in HELLO so that the coordinator can take it back. */
typedef struct {
    guint64 task;
    guint64 lease;
    char *run; /* run id */
    int state; /* HeldState */
} HeldTask;

typedef struct {
    int version;    /* WIRE_VERSION of the sender */
    char *role;     /* "worker", "client" */
    char *name;     /* host name, for people */
    char *software; /* "guild 0.1.0" */
    /* workers */
    char *session;    /* random, stays the same for the life of the worker process */
    Value *resources; /* map: cpus, mem, gpus (list of device names), NAME: amount */
    char **labels;
    char *home_token; /* what the worker reads in its home's coordinator/token, or NULL */
    char *boot_id;    /* tells whether K and W share a machine */
    int pid;
    gint64 ends_us;  /* when its allocation ends; 0 never */
    GPtrArray *held; /* HeldTask */
    guint64 seq;     /* of its HELLOs; 0: it does not count them */
} MsgHello;

typedef struct {
    int version;
    char *instance; /* random a coordinator process */
    char *software;
    gint64 lease_us;    /* a worker not heard for so long has lost its tasks */
    gboolean in_place;  /* the worker sees the coordinator's home */
    gboolean read_only; /* a client that may only read */
    GPtrArray *drop;    /* HeldTask whose leases are no longer valid: stop them, report nothing */
    guint64 seq;        /* of the HELLO that it answers */
} MsgWelcome;

typedef struct {
    char *reason;
    gboolean fatal;
} MsgRefused;
typedef struct {
    guint64 seq;
    int load_permille;
    gint64 mem_free_bytes;
    gboolean busy; /* a worker: it builds directories of runs, however long that takes */
} MsgPing;
typedef struct {
    guint64 seq;
} MsgPong;

typedef struct {
    guint64 task;
    guint64 lease;
    guint64 attempt;      /* from 1 */
    char *run;            /* run id */
    char *run_dir;        /* in place: absolute or relative to the home's runs/; else NULL */
    Value *request;       /* what it asks for: map as in `request:`; NULL is {cpus: 1} */
    gboolean want_output; /* send OUTPUT even if it runs in place */
    char **sync;          /* patterns for what to bring back; NULL is all */
    gint64 stop_after_us; /* 0: no limit besides the run's own */
} MsgStart;

typedef struct {
    guint64 task, lease;
    gint64 started_us;
    int pid;
    Value *devices;   /* names of the devices it got */
    GPtrArray *files; /* attributes as they are now, content inside; NULL in place */
} MsgStarted;

typedef struct {
    guint64 task, lease; /* K→C: task 0 */
    char *run;           /* K→C only */
    guint64 offset;      /* of data in the run's .guild/output */
    int stream;          /* 0 stdout, 1 stderr */
    gint64 time_us;
    GBytes *data;
} MsgOutput;

typedef struct {
    guint64 task, lease;
    int exit_status; /* as the exit_status attribute; 0..255, or -signal */
    char *error;     /* why it could not start or was ended, for people; NULL */
    int cause;       /* DoneCause */
    gint64 started_us, stopped_us;
    gint64 mem_peak_bytes;
    char *left; /* what of its files can't travel, for people; NULL */
} MsgDone;
typedef enum {
    DONE_EXITED,  /* the process ended by itself (or by its own time limit) */
    DONE_STOPPED, /* ended because it was told to */
    DONE_FAILED,  /* could not be started (a dependency, an interpreter): the run is in error */
    DONE_MEMORY,  /* ended for memory over its request */
    DONE_SKIPPED, /* somebody else had started it */
    DONE_LOST,    /* the worker failed it (disk full, could not build it): try elsewhere */
} DoneCause;

typedef struct {
    guint64 task, lease;
    gboolean accepted;
} MsgAck;
typedef struct {
    guint64 task, lease;
    gboolean drop;   /* nobody wants its report */
    gboolean recall; /* only if it has not begun: then RETURNED */
    gint64 grace_us; /* between SIGTERM and SIGKILL */
} MsgStop;
typedef struct {
    guint64 task, lease;
    char *reason;
} MsgReturned;
typedef struct {
    gboolean exit_when_idle;
} MsgDrain;
typedef struct {
    char *reason;
} MsgBye;

/* Whose list this is: a task's (task, lease), a submission's or a call's (id). */
typedef struct {
    guint64 task, lease;
    guint64 id;
    GPtrArray *files; /* FileEntry, at most WIRE_MAX_FILES */
    gboolean last;
} MsgFiles;

typedef struct {
    char *digest;
    guint64 offset;
    guint64 size;
} MsgGet;
typedef struct {
    char *digest;
    guint64 offset;
    GBytes *data;
} MsgChunk;
typedef struct {
    char *digest;
    char *reason;
} MsgMissing;

typedef struct {
    guint64 id; /* the client's number for it */
    char *run;  /* run id */
    int priority;
    int retries; /* -1: the coordinator's default */
    int retry_failed;
    char *user;
    Value *request; /* overrides the operation's, key by key */
    Value *options; /* further options by name */
    gboolean start; /* FALSE: keep it staged */
} MsgSubmit;
typedef struct {
    guint64 id;
    char *run;
    char *error;
} MsgSubmitted;

typedef struct {
    guint64 id;
    char *method;
    Value *args;
} MsgCall;
/* A long answer comes in parts: `more` says that another REPLY with this id follows. */
typedef struct {
    guint64 id;
    Value *result;
    char *error;
    gboolean more;
} MsgReply;

typedef struct {
    char *run;
    guint64 offset;
    gboolean output;
    gboolean events;
} MsgWatch;
typedef struct {
    char *run;   /* the watched run */
    char *what;  /* "progress", "trial", "log", "end", "gone" */
    Value *data; /* progress: done, running, failed, left; trial: run, status, line; end:
                    exit_status */
} MsgEvent;

#define WIRE_ERROR wire_error_quark()
GQuark wire_error_quark(void);
typedef enum {
    WIRE_ERROR_MALFORMED, /* no msgpack, or not of this shape */
    WIRE_ERROR_LIMIT,     /* a field over its bound */
    WIRE_ERROR_UNKNOWN,   /* a kind that we do not know */
} WireError;

const char *wire_kind_name(MsgKind kind); /* "hello"; "?" for numbers out of range */

/* Packs a message of this kind. `msg` points to its struct. Never fails; a message over
 * WIRE_MAX_FRAME is a programming error (senders split file lists and content). */
GBytes *wire_pack(MsgKind kind, const void *msg);
/* Puts at most `size` bytes into `content` and says how many; below 0: it can't. */
typedef gssize (*WireFill)(void *content, gsize size, gpointer data);
/* A CHUNK of at most `size` bytes whose content is written where the message needs it, and so
 * copied nowhere. NULL if `fill` can't. */
GBytes *wire_pack_chunk(
        const char *digest, guint64 offset, gsize size, WireFill fill, gpointer data);
/* Gives a newly allocated struct of the kind found (free with wire_free) and sets *kind. Large
 * content (MsgChunk.data, MsgOutput.data) points into `data`, which must outlive it. */
void *wire_unpack(const void *data, gsize len, MsgKind *kind, GError **error);
void wire_free(MsgKind kind, void *msg);

/* A Value as msgpack and back, with the same bounds: for what is kept on disk. */
GBytes *wire_pack_value(const Value *v);
Value *wire_unpack_value(const void *data, gsize len, GError **error);

void held_task_free(gpointer held); /* GDestroyNotify */
HeldTask *held_task_new(guint64 task, guint64 lease, const char *run, int state);
