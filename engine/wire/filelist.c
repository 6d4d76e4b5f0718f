/* SPDX-License-Identifier: Apache-2.0 */
/* Scanning a directory into a file list: see filelist.h. Everything here works on directory
 * descriptors with O_NOFOLLOW, because what is scanned may change under us. */
#include "engine/wire/filelist_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

FileEntry *file_entry_new(const char *path, FileKind kind)
{
    FileEntry *e = g_new0(FileEntry, 1);
    e->path = g_strdup(path);
    e->kind = kind;
    return e;
}

void file_entry_free(gpointer entry)
{
    FileEntry *e = entry;
    if (!e)
        return;
    g_free(e->path);
    g_free(e->digest);
    g_free(e->target);
    if (e->data)
        g_bytes_unref(e->data);
    g_free(e);
}

gboolean file_entry_same(const FileEntry *a, const FileEntry *b)
{
    if (a->kind != b->kind || (a->kind != FILE_LINK && a->mode != b->mode))
        return FALSE;
    if (a->kind == FILE_LINK)
        return !g_strcmp0(a->target, b->target);
    if (a->kind == FILE_DIR)
        return TRUE;
    if (a->size != b->size)
        return FALSE;
    if (a->digest && b->digest)
        return !strcmp(a->digest, b->digest);
    return a->data && b->data && g_bytes_equal(a->data, b->data);
}

FileEntry *filelist_find(GPtrArray *files, const char *path)
{
    guint lo = 0, hi = files->len;
    while (lo < hi) {
        guint mid = (lo + hi) / 2;
        FileEntry *e = files->pdata[mid];
        int c = strcmp(path, e->path);
        if (c == 0)
            return e;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

void filelist_put_last(GPtrArray *files, const char *path)
{
    for (guint i = 0; i < files->len; i++)
        if (!strcmp(((FileEntry *)files->pdata[i])->path, path)) {
            g_ptr_array_add(files, g_ptr_array_steal_index(files, i));
            return;
        }
}

gboolean filelist_io_error(GError **error, const char *what, const char *root, const char *rel)
{
    int code = errno;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "cannot %s %s/%s: %s", what,
            root, rel, g_strerror(code));
    return FALSE;
}

gboolean filelist_is_short(GPtrArray *files)
{
    guint64 bytes = 0;
    for (guint i = 0; i < files->len && i <= FILELIST_SHORT_LEN; i++)
        bytes += ((FileEntry *)files->pdata[i])->size;
    return files->len <= FILELIST_SHORT_LEN && bytes <= FILELIST_SHORT_BYTES;
}

gsize filelist_bytes(GPtrArray *files)
{
    gsize bytes = 0;
    for (guint i = 0; i < files->len; i++) {
        const FileEntry *e = files->pdata[i];
        bytes += sizeof *e + strlen(e->path) + (e->target ? strlen(e->target) : 0) +
                 (e->data ? g_bytes_get_size(e->data) : 0);
    }
    return bytes;
}

/* ---- digests that are known ---- */

struct DigestCache {
    GMutex lock;
    GHashTable *known; /* "dev:ino:size:mtime" → digest */
};

DigestCache *digest_cache_new(void)
{
    DigestCache *c = g_new0(DigestCache, 1);
    g_mutex_init(&c->lock);
    c->known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return c;
}

void digest_cache_free(DigestCache *c)
{
    if (!c)
        return;
    g_hash_table_unref(c->known);
    g_mutex_clear(&c->lock);
    g_free(c);
}

static char *digest_fd(int fd, guint64 *size, GError **error)
{
    Sha256 *sum = sha256_new();
    g_autofree guint8 *buf = g_malloc(256 * 1024);
    *size = 0;
    for (;;) {
        gssize n = read(fd, buf, 256 * 1024);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            g_set_error(
                    error, G_FILE_ERROR, g_file_error_from_errno(errno), "%s", g_strerror(errno));
            sha256_free(sum);
            return NULL;
        }
        if (n == 0)
            return sha256_finish(sum);
        sha256_update(sum, buf, n);
        *size += n;
    }
}

static char *stat_key(const struct stat *st)
{
    return g_strdup_printf("%llx:%llx:%llx:%llx.%lx", (unsigned long long)st->st_dev,
            (unsigned long long)st->st_ino, (unsigned long long)st->st_size,
            (unsigned long long)st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
}

gboolean filelist_is_settled(const struct stat *st)
{
    return g_get_real_time() / G_USEC_PER_SEC - st->st_mtim.tv_sec > 2;
}

void digest_cache_learn(DigestCache *cache, const struct stat *st, const char *digest)
{
    g_mutex_lock(&cache->lock);
    if (g_hash_table_size(cache->known) > 200000)
        g_hash_table_remove_all(cache->known);
    g_hash_table_insert(cache->known, stat_key(st), g_strdup(digest));
    g_mutex_unlock(&cache->lock);
}

/* Newly allocated; NULL: not known. */
static char *known_digest(DigestCache *cache, const struct stat *st)
{
    if (!cache)
        return NULL;
    g_autofree char *key = stat_key(st);
    g_mutex_lock(&cache->lock);
    char *known = g_strdup(g_hash_table_lookup(cache->known, key));
    g_mutex_unlock(&cache->lock);
    return known;
}

static char *read_digest(
        DigestCache *cache, int fd, const struct stat *st, guint64 *size, GError **error)
{
    char *digest = digest_fd(fd, size, error);
    if (cache && digest && filelist_is_settled(st) && *size == (guint64)st->st_size)
        digest_cache_learn(cache, st, digest);
    return digest;
}

/* ---- scanning ---- */

typedef struct {
    const char *root;
    char *real_root;
    const char *within; /* NULL: links may be followed to anywhere */
    FileListFlags flags;
    FileListFilter filter;
    gpointer data;
    DigestCache *cache;
    GPtrArray *files;
    guint depth;
    guint64 read_bytes; /* of large files; FILELIST_BRIEF */
    char *left;         /* the first that can't travel, and why; NULL: all can */
    guint n_left;
} Scan;

static gboolean scan_dir(Scan *s, int dirfd, const char *rel, GError **error);

static gboolean wants_inline(const Scan *s, const char *rel, const struct stat *st)
{
    return (s->flags & FILELIST_INLINE) && st->st_size <= FILELIST_INLINE_MAX &&
           g_str_has_prefix(rel, ".guild/") && !g_str_has_prefix(rel, ".guild/sourcecode/");
}

static GBytes *read_small(int fd, gsize limit)
{
    guint8 *buf = g_malloc(limit);
    gsize len = 0;
    for (;;) {
        gssize n = read(fd, buf + len, limit - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || (len += n) == limit)
            break;
    }
    return g_bytes_new_take(buf, len);
}

/* What strangers' links are followed to may lead on, round and round. */
#define MAX_WITHIN 1000000

static gboolean is_endless(const Scan *s, GError **error)
{
    if (!s->within || s->files->len <= MAX_WITHIN)
        return FALSE;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_LOOP, "%s has too many files", s->root);
    return TRUE;
}

/* Of a brief scan: what comes now, if `bytes` of it have to be read, is too much. */
static gboolean is_too_long(Scan *s, guint64 bytes, GError **error)
{
    s->read_bytes += bytes;
    if (!(s->flags & FILELIST_BRIEF) ||
            (s->read_bytes <= FILELIST_SHORT_BYTES && s->files->len <= FILELIST_SHORT_LEN))
        return FALSE;
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_AGAIN, "%s is large", s->root);
    return TRUE;
}

/* A file that can't be read is an error: a result without it would look whole. */
static gboolean scan_file(Scan *s, int fd, const char *rel, const struct stat *st, GError **error)
{
    FileEntry *e = file_entry_new(rel, FILE_REGULAR);
    g_ptr_array_add(s->files, e);
    e->mode = st->st_mode & 07777;
    e->size = st->st_size;
    e->mtime_us = (gint64)st->st_mtim.tv_sec * G_USEC_PER_SEC + st->st_mtim.tv_nsec / 1000;
    if (is_too_long(s, 0, error))
        return FALSE;
    if (s->flags & FILELIST_NO_DIGEST)
        return TRUE;
    if (wants_inline(s, rel, st)) {
        e->data = read_small(fd, FILELIST_INLINE_MAX + 1);
        e->size = g_bytes_get_size(e->data);
        if (e->size <= FILELIST_INLINE_MAX)
            return TRUE;
        g_clear_pointer(&e->data, g_bytes_unref); /* grew meanwhile */
        lseek(fd, 0, SEEK_SET);
    }
    if ((e->digest = known_digest(s->cache, st)))
        return TRUE;
    if (is_too_long(s, (guint64)st->st_size, error))
        return FALSE;
    GError *err = NULL;
    e->digest = read_digest(s->cache, fd, st, &e->size, &err);
    if (!e->digest) {
        g_set_error(error, G_FILE_ERROR, err->code, "cannot read %s/%s: %s", s->root, rel,
                err->message);
        g_error_free(err);
        return FALSE;
    }
    return TRUE;
}

static gboolean is_below(const char *real, const char *real_root)
{
    gsize n = strlen(real_root);
    return !strncmp(real, real_root, n) && (real[n] == '/' || real[n] == 0);
}

/* Whether the link is to be followed. */
static gboolean leads_outside(Scan *s, int dirfd, const char *name, const char *rel)
{
    g_autofree char *path = g_build_filename(s->root, rel, NULL);
    g_autofree char *real = fs_realpath(path);
    struct stat st;
    if (!s->real_root)
        s->real_root = fs_realpath(s->root);
    if (is_below(real, s->real_root) || fstatat(dirfd, name, &st, 0) < 0)
        return FALSE;
    if (!s->within || (is_below(real, s->within) && !is_below(s->real_root, real)))
        return TRUE;
    log_warning("%s stays a link: what it leads to is not a run's", path);
    return FALSE;
}

/* What was opened may not be what was looked at. */
static gboolean is_within(const Scan *s, int fd)
{
    g_autofree char *link = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *real = s->within ? fs_read_link(link, NULL) : NULL;
    return !s->within || (real && is_below(real, s->within));
}

static gboolean scan_opened(Scan *s, int fd, const char *rel, GError **error)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        close(fd);
        return TRUE;
    }
    if (S_ISDIR(st.st_mode)) {
        FileEntry *e = file_entry_new(rel, FILE_DIR);
        e->mode = st.st_mode & 07777;
        g_ptr_array_add(s->files, e);
        if (s->depth >= 64) {
            close(fd);
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_LOOP, "folders nested too deep: %s/%s",
                    s->root, rel);
            return FALSE;
        }
        s->depth++;
        gboolean ok = scan_dir(s, fd, rel, error);
        s->depth--;
        return ok;
    }
    gboolean ok = !S_ISREG(st.st_mode) || scan_file(s, fd, rel, &st, error);
    close(fd);
    return ok;
}

/* Nothing is left out in silence; a folder full of the same is one word. */
static void leave_out(Scan *s, const char *rel, const char *why)
{
    if (s->n_left++)
        return;
    char *shown = g_filename_display_name(rel);
    for (char *c = shown; *c; c++)
        *c = g_ascii_iscntrl(*c) ? '?' : *c;
    s->left = g_strdup_printf("%s is left out: %s", shown, why);
    g_free(shown);
}

static const char *why_not(mode_t mode)
{
    return S_ISFIFO(mode) ? "it is a pipe" : S_ISSOCK(mode) ? "it is a socket" : "it is a device";
}

static gboolean scan_entry(Scan *s, int dirfd, const char *rel, const char *name, GError **error)
{
    struct stat st;
    if (is_endless(s, error))
        return FALSE;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return TRUE;
    if (s->filter && !s->filter(rel, S_ISDIR(st.st_mode), s->data))
        return TRUE;
    if (!g_utf8_validate(name, -1, NULL)) { /* names travel as UTF-8 */
        leave_out(s, rel, "its name is not UTF-8");
        return TRUE;
    }
    int follow = 0;
    if (S_ISLNK(st.st_mode)) {
        follow = (s->flags & FILELIST_FOLLOW_OUTSIDE) && leads_outside(s, dirfd, name, rel) &&
                 fstatat(dirfd, name, &st, 0) == 0;
        if (!follow) {
            char target[4097];
            gssize n = readlinkat(dirfd, name, target, sizeof target - 1);
            if (n <= 0 || n >= 4096)
                return TRUE;
            target[n] = 0;
            FileEntry *e = file_entry_new(rel, FILE_LINK);
            e->target = g_strdup(target);
            g_ptr_array_add(s->files, e);
            return TRUE;
        }
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        leave_out(s, rel, why_not(st.st_mode));
        return TRUE;
    }
    int fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW));
    if (fd < 0 && (errno == ENOENT || errno == ELOOP))
        return TRUE; /* went, or became a link, meanwhile */
    if (follow && fd >= 0 && !is_within(s, fd)) {
        close(fd);
        return TRUE;
    }
    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot read %s/%s: %s",
                s->root, rel, g_strerror(errno));
        return FALSE;
    }
    return scan_opened(s, fd, rel, error);
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes over dirfd. */
static gboolean scan_dir(Scan *s, int dirfd, const char *rel, GError **error)
{
    DIR *dir = fdopendir(dirfd);
    if (!dir) {
        close(dirfd);
        return TRUE;
    }
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct dirent *d;
    while ((d = readdir(dir)))
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            g_ptr_array_add(names, g_strdup(d->d_name));
    g_ptr_array_sort(names, compare_names);
    gboolean ok = TRUE;
    for (guint i = 0; ok && i < names->len; i++) {
        g_autofree char *path =
                *rel ? g_strconcat(rel, "/", names->pdata[i], NULL) : g_strdup(names->pdata[i]);
        ok = scan_entry(s, dirfd, path, names->pdata[i], error);
    }
    closedir(dir);
    return ok;
}

static gint compare_entries(gconstpointer a, gconstpointer b)
{
    return strcmp((*(FileEntry *const *)a)->path, (*(FileEntry *const *)b)->path);
}

/* Takes over what there is to say of it. */
static void tell_left(Scan *s, char **left)
{
    g_autofree char *text = g_steal_pointer(&s->left);
    if (text && s->n_left > 1) {
        char *more = g_strdup_printf("%s, and %u more", text, s->n_left - 1);
        g_free(text);
        text = more;
    }
    if (left) {
        *left = g_steal_pointer(&text);
    } else if (text) {
        g_autofree char *run = g_path_get_basename(s->root);
        log_warning("run %s: %s", run, text);
    }
}

static GPtrArray *scan_root(const char *root, const char *within, FileListFlags flags,
        FileListFilter filter, gpointer data, DigestCache *cache, char **left, GError **error)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno), "cannot read %s: %s", root,
                g_strerror(errno));
        return NULL;
    }
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    Scan s = {.root = root,
            .within = within,
            .flags = flags,
            .filter = filter,
            .data = data,
            .cache = cache,
            .files = files};
    gboolean ok = scan_dir(&s, fd, "", error);
    if (ok)
        tell_left(&s, left);
    g_free(s.left);
    g_free(s.real_root);
    if (!ok)
        return NULL;
    g_ptr_array_sort(files, compare_entries);
    return g_steal_pointer(&files);
}

GPtrArray *filelist_scan(const char *root, FileListFlags flags, FileListFilter filter,
        gpointer data, DigestCache *cache, GError **error)
{
    return scan_root(root, NULL, flags, filter, data, cache, NULL, error);
}

GPtrArray *filelist_scan_within(const char *root, const char *within, FileListFlags flags,
        FileListFilter filter, gpointer data, DigestCache *cache, GError **error)
{
    g_autofree char *real = fs_realpath(within);
    return scan_root(root, real, flags | FILELIST_FOLLOW_OUTSIDE, filter, data, cache, NULL, error);
}

/* ---- changes ---- */

/* Nothing about the entry says that it was touched. */
static gboolean untouched(const FileEntry *a, const FileEntry *b)
{
    if (a->kind != b->kind)
        return FALSE;
    if (a->kind == FILE_LINK)
        return !g_strcmp0(a->target, b->target);
    return a->mode == b->mode &&
           (a->kind == FILE_DIR || (a->size == b->size && a->mtime_us == b->mtime_us));
}

/* Reads a changed file into its entry. FALSE: it went meanwhile. */
static gboolean read_changed(const char *root, FileEntry *e, FileListFlags flags, GError **error)
{
    g_autofree char *path = g_build_filename(root, e->path, NULL);
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (errno != ENOENT && errno != ELOOP)
            filelist_io_error(error, "read", root, e->path);
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    if (!S_ISREG(st.st_mode)) { /* it became something else */
        close(fd);
        return FALSE;
    }
    g_autoptr(GPtrArray) one = g_ptr_array_new_with_free_func(file_entry_free);
    Scan s = {.root = root, .flags = flags & ~FILELIST_NO_DIGEST, .files = one};
    gboolean ok = scan_file(&s, fd, e->path, &st, error);
    close(fd);
    if (!ok)
        return FALSE;
    FileEntry *now = one->pdata[0];
    e->size = now->size;
    e->digest = g_steal_pointer(&now->digest);
    e->data = g_steal_pointer(&now->data);
    return TRUE;
}

GPtrArray *filelist_changes(const char *root, GPtrArray *before, FileListFlags flags,
        FileListFilter filter, gpointer data, char **left, GError **error)
{
    g_autoptr(GPtrArray) after =
            scan_root(root, NULL, flags | FILELIST_NO_DIGEST, filter, data, NULL, left, error);
    if (!after)
        return NULL;
    g_autoptr(GPtrArray) changes = g_ptr_array_new_with_free_func(file_entry_free);
    for (guint i = before->len; i-- > 0;) { /* what is in a folder goes before it */
        FileEntry *e = before->pdata[i];
        if (!filelist_find(after, e->path) &&
                (!filter || filter(e->path, e->kind == FILE_DIR, data)))
            g_ptr_array_add(changes, file_entry_new(e->path, FILE_GONE));
    }
    g_ptr_array_set_free_func(after, NULL);
    for (guint i = 0; i < after->len; i++) {
        FileEntry *e = after->pdata[i];
        FileEntry *old = filelist_find(before, e->path);
        GError *err = NULL;
        if ((old && untouched(old, e)) ||
                (e->kind == FILE_REGULAR && !read_changed(root, e, flags, &err))) {
            file_entry_free(e);
            if (!err)
                continue;
            for (i++; i < after->len; i++)
                file_entry_free(after->pdata[i]);
            g_propagate_error(error, err);
            return NULL;
        }
        g_ptr_array_add(changes, e);
    }
    return g_steal_pointer(&changes);
}
