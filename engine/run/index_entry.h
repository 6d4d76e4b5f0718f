/* SPDX-License-Identifier: Apache-2.0 */
/* Index entries: a run's snapshot, and its scalars, read from disk or from the bytes of a cache. */
#pragma once

#include "engine/run/run.h"

/* An entry's bytes begin with a stamp; `payload` is where what it says begins. */
typedef struct IndexEntry {
    GBytes *bytes;
    gsize payload;
    gboolean keep;       /* worth writing to the cache: read from disk, and settled */
    gint64 timestamp_us; /* of a run's entry */
} IndexEntry;
void index_entry_clear(IndexEntry *entry);

/* TRUE if the bytes agree with the run's directory as it is now; fills in payload and timestamp.
 * root_fd is the open folder that the run's is in. Both may be called from any thread. */
gboolean index_entry_check(IndexEntry *entry, Run *run, int root_fd);
/* Reads the run from disk. entry->bytes is NULL if it has no readable opref. */
void index_entry_read(IndexEntry *entry, Run *run);
/* Gives the run its snapshot. */
void index_entry_attach(const IndexEntry *entry, Run *run);

/* The same for an entry of scalars (a list of maps) and logged attributes (a map). */
gboolean index_scalars_check(IndexEntry *entry, Run *run, int root_fd);
void index_scalars_read(IndexEntry *entry, Run *run);
/* New references, never NULL. */
Value *index_scalars_attrs(const IndexEntry *entry);
Value *index_scalars_list(const IndexEntry *entry);
