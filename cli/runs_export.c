/* SPDX-License-Identifier: Apache-2.0 */
/* See runs_export.h. A zip file holds each run under its id; links are written as the files they
 * lead to (folders as empty ones unless resources are copied), as the reference writes them. */
#include "cli/runs_export.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/utf8_locale.h"
#include "engine/deps/lazy_archive.h"

/* Copies a tree; with `follow` what links lead to instead of them. */
typedef struct {
    const char *dest;
    GError *error;
} FollowCopy;

static gboolean copy_followed(
        const char *root, const char *rel, const struct stat *st, gpointer data)
{
    FollowCopy *copy = data;
    g_autofree char *src = fs_join(root, rel), *dest = fs_join(copy->dest, rel);
    (void)st;
    if (copy->error)
        return FALSE;
    if (fs_is_dir(src))
        return fs_check_folder(src, &copy->error) && fs_mkdirs(dest, &copy->error);
    if (fs_is_file(src))
        fs_copy_file(src, dest, &copy->error);
    return FALSE;
}

static gboolean copy_run(const char *src, const char *dest, gboolean follow, GError **error)
{
    if (!follow)
        return fs_copy_tree(src, dest, error);
    FollowCopy copy = {.dest = dest};
    if (!fs_mkdirs(dest, error) || !fs_walk(src, TRUE, copy_followed, &copy, error))
        return FALSE;
    if (copy.error)
        g_propagate_error(error, copy.error);
    return !copy.error;
}

/* Moves or copies one run; a failed copy leaves nothing behind. */
static gboolean transfer(Run *run, const char *dest, gboolean move, gboolean follow, GError **error)
{
    log_info("%s %s", move ? "Moving" : "Copying", run_id(run));
    if (move && !follow && rename(run_dir(run), dest) == 0)
        return TRUE;
    if (!copy_run(run_dir(run), dest, follow, error)) {
        fs_remove_tree(dest, NULL);
        return FALSE;
    }
    return !move || fs_remove_tree(run_dir(run), error);
}

/* `dir` is where `shown` is, which is what the user wrote. */
static int export_to_dir(GPtrArray *runs, const char *dir, const char *shown, gboolean move,
        gboolean copy_resources, GError **error)
{
    g_autofree char *nocopy = g_build_filename(dir, ".guild-nocopy", NULL);
    if (fs_exists(dir) && !fs_is_dir(dir)) {
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "'%s' is not a directory", shown);
        return -1;
    }
    if (!fs_mkdirs(dir, error) || !fs_touch(nocopy, error)) {
        g_prefix_error(error, "error initializing export directory '%s': ", dir);
        return -1;
    }
    int n = 0;
    for (guint i = 0; i < runs->len; i++) {
        g_autofree char *dest = g_build_filename(dir, run_id(runs->pdata[i]), NULL);
        if (fs_exists(dest)) {
            g_autofree char *there = g_build_filename(shown, run_id(runs->pdata[i]), NULL);
            log_warning("%s exists, skipping", there);
            continue;
        }
        if (!transfer(runs->pdata[i], dest, move, copy_resources, error))
            return -1;
        n++;
    }
    return n;
}

int runs_import(
        GPtrArray *runs, RunStore *store, gboolean move, gboolean copy_resources, GError **error)
{
    int n = 0;
    if (!run_store_ensure(store, error))
        return -1;
    for (guint i = 0; i < runs->len; i++) {
        g_autofree char *dest =
                g_build_filename(run_store_runs_dir(store), run_id(runs->pdata[i]), NULL);
        if (fs_exists(dest)) {
            log_warning("%s exists, skipping", run_id(runs->pdata[i]));
            continue;
        }
        if (!transfer(runs->pdata[i], dest, move, copy_resources, error))
            return -1;
        n++;
    }
    return n;
}

/* --- zip --- */

typedef struct {
    struct archive *out;
    const char *id;
    GHashTable *names; /* that are in the file */
    GError *error;
} Zip;

static gboolean archive_failed(struct archive *a, const char *what, GError **error)
{
    g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot write to %s: %s", what,
            archive_error_string(a));
    return FALSE;
}

static gboolean write_data(struct archive *out, int fd, const char *path, GError **error)
{
    char buf[65536];
    ssize_t n;
    while ((n = read(fd, buf, sizeof(buf))) > 0)
        if (archive_write_data(out, buf, (size_t)n) < 0)
            return archive_failed(out, path, error);
    if (n < 0)
        g_set_error(
                error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot read %s: %s", path, g_strerror(errno));
    return n == 0;
}

/* A link that leads nowhere, a socket: there is nothing to read, whoever asks. */
static gboolean has_no_content(int err)
{
    return err == ENOENT || err == ELOOP || err == ENXIO;
}

/* A file or folder, links resolved; what is neither is left out. One that may not be read is an
 * error: a run that is moved would lose it. */
static gboolean zip_add(Zip *zip, const char *path, const char *name)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if ((fd < 0 && !has_no_content(errno)) || (fs_is_dir(path) && !fs_check_folder(path, NULL))) {
        g_set_error(&zip->error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot read %s: %s", path,
                g_strerror(errno));
        if (fd >= 0)
            close(fd);
        return FALSE;
    }
    if (fd < 0 || fstat(fd, &st) != 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
        if (fd >= 0)
            close(fd);
        log_warning("cannot read %s, skipping", path);
        return TRUE;
    }
    struct archive_entry *entry = archive_entry_new();
    g_autofree char *entry_name = g_strconcat(name, S_ISDIR(st.st_mode) ? "/" : "", NULL);
    archive_entry_copy_stat(entry, &st);
    archive_entry_set_pathname(entry, entry_name);
    g_hash_table_add(zip->names, g_strdup(entry_name));
    gboolean ok = archive_write_header(zip->out, entry) == ARCHIVE_OK ||
                  archive_failed(zip->out, name, &zip->error);
    if (ok && S_ISREG(st.st_mode))
        ok = write_data(zip->out, fd, path, &zip->error);
    archive_entry_free(entry);
    close(fd);
    return ok;
}

static gboolean zip_add_entry(
        const char *root, const char *rel, const struct stat *st, gpointer data)
{
    Zip *zip = data;
    g_autofree char *path = fs_join(root, rel);
    g_autofree char *name = g_strconcat(zip->id, "/", rel, NULL);
    (void)st;
    return !zip->error && zip_add(zip, path, name);
}

/* Entries of the zip file that is there go first. */
static gboolean copy_existing(Zip *zip, const char *path, GError **error)
{
    struct archive *in = archive_read_new();
    archive_read_support_format_zip(in);
    gboolean ok = archive_read_open_filename(in, path, 65536) == ARCHIVE_OK;
    struct archive_entry *entry;
    int r = ARCHIVE_EOF;
    while (ok && (r = archive_read_next_header(in, &entry)) == ARCHIVE_OK) {
        char buf[65536];
        la_ssize_t n = 0;
        const char *name = archive_entry_pathname(entry);
        if (name)
            g_hash_table_add(zip->names, g_strdup(name));
        ok = name && archive_write_header(zip->out, entry) == ARCHIVE_OK;
        while (ok && (n = archive_read_data(in, buf, sizeof(buf))) > 0)
            ok = archive_write_data(zip->out, buf, (size_t)n) >= 0;
        ok = ok && n == 0;
    }
    ok = ok && r == ARCHIVE_EOF;
    if (!ok)
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot write to %s: %s", path,
                archive_error_string(in) ? archive_error_string(in) : "File is not a zip file");
    archive_read_free(in);
    return ok;
}

static gboolean zip_add_runs(Zip *zip, GPtrArray *runs, gboolean move, gboolean follow,
        GPtrArray *exported, GError **error)
{
    for (guint i = 0; i < runs->len; i++) {
        Run *run = runs->pdata[i];
        g_autofree char *dir_name = g_strconcat(run_id(run), "/", NULL);
        if (g_hash_table_contains(zip->names, dir_name)) {
            log_warning("%s exists, skipping", run_id(run));
            continue;
        }
        log_info("%s %s", move ? "Moving" : "Copying", run_id(run));
        zip->id = run_id(run);
        if (zip_add(zip, run_dir(run), run_id(run)))
            fs_walk(run_dir(run), follow, zip_add_entry, zip, NULL);
        if (zip->error) {
            g_propagate_error(error, zip->error);
            return FALSE;
        }
        g_ptr_array_add(exported, run_ref(run));
    }
    return TRUE;
}

static gboolean write_zip(const char *path, const char *new_path, GPtrArray *runs, gboolean move,
        gboolean follow, GPtrArray *exported, GError **error)
{
    g_auto(Utf8Locale) locale G_GNUC_UNUSED = utf8_locale_enter();
    Zip zip = {.out = archive_write_new(),
            .names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    archive_write_set_format_zip(zip.out);
    gboolean ok = archive_write_open_filename(zip.out, new_path) == ARCHIVE_OK ||
                  archive_failed(zip.out, path, error);
    ok = ok && (!fs_exists(path) || copy_existing(&zip, path, error));
    ok = ok && zip_add_runs(&zip, runs, move, follow, exported, error);
    if (archive_write_close(zip.out) != ARCHIVE_OK && ok)
        ok = archive_failed(zip.out, path, error);
    archive_write_free(zip.out);
    g_hash_table_unref(zip.names);
    return ok;
}

/* The new file is written beside the old one, which stays whole until it is done. */
static int export_to_zip(
        GPtrArray *runs, const char *path, gboolean move, gboolean follow, GError **error)
{
    g_autofree char *new_path = g_strdup_printf("%s.%d.tmp", path, (int)getpid());
    g_autoptr(GPtrArray) exported = run_array_new();
    gboolean ok = write_zip(path, new_path, runs, move, follow, exported, error);
    if (ok && rename(new_path, path) != 0) {
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_IO, "cannot write to %s: %s", path,
                g_strerror(errno));
        ok = FALSE;
    }
    if (!ok) {
        unlink(new_path);
        return -1;
    }
    for (guint i = 0; move && i < exported->len; i++)
        if (!fs_remove_tree(run_dir(exported->pdata[i]), error))
            return -1;
    return (int)exported->len;
}

int runs_export(GPtrArray *runs, const char *location, gboolean move, gboolean copy_resources,
        GError **error)
{
    g_autofree char *dest = fs_abspath(location, cli_cwd());
    g_autofree char *lower = g_ascii_strdown(dest, -1);
    if (g_str_has_suffix(lower, ".zip"))
        return export_to_zip(runs, dest, move, copy_resources, error);
    return export_to_dir(runs, dest, location, move, copy_resources, error);
}
