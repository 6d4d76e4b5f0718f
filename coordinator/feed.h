/* SPDX-License-Identifier: Apache-2.0 */
/* Where a batch's trials come from: its optimizer (what to try) and its stager (a run directory
 * for each), with what happens on the way back: the result of a trial in the optimizer's terms. */
#pragma once

#include "engine/batch/optimizer.h"
#include "engine/run/run.h"

typedef struct Feed Feed;

Feed *feed_new(Run *batch_run, const char *runs_dir, GError **error);
void feed_free(Feed *f);

Value *feed_ask(Feed *f, OptimizerState *state, GError **error);
Run *feed_stage(Feed *f, const Value *flags, GError **error);
void feed_tell(Feed *f, Run *trial, gboolean completed);
/* Answers depend on results: don't ask ahead. */
gboolean feed_learns(Feed *f);
gint64 feed_count(Feed *f); /* -1: not known */

/* After a restart: the first `n` trials were asked for before. */
void feed_seek(Feed *f, guint n);
/* Removes trials of the batch that the queue does not know (`tasks`: QueueTask*): they were being
 * made when it crashed, and are made again. */
void feed_sweep(Feed *f, Run *batch_run, GPtrArray *tasks);
