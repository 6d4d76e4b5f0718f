/* SPDX-License-Identifier: Apache-2.0 */
/* Path arithmetic with the answers of Python's os.path, and what a file's bytes look like. */
#include "engine/base/fs.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *fs_join(const char *a, const char *b)
{
    if (b[0] == '/' || a[0] == '\0')
        return g_strdup(b);
    gsize n = strlen(a);
    return g_strconcat(a, a[n - 1] == '/' ? "" : "/", b, NULL);
}

char *fs_normpath(const char *path)
{
    if (path[0] == '\0')
        return g_strdup(".");
    gboolean absolute = path[0] == '/';
    g_auto(GStrv) parts = g_strsplit(path, "/", -1);
    g_autoptr(GPtrArray) kept = g_ptr_array_new();
    for (gsize i = 0; parts[i]; i++) {
        if (parts[i][0] == '\0' || strcmp(parts[i], ".") == 0)
            continue;
        gboolean up = strcmp(parts[i], "..") == 0;
        gboolean have_name = kept->len > 0 && strcmp(kept->pdata[kept->len - 1], "..") != 0;
        if (!up || (!absolute && !have_name))
            g_ptr_array_add(kept, parts[i]);
        else if (have_name)
            g_ptr_array_set_size(kept, (int)kept->len - 1);
    }
    g_ptr_array_add(kept, NULL);
    g_autofree char *joined = g_strjoinv("/", (char **)kept->pdata);
    if (absolute)
        return g_strconcat("/", joined, NULL);
    return g_strdup(joined[0] ? joined : ".");
}

char *fs_cwd(void)
{
    char path[PATH_MAX];
    return getcwd(path, sizeof(path)) ? g_strdup(path) : g_get_current_dir();
}

char *fs_abspath(const char *path, const char *cwd)
{
    g_autofree char *own = cwd ? NULL : fs_cwd();
    g_autofree char *joined = fs_join(cwd ? cwd : own, path);
    return fs_normpath(joined);
}

char *fs_relpath(const char *path, const char *start)
{
    g_autofree char *to = fs_abspath(path, NULL);
    g_autofree char *from = fs_abspath(start ? start : ".", NULL);
    g_auto(GStrv) to_parts = g_strsplit(to[1] ? to + 1 : "", "/", -1);
    g_auto(GStrv) from_parts = g_strsplit(from[1] ? from + 1 : "", "/", -1);
    gsize same = 0;
    while (to_parts[same] && from_parts[same] && strcmp(to_parts[same], from_parts[same]) == 0)
        same++;
    GString *rel = g_string_new(NULL);
    for (gsize i = same; from_parts[i]; i++)
        g_string_append(rel, rel->len ? "/.." : "..");
    for (gsize i = same; to_parts[i]; i++) {
        if (rel->len)
            g_string_append_c(rel, '/');
        g_string_append(rel, to_parts[i]);
    }
    if (rel->len == 0)
        g_string_append_c(rel, '.');
    return g_string_free(rel, FALSE);
}

char *fs_realpath(const char *path)
{
    char resolved[PATH_MAX];
    if (realpath(path, resolved))
        return g_strdup(resolved);
    /* Not all of it exists: resolve the folder that does, keep the rest. */
    g_autofree char *abs = fs_abspath(path, NULL);
    if (strcmp(abs, "/") == 0)
        return g_steal_pointer(&abs);
    g_autofree char *parent = g_path_get_dirname(abs);
    g_autofree char *base = g_path_get_basename(abs);
    g_autofree char *real_parent = fs_realpath(parent);
    return fs_join(real_parent, base);
}

char *fs_expanduser(const char *path)
{
    if (path[0] != '~' || (path[1] != '/' && path[1] != '\0'))
        return g_strdup(path);
    const char *home = g_getenv("HOME");
    if (!home || !home[0])
        home = g_get_home_dir();
    return g_strconcat(home, path + 1, NULL);
}

gboolean fs_is_safe_rel(const char *rel)
{
    if (!rel || rel[0] == '\0' || rel[0] == '/')
        return FALSE;
    for (const char *part = rel; part;) {
        const char *end = strchr(part, '/');
        gsize n = end ? (gsize)(end - part) : strlen(part);
        if (n == 2 && part[0] == '.' && part[1] == '.')
            return FALSE;
        part = end ? end + 1 : NULL;
    }
    return TRUE;
}

gboolean fs_is_plain_rel(const char *rel)
{
    if (!fs_is_safe_rel(rel))
        return FALSE;
    for (const char *part = rel; part;) {
        const char *end = strchr(part, '/');
        gsize n = end ? (gsize)(end - part) : strlen(part);
        if (n == 0 || (n == 1 && part[0] == '.'))
            return FALSE;
        part = end ? end + 1 : NULL;
    }
    return TRUE;
}

gboolean fs_is_really_below(const char *path, const char *root)
{
    g_autofree char *real_root = fs_realpath(root);
    g_autofree char *real = fs_realpath(path);
    gsize n = strlen(real_root);
    return !strncmp(real, real_root, n) && (real[n] == '/' || !real[n]);
}

static gboolean has_extension(const char *path, const char *const *extensions)
{
    const char *base = strrchr(path, '/');
    base = base ? base + 1 : path;
    const char *dot = strrchr(base, '.');
    if (!dot || dot == base)
        return FALSE;
    g_autofree char *lower = g_ascii_strdown(dot, -1);
    return g_strv_contains(extensions, lower);
}

/* Non-ASCII UTF-8 or a byte order mark: what the reference's encoding guesser is sure about. */
static gboolean is_certain_unicode(const unsigned char *data, gsize n, gboolean truncated)
{
    if (n >= 2 && ((data[0] == 0xff && data[1] == 0xfe) || (data[0] == 0xfe && data[1] == 0xff)))
        return TRUE;
    gboolean ascii = TRUE;
    for (gsize i = 0; i < n && ascii; i++)
        ascii = data[i] < 0x80;
    if (ascii || memchr(data, 0, n))
        return FALSE;
    const char *end;
    if (g_utf8_validate((const char *)data, (gssize)n, &end))
        return TRUE;
    return truncated && (const char *)data + n - end < 4 && end > (const char *)data;
}

gboolean fs_is_text_file(const char *path)
{
    static const char *const text[] = {".csv", ".md", ".py", ".sh", ".txt", NULL};
    static const char *const binary[] = {".ai", ".bmp", ".gif", ".ico", ".jpeg", ".jpg", ".png",
            ".ps", ".psd", ".svg", ".tif", ".tiff", ".aif", ".mid", ".midi", ".mpa", ".mp3", ".ogg",
            ".wav", ".wma", ".avi", ".mov", ".mp4", ".mpeg", ".swf", ".wmv", ".7z", ".deb", ".gz",
            ".pkg", ".rar", ".rpm", ".tar", ".xz", ".z", ".zip", ".doc", ".docx", ".key", ".pdf",
            ".ppt", ".pptx", ".xlr", ".xls", ".xlsx", ".bin", ".pickle", ".pkl", ".pyc", NULL};
    if (!fs_is_file(path))
        return FALSE;
    if (has_extension(path, text))
        return TRUE;
    if (has_extension(path, binary))
        return FALSE;
    unsigned char sample[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return FALSE;
    ssize_t got = read(fd, sample, sizeof sample);
    close(fd);
    if (got < 0)
        return FALSE;
    if (got == 0)
        return TRUE;
    gsize n = (gsize)got, not_ascii = 0, not_high = 0;
    for (gsize i = 0; i < n; i++) {
        gboolean low = (sample[i] >= 32 && sample[i] < 127) || strchr("\n\r\t\f\b", sample[i]);
        not_ascii += !low || sample[i] == 0;
        not_high += sample[i] < 127;
    }
    double ratio1 = (double)not_ascii / (double)n, ratio2 = (double)not_high / (double)n;
    gboolean likely_binary = (ratio1 > 0.3 && ratio2 < 0.05) || (ratio1 > 0.8 && ratio2 > 0.8);
    gboolean unicode = is_certain_unicode(sample, n, n == sizeof sample);
    if (likely_binary || unicode)
        return unicode;
    return !memchr(sample, 0, n) && !memchr(sample, 0xff, n);
}
