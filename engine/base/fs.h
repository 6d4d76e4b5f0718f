/* SPDX-License-Identifier: Apache-2.0 */
/* Files and folders: the few operations that everything else is made of, each with an error that
 * names the path. Nothing here follows a symbolic link out of a tree that it was told to stay in. */
#pragma once

#include <glib.h>
#include <sys/stat.h>

/* Whole file as text; at most `limit` bytes (0: 64 MiB), larger is an error. NUL-terminated; `len`
 * may be NULL. ENOENT is G_FILE_ERROR_NOENT. */
char *fs_read(const char *path, gsize limit, gsize *len, GError **error);
/* Opens for reading what must be a file: a pipe, on which a reader waits for ever, or a device is
 * EINVAL. A folder opens, and reading it is EISDIR. -1 with errno. */
int fs_open_regular(const char *path);
/* As fs_read() for what must be a file: a pipe, on which a reader waits for ever, is an error. */
char *fs_read_regular(const char *path, gsize limit, gsize *len, GError **error);
/* Truncates and writes in place (as the reference does for attributes). len -1: NUL-terminated. */
gboolean fs_write(const char *path, const char *data, gssize len, GError **error);
/* Writes a new file beside it and renames: readers see the old or the new, whole. mode e.g. 0644. */
gboolean fs_write_atomic(
        const char *path, const char *data, gssize len, mode_t mode, GError **error);
/* fs_write() for what guild itself keeps in a run, where others write too: a link, which would lead
 * elsewhere, or a pipe, on which a writer waits for ever, is replaced. */
gboolean fs_write_own(const char *path, const char *data, gssize len, GError **error);
/* Opens such a file, made if it is not there; `how`: O_WRONLY, O_TRUNC, ... -1 with errno. */
int fs_open_own(const char *path, int how);
/* All that was written to the file system of `path` is on its disk when this returns. */
gboolean fs_sync(const char *path, GError **error);
gboolean fs_touch(const char *path, GError **error);
gboolean fs_mkdirs(const char *path, GError **error); /* with parents, 0777 & ~umask */
gboolean fs_exists(const char *path);                 /* follows links, as os.path.exists */
gboolean fs_lexists(const char *path);
gboolean fs_is_dir(const char *path);
gboolean fs_is_file(const char *path);
gboolean fs_is_link(const char *path);
char *fs_read_link(const char *path, GError **error);
gboolean fs_symlink(const char *target, const char *path, GError **error);
gboolean fs_remove(const char *path, GError **error);      /* a file or link; absent is fine */
gboolean fs_remove_tree(const char *path, GError **error); /* never follows links; absent is fine */
int fs_remove_tree_at(int dirfd, const char *name); /* the same, in an open folder: 0 or an errno */
/* Copies a regular file with mode and times by the cheapest means that keeps the copies apart:
 * reflink, copy_file_range, read/write. Makes parent folders. Replaces dst; a file is its own copy. */
gboolean fs_copy_file(const char *src, const char *dst, GError **error);
/* Copies a tree (links as links). dst may exist: merged, files replaced. */
gboolean fs_copy_tree(const char *src, const char *dst, GError **error);
/* Sorted names in a folder without . and ..; empty (with error set) if it cannot be read. */
char **fs_list(const char *path, GError **error);
/* Calls fn for each entry of an open folder but . and .., in no order, with its type as in
 * readdir(3) (DT_DIR, DT_UNKNOWN, ...). For many small folders: a third of the calls of opendir(),
 * and no memory. A folder that stops being readable ends there. */
typedef void (*FsEntryFn)(const char *name, unsigned char type, gpointer data);
void fs_each_entry(int dir_fd, FsEntryFn fn, gpointer data);

/* FALSE with an error if a folder can't be listed and entered. */
gboolean fs_check_folder(const char *path, GError **error);
/* Walks a tree depth first, names sorted, calling fn for each entry below root with its path
 * relative to root. lstat results; links to folders are not entered unless follow. fn gives FALSE
 * to skip a folder's inside. `error` is set when root can't be read; deeper failures are passed
 * over. */
typedef gboolean (*FsWalkFn)(
        const char *root, const char *rel, const struct stat *st, gpointer data);
gboolean fs_walk(const char *root, gboolean follow, FsWalkFn fn, gpointer data, GError **error);

char *fs_join(const char *a, const char *b);           /* as os.path.join: absolute b wins */
char *fs_cwd(void);                                    /* as os.getcwd: links followed */
char *fs_abspath(const char *path, const char *cwd);   /* cwd NULL: the process's; normalised */
char *fs_normpath(const char *path);                   /* as os.path.normpath */
char *fs_relpath(const char *path, const char *start); /* as os.path.relpath; start NULL: "." */
char *fs_realpath(const char *path);                   /* as os.path.realpath: never fails */
char *fs_expanduser(const char *path);
/* TRUE if `rel` is a relative path that stays inside when joined (no "..", not absolute, not
 * empty, no NUL): for names from archives, messages and configuration. */
gboolean fs_is_safe_rel(const char *rel);
/* TRUE if it is also the one way to write that path: no empty part, no ".". What is compared with a
 * name must be so: "a//b" is another text and the same file. */
gboolean fs_is_plain_rel(const char *rel);
/* TRUE if `path` is below `root`, or is it, when all links are followed. */
gboolean fs_is_really_below(const char *path, const char *root);
/* As the reference's util.is_text_file: looks at the first bytes. */
gboolean fs_is_text_file(const char *path);
/* A new folder below $TMPDIR or /tmp, 0700, ours until this process ends, however it ends. Those of
 * the same prefix that a process of this user left behind are removed. Who is done with one removes
 * it (fs_remove_tree()). */
char *fs_mkdtemp(const char *prefix, GError **error);
