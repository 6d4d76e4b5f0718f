/* SPDX-License-Identifier: Apache-2.0 */
/* Index entries: a run's snapshot, and its scalars, read from disk or from the bytes of a cache. */
#pragma once

#include "engine/run/run.h"

/* From bytes, if they still agree with the run's directory. Attaches the snapshot. */
gboolean index_entry_restore(Run *run, const guint8 *bytes, gsize len);
/* From disk. Attaches the snapshot and gives the bytes to keep; NULL if they must not be kept yet. */
GByteArray *index_entry_read(Run *run);

/* Scalars (a list of maps) and logged attributes (a map) of a run. */
typedef struct IndexScalars {
    Value *scalars, *attrs;
} IndexScalars;
void index_scalars_free(IndexScalars *s);
/* NULL if the bytes don't agree with the directory. */
IndexScalars *index_scalars_restore(Run *run, const guint8 *bytes, gsize len);
/* *bytes is NULL if they must not be kept yet. */
IndexScalars *index_scalars_read(Run *run, GByteArray **bytes);
