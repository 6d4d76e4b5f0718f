/* SPDX-License-Identifier: Apache-2.0 */
/* See tidy.h. */
#include "coordinator/tidy.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/run/manifest.h"

#define NOTE "attempts/found"
#define KEEP "attempts/keep"
/* Files of events are found by this in any folder of a run (guild/tfevent.py), so what is put aside
 * has another in its name. */
#define EVENT_MARK ".tfevents."
#define LOST_EVENT_MARK ".tfevents-lost."
/* Inputs above this are read again only if they were changed since the manifest was. */
#define ALWAYS_READ_BYTES (16 * 1024 * 1024)

/* ---- what a run begins with ---- */

/* Paths, and the folders that they are in. */
typedef struct {
    GHashTable *paths;
    GHashTable *folders;
} Known;

static void know(Known *k, const char *path)
{
    if (!g_hash_table_add(k->paths, g_strdup(path)))
        return;
    g_autofree char *up = g_strdup(path);
    for (char *slash; (slash = strrchr(up, '/'));) {
        *slash = 0;
        if (!g_hash_table_add(k->folders, g_strdup(up)))
            return;
    }
}

static void know_manifest(Known *k, GPtrArray *entries)
{
    for (guint i = 0; i < entries->len; i++) {
        g_autofree char *path = fs_normpath(((char **)entries->pdata[i])[1]);
        know(k, path);
    }
}

static void know_note(Known *k, Run *run)
{
    g_autofree char *path = run_guild_path(run, NOTE);
    gsize len = 0;
    g_autofree char *text = fs_read_regular(path, 0, &len, NULL);
    for (gsize at = 0, n; text && at < len; at += n + 1) {
        n = strlen(text + at);
        if (n && text[at + n - 1] == '/') /* a folder as such, not all that will be in it */
            g_hash_table_add(k->folders, g_strndup(text + at, n - 1));
        else
            know(k, text + at);
    }
}

static void known_init(Known *k)
{
    k->paths = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    k->folders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
}

static void known_clear(Known *k)
{
    g_hash_table_unref(k->paths);
    g_hash_table_unref(k->folders);
}

static gboolean is_known(const Known *k, const char *rel)
{
    return g_hash_table_contains(k->paths, rel);
}

/* ---- noting ---- */

typedef struct {
    const Known *known;
    GString *text;
} Note;

static gboolean note_entry(const char *root, const char *rel, const struct stat *st, gpointer note)
{
    Note *n = note;
    if (!strcmp(rel, ".guild") || is_known(n->known, rel))
        return FALSE;
    if (S_ISDIR(st->st_mode) && g_hash_table_contains(n->known->folders, rel))
        return TRUE;
    g_string_append(n->text, rel);
    if (S_ISDIR(st->st_mode))
        g_string_append_c(n->text, '/');
    g_string_append_c(n->text, 0);
    return TRUE;
}

gboolean tidy_note(Run *run, GError **error)
{
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    g_autoptr(GString) text = g_string_new(NULL);
    g_autofree char *path = run_guild_path(run, NOTE);
    g_autofree char *dir = run_guild_path(run, "attempts");
    Known known;
    known_init(&known);
    know_manifest(&known, entries);
    Note note = {&known, text};
    gboolean ok = fs_walk(run_dir(run), FALSE, note_entry, &note, error);
    known_clear(&known);
    if (!ok || !text->len)
        return ok && fs_remove(path, error);
    return fs_mkdirs(dir, error) &&
           fs_write_atomic(path, text->str, (gssize)text->len, 0644, error);
}

void tidy_keep(Run *run)
{
    g_autofree char *path = run_guild_path(run, KEEP);
    g_autofree char *dir = run_guild_path(run, "attempts");
    if (fs_mkdirs(dir, NULL))
        fs_touch(path, NULL);
}

/* ---- putting aside ---- */

typedef struct {
    const Known *known;
    char *aside;        /* folder */
    GPtrArray *emptied; /* folders that are not known, outer ones first */
    GError *error;
} Aside;

static char *place_aside(const Aside *a, const char *rel)
{
    g_autofree char *path = g_build_filename(a->aside, rel, NULL);
    char *base = strrchr(path, '/') + 1;
    char *mark = strstr(base, EVENT_MARK);
    if (!mark)
        return g_steal_pointer(&path);
    g_autofree char *head = g_strndup(path, (gsize)(mark - path));
    return g_strconcat(head, LOST_EVENT_MARK, mark + strlen(EVENT_MARK), NULL);
}

/* What vanishes meanwhile need not be moved. */
static void move_aside(Aside *a, const char *path, const char *rel)
{
    g_autofree char *to = place_aside(a, rel);
    g_autofree char *folder = g_path_get_dirname(to);
    if (!fs_mkdirs(folder, &a->error))
        return;
    if (rename(path, to) < 0 && errno != ENOENT)
        g_set_error(&a->error, G_FILE_ERROR, g_file_error_from_errno(errno),
                "cannot move %s to %s: %s", path, to, g_strerror(errno));
}

static gboolean put_aside(const char *root, const char *rel, const struct stat *st, gpointer aside)
{
    Aside *a = aside;
    if (a->error || !strcmp(rel, ".guild") || is_known(a->known, rel))
        return FALSE;
    g_autofree char *path = g_build_filename(root, rel, NULL);
    if (!S_ISDIR(st->st_mode))
        move_aside(a, path, rel);
    else if (!g_hash_table_contains(a->known->folders, rel))
        g_ptr_array_add(a->emptied, g_steal_pointer(&path));
    return TRUE;
}

/* Scalars that guild found in its output. */
static void put_events_aside(Aside *a, Run *run)
{
    g_autofree char *guild = run_guild_path(run, NULL);
    g_auto(GStrv) names = fs_list(guild, NULL);
    for (char **name = names; name && *name && !a->error; name++) {
        if (!strstr(*name, EVENT_MARK))
            continue;
        g_autofree char *path = g_build_filename(guild, *name, NULL);
        g_autofree char *rel = g_build_filename(".guild", *name, NULL);
        move_aside(a, path, rel);
    }
}

static gboolean put_all_aside(Run *run, int attempt, const Known *known, GError **error)
{
    g_autofree char *sub = g_strdup_printf("attempts/%d/files", attempt);
    g_autoptr(GPtrArray) emptied = g_ptr_array_new_with_free_func(g_free);
    Aside a = {known, run_guild_path(run, sub), emptied, NULL};
    g_autofree char *aside = a.aside;
    if (!fs_walk(run_dir(run), FALSE, put_aside, &a, error))
        return FALSE;
    put_events_aside(&a, run);
    for (guint i = emptied->len; i-- > 0;)
        rmdir(emptied->pdata[i]);
    if (a.error)
        g_propagate_error(error, a.error);
    return !a.error;
}

/* ---- inputs ---- */

static gboolean has_digest(const char *path, const char *sha1)
{
    g_autofree char *found = fs_is_file(path) ? digest_sha1_file(path, NULL) : NULL;
    return !g_strcmp0(found, sha1);
}

static gboolean is_whole(const char *path, const char *sha1, gint64 manifest_s)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return FALSE;
    if (!S_ISREG(st.st_mode))
        return TRUE; /* a link, or a folder: the manifest does not say what is in it */
    return (st.st_size > ALWAYS_READ_BYTES && st.st_ctim.tv_sec <= manifest_s) ||
           has_digest(path, sha1);
}

/* Where its content may still be: in the batch's own copy, in the project. Newly allocated. */
static char *find_again(char **entry, Run *run, Run *proto)
{
    const OpRef *ref = run_peek_opref(run);
    const char *in_project = !strcmp(entry[0], "s")                ? entry[3]
                             : g_str_has_prefix(entry[3], "file:") ? entry[3] + strlen("file:")
                                                                   : NULL;
    g_autofree char *first = proto ? g_build_filename(run_dir(proto), entry[1], NULL) : NULL;
    if (first && has_digest(first, entry[2]))
        return g_steal_pointer(&first);
    if (!in_project || !ref || !g_path_is_absolute(ref->pkg_name))
        return NULL;
    g_autofree char *folder =
            fs_is_dir(ref->pkg_name) ? g_strdup(ref->pkg_name) : g_path_get_dirname(ref->pkg_name);
    g_autofree char *second = fs_join(folder, in_project);
    return has_digest(second, entry[2]) ? g_steal_pointer(&second) : NULL;
}

static gboolean is_inside(const char *root, const char *path)
{
    g_autofree char *real_root = fs_realpath(root);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *real = fs_realpath(folder);
    gsize n = strlen(real_root);
    return !strncmp(real, real_root, n) && (real[n] == '/' || !real[n]);
}

static gboolean restore(char **entry, const char *path, Run *run, Run *proto)
{
    g_autofree char *from = find_again(entry, run, proto);
    return from && is_inside(run_dir(run), path) && fs_copy_file(from, path, NULL);
}

static void look_at_inputs(Run *run, Run *proto, GPtrArray *entries, GPtrArray *lost)
{
    g_autofree char *manifest = run_guild_path(run, "manifest");
    struct stat st;
    gint64 written_s = stat(manifest, &st) == 0 ? st.st_ctim.tv_sec : 0;
    for (guint i = 0; i < entries->len; i++) {
        char **entry = entries->pdata[i];
        if (g_strv_length(entry) < 4 || !fs_is_safe_rel(entry[1]) || !strcmp(entry[2], "-"))
            continue;
        g_autofree char *path = g_build_filename(run_dir(run), entry[1], NULL);
        if (!is_whole(path, entry[2], written_s) && !restore(entry, path, run, proto) && lost)
            g_ptr_array_add(lost, g_strdup(entry[1]));
    }
}

gboolean tidy_run(Run *run, int attempt, Run *proto, GPtrArray *lost, GError **error)
{
    g_autofree char *keep = run_guild_path(run, KEEP);
    if (fs_lexists(keep))
        return tidy_note(run, error) && fs_remove(keep, error);
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    Known known;
    known_init(&known);
    know_manifest(&known, entries);
    know_note(&known, run);
    gboolean ok = put_all_aside(run, attempt, &known, error);
    known_clear(&known);
    if (ok)
        look_at_inputs(run, proto, entries, lost);
    return ok;
}
