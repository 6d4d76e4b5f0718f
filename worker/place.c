/* SPDX-License-Identifier: Apache-2.0 */
/* Where runs of another machine's coordinator are built and executed: each in a small home of its
 * own, HOME/worker/SESSION/LEASE, so that nothing of it mixes with the user's runs, and a run that
 * makes runs finds a home in which all other runs are its own. They share one cache. The session's
 * folder is held by a lock; what a worker that was killed left behind goes when the next one
 * starts. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "worker/children.h"

struct Place {
    char *dir;
    int lock_fd;
    GThreadPool
            *broom; /* removes what is done with: a busy disk takes its time; NULL: nothing yet */
};

static int try_lock(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* Processes of a killed worker's runs carry their run's directory in their environment. */
static void end_leftovers(const char *dir)
{
    g_auto(GStrv) leases = fs_list(dir, NULL);
    for (char **lease = leases; lease && *lease; lease++) {
        g_autofree char *runs = g_build_filename(dir, *lease, "runs", NULL);
        g_auto(GStrv) names = fs_is_dir(runs) ? fs_list(runs, NULL) : NULL;
        for (char **name = names; name && *name; name++) {
            g_autofree char *run = g_build_filename(runs, *name, NULL);
            exec_signal_tree(0, run, SIGKILL);
        }
    }
}

typedef struct {
    char *dir;
    int lock_fd; /* held until it is gone; -1: none */
} Rubbish;

static void sweep_out(gpointer rubbish, gpointer unused)
{
    Rubbish *r = rubbish;
    fs_remove_tree(r->dir, NULL);
    if (r->lock_fd >= 0)
        close(r->lock_fd);
    g_free(r->dir);
    g_free(r);
}

static void sweep_out_beside(Place *p, const char *dir, int lock_fd)
{
    Rubbish *r = g_new0(Rubbish, 1);
    *r = (Rubbish){g_strdup(dir), lock_fd};
    if (!p->broom)
        p->broom = g_thread_pool_new(sweep_out, NULL, 1, FALSE, NULL);
    g_thread_pool_push(p->broom, r, NULL);
}

static void sweep(Place *p, const char *base)
{
    g_auto(GStrv) names = fs_list(base, NULL);
    for (char **name = names; name && *name; name++) {
        g_autofree char *dir = g_build_filename(base, *name, NULL);
        int fd = fs_is_dir(dir) ? try_lock(dir) : -1;
        if (fd < 0)
            continue; /* somebody's */
        end_leftovers(dir);
        sweep_out_beside(p, dir, fd);
    }
}

/* Held while it is decided what is left over: a folder just made is not locked yet. -1: it can't
 * be. */
static int lock_base(const char *base)
{
    g_autofree char *path = g_build_filename(base, "lock", NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0 && errno == EINTR)
        continue;
    return fd;
}

Place *place_new(const char *home, const char *session, GError **error)
{
    g_autofree char *base = g_build_filename(home, "worker", NULL);
    g_autofree char *dir = g_build_filename(base, session, NULL);
    g_autofree char *cache = g_build_filename(dir, "cache", NULL);
    if (!fs_mkdirs(base, error))
        return NULL;
    Place *p = g_new0(Place, 1);
    int base_fd = lock_base(base);
    p->lock_fd = -1;
    sweep(p, base);
    p->dir = g_steal_pointer(&dir);
    gboolean ok = fs_mkdirs(cache, error);
    if (ok)
        p->lock_fd = try_lock(p->dir);
    if (base_fd >= 0)
        close(base_fd);
    if (!ok)
        g_clear_pointer(&p, place_free);
    return p;
}

void place_free(Place *p)
{
    if (!p)
        return;
    if (p->broom)
        g_thread_pool_free(p->broom, FALSE, TRUE);
    fs_remove_tree(p->dir, NULL);
    if (p->lock_fd >= 0)
        close(p->lock_fd);
    g_free(p->dir);
    g_free(p);
}

void place_discard(Place *p, const char *home)
{
    sweep_out_beside(p, home, -1);
}

char *place_task_home(Place *p, guint64 lease, GError **error)
{
    g_autofree char *home = g_strdup_printf("%s/%" G_GUINT64_FORMAT, p->dir, lease);
    g_autofree char *runs = g_build_filename(home, "runs", NULL);
    g_autofree char *cache = g_build_filename(home, "cache", NULL);
    if (!fs_mkdirs(runs, error) || !fs_symlink("../cache", cache, error))
        return NULL;
    return g_steal_pointer(&home);
}

/* ---- a run in it ---- */

static int open_content(const char *digest, gpointer task, GError **error)
{
    WTask *t = task;
    if (!g_atomic_int_get(&t->build_off))
        return blobs_open_fd(digest, t->w->blobs, error);
    g_set_error_literal(error, G_FILE_ERROR, G_FILE_ERROR_INTR, "nobody wants it any more");
    return -1;
}

static gboolean lend_content(const char *digest, int dirfd, const char *name, gpointer task)
{
    return blobs_lend(digest, dirfd, name, ((WTask *)task)->w->blobs);
}

/* Perhaps on a thread: see build.h. */
gboolean place_build(WTask *t, GError **error)
{
    if (!fs_remove_tree(t->dir, error) || !fs_mkdirs(t->dir, error) ||
            !filelist_build_taking(t->dir, t->files, open_content, lend_content, t, NULL, error))
        return FALSE;
    run_set_marker(t->run, "PENDING", NULL);
    t->before = filelist_scan(t->dir, FILELIST_NO_DIGEST, NULL, NULL, NULL, error);
    return t->before != NULL;
}

static gboolean only_attributes(const char *rel, gboolean is_dir, gpointer data)
{
    return !strcmp(rel, ".guild") || !strcmp(rel, ".guild/attrs") ||
           g_str_has_prefix(rel, ".guild/attrs/");
}

GPtrArray *place_attributes(WTask *t)
{
    GPtrArray *files = filelist_scan(t->dir, FILELIST_INLINE, only_attributes, NULL, NULL, NULL);
    gsize total = 0;
    for (guint i = 0; files && i < files->len;) {
        FileEntry *e = files->pdata[i];
        gboolean fits = e->kind == FILE_REGULAR && e->data && i < WIRE_MAX_FILES &&
                        total + e->size < WIRE_MAX_FRAME / 2;
        total += fits ? e->size : 0;
        if (fits)
            i++;
        else
            g_ptr_array_remove_index(files, i);
    }
    return files;
}

/* `sync` patterns choose among the run's own files, the last that matches decides; with "!" in
 * front it leaves out, and a list that begins so begins with everything. What guild writes always
 * goes home. */
static gboolean goes_home(const char *rel, gboolean is_dir, gpointer task)
{
    WTask *t = task;
    if (g_atomic_int_get(&t->gather_off))
        return FALSE;
    if (is_dir || !t->sync || !strcmp(rel, ".guild") || g_str_has_prefix(rel, ".guild/"))
        return TRUE;
    const char *slash = strrchr(rel, '/');
    const char *name = slash ? slash + 1 : rel;
    gboolean goes = t->sync[0] && t->sync[0][0] == '!';
    for (char **p = t->sync; *p; p++) {
        const char *pattern = *p + (**p == '!');
        if (text_fnmatch(pattern, rel) || text_fnmatch(pattern, name))
            goes = **p != '!';
    }
    return goes;
}

GPtrArray *place_changes(WTask *t, GError **error)
{
    g_clear_pointer(&t->left, g_free); /* of the report that was refused */
    g_autoptr(GPtrArray) changes =
            filelist_changes(t->dir, t->before, FILELIST_INLINE, goes_home, t, &t->left, error);
    if (!changes || !children_add(t, changes, error))
        return NULL;
    return g_steal_pointer(&changes);
}
