/* SPDX-License-Identifier: Apache-2.0 */
/* The copy of a project's source code into a run; see sourcecode.h. Which files those are is
 * decided in sourceselect.c. */
#include "engine/op/sourcecode.h"

#include <errno.h>
#include <sys/stat.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/run/manifest.h"

static const char sourcecode_hint[] = " To control which files are copied, define 'sourcecode' for "
                                      "the operation in a Guild file.";

typedef struct Copy {
    Run *run;
    const char *dest_dir;
    RunManifest *manifest;
    gboolean warned_count;
} Copy;

static gboolean copy_file(const char *root, const char *rel, gpointer data, GError **error)
{
    Copy *c = data;
    g_autofree char *src = g_build_filename(root, rel, NULL);
    g_autofree char *dst = g_build_filename(c->dest_dir, rel, NULL);
    struct stat st;
    if (stat(src, &st) < 0 || !S_ISREG(st.st_mode))
        return TRUE; /* vanished, a broken link, no file */
    if (!fs_copy_file(src, dst, error))
        return FALSE;
    g_autofree char *sha1 = digest_sha1_file(dst, error);
    if (!sha1)
        return FALSE;
    g_autofree char *run_path = fs_relpath(dst, run_dir(c->run));
    run_manifest_add_sourcecode(c->manifest, run_path, sha1, rel);
    return TRUE;
}

static void skip_file(const char *root, const char *rel, const char *excess, gpointer data)
{
    Copy *c = data;
    if (g_strcmp0(excess, SOURCECODE_EXCESS_COUNT) == 0) {
        if (!c->warned_count)
            log_warning("Found more than %u source code files but will only copy %u as a safety "
                        "measure.%s",
                    sourcecode_max_count(), sourcecode_max_count(), sourcecode_hint);
        c->warned_count = TRUE;
    } else if (g_strcmp0(excess, SOURCECODE_EXCESS_SIZE) == 0) {
        g_autofree char *full = g_build_filename(root, rel, NULL);
        g_autofree char *shown = fs_relpath(full, NULL);
        log_warning("Skipping source code file %s because it's too big.%s", shown, sourcecode_hint);
    }
}

gboolean sourcecode_copy(SourceSelect *select, Run *run, const char *dest_dir,
        const char *const *ignore, GError **error)
{
    Copy c = {.run = run, .dest_dir = dest_dir};
    c.manifest = run_manifest_open(run, error);
    if (!c.manifest)
        return FALSE;
    const SourceHandler handler = {copy_file, skip_file, &c};
    gboolean ok = sourcecode_walk(select, ignore, run_dir(run), &handler, error);
    return run_manifest_close(c.manifest, ok ? error : NULL) && ok;
}

gboolean sourcecode_copy_from_run(Run *proto, Run *run, GError **error)
{
    g_autoptr(GPtrArray) entries = run_manifest_read(proto);
    Copy c = {.run = run, .dest_dir = run_dir(run)};
    c.manifest = run_manifest_open(run, error);
    if (!c.manifest)
        return FALSE;
    gboolean ok = TRUE;
    for (guint i = 0; ok && i < entries->len; i++) {
        char **entry = g_ptr_array_index(entries, i);
        if (g_strcmp0(entry[0], "s") == 0 && entry[1] && fs_is_safe_rel(entry[1]))
            ok = copy_file(run_dir(proto), entry[1], &c, error);
    }
    return run_manifest_close(c.manifest, ok ? error : NULL) && ok;
}

gboolean sourcecode_write_digest(Run *run, GError **error)
{
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    for (guint i = 0; i < entries->len; i++) {
        char **entry = g_ptr_array_index(entries, i);
        if (g_strcmp0(entry[0], "s") == 0 && entry[1])
            g_ptr_array_add(paths, entry[1]);
    }
    if (!paths->len)
        return run_write_attr(run, "sourcecode_digest", NULL, error);
    g_ptr_array_add(paths, NULL);
    g_autofree char *digest = digest_files(run_dir(run), (const char *const *)paths->pdata, error);
    return digest && run_write_attr_string(run, "sourcecode_digest", digest, error);
}
