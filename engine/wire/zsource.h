/* SPDX-License-Identifier: Apache-2.0 */
/* ZeroMQ in a GLib main loop: the ONE GSource that owns a socket's ZMQ_FD. That descriptor is
 * edge-triggered: it tells that something changed, not that something is there, so ZMQ_EVENTS is
 * read in prepare, in check and after every send. Nobody polls a socket elsewhere. */
#pragma once

#include <glib.h>
#include "engine/wire/lazy_zmq.h"

/* zmq_ctx_new() for a process that moves files: the allocator keeps what CURVE gives back. For each
 * message libzmq takes three buffers of its size; to have each from the kernel, zeroed, and to hand
 * it back is a fifth of what a transfer costs. */
void *zcontext_new(void);

typedef struct ZSource ZSource;

/* A message came. `peer` is the routing id (ROUTER; NULL for others), `body` the last frame.
 * n_frames counts those after the routing id: 1 for ours, anything else is no message of this
 * system. `frame` is the zmq frame of `body`, for zmq_msg_gets/zmq_msg_get. Nothing is kept after
 * the call. */
typedef struct {
    const void *peer;
    gsize peer_len;
    const void *body;
    gsize body_len;
    guint n_frames;
    zmq_msg_t *frame;
} ZMessage;
typedef void (*ZSourceFn)(ZSource *z, const ZMessage *m, gpointer data);

/* Takes over the socket (closed with linger 0 by zsource_free). context NULL: the default one.
 * Freeing from within `fn` is fine. */
ZSource *zsource_new(void *socket, GMainContext *context, ZSourceFn fn, gpointer data);
void zsource_free(ZSource *z);
void *zsource_socket(ZSource *z);

typedef enum { ZSEND_OK, ZSEND_FULL /* high water mark */, ZSEND_GONE /* no such peer */ } ZSend;
/* Never blocks. peer is the routing id for ROUTER sockets, else NULL. */
ZSend zsource_send(ZSource *z, GBytes *peer, GBytes *body);

/* Connection events of a socket (zmq_socket_monitor), as they come, on the same loop. `event` is
 * one of ZMQ_EVENT_*, `value` its value (a descriptor, an errno, a protocol error). */
typedef void (*ZMonitorFn)(int event, int value, const char *address, gpointer data);
typedef struct ZMonitor ZMonitor;
ZMonitor *zmonitor_new(
        void *zmq_context, void *socket, GMainContext *context, ZMonitorFn fn, gpointer data);
/* Handles what has arrived by now, at once: for who must know the order of a connection's end and
 * another's beginning. */
void zmonitor_drain(ZMonitor *m);
void zmonitor_free(ZMonitor *m);
