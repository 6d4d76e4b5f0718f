/* SPDX-License-Identifier: Apache-2.0 */
/* Building a directory from a file list that comes from strangers: see filelist.h. */
#include "engine/wire/filelist_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "engine/base/fs.h"

/* Opens the folder `rel` below root, entering no link, making what is missing. */
static int open_folder(int rootfd, const char *rel, gsize len)
{
    int fd = dup(rootfd);
    g_autofree char *copy = g_strndup(rel, len);
    char *save = NULL;
    for (char *part = strtok_r(copy, "/", &save); part && fd >= 0;
            part = strtok_r(NULL, "/", &save)) {
        int next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next < 0 && errno == ENOENT && mkdirat(fd, part, 0777) == 0)
            next = openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int keep = errno;
        close(fd);
        errno = keep;
        fd = next;
    }
    return fd;
}

static gboolean copy_content(int in, int out)
{
    if (ioctl(out, FICLONE, in) == 0)
        return TRUE;
    gssize n;
    while ((n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
        ;
    if (n == 0)
        return TRUE;
    if (errno != EXDEV && errno != ENOSYS && errno != EINVAL && errno != EOPNOTSUPP)
        return FALSE;
    g_autofree guint8 *buf = g_malloc(256 * 1024);
    while ((n = read(in, buf, 256 * 1024)) != 0) {
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || write(out, buf, n) != n)
            return FALSE;
    }
    return TRUE;
}

static gboolean write_all(int fd, const void *data, gsize len)
{
    const char *p = data;
    while (len) {
        gssize n = write(fd, p, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        p += n;
        len -= n;
    }
    return TRUE;
}

/* A folder only if it is empty. */
static void remove_one(int dirfd, const char *name)
{
    if (unlinkat(dirfd, name, 0) < 0)
        unlinkat(dirfd, name, AT_REMOVEDIR);
}

/* What is to be a folder and is something else. */
static void clear_way_for_folder(int dirfd, const char *name)
{
    struct stat st;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(st.st_mode))
        unlinkat(dirfd, name, 0);
}

typedef struct {
    const char *root;
    FileListOpen open;
    FileListTake take; /* or NULL */
    gpointer data;
    DigestCache *cache; /* or NULL */
    GHashTable *counts; /* of digests: one that is needed twice can't be given away */
    int rootfd;
    char *folder; /* below root: the one that was entered last, "" is root itself; NULL: none */
    int folder_fd;
} Build;

static void leave_folder(Build *b)
{
    if (b->folder)
        close(b->folder_fd);
    g_clear_pointer(&b->folder, g_free);
}

/* The folder that the entry is in; ours, not the caller's to close. */
static int enter_folder(Build *b, const char *path)
{
    const char *slash = strrchr(path, '/');
    gsize len = slash ? (gsize)(slash - path) : 0;
    if (b->folder && strlen(b->folder) == len && !strncmp(b->folder, path, len))
        return b->folder_fd;
    leave_folder(b);
    b->folder_fd = open_folder(b->rootfd, path, len);
    if (b->folder_fd >= 0)
        b->folder = g_strndup(path, len);
    return b->folder_fd;
}

/* Content smaller than this is not worth taking. */
#define TAKE_BYTES (1024 * 1024)

static gboolean take_content(Build *b, int dirfd, const char *name, const FileEntry *e)
{
    return b->take && e->digest && e->size >= TAKE_BYTES &&
           GPOINTER_TO_UINT(g_hash_table_lookup(b->counts, e->digest)) == 1 &&
           b->take(e->digest, dirfd, name, b->data);
}

static int write_content(Build *b, int dirfd, const char *name, const FileEntry *e, GError **error)
{
    int in = -1;
    if (!e->data && (in = b->open(e->digest, b->data, error)) < 0)
        return -1;
    int out = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    gboolean ok = out >= 0;
    if (ok && e->data)
        ok = write_all(out, g_bytes_get_data(e->data, NULL), g_bytes_get_size(e->data));
    else if (ok)
        ok = copy_content(in, out);
    if (!ok)
        filelist_io_error(error, "write", b->root, e->path);
    if (in >= 0)
        close(in);
    if (!ok && out >= 0) {
        close(out);
        out = -1;
    }
    return out;
}

/* The file that is there if it has this content already, as most attributes of a run that comes
 * back have: to read it costs less than to make it. */
static int open_same(int dirfd, const char *name, const FileEntry *e)
{
    char there[FILELIST_INLINE_MAX + 1];
    struct stat st;
    if (!e->data || e->size > FILELIST_INLINE_MAX)
        return -1;
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
            read(fd, there, sizeof there) == (gssize)e->size &&
            (!e->size || !memcmp(there, g_bytes_get_data(e->data, NULL), e->size)))
        return fd;
    close(fd);
    return -1;
}

static int make_file(Build *b, int dirfd, const char *name, const FileEntry *e, GError **error)
{
    int same = open_same(dirfd, name, e);
    if (same >= 0)
        return same;
    fs_remove_tree_at(dirfd, name);
    return take_content(b, dirfd, name, e) ? openat(dirfd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC)
                                           : write_content(b, dirfd, name, e, error);
}

static gboolean build_file(
        Build *b, int dirfd, const char *name, const FileEntry *e, GError **error)
{
    int out = make_file(b, dirfd, name, e, error);
    if (out < 0)
        return error && *error ? FALSE : filelist_io_error(error, "write", b->root, e->path);
    gboolean ok = fchmod(out, e->mode & 0777) == 0;
    if (ok && e->mtime_us > 0) {
        struct timespec t = {e->mtime_us / G_USEC_PER_SEC, e->mtime_us % G_USEC_PER_SEC * 1000};
        futimens(out, (struct timespec[]){t, t});
    }
    struct stat st;
    if (ok && b->cache && e->digest && fstat(out, &st) == 0 && filelist_is_settled(&st) &&
            (guint64)st.st_size == e->size)
        digest_cache_learn(b->cache, &st, e->digest);
    if (close(out) < 0)
        ok = FALSE;
    return ok || filelist_io_error(error, "write", b->root, e->path);
}

/* Where guild itself writes in a run (and in a run within it): a link there would lead it elsewhere. */
static gboolean is_no_place_for_links(const char *path)
{
    const char *in = NULL;
    for (const char *at = path; at; at = strchr(at, '/') ? strchr(at, '/') + 1 : NULL)
        if (g_str_has_prefix(at, ".guild") && (!at[6] || at[6] == '/'))
            in = at + 6;
    if (!in || !*in)
        return in != NULL;
    in++;
    return !strchr(in, '/') || g_str_has_prefix(in, "attrs/") || g_str_has_prefix(in, "attempts/");
}

static gboolean build_entry(Build *b, const FileEntry *e, GError **error)
{
    if (e->kind == FILE_LINK && is_no_place_for_links(e->path))
        return TRUE;
    const char *root = b->root;
    const char *slash = strrchr(e->path, '/');
    const char *name = slash ? slash + 1 : e->path;
    if (e->kind != FILE_REGULAR)
        leave_folder(b); /* it may be what this entry is about */
    int dirfd = enter_folder(b, e->path);
    if (dirfd < 0)
        return e->kind == FILE_GONE ||
               filelist_io_error(error, "enter the folder of", root, e->path);
    gboolean ok = TRUE;
    if (e->kind == FILE_GONE) {
        remove_one(dirfd, name);
    } else if (e->kind == FILE_DIR) {
        clear_way_for_folder(dirfd, name);
        int fd = open_folder(dirfd, name, strlen(name));
        ok = fd >= 0 && fchmod(fd, (e->mode & 0777) | 0700) == 0;
        if (!ok)
            filelist_io_error(error, "make the folder", root, e->path);
        if (fd >= 0)
            close(fd);
    } else if (e->kind == FILE_LINK) {
        fs_remove_tree_at(dirfd, name);
        ok = symlinkat(e->target, dirfd, name) == 0 ||
             filelist_io_error(error, "link", root, e->path);
    } else {
        ok = build_file(b, dirfd, name, e, error);
    }
    return ok;
}

static GHashTable *count_digests(GPtrArray *files)
{
    GHashTable *counts = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        if (e->digest)
            g_hash_table_insert(counts, e->digest,
                    GUINT_TO_POINTER(GPOINTER_TO_UINT(g_hash_table_lookup(counts, e->digest)) + 1));
    }
    return counts;
}

gboolean filelist_build_taking(const char *root, GPtrArray *files, FileListOpen open_blob,
        FileListTake take, gpointer data, DigestCache *cache, GError **error)
{
    GError *err = NULL;
    int rootfd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (rootfd < 0)
        return filelist_io_error(error, "open", root, "");
    g_autoptr(GHashTable) counts = count_digests(files);
    Build b = {root, open_blob, take, data, cache, counts, rootfd};
    gboolean ok = TRUE;
    for (guint i = 0; ok && i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        if (!fs_is_plain_rel(e->path)) {
            g_set_error(&err, G_FILE_ERROR, G_FILE_ERROR_INVAL, "unsafe name in a file list: %s",
                    e->path);
            ok = FALSE;
        } else {
            ok = build_entry(&b, e, &err);
        }
    }
    leave_folder(&b);
    close(rootfd);
    if (!ok)
        g_propagate_error(error, err);
    return ok;
}

gboolean filelist_build(
        const char *root, GPtrArray *files, FileListOpen open_blob, gpointer data, GError **error)
{
    return filelist_build_taking(root, files, open_blob, NULL, data, NULL, error);
}
