/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a command's connection share:
 *   remote_client.c  finding, opening, asking, watching
 *   remote_files.c   runs that cross: submitted, and brought home */
#pragma once

#include "cli/remote_client.h"
#include "engine/wire/keys.h"
#include "engine/wire/transfer.h"
#include "engine/wire/zsource.h"

/* Without any sign that something goes on. */
#define ANSWER_MS 90000

struct RemoteClient {
    char *name, *host, *address;
    int port;
    AccessKey *key;
    GMainContext *context;
    void *zmq;
    ZSource *z;
    ZMonitor *monitor;
    Transfer *xfer;
    BlobStore *blobs;
    gboolean welcomed, read_only;
    guint connection; /* which one; what was asked on another is never answered */
    char *refused;    /* what it, or the handshake, said */
    guint64 next_id;
    /* what is waited for */
    guint64 waiting_id;
    gboolean answered;
    Value *result;
    char *error;
    GString *out, *err;
    guint pieces; /* of an answer: a sign that something goes on */
    int command_status;
    GPtrArray *files;
    gboolean wants_list; /* FILES follow the answer, which is there when they are */
    gboolean files_complete;
    gboolean fetching; /* content of the run that was listed last */
    /* watching */
    char *watched;
    const RemoteWatcher *watcher;
    gpointer watcher_data;
    guint64 seen;     /* of the run's output: where to go on after a loss */
    guint64 received; /* output since WELCOME, and how much of that was said to be */
    guint64 acknowledged;
    char *end_status;
    gboolean ended, interrupted;
    int exit_status;
};

gboolean remote_transfer_send(GBytes *message, gpointer client); /* a TransferSend */
void remote_send(RemoteClient *c, MsgKind kind, const void *msg);
/* Turns the loop until *done, a refusal, the connection is lost or is there again, or the time is up.
 * Gives *done. */
gboolean remote_turn_until(RemoteClient *c, const gboolean *done, guint ms);
/* The error of that; gives FALSE. */
gboolean remote_not_answered(RemoteClient *c, GError **error);
/* Sends a request under the id c->waiting_id; with `again` not for the first time. */
typedef void (*RemoteRequest)(RemoteClient *c, gboolean again, gpointer data);
/* Has `request` send, and waits for the answer, for as long as anything moves. If the connection is
 * lost meanwhile, it is said again on the next; with `once` that is an error. */
gboolean remote_ask(
        RemoteClient *c, RemoteRequest request, gboolean once, gpointer data, GError **error);
