/* SPDX-License-Identifier: Apache-2.0 */
/* Where a batch's trials come from: its optimizer (what to try) and its stager (a run directory
 * for each), with what happens on the way back: the result of a trial in the optimizer's terms. */
#pragma once

#include "engine/batch/optimizer.h"
#include "engine/run/run.h"

typedef struct Feed Feed;

Feed *feed_new(Run *batch_run, const char *runs_dir, GError **error);
void feed_free(Feed *f);

/* optimizer_think_apart(). */
void feed_think_apart(Feed *f, GMainContext *context, void (*wake)(gpointer data), gpointer data);
Value *feed_ask(Feed *f, OptimizerState *state, GError **error);
/* What to tell the user about the last answer, or NULL. */
const char *feed_note(Feed *f);
Run *feed_stage(Feed *f, const Value *flags, GError **error); /* trial_stager_stage() */
gboolean feed_stages_long(Feed *f);                           /* trial_stager_is_long() */
void feed_tell(Feed *f, Run *trial, gboolean completed);
/* Answers depend on results: don't ask ahead. */
gboolean feed_learns(Feed *f);
gint64 feed_count(Feed *f); /* -1: not known */

/* After a restart: these trials (QueueTask*, in the order in which they were asked for) were given
 * before. Then feed_tell() for each that has ended. */
void feed_restore(Feed *f, GPtrArray *tasks);
/* Removes trials of the batch that the queue does not know (`tasks`: QueueTask*): they were being
 * made when it crashed, and are made again. `staged`: they were being made ready for the user. */
void feed_sweep(Feed *f, Run *batch_run, GPtrArray *tasks, gboolean staged);
