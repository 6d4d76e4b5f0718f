/* SPDX-License-Identifier: Apache-2.0 */
/* Contents by digest, on disk: HOME/cache/blobs/ab/abcd... A blob gets its name only when its
 * whole content has been checked against it, so whatever has a name is right; after a start of the
 * machine, which may have gone before its disk had them, they are checked again when wanted. Partly received ones
 * are kept in cache/blobs/part/ and gone on with after a broken connection. The store has a size
 * limit and drops the least recently used (by access, which we stamp ourselves in atime, for file
 * systems are mounted noatime). It is a cache: deleting it loses nothing. */
#pragma once

#include <glib.h>

typedef struct BlobStore BlobStore;

/* limit_bytes 0: no limit. Makes the folders. */
BlobStore *blobs_open(const char *home, guint64 limit_bytes, GError **error);
/* For who works with it on a thread; each reference is closed. All but blobs_open() may be called
 * from any thread. */
BlobStore *blobs_ref(BlobStore *b);
void blobs_close(BlobStore *b);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BlobStore, blobs_close)

gboolean blobs_has(BlobStore *b, const char *digest);
/* A descriptor to read it by; also FileListOpen (data = BlobStore*). */
int blobs_open_fd(const char *digest, gpointer blob_store, GError **error);
/* The blob leaves the store and becomes the file `name` in the folder `dirfd`, if nobody else has
 * it pinned and it is on the same file system; also FileListTake. */
gboolean blobs_take(const char *digest, int dirfd, const char *name, gpointer blob_store);
/* The blob becomes that file too, without a copy; also FileListTake. Where file systems can share
 * content until it is changed (reflink) the store keeps it; else it has lent it: whoever has the
 * file may change it, so it counts as a blob no more until blobs_recall() has read it again. FALSE,
 * and a copy is needed, if somebody else here or in another process may be about to read it, or
 * asks for it so often that it is better kept. */
gboolean blobs_lend(const char *digest, int dirfd, const char *name, gpointer blob_store);
/* TRUE if it was lent and is in the store again: it was read, and still is what its digest says. It
 * is copied if the one who has it may still write to it. */
gboolean blobs_recall(BlobStore *b, const char *digest, guint64 size);
char *blobs_path(BlobStore *b, const char *digest);

/* TRUE if some of it may have come before: to begin means to read that. */
gboolean blobs_has_part(BlobStore *b, const char *digest);

/* Receiving. One writer a digest at a time. */
typedef struct BlobWriter BlobWriter;
BlobWriter *blobs_begin(BlobStore *b, const char *digest, guint64 size, GError **error);
guint64 blob_writer_offset(BlobWriter *w); /* where to go on from: what is here already */
/* The next piece, in order. Over `size` is an error. */
gboolean blob_writer_add(BlobWriter *w, const void *data, gsize len, GError **error);
/* Checks the digest and names it. A wrong one is deleted and an error. Frees w in any case. */
gboolean blob_writer_finish(BlobWriter *w, GError **error);
void blob_writer_abort(BlobWriter *w); /* keeps the part for later; frees w */

/* Adds a file that is here already (copied). */
gboolean blobs_add_file(BlobStore *b, const char *path, const char *digest, GError **error);
/* Keeps it from being dropped while in use; counts. */
void blobs_pin(BlobStore *b, const char *digest);
void blobs_unpin(BlobStore *b, const char *digest);
/* Brings the store under its limit, as far as nothing is dropped that is in use. Called after blobs
 * were added; cheap if it is under, or if nothing more can be dropped. */
void blobs_trim(BlobStore *b);
/* The same soon, on a thread: the store may have very many. */
void blobs_trim_beside(BlobStore *b);
guint64 blobs_size(BlobStore *b);
