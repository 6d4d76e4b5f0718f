/* SPDX-License-Identifier: Apache-2.0 */
/* See children.h. */
#include "worker/children.h"

#include <string.h>

#include "engine/base/fs.h"

typedef struct {
    char *dir;
    GPtrArray *files;
    TransferOffer offer;
} Child;

static void child_free(gpointer child)
{
    Child *c = child;
    g_free(c->dir);
    g_ptr_array_unref(c->files);
    g_free(c);
}

/* The path below the task's runs/ that a link at `rel` of the run `dir` leads to, or NULL. */
static char *inside_place(WTask *t, const char *dir, const char *rel, const char *target)
{
    g_autofree char *link = g_build_filename(dir, rel, NULL);
    g_autofree char *folder = g_path_get_dirname(link);
    g_autofree char *joined = fs_join(folder, target);
    g_autofree char *path = fs_normpath(joined);
    g_autofree char *runs = g_build_filename(t->home, "runs", NULL);
    gsize n = strlen(runs);
    return !strncmp(path, runs, n) && path[n] == '/' && path[n + 1] ? g_strdup(path + n + 1) : NULL;
}

/* "a/b" is two folders up from its run, whose neighbour is one more. */
static char *relative_target(const char *rel, const char *below_runs)
{
    g_autoptr(GString) s = g_string_new("../");
    for (const char *p = rel; (p = strchr(p, '/')); p++)
        g_string_append(s, "../");
    g_string_append(s, below_runs);
    return g_strdup(s->str);
}

/* Links between the task's runs hold wherever the runs will be. */
static void make_relative(WTask *t, const char *dir, GPtrArray *files)
{
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        if (e->kind != FILE_LINK || *e->target != '/')
            continue;
        g_autofree char *below = inside_place(t, dir, e->path, e->target);
        if (!below)
            continue;
        g_free(e->target);
        e->target = relative_target(e->path, below);
    }
}

/* Operations of the project that the run brought along are called after the project itself: the
 * folder here is gone tomorrow. */
static void rename_project(WTask *t, Run *child)
{
    g_autofree char *here = run_guild_path(t->run, "project");
    gsize n = strlen(here);
    g_autoptr(OpRef) ref = child ? run_opref(child, NULL) : NULL;
    const OpRef *own = run_peek_opref(t->run);
    if (!ref || !own || strncmp(ref->pkg_name, here, n) ||
            (ref->pkg_name[n] && ref->pkg_name[n] != '/'))
        return;
    g_autofree char *project = g_path_get_dirname(own->pkg_name);
    char *name = g_strconcat(project, ref->pkg_name + n, NULL);
    g_free(ref->pkg_name);
    ref->pkg_name = name;
    run_write_opref(child, ref, NULL);
}

static gboolean is_sent(const char *rel, gboolean is_dir, gpointer data)
{
    return strcmp(rel, ".guild/LOCK") != 0;
}

/* Its own list for the offer, a copy with longer names for the message. */
static void add_child(
        WTask *t, const char *id, const char *dir, GPtrArray *files, GPtrArray *changes)
{
    Child *c = g_new0(Child, 1);
    c->dir = g_strdup(dir);
    c->files = g_ptr_array_ref(files);
    g_ptr_array_add(t->children, c);
    g_autofree char *top = g_strconcat(CHILDREN_PREFIX, id, NULL);
    FileEntry *folder = file_entry_new(top, FILE_DIR);
    folder->mode = 0755;
    g_ptr_array_add(changes, folder);
    for (guint i = 0; i < files->len; i++) {
        const FileEntry *e = files->pdata[i];
        g_autofree char *path = g_strconcat(top, "/", e->path, NULL);
        FileEntry *copy = file_entry_new(path, e->kind);
        copy->mode = e->mode;
        copy->size = e->size;
        copy->mtime_us = e->mtime_us;
        copy->digest = g_strdup(e->digest);
        copy->target = g_strdup(e->target);
        copy->data = e->data ? g_bytes_ref(e->data) : NULL;
        g_ptr_array_add(changes, copy);
    }
}

gboolean children_add(WTask *t, GPtrArray *changes, GError **error)
{
    t->children = g_ptr_array_new_with_free_func(child_free);
    make_relative(t, t->dir, changes);
    g_autofree char *runs = g_build_filename(t->home, "runs", NULL);
    g_auto(GStrv) ids = fs_list(runs, NULL);
    for (char **id = ids; id && *id; id++) {
        g_autofree char *dir = g_build_filename(runs, *id, NULL);
        if (!strcmp(*id, t->run_id) || !fs_is_dir(dir) || fs_is_link(dir))
            continue;
        g_autoptr(Run) child = run_new(dir, *id);
        g_autoptr(Run) proto = run_batch_proto(child);
        rename_project(t, child);
        rename_project(t, proto);
        g_autoptr(GPtrArray) files =
                filelist_scan(dir, FILELIST_INLINE, is_sent, NULL, NULL, error);
        if (!files)
            return FALSE;
        make_relative(t, dir, files);
        add_child(t, *id, dir, files, changes);
    }
    return TRUE;
}

void children_offer(WTask *t)
{
    for (guint i = 0; t->children && i < t->children->len; i++) {
        Child *c = t->children->pdata[i];
        if (!c->offer)
            c->offer = transfer_offer(link_transfer(t->w->link), c->dir, c->files);
    }
}

void children_clear(WTask *t)
{
    for (guint i = 0; t->children && i < t->children->len; i++) {
        Child *c = t->children->pdata[i];
        if (c->offer)
            transfer_withdraw(link_transfer(t->w->link), c->offer);
    }
    g_clear_pointer(&t->children, g_ptr_array_unref);
}
