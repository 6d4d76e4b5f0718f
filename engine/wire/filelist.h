/* SPDX-License-Identifier: Apache-2.0 */
/* File lists: what a run directory consists of, so that another machine can make the same one. An
 * entry says name, kind, permissions, size and the SHA-256 of the content; the content itself
 * travels apart, by digest (blobs.h, transfer.h), except for small run attributes, which are worth
 * less than a round trip and ride along.
 *
 * Names are relative, with '/', and stay inside (fs_is_safe_rel); links are told as links and
 * never followed, neither when read nor when made: filelist_build() opens every folder on the way
 * with O_NOFOLLOW, so that no list, whatever its names and links, writes outside its root. Links
 * where guild itself writes in a run (`.guild/output`, attributes) are not made at all: it would
 * follow them later. */
#pragma once

#include "engine/base/value.h"

typedef enum {
    FILE_REGULAR,
    FILE_DIR,
    FILE_LINK,
    FILE_GONE, /* in a list of changes: is no more */
} FileKind;

typedef struct {
    char *path;
    FileKind kind;
    guint mode;      /* permission bits */
    guint64 size;    /* bytes; of regular files */
    gint64 mtime_us; /* of regular files */
    char *digest;    /* 64 hex digits; NULL for others and when `data` is there */
    char *target;    /* of links */
    GBytes *data;    /* the content itself, if it is small and rides along */
} FileEntry;

FileEntry *file_entry_new(const char *path, FileKind kind);
void file_entry_free(gpointer entry); /* GDestroyNotify */

/* Attributes up to this size ride along (FileEntry.data). */
#define FILELIST_INLINE_MAX 4096

/* FALSE leaves the entry (and all in a folder) out. `rel` is its path. */
typedef gboolean (*FileListFilter)(const char *rel, gboolean is_dir, gpointer data);

/* Remembers digests of files by (device, inode, size, mtime), so that unchanged ones are read
 * once. One for a process, of whichever threads. */
typedef struct DigestCache DigestCache;
DigestCache *digest_cache_new(void);
void digest_cache_free(DigestCache *c);

/* A short list is read or built within some tens of ms; a longer one is a matter for a thread
 * (engine/base/apart.h). */
#define FILELIST_SHORT_LEN 256
#define FILELIST_SHORT_BYTES (16 * 1024 * 1024)
gboolean filelist_is_short(GPtrArray *files);
/* What the list itself takes in memory, content that rides along included. */
gsize filelist_bytes(GPtrArray *files);

typedef enum {
    FILELIST_PLAIN = 0,
    /* A link whose target lies outside of root is listed as what it leads to: for a run that goes
     * to a machine where the target is not. */
    FILELIST_FOLLOW_OUTSIDE = 1,
    /* Small files below `.guild/` carry their content (FileEntry.data). */
    FILELIST_INLINE = 2,
    /* No digests: names, kinds, sizes and times only. */
    FILELIST_NO_DIGEST = 4,
    /* For a loop that must not be kept: G_FILE_ERROR_AGAIN if more would have to be read than a
     * short list has. */
    FILELIST_BRIEF = 8,
} FileListFlags;

/* Lists everything below `root`, a run's directory, sorted by path: files, folders, links. Sockets,
 * pipes, devices and names that are not UTF-8 can't travel and are left out, with one warning that
 * names the run and the first of them. A file that vanishes while we look is left out. `filter` may be NULL; `cache` may
 * be NULL. Gives FileEntry*. */
GPtrArray *filelist_scan(const char *root, FileListFlags flags, FileListFilter filter,
        gpointer data, DigestCache *cache, GError **error);

/* The same with FILELIST_FOLLOW_OUTSIDE, where the links may be a stranger's: only what really is
 * below `within` is followed to. Other links that lead outside are listed as links, with a warning. */
GPtrArray *filelist_scan_within(const char *root, const char *within, FileListFlags flags,
        FileListFilter filter, gpointer data, DigestCache *cache, GError **error);

/* Finds content by digest: an open file descriptor (the caller closes it) or -1 with error. */
typedef int (*FileListOpen)(const char *digest, gpointer data, GError **error);

/* Makes what the list says below `root` (which must exist): folders, files with their content and
 * modes, links; FILE_GONE is removed (folders only when empty). What is there already is replaced,
 * a folder by a file with all that is in it; what is there and not in the list stays. The content is copied by the cheapest means (reflink)
 * and is NOT checked again: FileListOpen gives verified content. */
gboolean filelist_build(
        const char *root, GPtrArray *files, FileListOpen open_blob, gpointer data, GError **error);

/* Gives the content itself away: makes it the file `name` in the folder `dirfd`. FALSE: it can't.
 */
typedef gboolean (*FileListTake)(const char *digest, int dirfd, const char *name, gpointer data);
/* The same for one who needs large content nowhere else: it is moved instead of copied. `cache`
 * (may be NULL) learns the digests of what was written, so that a scan need not read it again. */
gboolean filelist_build_taking(const char *root, GPtrArray *files, FileListOpen open_blob,
        FileListTake take, gpointer data, DigestCache *cache, GError **error);

/* What changed below `root` since `before` (a scan, FILELIST_NO_DIGEST is enough): entries that are
 * new or differ in kind, mode, size, time or target, and FILE_GONE for those that went. Only
 * changed files are read. `left` (may be NULL: a warning instead) becomes a text for people about what
 * is left out, or NULL; it is to be freed. */
GPtrArray *filelist_changes(const char *root, GPtrArray *before, FileListFlags flags,
        FileListFilter filter, gpointer data, char **left, GError **error);

/* The entry with this path, or NULL; for lists sorted by path as filelist_scan() gives them. */
/* The entry of that path, if there is one, becomes the last: it is built when all else is there. */
void filelist_put_last(GPtrArray *files, const char *path);
FileEntry *filelist_find(GPtrArray *files, const char *path);
/* TRUE if both say the same of kind, mode, content and target. */
gboolean file_entry_same(const FileEntry *a, const FileEntry *b);
