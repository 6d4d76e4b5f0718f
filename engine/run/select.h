/* SPDX-License-Identifier: Apache-2.0 */
/* Which runs a command means: the filters of its options, applied to a store, and its RUN
 * arguments (index, range, id, prefix) applied to what is left. As guild/commands/runs_impl.py. */
#pragma once

#include "engine/run/store.h"

/* TRUE/FALSE wanted or excluded, -1 not asked. */
typedef gint8 RunTri;

/* All fields may be zero, but status must be set by run_query_init(). Strings and vectors are
 * borrowed and must outlive the query. */
typedef struct RunQuery {
    RunTri status[6]; /* indexed by RunStatus; -1: not asked */
    const char *const *ops;
    const char *const *labels; /* "-" matches runs without label */
    const char *const *tags;
    const char *const *comments;
    const char *filter;  /* expression */
    const char *started; /* time range */
    const char *digest;  /* prefix of sourcecode_digest */
    gboolean unlabeled, marked, unmarked;
    RunStoreWhere where;
    gboolean ignore_runs_parent; /* don't limit to $GUILD_RUNS_PARENT */
} RunQuery;

void run_query_init(RunQuery *q);
/* Matching runs, newest first. Uses the store's index (index.h); runs that can't be read are left
 * out of what a filter demands but never stop the others. */
GPtrArray *run_query_list(RunStore *store, const RunQuery *q, GError **error);
/* `args` are 1-based indexes into `runs`, ranges START:END, ids or prefixes; none means all.
 * Duplicates of arguments are passed over. RUN_ERR_NOT_FOUND and RUN_ERR_AMBIGUOUS name the
 * argument. Result in the order of the arguments. */
GPtrArray *run_select(GPtrArray *runs, const char *const *args, GError **error);

/* TRUE if the operation name (`[PKG/][MODEL:]OP`) is what `ref` asks for: parts equal or fnmatch, a
 * regular expression if it begins with ^ or ends with $ (option -Fo). */
gboolean run_match_operation(const char *ref, const char *operation);
