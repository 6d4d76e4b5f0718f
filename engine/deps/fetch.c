/* SPDX-License-Identifier: Apache-2.0 */
/* Downloads by libcurl's easy interface, into a temporary file beside the wanted one. */
#include "engine/deps/fetch.h"

#include "engine/base/apart.h"
#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/deps/dep.h"
#include "engine/deps/lazy_curl.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAX_REDIRECTS = 20 };

static char *sha_memory_path(const char *path)
{
    g_autofree char *dir = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *name = g_strdup_printf(".guild-cache-%s.sha", base);
    return g_build_filename(dir, name, NULL);
}

/* The digest remembered for `path`, unless the file is newer. */
static char *remembered_sha(const char *path)
{
    g_autofree char *memory = sha_memory_path(path);
    struct stat f, m;
    if (stat(path, &f) || stat(memory, &m) || m.st_mtime < f.st_mtime)
        return NULL;
    char *text = fs_read(memory, 4096, NULL, NULL);
    return text ? g_strchomp(text) : NULL;
}

gboolean fetch_check_sha256(const char *path, const char *expected, char **actual, GError **error)
{
    g_autofree char *digest = remembered_sha(path);
    if (!digest && !(digest = digest_sha256_file(path, error)))
        return FALSE;
    gboolean same = !g_ascii_strcasecmp(digest, expected);
    if (actual)
        *actual = g_steal_pointer(&digest);
    return same;
}

static gboolean check_download(const char *path, const char *expected, GError **error)
{
    g_autofree char *actual = NULL;
    GError *read_error = NULL;
    if (fetch_check_sha256(path, expected, &actual, &read_error)) {
        g_autofree char *memory = sha_memory_path(path);
        fs_write_atomic(memory, actual, -1, 0644, NULL); /* saves time, no more */
        return TRUE;
    }
    if (read_error)
        g_propagate_error(error, read_error);
    else
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED,
                "bad sha256 for '%s' (expected %s but got %s)", path, expected, actual);
    return FALSE;
}

/* The last part of the url's path, unquoted: the name that the file is kept under. */
static char *url_file_name(const char *url, GError **error)
{
    const char *start = strstr(url, "://");
    start = start ? start + 3 : url;
    gsize len = strcspn(start, "?#");
    g_autofree char *path = g_strndup(start, len);
    char *slash = strrchr(path, '/');
    g_autofree char *name = slash ? g_uri_unescape_string(slash + 1, NULL) : NULL;
    if (!name || !fs_is_safe_rel(name) || strchr(name, '/') || !strcmp(name, ".")) {
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED,
                "'%s' names no file (its path must end in a file name)", url);
        return NULL;
    }
    return g_steal_pointer(&name);
}

static long timeout_or(long dflt)
{
    const char *s = g_getenv("GUILD_FETCH_TIMEOUT");
    gint64 v = 0;
    return s && g_ascii_string_to_signed(s, 10, 1, 86400, &v, NULL) ? (long)v : dflt;
}

static size_t write_block(char *data, size_t size, size_t n, void *out)
{
    return fwrite(data, size, n, out) * size;
}

/* Keeps the status line of the last answer: "HTTP/1.1 404 Not Found". */
static size_t note_status(char *data, size_t size, size_t n, void *status_line)
{
    if (size * n > 5 && !strncmp(data, "HTTP/", 5)) {
        g_string_truncate(status_line, 0);
        g_string_append_len(status_line, data, (gssize)(size * n));
    }
    return size * n;
}

/* Called now and then, also while nothing comes. Not 0: it is given up. */
static int look_up(
        void *unused, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    return apart_is_unwanted();
}

static CURLcode transfer(const char *url, FILE *out, char *why, GString *status_line)
{
    static gsize once;
    if (g_once_init_enter(&once)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        g_once_init_leave(&once, 1);
    }
    CURL *curl = curl_easy_init();
    if (!curl)
        return CURLE_FAILED_INIT;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https,file");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MAX_REDIRECTS);
    curl_easy_setopt(curl, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "guild");
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, timeout_or(FETCH_CONNECT_S));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, timeout_or(FETCH_STALL_S));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_block);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, note_status);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, status_line);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look_up);
    CURLcode rc = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return rc;
}

/* "HTTP Error 404: Not Found" */
static void set_http_error(const char *status_line, GError **error)
{
    const char *code = strchr(status_line, ' ');
    g_autofree char *text = g_strchomp(g_strdup(code ? code + 1 : ""));
    char *reason = strchr(text, ' ');
    if (reason)
        *reason++ = '\0';
    g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "HTTP Error %s: %s", text,
            reason ? reason : "");
}

static gboolean download(const char *url, const char *path, GError **error)
{
    g_autofree char *temp = g_strdup_printf("%s.%d.part", path, (int)getpid());
    FILE *out = fopen(temp, "we");
    if (!out) {
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "cannot write %s: %s", temp,
                g_strerror(errno));
        return FALSE;
    }
    char why[CURL_ERROR_SIZE] = "";
    g_autoptr(GString) status_line = g_string_new(NULL);
    CURLcode rc = transfer(url, out, why, status_line);
    gboolean flushed = !ferror(out);
    flushed = fclose(out) == 0 && flushed;
    if (rc == CURLE_OK && flushed && rename(temp, path) == 0)
        return TRUE;
    int err = errno;
    unlink(temp);
    if (rc == CURLE_HTTP_RETURNED_ERROR)
        set_http_error(status_line->str, error);
    else if (rc == CURLE_OPERATION_TIMEDOUT)
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED,
                "cannot fetch %s: no answer or no more data for %ld seconds", url,
                timeout_or(FETCH_STALL_S));
    else if (rc != CURLE_OK)
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "cannot fetch %s: %s", url,
                *why ? why : curl_easy_strerror(rc));
    else
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "cannot write %s: %s", path,
                g_strerror(err));
    return FALSE;
}

char *fetch_url(const char *url, const char *dir, const char *sha256, GError **error)
{
    g_autofree char *name = url_file_name(url, error);
    if (!name || !fs_mkdirs(dir, error))
        return NULL;
    g_autofree char *path = g_build_filename(dir, name, NULL);
    if (fs_exists(path))
        log_info("Using cached file %s", path);
    else if (!download(url, path, error))
        return NULL;
    if (sha256 && *sha256 && !check_download(path, sha256, error))
        return NULL;
    return g_steal_pointer(&path);
}
