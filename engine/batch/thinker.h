/* SPDX-License-Identifier: Apache-2.0 */
/* Work that takes too long for a main loop, one piece at a time on a thread of its own; the loop is
 * told when it is done. */
#pragma once

#include <glib.h>

typedef struct Thinker Thinker;

/* `done` is called from the context's loop, which must be that of the caller's thread. */
Thinker *thinker_new(GMainContext *context, void (*done)(gpointer data), gpointer data);
/* Waits for what it is at; `done` is not called any more. */
void thinker_free(Thinker *t);

/* Not while it is busy. */
void thinker_start(Thinker *t, void (*work)(gpointer arg), gpointer arg);
/* TRUE from thinker_start() until `done` is about to be called. */
gboolean thinker_busy(const Thinker *t);
