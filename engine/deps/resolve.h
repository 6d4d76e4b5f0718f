/* SPDX-License-Identifier: Apache-2.0 */
/* Brings dependencies into a run directory. For each Dep each source is turned into paths (a
 * file's own, files of another run, what was downloaded or unpacked into the home's cache, a
 * rewritten configuration file), and each path is linked or copied below the run directory. What
 * was done is kept in attribute `deps` and in the manifest as the reference keeps it
 * (guild/op.py _resolve_deps, guild/resolver.py), and "Resolving ..." lines are logged.
 *
 * Nothing is ever written outside of the run directory and the home's `cache`. */
#pragma once

#include "engine/deps/dep.h"

typedef enum {
    DEPS_ALL,
    DEPS_ONLY_OPERATIONS, /* only `operation:` sources */
    DEPS_NOT_OPERATIONS,  /* all but those: what can be had without the submitter's home */
} DepsFilter;

typedef struct DepsContext {
    RunStore *store;            /* where upstream runs and `cache` are; need not be the user's */
    const char *python_exe;     /* interpreter for `module` sources; NULL: searched for */
    const char *cwd;            /* where relative paths given by flags start; NULL: the process's */
    gboolean for_stage;         /* leave `operation:` sources for the start of the run */
    gboolean continue_on_error; /* --force-deps: warn and go on */
    gboolean for_batch; /* the run is a batch's proto that goes to another machine: see deps_pack()
                         */
    DepsFilter filter;
    const char *
            within; /* where deps are a stranger's: all that is brought in must be below this folder,
                         * links followed. NULL: anything */
} DepsContext;

/* Resolves `deps` (array of Dep*) into `run`. Sources that attribute `deps` already has are skipped
 * unless they say `always-resolve`; optional ones may fail. FALSE with DEP_ERROR at the first
 * failure, which leaves what was resolved so far in place but attribute `deps` as it was. */
gboolean deps_resolve(const GPtrArray *deps, Run *run, const DepsContext *ctx, GError **error);

/* What was resolved so far is done for good until the run has started: the next deps_resolve() of
 * all sources leaves it alone, even where a source says `always-resolve`. For runs that are made
 * ready on one machine and started on another one. A filter other than DEPS_ALL does this by
 * itself. */
gboolean deps_mark_done(Run *run, GError **error);
/* For a restart, which resolves anew. */
void deps_forget_done(Run *run);

/* The paths a single source stands for, absolute, newly allocated; what deps_resolve() does before
 * it links or copies. `run` gives the flags for `${name}`; may be NULL except for `config:`. */
GPtrArray *deps_source_paths(
        const Dep *dep, ResSource *source, Run *run, const DepsContext *ctx, GError **error);

/* The run that serves an `operation:` source: of a fitting status, the marked one, else the one
 * started last, whose id begins with `id_prefix` (may be NULL; a full id is taken whatever its
 * operation and status). A new Run, or NULL with "no suitable run for ...". */
Run *deps_find_run(const ResSource *source, const char *id_prefix, gboolean include_staged,
        RunStore *store, GError **error);
