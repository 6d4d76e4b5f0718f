/* SPDX-License-Identifier: Apache-2.0 */
/* Blobs that are lent to a run. A large file that comes to a machine for one run would be written
 * twice there, once for the store and once for the run, which takes as long as its way here. So the
 * run gets the store's file itself, by a second name, and the store's own name moves to
 * cache/blobs/lent/DIGEST, where nothing counts as checked. When the content is wanted again it is
 * read: if it still is what its digest says it is taken back (nobody has it any more) or copied. */
#include "engine/wire/blobs_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/digest.h"
#include "engine/base/fs.h"

#define READ_BYTES (256 * 1024)

static char *lent_path(BlobStore *b, const char *digest)
{
    return g_strdup_printf("%s/lent/%s", b->dir, digest);
}

static void doubt_folder(BlobStore *b, const char *name)
{
    g_autofree char *dir = g_build_filename(b->dir, name, NULL);
    g_auto(GStrv) digests = strlen(name) == 2 ? fs_list(dir, NULL) : NULL;
    for (char **digest = digests; digest && *digest; digest++) {
        g_autofree char *from = g_build_filename(dir, *digest, NULL);
        g_autofree char *to = lent_path(b, *digest);
        rename(from, to);
    }
}

static void doubt_all(BlobStore *b)
{
    g_autofree char *lent = g_build_filename(b->dir, "lent", NULL);
    g_auto(GStrv) names = fs_mkdirs(lent, NULL) ? fs_list(b->dir, NULL) : NULL;
    for (char **name = names; name && *name; name++)
        doubt_folder(b, *name);
}

/* After a start of the machine, once: what was not on the disk yet when it went may be there in
 * parts, and every blob counts as lent, to be read again before it is used. */
static void doubt_after_boot(BlobStore *b)
{
    const char *now = clock_boot_id();
    char then[64] = "";
    g_autofree char *path = g_build_filename(b->dir, "part", "boot", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return;
    if (pread(fd, then, sizeof then - 1, 0) >= 0 && strcmp(then, now) != 0) {
        doubt_all(b);
        /* what can't be written is done again next time */
        (void)!(ftruncate(fd, 0) == 0 && pwrite(fd, now, strlen(now), 0) > 0);
    }
    close(fd);
}

void lending_open(BlobStore *b)
{
    g_autofree char *users = g_build_filename(b->dir, "part", "users", NULL);
    b->popular = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    b->users_fd = open(users, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (b->users_fd < 0)
        return;
    /* Who has it open has looked, and has blobs that must stay: on a shared file system it may be
     * another machine, which was started at another time. */
    if (flock(b->users_fd, LOCK_EX | LOCK_NB) == 0)
        doubt_after_boot(b);
    flock(b->users_fd, LOCK_SH);
}

void lending_close(BlobStore *b)
{
    if (b->users_fd >= 0)
        close(b->users_fd);
    g_hash_table_unref(b->popular);
}

static gboolean reflink(const char *path, int dirfd, const char *name)
{
    int in = open(path, O_RDONLY | O_CLOEXEC);
    int out = in < 0 ? -1
                     : openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               0600);
    gboolean ok = out >= 0 && ioctl(out, FICLONE, in) == 0;
    if (out >= 0) {
        close(out);
        if (!ok)
            unlinkat(dirfd, name, 0);
    }
    if (in >= 0)
        close(in);
    return ok;
}

static gboolean move_to_lent(
        BlobStore *b, const char *path, const char *lent, int dirfd, const char *name)
{
    g_autofree char *dir = g_path_get_dirname(lent);
    if (!fs_mkdirs(dir, NULL) || linkat(AT_FDCWD, path, dirfd, name, 0) < 0)
        return FALSE;
    if (rename(path, lent) == 0)
        return TRUE;
    unlinkat(dirfd, name, 0);
    return FALSE;
}

static gboolean is_popular(BlobStore *b, const char *digest)
{
    g_mutex_lock(&b->lock);
    gboolean popular = g_hash_table_contains(b->popular, digest);
    g_mutex_unlock(&b->lock);
    return popular;
}

static void set_popular(BlobStore *b, const char *digest)
{
    g_mutex_lock(&b->lock);
    g_hash_table_add(b->popular, g_strdup(digest));
    g_mutex_unlock(&b->lock);
}

gboolean blobs_lend(const char *digest, int dirfd, const char *name, gpointer blob_store)
{
    BlobStore *b = blob_store;
    g_autofree char *path = blobs_path(b, digest), *lent = lent_path(b, digest);
    if (reflink(path, dirfd, name))
        return TRUE;
    if (blobs_shared(b, digest) || is_popular(b, digest) || b->users_fd < 0)
        return FALSE;
    /* What another process has pinned we don't know: nothing is lent while there is one. */
    gboolean alone = flock(b->users_fd, LOCK_EX | LOCK_NB) == 0;
    gboolean ok = alone && move_to_lent(b, path, lent, dirfd, name);
    flock(b->users_fd, LOCK_SH);
    return ok;
}

/* Nobody can write to what `fd` has open for reading: only then is a read lease given. The signal
 * of a lease that is to be broken would end us by default; this one is ignored. */
static gboolean is_at_rest(int fd)
{
    if (fcntl(fd, F_SETSIG, SIGURG) < 0 || fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
        return FALSE;
    fcntl(fd, F_SETLEASE, F_UNLCK);
    return TRUE;
}

/* Reads on from where `fd` is into the sum, and into the writer if there is one. */
static gboolean read_through(int fd, Sha256 *sum, BlobWriter *writer)
{
    g_autofree guint8 *buf = g_malloc(READ_BYTES);
    for (;;) {
        gssize n = read(fd, buf, READ_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n == 0;
        if (sum)
            sha256_update(sum, buf, (gsize)n);
        if (writer && !blob_writer_add(writer, buf, (gsize)n, NULL))
            return FALSE;
    }
}

static gboolean take_back(BlobStore *b, int fd, const char *lent, const char *digest, guint64 size)
{
    Sha256 *sum = sha256_new();
    gboolean whole = read_through(fd, sum, NULL);
    g_autofree char *found = sha256_finish(sum);
    return whole && !strcmp(found, digest) && fchmod(fd, 0600) == 0 &&
           blobs_name(b, lent, digest, size, NULL);
}

static gboolean copy_back(BlobStore *b, int fd, const char *digest, guint64 size)
{
    BlobWriter *w = blobs_begin(b, digest, size, NULL);
    if (!w)
        return FALSE;
    if (lseek(fd, (off_t)blob_writer_offset(w), SEEK_SET) < 0 || !read_through(fd, NULL, w)) {
        blob_writer_abort(w);
        return FALSE;
    }
    return blob_writer_finish(w, NULL);
}

gboolean blobs_recall(BlobStore *b, const char *digest, guint64 size)
{
    g_autofree char *lent = lent_path(b, digest);
    int fd = open(lent, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    struct stat st;
    gboolean ok = FALSE;
    if (fd < 0)
        return FALSE;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        gboolean free_again = st.st_nlink == 1 && is_at_rest(fd);
        blobs_shrink(b, size);
        if (!free_again)
            set_popular(b, digest);
        if ((guint64)st.st_size == size)
            ok = free_again ? take_back(b, fd, lent, digest, size) : copy_back(b, fd, digest, size);
    }
    unlink(lent); /* if it is still there; the run that has it keeps it */
    close(fd);
    return ok;
}
