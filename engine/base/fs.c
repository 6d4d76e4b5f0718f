/* SPDX-License-Identifier: Apache-2.0 */
/* Reading, writing, removing, copying and walking files; see fs.h. Path arithmetic is fs_path.c,
 * temporary folders are fs_tmp.c. */
#include "engine/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { DEFAULT_READ_LIMIT = 64 * 1024 * 1024, COPY_BYTES = 1024 * 1024, MAX_DEPTH = 512 };

static gboolean fail(GError **error, int err, const char *what, const char *path)
{
    g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(err), "cannot %s %s: %s", what,
            path, g_strerror(err));
    return FALSE;
}

static gboolean write_all(int fd, const char *data, gsize len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return FALSE;
        data += n;
        len -= (gsize)n;
    }
    return TRUE;
}

/* Reads to the end of fd, at most limit bytes; NULL with errno set (EFBIG beyond the limit). */
static char *read_all(int fd, gsize limit, gsize *len)
{
    struct stat st;
    gsize size = fstat(fd, &st) == 0 && st.st_size > 0 ? (gsize)st.st_size + 1 : 4096;
    if (size > limit + 1)
        size = limit + 1;
    g_autofree char *buf = g_malloc(size + 1);
    gsize n = 0;
    for (;;) {
        if (n == size) {
            if (size > limit) {
                errno = EFBIG;
                return NULL;
            }
            size = MIN(size * 2, limit + 1);
            buf = g_realloc(buf, size + 1);
        }
        ssize_t got = read(fd, buf + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return NULL;
        if (got == 0)
            break;
        n += (gsize)got;
    }
    if (n > limit) {
        errno = EFBIG;
        return NULL;
    }
    buf[n] = '\0';
    if (len)
        *len = n;
    return g_steal_pointer(&buf);
}

/* Takes over fd, which may be -1 with errno set. */
static char *read_fd(int fd, const char *path, gsize limit, gsize *len, GError **error)
{
    char *text = fd < 0 ? NULL : read_all(fd, limit ? limit : DEFAULT_READ_LIMIT, len);
    int err = errno;
    if (fd >= 0)
        close(fd);
    if (!text)
        fail(error, err, "read", path);
    return text;
}

char *fs_read(const char *path, gsize limit, gsize *len, GError **error)
{
    return read_fd(open(path, O_RDONLY | O_CLOEXEC), path, limit, len, error);
}

int fs_open_regular(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        close(fd);
        fd = -1;
        errno = EINVAL;
    }
    return fd;
}

char *fs_read_regular(const char *path, gsize limit, gsize *len, GError **error)
{
    return read_fd(fs_open_regular(path), path, limit, len, error);
}

static gboolean write_fd_and_close(int fd, const char *data, gssize len)
{
    gboolean ok = write_all(fd, data, len < 0 ? strlen(data) : (gsize)len);
    int err = errno;
    if (close(fd) != 0 && ok) {
        ok = FALSE;
        err = errno;
    }
    errno = err;
    return ok;
}

gboolean fs_write(const char *path, const char *data, gssize len, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || !write_fd_and_close(fd, data, len))
        return fail(error, errno, "write", path);
    return TRUE;
}

/* The way is cleared and tried once more: who puts something there again and again gets an error. */
int fs_open_own(const char *path, int how)
{
    int flags = how | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    for (int i = 0;; i++) {
        struct stat st;
        int fd = open(path, flags, 0666);
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
            return fd;
        int err = fd >= 0 ? EEXIST : errno;
        if (fd >= 0)
            close(fd);
        gboolean strange = lstat(path, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode);
        if (i || !strange || unlink(path) != 0) {
            errno = err;
            return -1;
        }
    }
}

gboolean fs_write_own(const char *path, const char *data, gssize len, GError **error)
{
    int fd = fs_open_own(path, O_WRONLY | O_TRUNC);
    if (fd < 0 || !write_fd_and_close(fd, data, len))
        return fail(error, errno, "write", path);
    return TRUE;
}

gboolean fs_write_atomic(
        const char *path, const char *data, gssize len, mode_t mode, GError **error)
{
    g_autofree char *tmp = g_strdup_printf("%s.XXXXXX", path);
    int fd = mkostemp(tmp, O_CLOEXEC);
    if (fd < 0)
        return fail(error, errno, "write", path);
    gboolean ok = fchmod(fd, mode) == 0;
    ok = write_fd_and_close(fd, data, len) && ok;
    if (!ok || rename(tmp, path) != 0) {
        int err = errno;
        unlink(tmp);
        return fail(error, err, "write", path);
    }
    return TRUE;
}

gboolean fs_sync(const char *path, GError **error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gboolean ok = fd >= 0 && syncfs(fd) == 0;
    int err = errno;
    if (fd >= 0)
        close(fd);
    return ok || fail(error, err, "sync", path);
}

gboolean fs_touch(const char *path, GError **error)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return fail(error, errno, "write", path);
    futimens(fd, NULL);
    close(fd);
    return TRUE;
}

gboolean fs_mkdirs(const char *path, GError **error)
{
    if (mkdir(path, 0777) == 0)
        return TRUE;
    if (errno == EEXIST && fs_is_dir(path))
        return TRUE;
    if (errno == ENOENT) {
        g_autofree char *parent = g_path_get_dirname(path);
        if (strcmp(parent, path) == 0)
            return fail(error, ENOENT, "make folder", path);
        if (!fs_mkdirs(parent, error))
            return FALSE;
        if (mkdir(path, 0777) == 0 || (errno == EEXIST && fs_is_dir(path)))
            return TRUE;
    }
    return fail(error, errno, "make folder", path);
}

gboolean fs_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

gboolean fs_lexists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

gboolean fs_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

gboolean fs_is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

gboolean fs_is_link(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

char *fs_read_link(const char *path, GError **error)
{
    char target[4096];
    ssize_t n = readlink(path, target, sizeof target - 1);
    if (n < 0) {
        fail(error, errno, "read link", path);
        return NULL;
    }
    target[n] = '\0';
    return g_strdup(target);
}

gboolean fs_symlink(const char *target, const char *path, GError **error)
{
    if (symlink(target, path) != 0)
        return fail(error, errno, "make link", path);
    return TRUE;
}

gboolean fs_remove(const char *path, GError **error)
{
    if (unlink(path) != 0 && errno != ENOENT)
        return fail(error, errno, "remove", path);
    return TRUE;
}

/* Empties the folder open as dirfd (taken over). Gives 0 or an errno. */
static int remove_entries(int dirfd, int depth)
{
    DIR *dir = depth < MAX_DEPTH ? fdopendir(dirfd) : NULL;
    if (!dir) {
        int err = depth < MAX_DEPTH ? errno : ELOOP;
        close(dirfd);
        return err;
    }
    int result = 0;
    for (struct dirent *e; (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (e->d_type != DT_DIR && unlinkat(dirfd, e->d_name, 0) == 0)
            continue;
        int sub = openat(dirfd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0) {
            result = errno == ENOENT ? result : errno;
            continue;
        }
        int err = remove_entries(sub, depth + 1);
        if (err == 0 && unlinkat(dirfd, e->d_name, AT_REMOVEDIR) != 0)
            err = errno;
        result = err ? err : result;
    }
    closedir(dir);
    return result;
}

int fs_remove_tree_at(int dirfd, const char *name)
{
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int flag = AT_REMOVEDIR, err = 0;
    if (fd >= 0)
        err = remove_entries(fd, 0);
    else if (errno == ENOTDIR || errno == ELOOP)
        flag = 0;
    else
        err = errno;
    if (err == 0 && unlinkat(dirfd, name, flag) != 0)
        err = errno;
    return err == ENOENT ? 0 : err;
}

gboolean fs_remove_tree(const char *path, GError **error)
{
    int err = fs_remove_tree_at(AT_FDCWD, path);
    return err == 0 ? TRUE : fail(error, err, "remove", path);
}

/* The file system's own means first: sharing blocks, then copying in the kernel, then by hand. */
static gboolean copy_content(int in, int out)
{
    if (ioctl(out, FICLONE, in) == 0)
        return TRUE;
    ssize_t n;
    gboolean any = FALSE;
    while ((n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0)) > 0)
        any = TRUE;
    if (n == 0 && any)
        return TRUE;
    /* 0 at once is also what some pseudo file systems say of files that have content. */
    if (n < 0 && errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP &&
            errno != EPERM)
        return FALSE;
    g_autofree char *buf = g_malloc(COPY_BYTES);
    while ((n = read(in, buf, COPY_BYTES)) > 0 || (n < 0 && errno == EINTR))
        if (n > 0 && !write_all(out, buf, (gsize)n))
            return FALSE;
    return n == 0;
}

gboolean fs_copy_file(const char *src, const char *dst, GError **error)
{
    int in = fs_open_regular(src);
    struct stat st;
    if (in < 0 || fstat(in, &st) != 0) {
        int err = errno;
        if (in >= 0)
            close(in);
        return fail(error, err, "read", src);
    }
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW;
    int out = open(dst, flags, 0600);
    if (out < 0 && (errno == ENOENT || errno == ELOOP)) {
        g_autofree char *parent = g_path_get_dirname(dst);
        if (errno == ELOOP)
            unlink(dst);
        if (!fs_mkdirs(parent, error)) {
            close(in);
            return FALSE;
        }
        out = open(dst, flags, 0600);
    }
    if (out < 0) {
        int err = errno;
        close(in);
        return fail(error, err, "write", dst);
    }
    struct stat there;
    if (fstat(out, &there) == 0 && there.st_dev == st.st_dev && there.st_ino == st.st_ino) {
        close(in);
        close(out);
        return TRUE; /* the file itself: emptying it first would lose it */
    }
    struct timespec times[2] = {st.st_atim, st.st_mtim};
    gboolean ok =
            ftruncate(out, 0) == 0 && copy_content(in, out) && fchmod(out, st.st_mode & 07777) == 0;
    int err = errno;
    if (ok)
        futimens(out, times);
    close(in);
    if (close(out) != 0 && ok) {
        ok = FALSE;
        err = errno;
    }
    return ok ? TRUE : fail(error, err, "write", dst);
}

typedef struct {
    const char *dst;
    GError *error;
} CopyTree;

static gboolean copy_entry(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    CopyTree *copy = data;
    if (copy->error)
        return FALSE;
    g_autofree char *from = fs_join(root, rel);
    g_autofree char *to = fs_join(copy->dst, rel);
    if (S_ISDIR(st->st_mode)) {
        if (fs_check_folder(from, &copy->error))
            fs_mkdirs(to, &copy->error);
    } else if (S_ISLNK(st->st_mode)) {
        g_autofree char *target = fs_read_link(from, &copy->error);
        if (target && fs_remove(to, &copy->error))
            fs_symlink(target, to, &copy->error);
    } else if (S_ISREG(st->st_mode)) {
        fs_copy_file(from, to, &copy->error);
    }
    return copy->error == NULL;
}

gboolean fs_copy_tree(const char *src, const char *dst, GError **error)
{
    CopyTree copy = {dst, NULL};
    if (!fs_mkdirs(dst, error) || !fs_walk(src, FALSE, copy_entry, &copy, error))
        return FALSE;
    if (copy.error) {
        g_propagate_error(error, copy.error);
        return FALSE;
    }
    return TRUE;
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

char **fs_list(const char *path, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    DIR *dir = opendir(path);
    if (!dir) {
        fail(error, errno, "read folder", path);
    } else {
        for (struct dirent *e; (e = readdir(dir));)
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                g_ptr_array_add(names, g_strdup(e->d_name));
        closedir(dir);
    }
    g_ptr_array_sort(names, compare_names);
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_steal(names, NULL);
}

void fs_each_entry(int dir_fd, FsEntryFn fn, gpointer data)
{
    _Alignas(struct dirent64) char buffer[4096];
    ssize_t n;
    while ((n = getdents64(dir_fd, buffer, sizeof(buffer))) > 0) {
        for (ssize_t at = 0; at < n;) {
            const struct dirent64 *e = (const struct dirent64 *)(buffer + at);
            if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
                fn(e->d_name, e->d_type, data);
            at += e->d_reclen;
        }
    }
}

typedef struct {
    const char *root;
    gboolean follow;
    FsWalkFn fn;
    gpointer data;
} Walk;

static void walk_below(const Walk *walk, const char *rel, int depth)
{
    g_autofree char *dir = rel ? fs_join(walk->root, rel) : g_strdup(walk->root);
    g_auto(GStrv) names = fs_list(dir, NULL);
    for (gsize i = 0; names[i]; i++) {
        g_autofree char *full = fs_join(dir, names[i]);
        g_autofree char *sub = rel ? fs_join(rel, names[i]) : g_strdup(names[i]);
        struct stat st;
        if (lstat(full, &st) != 0)
            continue;
        gboolean enter = walk->fn(walk->root, sub, &st, walk->data);
        gboolean is_dir =
                S_ISDIR(st.st_mode) || (walk->follow && S_ISLNK(st.st_mode) && fs_is_dir(full));
        if (enter && is_dir && depth < MAX_DEPTH)
            walk_below(walk, sub, depth + 1);
    }
}

gboolean fs_check_folder(const char *path, GError **error)
{
    if (access(path, R_OK | X_OK) != 0)
        return fail(error, errno, "read folder", path);
    return fs_is_dir(path) || fail(error, ENOTDIR, "read folder", path);
}

gboolean fs_walk(const char *root, gboolean follow, FsWalkFn fn, gpointer data, GError **error)
{
    if (!fs_check_folder(root, error))
        return FALSE;
    Walk walk = {root, follow, fn, data};
    walk_below(&walk, NULL, 0);
    return TRUE;
}
