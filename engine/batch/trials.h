/* SPDX-License-Identifier: Apache-2.0 */
/* A grid's trials: all combinations of the values in lists, flags sorted by name and the last one
 * changing fastest, one combination at a time. Nothing is held but the flags themselves and, when
 * a sample is taken of them, its numbers: a grid of a million trials costs no more than its lists.
 *
 * With batch files there is one such grid for each of their rows, whose flags go over the
 * operation's and under those of the command line. As batch_util.expanded_batch_trials and
 * sample_trials of the reference; functions (`uniform[..]`) are drawn from as dims.h says. */
#pragma once

#include "engine/base/value.h"
#include "engine/batch/dims.h"

typedef struct TrialSource TrialSource;

typedef struct TrialSpec {
    const Value *flags;      /* the operation's: map */
    const Value *user_flags; /* those of the command line: map or NULL; only matter with `rows` */
    const Value *rows;       /* from batch files: list of maps, or NULL */
    guint64 seed;
    gint64 max_trials; /* 0: all. Else a random sample of that size, in the grid's order */
} TrialSpec;

/* Values are referenced, so they must not change while the source lives. Errors are BATCH_ERROR. */
TrialSource *trial_source_new(const TrialSpec *spec, GError **error);
void trial_source_free(TrialSource *src);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TrialSource, trial_source_free)

/* Number of trials in all; G_MAXINT64 stands for "more than that". */
gint64 trial_source_count(const TrialSource *src);
/* Flags of the next trial (a map with every flag), or NULL at the end. */
Value *trial_source_next(TrialSource *src);
/* The next one will be trial `index` (from 0). */
void trial_source_seek(TrialSource *src, gint64 index);
