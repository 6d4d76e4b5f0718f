/* SPDX-License-Identifier: Apache-2.0 */
/* What the index knows of one run, in parts. Each part is made of one file or folder (scalars: of
 * several) and is looked at only when it is asked for: one that came from the cache is believed
 * once what it was made from still looks as it did then, any other is read from disk. So a question
 * costs a look at the files that answer it, and no more. What was seen once is not looked at
 * again. */
#pragma once

#include "engine/run/index_stamp.h"
#include "engine/run/run.h"

typedef enum {
    PART_GUILD,   /* .guild: what is in it */
    PART_NAMES,   /* .guild/attrs: which attributes there are */
    PART_OPREF,   /* .guild/opref */
    PART_SCALARS, /* scalars and logged attributes, see index_scalars.h */
    PART_RUN,     /* the run's directory: what is in it */
    PART_STARTED, /* values of attributes: this one, and others that are asked of many runs */
    N_PARTS = PART_STARTED + 10,
} PartKind;

typedef enum {
    PART_UNSEEN, /* bytes may be from the cache, not yet believed */
    PART_TRUE,
    PART_ABSENT,
    PART_UNREADABLE, /* there, but not to be kept here: ask the file itself */
} PartState;

typedef struct IndexPart {
    const guint8 *bytes; /* a stamp, then what the part says; NULL: none */
    guint32 len;
    guint8 state; /* PartState */
    guint8 fresh; /* read from disk by this process, which owns the bytes */
    guint8 keep;  /* fresh, and settled: worth writing to the cache */
} IndexPart;

/* Of one thread at a time. Zero but for fd and dir at first. */
typedef struct RunParts {
    int fd;          /* an open folder, or AT_FDCWD */
    const char *dir; /* the run's directory, below it; borrowed */
    IndexPart parts[N_PARTS];
} RunParts;

/* Frees what was read. */
void run_parts_clear(RunParts *p);

guint run_parts_present(RunParts *p); /* RunPresence */
/* Does the run's directory itself have event files of attributes, which a script wrote? */
gboolean run_parts_logs_attrs(RunParts *p);
OpRef *run_parts_opref(RunParts *p); /* new; NULL if it can't be read */
/* As in RunSnapshotOps. */
gboolean run_parts_attr(RunParts *p, const char *name, const char *key, Value **value);

/* How many parts the cache lacks. */
guint run_parts_count_news(const RunParts *p);
/* Writes what is worth keeping. */
void run_parts_put(const RunParts *p, GByteArray *out);
/* Takes what was written, up to the reader's end, as cached; bytes are borrowed. */
void run_parts_take(RunParts *p, IndexReader *r);

/* For index_scalars.c. */
IndexReader index_part_reader(const IndexPart *part);
void index_part_set(IndexPart *part, GByteArray *bytes /* taken over */, gboolean keep);
/* How .guild looks; zero if it can't be read. */
FileStamp run_parts_guild_stamp(RunParts *p);
