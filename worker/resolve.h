/* SPDX-License-Identifier: Apache-2.0 */
/* Dependencies that may take long (urls, post-process commands, archives, large files) brought in
 * by a process of their own, `guild _resolve`, while the worker's loop goes on renewing leases. */
#pragma once

#include "engine/op/op.h"
#include "worker/internal.h"

gboolean resolve_takes_long(const WTask *t, const Op *op);
/* Begins for t->dir; `done` is called once: `error` NULL, or what the user is to be told. */
typedef void (*ResolveDone)(WTask *t, const char *error);
gboolean resolve_start(WTask *t, ResolveDone done, GError **error);
void resolve_stop(WTask *t); /* ends the process; `done` tells so. Nothing if there is none */
void resolve_free(WTask *t); /* the same, and `done` is not called any more */
