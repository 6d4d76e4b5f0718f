/* SPDX-License-Identifier: Apache-2.0 */
/* Unpacking by libarchive. It is asked to refuse what leaves the folder; because its own checks let
 * some things pass (a hard link to an absolute name, a symbolic link that points out of the folder
 * and would be followed by whoever reads the run), names and link targets are checked here first.
 */
#include "engine/deps/archive.h"

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/utf8_locale.h"
#include "engine/deps/dep.h"
#include "engine/deps/lazy_archive.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { READ_BLOCK = 128 * 1024, MAX_MEMBERS = 4 * 1000 * 1000 };

const char *archive_type(const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);
    g_auto(GStrv) parts = g_strsplit(lower, ".", -1);
    guint n = g_strv_length(parts);
    const char *last = n ? parts[n - 1] : "";
    if (!strcmp(last, "zip"))
        return "zip";
    if (!strcmp(last, "tar") || !strcmp(last, "tgz") || (n > 1 && !strcmp(parts[n - 2], "tar")))
        return "tar";
    return !strcmp(last, "gz") ? "gzip" : NULL;
}

static gboolean refuse(const char *archive, const char *entry, const char *why, GError **error)
{
    g_set_error(error, DEP_ERROR, DEP_ERROR_REFUSED, "'%s' cannot be unpacked: entry '%s' %s",
            archive, entry, why);
    return FALSE;
}

static gboolean fail(const char *path, const char *why, GError **error)
{
    g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "'%s' cannot be unpacked: %s", path, why);
    return FALSE;
}

/* An entry's name without leading "./" and trailing "/"; "" for the archive's root. */
static char *clean_name(const char *raw)
{
    while (raw[0] == '.' && raw[1] == '/')
        raw += 2;
    char *name = g_strdup(raw);
    gsize len = strlen(name);
    while (len > 1 && name[len - 1] == '/')
        name[--len] = '\0';
    if (!strcmp(name, "."))
        *name = '\0';
    return name;
}

/* Does a symbolic link `name` -> `target` stay inside the folder that `name` is relative to? ".."
 * may only lead: behind a name that is a link itself it would lead somewhere else than it says. */
static gboolean link_stays_inside(const char *name, const char *target)
{
    if (g_path_is_absolute(target))
        return FALSE;
    g_auto(GStrv) parts = g_strsplit(target, "/", -1);
    gboolean named = FALSE;
    for (guint i = 0; parts[i]; i++) {
        if (!strcmp(parts[i], "..") && named)
            return FALSE;
        named = named || (*parts[i] && strcmp(parts[i], ".") && strcmp(parts[i], ".."));
    }
    g_autofree char *parent = g_path_get_dirname(name);
    g_autofree char *joined = g_build_filename(parent, target, NULL);
    g_autofree char *norm = fs_normpath(joined);
    return strcmp(norm, "..") && !g_str_has_prefix(norm, "../");
}

/* Is one of the folders above dir/name a symbolic link (put there by an earlier entry)? */
static gboolean passes_link(const char *dir, const char *name)
{
    g_auto(GStrv) parts = g_strsplit(name, "/", -1);
    g_autofree char *path = g_strdup(dir);
    for (guint i = 0; parts[i] && parts[i + 1]; i++) {
        char *next = g_build_filename(path, parts[i], NULL);
        g_free(path);
        path = next;
        if (fs_is_link(path))
            return TRUE;
    }
    return FALSE;
}

static gboolean entry_is_safe(struct archive_entry *entry, const char *name, const char *dir,
        const char *archive, GError **error)
{
    g_autofree char *place = g_build_filename(dir, name, NULL);
    if (!strcmp(place, archive) || g_str_has_prefix(name, ".guild-cache-"))
        return refuse(archive, name, "has a name that the cache keeps for itself", error);
    if (!fs_is_safe_rel(name))
        return refuse(archive, name, "is not inside of the archive's folder", error);
    if (passes_link(dir, name))
        return refuse(archive, name, "goes through a link", error);
    const char *hard = archive_entry_hardlink(entry);
    if (hard) {
        g_autofree char *target = clean_name(hard);
        if (!fs_is_safe_rel(target) || passes_link(dir, target))
            return refuse(archive, name, "is a link that leaves the archive's folder", error);
        return TRUE;
    }
    mode_t type = archive_entry_filetype(entry);
    if (type == AE_IFLNK) {
        const char *target = archive_entry_symlink(entry);
        if (!target || !link_stays_inside(name, target))
            return refuse(archive, name, "is a link that leaves the archive's folder", error);
        return TRUE;
    }
    if (type != AE_IFREG && type != AE_IFDIR)
        return refuse(archive, name, "is neither file, folder nor link", error);
    return TRUE;
}

static gboolean copy_data(struct archive *in, struct archive *out, const char *path, GError **error)
{
    const void *block;
    size_t size;
    la_int64_t offset;
    int rc;
    while ((rc = archive_read_data_block(in, &block, &size, &offset)) == ARCHIVE_OK)
        if (archive_write_data_block(out, block, size, offset) < ARCHIVE_OK)
            return fail(path, archive_error_string(out), error);
    return rc == ARCHIVE_EOF || fail(path, archive_error_string(in), error);
}

/* Makes room for an entry: what an earlier, perhaps unfinished, unpacking left is replaced, but for
 * folders. */
static gboolean make_room(struct archive_entry *entry, const char *dest, const char *archive,
        gboolean *skip, GError **error)
{
    *skip = FALSE;
    if (!fs_lexists(dest))
        return TRUE;
    if (!fs_is_dir(dest) || fs_is_link(dest))
        return fs_remove(dest, error);
    *skip = archive_entry_filetype(entry) == AE_IFDIR;
    return *skip || refuse(archive, dest, "is a folder and a file", error);
}

/* Of a zip file the reference leaves what it says of modes, which is often nothing; of others,
 * folders stay writable, so that what follows can go into them. No set-id bits. */
static mode_t entry_perm(struct archive_entry *entry, const char *type)
{
    gboolean is_dir = archive_entry_filetype(entry) == AE_IFDIR;
    if (!strcmp(type, "zip"))
        return is_dir ? 0777 : 0666;
    return (archive_entry_perm(entry) & 0777) | (is_dir ? 0700 : 0400);
}

/* Writes one entry below `dir`. */
static gboolean extract_entry(struct archive *in, struct archive *out, struct archive_entry *entry,
        const char *name, const char *type, const char *dir, const char *archive, GError **error)
{
    g_autofree char *dest = g_build_filename(dir, name, NULL);
    gboolean skip;
    if (!make_room(entry, dest, archive, &skip, error) || skip)
        return skip;
    archive_entry_set_pathname(entry, dest);
    const char *hard = archive_entry_hardlink(entry);
    if (hard) {
        g_autofree char *target = clean_name(hard);
        g_autofree char *full = g_build_filename(dir, target, NULL);
        archive_entry_set_hardlink(entry, full);
    }
    archive_entry_set_perm(entry, entry_perm(entry, type));
    if (archive_write_header(out, entry) < ARCHIVE_WARN)
        return fail(archive, archive_error_string(out), error);
    if (!hard && archive_entry_filetype(entry) == AE_IFREG && !copy_data(in, out, archive, error))
        return FALSE;
    return archive_write_finish_entry(out) >= ARCHIVE_WARN ||
           fail(archive, archive_error_string(out), error);
}

static struct archive *open_archive(const char *path, const char *type, GError **error)
{
    struct archive *in = archive_read_new();
    archive_read_support_filter_all(in);
    if (!strcmp(type, "zip"))
        archive_read_support_format_zip_seekable(in);
    else if (!strcmp(type, "tar"))
        archive_read_support_format_tar(in);
    else
        archive_read_support_format_raw(in);
    if (archive_read_open_filename(in, path, READ_BLOCK) == ARCHIVE_OK)
        return in;
    fail(path, archive_error_string(in), error);
    archive_read_free(in);
    return NULL;
}

/* The name that a gzip file's content gets: the file's own without ".gz". */
static char *gzip_member_name(const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    gsize len = strlen(base);
    gboolean gz = len > 3 && !g_ascii_strcasecmp(base + len - 3, ".gz");
    return gz ? g_strndup(base, len - 3) : g_strconcat(base, ".out", NULL);
}

static gboolean unpack_all(struct archive *in, const char *path, const char *type, const char *dir,
        GPtrArray *names, GError **error)
{
    struct archive *out = archive_write_disk_new();
    archive_write_disk_set_options(out, ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_SECURE_NODOTDOT);
    struct archive_entry *entry;
    gboolean ok = TRUE;
    int rc = ARCHIVE_EOF;
    while (ok && (rc = archive_read_next_header(in, &entry)) == ARCHIVE_OK) {
        const char *raw = archive_entry_pathname(entry);
        g_autofree char *name = NULL;
        if (!strcmp(type, "gzip")) {
            name = gzip_member_name(path);
            archive_entry_set_filetype(entry, AE_IFREG);
            archive_entry_set_perm(entry, 0644);
        } else {
            name = clean_name(raw ? raw : "");
            if (!*name)
                continue; /* the folder itself */
        }
        ok = names->len < MAX_MEMBERS || fail(path, "it has too many entries", error);
        ok = ok && entry_is_safe(entry, name, dir, path, error) &&
             extract_entry(in, out, entry, name, type, dir, path, error);
        if (ok)
            g_ptr_array_add(names, g_steal_pointer(&name));
    }
    if (ok && rc != ARCHIVE_EOF)
        ok = fail(path, archive_error_string(in), error);
    archive_write_free(out);
    return ok;
}

static gint compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Folders that members lie in and that are no members themselves, before the members. */
static char **with_folders(GPtrArray *names)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < names->len; i++)
        g_hash_table_add(seen, names->pdata[i]);
    GPtrArray *all = g_ptr_array_new();
    for (guint i = 0; i < names->len; i++) {
        char *slash = strrchr(names->pdata[i], '/');
        g_autofree char *folder =
                slash ? g_strndup(names->pdata[i], slash - (char *)names->pdata[i]) : NULL;
        if (folder && !g_hash_table_contains(seen, folder)) {
            g_ptr_array_add(all, folder);
            g_hash_table_add(seen, g_steal_pointer(&folder));
        }
    }
    g_ptr_array_sort(all, compare_strings);
    for (guint i = 0; i < names->len; i++)
        g_ptr_array_add(all, g_strdup(names->pdata[i]));
    g_ptr_array_add(all, NULL);
    return (char **)g_ptr_array_free(all, FALSE);
}

static char *memory_path(const char *path, const char *dir)
{
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *name = g_strdup_printf(".guild-cache-%s.unpacked", base);
    return g_build_filename(dir, name, NULL);
}

/* Names kept by an earlier call, if the archive is not newer. */
static char **remembered(const char *path, const char *memory)
{
    struct stat a, m;
    g_autofree char *text = NULL;
    if (stat(path, &a) || stat(memory, &m) || m.st_mtim.tv_sec < a.st_mtim.tv_sec ||
            (m.st_mtim.tv_sec == a.st_mtim.tv_sec && m.st_mtim.tv_nsec < a.st_mtim.tv_nsec))
        return NULL;
    if (!(text = fs_read(memory, 0, NULL, NULL)))
        return NULL;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; lines[i]; i++) {
        g_autofree char *name = clean_name(g_strchomp(lines[i]));
        if (!*name)
            continue;
        if (!fs_is_safe_rel(name))
            return NULL;
        g_ptr_array_add(names, g_steal_pointer(&name));
    }
    if (!names->len)
        return NULL;
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(g_steal_pointer(&names), FALSE);
}

char **archive_unpack(const char *path, const char *type, const char *dir, GError **error)
{
    if (strcmp(type, "zip") && strcmp(type, "tar") && strcmp(type, "gzip")) {
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED,
                "'%s' cannot be unpacked (unsupported archive type '%s')", path, type);
        return NULL;
    }
    g_autofree char *memory = memory_path(path, dir);
    char **known = remembered(path, memory);
    if (known)
        return known;
    g_auto(Utf8Locale) locale G_GNUC_UNUSED = utf8_locale_enter();
    struct archive *in = open_archive(path, type, error);
    if (!in)
        return NULL;
    if (strcmp(type, "gzip"))
        log_info("Unpacking %s", path);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    gboolean ok = fs_mkdirs(dir, error) && unpack_all(in, path, type, dir, names, error);
    archive_read_free(in);
    if (!ok)
        return NULL;
    char **all = with_folders(names);
    g_autofree char *text = g_strjoinv("\n", all);
    g_autofree char *lines = g_strconcat(text, "\n", NULL);
    if (!fs_write_atomic(memory, lines, -1, 0644, error)) {
        g_strfreev(all);
        return NULL;
    }
    return all;
}
