/* SPDX-License-Identifier: Apache-2.0 */
/* What a run measured: the scalars in the TensorBoard event files of its directory, summed up by
 * tag as the reference does (guild/tfevent.py, guild/index.py). Each folder that holds files with
 * ".tfevents." in their name is a source; its path below the run directory is the prefix of its
 * tags (".guild" for what the program itself wrote). Links to folders are followed only where they
 * lead to a run (links of steps). Files ending in ".attrs" hold texts, not scalars.
 *
 * Reading is tolerant: a file that is cut, damaged or being written gives what stands before the
 * damage. Nothing here fails. */
#pragma once

#include "engine/run/run.h"

/* One tag of one source. A step is the event's; a value is the event's float widened. */
typedef struct ScalarSummary {
    char *prefix; /* "" for the run directory itself */
    char *tag;
    double first_val, last_val, min_val, max_val, avg_val, total;
    gint64 first_step, last_step, min_step, max_step;
    gint64 count;
} ScalarSummary;

/* A folder with event files. */
typedef struct ScalarSource {
    char *dir;        /* absolute */
    char *prefix;     /* below the run directory, "/" between parts */
    GPtrArray *files; /* names of its event files, sorted; char* */
} ScalarSource;

void scalar_summary_free(ScalarSummary *s);
void scalar_source_free(ScalarSource *s);

/* The sources of a run directory, parents before their folders, names sorted. Array of
 * ScalarSource*. Adds to `dirs` (char*, newly allocated; may be NULL) every folder that was looked
 * into: as long as none of them changes no source can appear. `.guild/attrs` is not looked into. */
GPtrArray *scalars_sources(const char *run_dir, GPtrArray *dirs);
/* Reads them one after the other, files by name. Array of ScalarSummary*, of a source in the order
 * in which its tags first appear. */
GPtrArray *scalars_of(const GPtrArray *sources);
/* Both in one. */
GPtrArray *scalars_read(const char *run_dir);

/* A summary as the map that run_index_scalars() speaks of. */
Value *scalar_summary_value(const ScalarSummary *s);

/* Texts that were logged (files ending in ".attrs"), a map of scalar_key() to string; a later one
 * replaces an earlier one. */
Value *scalars_attrs_of(const GPtrArray *sources);
Value *scalars_read_attrs(const char *run_dir);

/* The summary of that tag, with a prefix that begins so (NULL: any); NULL if there is none. Of
 * several it is the first. */
const ScalarSummary *scalars_find(const GPtrArray *summaries, const char *prefix, const char *tag);
/* The column of a summary that `QUALIFIER TAG` and `TAG step` mean: qualifier "first", "last",
 * "min", "max", "avg", "total", "count" or NULL for last; with `step` the step of that value. A new
 * float or int; NULL for a pair that means nothing (step of an average). */
Value *scalar_summary_column(const ScalarSummary *s, const char *qualifier, gboolean step);
/* The key that listings show: "tag", or "prefix#tag" unless the prefix is "" or ".guild".
 * Newly allocated. */
char *scalar_key(const char *prefix, const char *tag);
