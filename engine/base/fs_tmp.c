/* SPDX-License-Identifier: Apache-2.0 */
/* Temporary folders; see fs_mkdtemp(). Who makes one holds a lock on it as long as the process
 * lives, however that ends: a folder that nobody holds was left behind, and the next one who makes a
 * folder of that prefix removes it. The suffix says that it is one of these: folders of versions that
 * held no lock stay, as their process may live. */
#include "engine/base/fs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { TRIES = 100 };

#define SUFFIX ".held"

/* The locks of this process's folders. */
static GArray *held;
static GMutex held_mutex;

static gboolean is_gone(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_nlink == 0;
}

static void hold(int fd)
{
    g_mutex_lock(&held_mutex);
    if (!held)
        held = g_array_new(FALSE, FALSE, sizeof(int));
    for (guint i = held->len; i-- > 0;) {
        int old = g_array_index(held, int, i);
        if (is_gone(old)) {
            close(old);
            g_array_remove_index_fast(held, i);
        }
    }
    g_array_append_val(held, fd);
    g_mutex_unlock(&held_mutex);
}

static int open_folder(int tmp, const char *name)
{
    return openat(tmp, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* 0 or an errno. It may have been removed before it was locked (ENOENT), so it is compared with what
 * has the name now. */
static int lock_folder(int tmp, const char *name, int fd)
{
    struct stat st, named;
    if (flock(fd, LOCK_EX | LOCK_NB) != 0 || fstat(fd, &st) != 0 ||
            fstatat(tmp, name, &named, AT_SYMLINK_NOFOLLOW) != 0)
        return errno;
    gboolean same = st.st_dev == named.st_dev && st.st_ino == named.st_ino;
    return !same ? ENOENT : st.st_uid == geteuid() ? 0 : EPERM;
}

/* Where others may rename what is ours, a folder of that name may be any folder of ours. */
static gboolean names_are_true(int tmp)
{
    struct stat st;
    return fstat(tmp, &st) == 0 && (st.st_uid == 0 || st.st_uid == geteuid()) &&
           ((st.st_mode & S_ISVTX) || !(st.st_mode & (S_IWGRP | S_IWOTH)));
}

typedef struct {
    int tmp;
    const char *prefix;
} Sweep;

static void remove_left(const char *name, unsigned char type, gpointer data)
{
    Sweep *s = data;
    if ((type != DT_DIR && type != DT_UNKNOWN) || !g_str_has_prefix(name, s->prefix) ||
            !g_str_has_suffix(name, SUFFIX))
        return;
    int fd = open_folder(s->tmp, name);
    if (fd >= 0 && lock_folder(s->tmp, name, fd) == 0)
        fs_remove_tree_at(s->tmp, name);
    if (fd >= 0)
        close(fd);
}

static void sweep(int tmp, const char *root, const char *prefix)
{
    int fd = names_are_true(tmp) ? open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        return;
    fs_each_entry(fd, remove_left, &(Sweep){tmp, prefix});
    close(fd);
}

/* 0 or an errno; EEXIST: another name will do. */
static int make(int tmp, const char *name)
{
    if (mkdirat(tmp, name, 0700) != 0)
        return errno;
    int fd = open_folder(tmp, name);
    int err = fd < 0 ? errno : lock_folder(tmp, name, fd);
    if (err == 0) {
        hold(fd);
        return 0;
    }
    if (fd >= 0)
        close(fd);
    if (err == EWOULDBLOCK || err == ENOENT)
        return EEXIST; /* one who looks for what was left has it */
    if (fd >= 0)
        return 0; /* a file system without locks: nobody removes it there */
    unlinkat(tmp, name, AT_REMOVEDIR);
    return err;
}

char *fs_mkdtemp(const char *prefix, GError **error)
{
    const char *root = g_get_tmp_dir();
    int tmp = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
    int err = tmp < 0 ? errno : EEXIST;
    if (tmp >= 0)
        sweep(tmp, root, prefix);
    g_autofree char *name = NULL;
    for (guint i = 0; err == EEXIST && i < TRIES; i++) {
        g_free(name);
        name = g_strdup_printf("%s%08x" SUFFIX, prefix, g_random_int());
        err = make(tmp, name);
    }
    if (tmp >= 0)
        close(tmp);
    if (err == 0)
        return g_build_filename(root, name, NULL);
    g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(err),
            "cannot make a folder in %s: %s", root, g_strerror(err));
    return NULL;
}
