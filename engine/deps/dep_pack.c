/* SPDX-License-Identifier: Apache-2.0 */
/* Files that trials of a batch will need, put into the batch's proto; see source.h. */
#include "engine/deps/source.h"

#include "engine/base/fs.h"
#include "engine/base/text.h"

#include <string.h>

enum { MAX_NAMES = 10000 };

static gboolean has_ref(const char *text)
{
    return text && strstr(text, "${");
}

gboolean source_differs_by_trial(const SourceJob *job)
{
    const ResSource *source = job->source;
    if (ressource_is_operation(source))
        return FALSE;
    if (!g_strcmp0(source->scheme, "config") || has_ref(source->uri) || value_is_list(job->set))
        return TRUE;
    for (guint i = 0; source->rename && i < source->rename->len; i++) {
        const ResRename *rule = source->rename->pdata[i];
        if (has_ref(rule->pattern) || has_ref(rule->repl))
            return TRUE;
    }
    return FALSE;
}

static char *pack_path(Run *run, const char *name)
{
    g_autofree char *key = g_compute_checksum_for_string(G_CHECKSUM_SHA1, name, -1);
    g_autofree char *base = g_path_get_basename(name);
    g_autofree char *pack = run_guild_path(run, "deps-pack");
    return g_build_filename(pack, key, base, NULL);
}

char *source_packed(Run *run, const char *name)
{
    char *path = run ? pack_path(run, name) : NULL;
    if (path && fs_exists(path))
        return path;
    g_free(path);
    return NULL;
}

static gboolean pack_one(const SourceJob *job, const char *name, const char *root, GError **error)
{
    g_autofree char *path = fs_abspath(name, root);
    g_autofree char *target = pack_path(job->run, name);
    if (!fs_exists(path)) {
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "cannot find source file '%s'", name);
        return FALSE;
    }
    if (fs_exists(target))
        return TRUE;
    g_autofree char *parent = g_path_get_dirname(target);
    if (!fs_mkdirs(parent, error))
        return FALSE;
    return fs_is_dir(path) ? fs_copy_tree(path, target, error) : fs_copy_file(path, target, error);
}

/* Files that the user's flag names, one or a list. */
static gboolean pack_given(const SourceJob *job, GError **error)
{
    if (!value_is_list(job->set)) {
        g_autofree char *name = value_str(job->set);
        return pack_one(job, name, job->ctx->cwd, error);
    }
    for (gsize i = 0; i < value_list_size(job->set); i++) {
        g_autofree char *name = value_str(value_list_at(job->set, i));
        if (!pack_one(job, name, job->ctx->cwd, error))
            return FALSE;
    }
    return TRUE;
}

/* ---- names with references ---- */

typedef struct Names {
    const SourceJob *job;
    GHashTable *found; /* names, owned */
    GError *error;
} Names;

/* All that the source's path can be with these flags, of which those that are lists stand for one
 * of their items. Goes through the flags from `index` on. */
static void collect(Names *n, Value *flags, gsize index)
{
    if (n->error || g_hash_table_size(n->found) >= MAX_NAMES)
        return;
    for (; index < value_map_size(flags); index++) {
        g_autofree char *ref = g_strdup_printf("${%s}", value_map_key_at(flags, index));
        if (value_is_list(value_map_at(flags, index)) && strstr(n->job->source->path, ref))
            break;
    }
    if (index < value_map_size(flags)) {
        const char *name = value_map_key_at(flags, index);
        g_autoptr(Value) list = value_ref(value_map_at(flags, index));
        for (gsize i = 0; i < value_list_size(list); i++) {
            g_autoptr(Value) chosen = value_new_map();
            value_map_update(chosen, flags);
            value_map_set(chosen, name, value_ref(value_list_at(list, i)));
            collect(n, chosen, index + 1);
        }
        return;
    }
    SourceJob job = *n->job;
    job.flags = flags;
    char *name = source_resolve_refs(
            &job, job.source->path, ressource_resolving_name(job.source), &n->error);
    if (name)
        g_hash_table_add(n->found, name);
}

/* Flags of the proto, once for each row of batch files. */
static void collect_for_rows(Names *n)
{
    g_autoptr(Value) rows = run_try_attr(n->job->run, "trials");
    g_autoptr(Value) user = run_try_attr(n->job->run, "user_flags");
    gsize count = value_is_list(rows) ? value_list_size(rows) : 0;
    for (gsize i = 0; i < MAX(count, 1); i++) {
        g_autoptr(Value) flags = value_new_map();
        if (value_is_map(n->job->flags))
            value_map_update(flags, n->job->flags);
        if (count && value_is_map(value_list_at(rows, i)))
            value_map_update(flags, value_list_at(rows, i));
        if (count && value_is_map(user))
            value_map_update(flags, user);
        collect(n, flags, 0);
    }
}

static gboolean pack_named(const SourceJob *job, GError **error)
{
    g_autofree char *root = fs_abspath(job->location, job->ctx->cwd);
    Names n = {.job = job, .found = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    collect_for_rows(&n);
    gboolean ok = n.error == NULL;
    if (n.error)
        g_propagate_error(error, n.error);
    GHashTableIter it;
    gpointer name;
    g_hash_table_iter_init(&it, n.found);
    while (ok && g_hash_table_iter_next(&it, &name, NULL))
        ok = pack_one(job, name, root, error);
    g_hash_table_unref(n.found);
    return ok;
}

gboolean source_pack(const SourceJob *job, GError **error)
{
    const char *scheme = job->source->scheme ? job->source->scheme : "";
    if (strcmp(scheme, "file") && strcmp(scheme, "config"))
        return TRUE; /* a url is fetched where the trial runs */
    return value_truthy(job->set) ? pack_given(job, error) : pack_named(job, error);
}
