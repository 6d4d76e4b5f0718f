/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of engine/deps: one source of one resource turned into paths on this machine, kind by
 * kind. */
#pragma once

#include "engine/deps/resolve.h"

/* What the functions below need to know; `location` is the folder in turn, `flags` those of the
 * run (a map or NULL), `set` what the user's flags say for this source (or NULL). */
typedef struct SourceJob {
    const Dep *dep;
    const ResSource *source;
    Run *run;
    const DepsContext *ctx;
    const char *location;
    const Value *flags;
    const Value *set;
} SourceJob;

/* Absolute paths, newly allocated; NULL with DEP_ERROR. May be empty. */
GPtrArray *source_resolve(const SourceJob *job, GError **error);

/* `text` with `${flag}` references resolved; `what` names the source in the message or is NULL. */
char *source_resolve_refs(const SourceJob *job, const char *text, const char *what, GError **error);

/* dep_config.c: the configuration file `path` with params and flags applied, written below the
 * run's
 * `.guild/generated`. */
char *source_generate_config(const SourceJob *job, const char *path, GError **error);

/* dep_select.c: paths (relative to root) that `select` of the source picks, joined to root, sorted.
 */
GPtrArray *source_select(const ResSource *source, const char *root, const GPtrArray *rel_paths);
/* All below `dir` that can be selected: relative paths of files, links and folders. */
GPtrArray *source_all_paths(const char *dir, GError **error);
/* Top level parts of relative paths joined to root, sorted, without those that begin ".guild". */
GPtrArray *source_top_paths(const char *root, const GPtrArray *rel_paths);
/* What an `operation:` source without `select` takes: top level names of the run that hold files
 * which the run made itself. $GUILD_LEGACY_OPDEP_SELECT 1 adds dependencies, 2 source code, as in
 * the reference. */
GPtrArray *source_generated_paths(Run *run, GError **error);

/* dep_pack.c: sources that differ between the trials of a batch (rewritten configuration, `${flag}`
 * in a name, a list of files for a flag) can't be resolved in its proto. What they may need is
 * packed into the proto instead, in `.guild/deps-pack`, and found there when a trial starts, on
 * whatever machine. */
gboolean source_differs_by_trial(const SourceJob *job);
gboolean source_pack(const SourceJob *job, GError **error);
/* Where the file or folder that was called `name` is packed; NULL if it is not. */
char *source_packed(Run *run, const char *name);

/* dep_post.c: runs `post-process` of the source in `dir`, once for each text of the command. */
gboolean source_post_process(const SourceJob *job, const char *dir, GError **error);
