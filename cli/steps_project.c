/* SPDX-License-Identifier: Apache-2.0 */
/* See steps_project.h. */
#include "cli/steps_project.h"

#include <string.h>

#include "cli/steps.h"
#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/batch/batchfile.h"
#include "engine/deps/dep.h"
#include "engine/op/op.h"
#include "engine/op/sourcecode.h"
#include "engine/op/vcs.h"
#include "engine/project/guildfile.h"
#include "engine/project/opspec.h"

enum { MAX_NAMES = 10000, MAX_NESTED = 32 };

typedef struct Pack {
    const char *root; /* the project */
    const char *home;
    char *dest;
    char *who; /* whose needs are looked at, for messages */
} Pack;

char *steps_project_dir(const Run *run)
{
    return run_guild_path(run, "project");
}

static gboolean fail(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static gboolean fail(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, STEPS_ERROR, STEPS_ERROR_INVALID, msg);
    return FALSE;
}

/* ---- files ---- */

static gboolean link_file(const char *from, const char *to, GError **error)
{
    g_autofree char *parent = g_path_get_dirname(to);
    return fs_lexists(to) || (fs_mkdirs(parent, error) && fs_symlink(from, to, error));
}

typedef struct Tree {
    const Pack *pack;
    const char *to;
    GError *error;
} Tree;

static gboolean add_tree(const Pack *p, const char *from, const char *to, GError **error);

static gboolean link_entry(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    Tree *tree = data;
    g_autofree char *from = g_build_filename(root, rel, NULL);
    g_autofree char *to = g_build_filename(tree->to, rel, NULL);
    if (tree->error || !strcmp(from, tree->pack->dest))
        return FALSE;
    if (S_ISDIR(st->st_mode))
        return fs_mkdirs(to, &tree->error);
    /* A link to a folder of which something is there already is brought as that folder. */
    if (fs_is_dir(from) && fs_is_dir(to) && !fs_is_link(to))
        return add_tree(tree->pack, from, to, &tree->error);
    return link_file(from, to, &tree->error);
}

static gboolean add_tree(const Pack *p, const char *from, const char *to, GError **error)
{
    Tree tree = {p, to, NULL};
    if (!fs_mkdirs(to, error) || !fs_walk(from, FALSE, link_entry, &tree, error))
        return FALSE;
    if (tree.error)
        g_propagate_error(error, tree.error);
    return !tree.error;
}

/* A file or folder of the project. Folders are made, so that others can put files into them. */
static gboolean add_path(const Pack *p, const char *path, GError **error)
{
    g_autofree char *rel = fs_relpath(path, p->root);
    if (!fs_is_safe_rel(rel))
        return fail(error,
                "%s needs %s, which is outside of the project %s and can't go along: put it "
                "into the project, or leave out --remote",
                p->who, path, p->root);
    g_autofree char *joined = g_build_filename(p->dest, rel, NULL);
    g_autofree char *to = fs_normpath(joined);
    return fs_is_dir(path) ? add_tree(p, path, to, error) : link_file(path, to, error);
}

static gboolean add_guildfile(const Pack *p, const Guildfile *g, GError **error)
{
    if (!g || !g->src)
        return TRUE; /* a script's or a built-in's */
    if (!add_path(p, g->src, error))
        return FALSE;
    for (guint i = 0; i < g->included->len; i++)
        if (!add_path(p, g->included->pdata[i], error))
            return FALSE;
    for (guint i = 0; i < g->models->len; i++) {
        const GPtrArray *parents = ((const ModelDef *)g->models->pdata[i])->parents;
        for (guint k = 0; k < parents->len; k++)
            if (!add_guildfile(p, parents->pdata[k], error))
                return FALSE;
    }
    return TRUE;
}

/* ---- source code ---- */

static gboolean add_source_file(const char *root, const char *rel, gpointer pack, GError **error)
{
    g_autofree char *path = g_build_filename(root, rel, NULL);
    return add_path(pack, path, error);
}

static gboolean add_sourcecode(Pack *p, const OpDef *opdef, GError **error)
{
    if (!opdef->guildfile || !opdef->guildfile->dir)
        return TRUE;
    g_autoptr(SourceSelect) select = sourcecode_select_for_opdef(opdef);
    const SourceHandler handler = {.copy = add_source_file, .data = p};
    return sourcecode_walk(select, NULL, p->dest, &handler, error);
}

/* ---- what operations require ---- */

static char *find_source(const Pack *p, const Dep *dep, const char *name)
{
    g_autofree char *own = fs_abspath(dep->location ? dep->location : ".", p->root);
    char *path = fs_abspath(name, own);
    for (guint i = 0; !fs_exists(path) && dep->parents && dep->parents[i]; i++) {
        g_free(path);
        path = fs_abspath(name, dep->parents[i]);
    }
    return path;
}

static gboolean add_source(
        Pack *p, const Dep *dep, const ResSource *source, const char *name, GError **error)
{
    g_autofree char *path = find_source(p, dep, name);
    if (fs_exists(path))
        return add_path(p, path, error);
    return source->optional ||
           fail(error, "%s needs the file '%s', which is not in %s", p->who, name, p->root);
}

/* Adds what the source can be with these flags, of which those that are lists stand for one of
 * their items. Goes through the flags from `index` on. */
static gboolean add_named(
        Pack *p, const Dep *dep, const ResSource *source, Value *flags, gsize index, GError **error)
{
    for (; index < value_map_size(flags); index++) {
        g_autofree char *ref = g_strdup_printf("${%s}", value_map_key_at(flags, index));
        if (value_is_list(value_map_at(flags, index)) && strstr(source->path, ref))
            break;
    }
    if (index < value_map_size(flags)) {
        const Value *list = value_map_at(flags, index);
        for (gsize i = 0; i < MIN(value_list_size(list), MAX_NAMES); i++) {
            g_autoptr(Value) chosen = value_new_map();
            value_map_update(chosen, flags);
            value_map_set(
                    chosen, value_map_key_at(flags, index), value_ref(value_list_at(list, i)));
            if (!add_named(p, dep, source, chosen, index + 1, error))
                return FALSE;
        }
        return TRUE;
    }
    g_autoptr(GError) cause = NULL;
    g_autoptr(Value) resolved = text_resolve_refs(source->path, flags, NULL, &cause);
    if (!resolved)
        return fail(error, "%s needs the file '%s', and flag '%s' in it is not known here", p->who,
                source->path, cause->message);
    g_autofree char *name = value_str(resolved);
    return add_source(p, dep, source, name, error);
}

static const Value *given_for(const Dep *dep, const ResSource *source)
{
    g_auto(GStrv) names = dep_source_flag_names(source);
    for (char **n = names; *n; n++)
        if (value_truthy(value_map_get(dep->config, *n)))
            return value_map_get(dep->config, *n);
    return NULL;
}

static gboolean add_given(Pack *p, const Value *given, GError **error)
{
    g_autofree char *name = value_str(given);
    g_autofree char *path = fs_abspath(name, p->root);
    return fs_exists(path) ? add_path(p, path, error)
                           : fail(error, "%s needs the file '%s', which is not in %s", p->who, name,
                                     p->root);
}

/* The file that flags name in place of the source, or else the source. */
static gboolean add_dep_source(
        Pack *p, const Dep *dep, const ResSource *source, Value *flags, GError **error)
{
    if (ressource_is_operation(source) || !g_strcmp0(source->scheme, "module"))
        return TRUE;
    const Value *given = given_for(dep, source);
    if (value_is_list(given)) {
        for (gsize i = 0; i < value_list_size(given); i++)
            if (!add_given(p, value_list_at(given, i), error))
                return FALSE;
        return TRUE;
    }
    if (given)
        return add_given(p, given, error);
    return !ressource_project_local_path(source) || add_named(p, dep, source, flags, 0, error);
}

static gboolean add_deps(Pack *p, const Op *op, Value *flags, GError **error)
{
    for (guint i = 0; i < op->deps->len; i++) {
        const Dep *dep = op->deps->pdata[i];
        for (guint k = 0; k < dep->resdef->sources->len; k++)
            if (!add_dep_source(p, dep, dep->resdef->sources->pdata[k], flags, error))
                return FALSE;
    }
    return TRUE;
}

/* ---- steps ---- */

/* Rows of the step's batch files, which go along; NULL with error. */
static Value *add_batch_files(Pack *p, const Step *step, GError **error)
{
    g_autoptr(Value) rows = value_new_list();
    for (char **file = step->batch_files; *file; file++) {
        g_autofree char *path = fs_abspath(*file, p->root);
        g_autoptr(Value) more = batchfile_read(path, error);
        if (!more || !add_path(p, path, error))
            return NULL;
        value_list_extend(rows, more);
    }
    return g_steal_pointer(&rows);
}

static Op *step_op(Pack *p, const Step *step, OpDef *opdef, GError **error)
{
    g_autoptr(GPtrArray) assigns = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < value_map_size(step->flags); i++) {
        g_autofree char *text = flagval_format(value_map_at(step->flags, i), 0);
        g_ptr_array_add(assigns, g_strdup_printf("%s=%s", value_map_key_at(step->flags, i), text));
    }
    g_ptr_array_add(assigns, NULL);
    const OpRequest req = {.flags = (const char *const *)assigns->pdata,
            .force_flags = value_truthy(value_map_get(step->params, "force_flags")),
            .home = p->home,
            .cwd = p->root};
    return op_for_opdef(opdef, &req, error);
}

static gboolean add_steps(Pack *p, GPtrArray *steps, guint depth, GError **error);

static gboolean add_op(Pack *p, const Step *step, OpDef *opdef, guint depth, GError **error)
{
    g_autoptr(Value) rows = add_batch_files(p, step, error);
    g_autoptr(Op) op = rows ? step_op(p, step, opdef, error) : NULL;
    if (!op || !add_guildfile(p, opdef->guildfile, error) || !add_sourcecode(p, opdef, error))
        return FALSE;
    for (gsize i = 0; i < MAX(value_list_size(rows), 1); i++) {
        g_autoptr(Value) flags = value_new_map();
        value_map_update(flags, op->flag_vals);
        if (i < value_list_size(rows))
            value_map_update(flags, value_list_at(rows, i));
        if (!add_deps(p, op, flags, error))
            return FALSE;
    }
    g_autoptr(GPtrArray) nested =
            steps_for_data(opdef->steps, op->flag_vals, NULL, opdef->opref, error);
    return nested && add_steps(p, nested, depth + 1, error);
}

/* An operation that makes trials is needed too; a built-in one has nothing to bring. */
static gboolean add_optimizer(Pack *p, const Step *step, OpDef *opdef, GError **error)
{
    const char *name = value_map_string(step->params, "optimizer", NULL);
    const OptimizerDef *def = name ? opdef_optimizer(opdef, name) : NULL;
    if (!name && value_truthy(value_map_get(step->params, "optimize")))
        def = opdef_default_optimizer(opdef);
    if (def)
        name = def->opspec;
    if (!name)
        return TRUE;
    g_autoptr(OpDef) optimizer = opdef_for_opspec(name, p->root, error);
    return optimizer && add_guildfile(p, optimizer->guildfile, error) &&
           add_sourcecode(p, optimizer, error);
}

static gboolean add_step(Pack *p, const Step *step, guint depth, GError **error)
{
    const char *remote = value_map_string(step->params, "remote", NULL);
    if (remote)
        return fail(error,
                "step '%s' is for remote '%s', which may be unknown where the other steps run: "
                "leave out either that or --remote",
                step->name, remote);
    if (depth > MAX_NESTED)
        return fail(error, "step '%s' is nested too deeply", step->name);
    g_free(p->who);
    p->who = g_strdup_printf("step '%s'", step->name);
    GError *cause = NULL;
    g_autoptr(OpDef) opdef = opdef_for_opspec(step->op_spec, p->root, &cause);
    if (opdef && add_optimizer(p, step, opdef, &cause) && add_op(p, step, opdef, depth, &cause))
        return TRUE;
    gboolean named = g_error_matches(cause, STEPS_ERROR, STEPS_ERROR_INVALID);
    g_propagate_error(error, cause);
    if (!named)
        g_prefix_error(error, "step '%s': ", step->name);
    return FALSE;
}

static gboolean add_steps(Pack *p, GPtrArray *steps, guint depth, GError **error)
{
    for (guint i = 0; i < steps->len; i++)
        if (!add_step(p, steps->pdata[i], depth, error))
            return FALSE;
    return TRUE;
}

static gboolean bring(Pack *p, Run *run, const Guildfile *guildfile, GError **error)
{
    g_autoptr(GPtrArray) steps = steps_for_run(run, error);
    p->who = g_strdup(GUILDFILE_NAME);
    if (steps && add_guildfile(p, guildfile, error) && add_steps(p, steps, 0, error) &&
            vcs_write_note(p->dest, p->root, error))
        return TRUE;
    fs_remove_tree(p->dest, NULL);
    return FALSE;
}

gboolean steps_bring_project(Run *run, const char *home, GError **error)
{
    g_autofree char *dest = steps_project_dir(run);
    if (!run_has_attr(run, "steps") || fs_is_dir(dest))
        return TRUE;
    g_autoptr(OpRef) opref = run_opref(run, error);
    g_autoptr(OpDef) opdef = opref ? opdef_for_opref(opref, error) : NULL;
    if (!opdef) {
        g_prefix_error(error, "cannot find the project of the steps of run %s: ", run_id(run));
        return FALSE;
    }
    Pack pack = {.root = opdef->guildfile->dir, .home = home, .dest = dest};
    gboolean ok = pack.root ? bring(&pack, run, opdef->guildfile, error)
                            : fail(error, "run %s has steps but no project", run_id(run));
    g_free(pack.who);
    return ok;
}
