/* SPDX-License-Identifier: Apache-2.0 */
/* Content between two peers, the same at both ends: what we offer (digest to path) is served
 * piece by piece as the other asks (GET → CHUNK), and what we want is asked for with a bounded
 * number of pieces on the way, so that memory at both ends is bounded whatever the size, and the
 * speed is the slower end's. A fetch goes on where it was after a broken connection.
 *
 * It knows no socket: it is given a function that sends to this peer. */
#pragma once

#include "engine/wire/blobs.h"
#include "engine/wire/filelist.h"
#include "engine/wire/wire.h"

/* Sends a packed message to the peer; FALSE if it is gone (what is lost then is asked for again).
 */
typedef gboolean (*TransferSend)(GBytes *message, gpointer data);

typedef struct Transfer Transfer;
Transfer *transfer_new(BlobStore *store, TransferSend send, gpointer data);
void transfer_free(Transfer *t); /* wants that are not done are told as failed */
/* For who has a loop that must not be kept: what a long list lacks is found out on a thread. */
void transfer_look_apart(Transfer *t, GMainContext *context);

/* We have these files: entries with a digest below `root` are served to the peer until the offer
 * is withdrawn. The list is taken over by reference. */
typedef guint TransferOffer;
TransferOffer transfer_offer(Transfer *t, const char *root, GPtrArray *files);
void transfer_withdraw(Transfer *t, TransferOffer offer);
/* For who offers what strangers made: a file is served only if it really is in the folder offered or
 * below `within`, whatever links are on the way to it by then. */
void transfer_confine(Transfer *t, const char *within);
/* Any blob of our store may be asked for too (off by default). */
void transfer_serve_store(Transfer *t, gboolean on);

/* Tells the end of a want: error NULL means that all of it is in the store (and pinned until
 * transfer_release()). Called once, from the main loop. */
typedef void (*TransferDone)(GPtrArray *files, const GError *error, gpointer data);
/* Brings the content of all entries that the store lacks. The list is taken by reference. If
 * nothing is lacking, `done` is called before this returns and 0 is given. */
typedef guint TransferWant;
TransferWant transfer_want(Transfer *t, GPtrArray *files, TransferDone done, gpointer data);
void transfer_cancel(Transfer *t, TransferWant want);    /* done is not called */
void transfer_release(Transfer *t, GPtrArray *files);    /* unpins */
void transfer_unpin(BlobStore *store, GPtrArray *files); /* the same, for who outlives it */

/* Messages GET, CHUNK and MISSING of this peer go here. */
void transfer_handle(Transfer *t, MsgKind kind, const void *msg);
/* The connection is there again: asks again for what was on its way. */
void transfer_resume(Transfer *t);
guint64 transfer_bytes_in(Transfer *t);
guint64 transfer_bytes_out(Transfer *t);

/* Sends a file list as FILES messages (task/lease or id set as in `head`), `last` on the last. */
gboolean transfer_send_files(
        TransferSend send, gpointer data, const MsgFiles *head, GPtrArray *files);
