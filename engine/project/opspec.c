/* SPDX-License-Identifier: Apache-2.0 */
/* Finding operations. See opspec.h. */
#include "engine/project/opspec.h"

#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/project/builtins.h"
#include "engine/project/pyflags.h"

G_DEFINE_QUARK(opspec - error - quark, opspec_error)

/* ---- taking a spec apart ---- */

gboolean opspec_parse(const char *spec, char **model, char **op)
{
    *model = *op = NULL;
    if (!spec || !*spec)
        return TRUE;
    const char *slash = strchr(spec, '/');
    const char *colon = strchr(spec, ':');
    if (!slash && !colon) {
        *op = g_strdup(spec);
        return TRUE;
    }
    /* [PKG/][MODEL]:OP, where the last part has neither ':' nor '/'. */
    if (slash && strchr(slash + 1, '/'))
        return FALSE;
    if (colon) {
        if (!colon[1] || strpbrk(colon + 1, ":/"))
            return FALSE;
        *model = g_strndup(spec, colon - spec);
        *op = g_strdup(colon + 1);
        return TRUE;
    }
    if (slash == spec || !slash[1])
        return FALSE;
    *model = g_strndup(spec, slash + 1 - spec);
    *op = g_strdup(slash + 1);
    return TRUE;
}

/* ---- the guild.yml of the folder ---- */

static void no_such_op_error(const ModelDef *m, const char *name, GError **error)
{
    g_autofree char *what =
            name ? g_strdup_printf("operation '%s'", name) : g_strdup("a default operation");
    if (*m->name)
        g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_NO_OPERATION,
                "%s is not defined for model '%s'\n"
                "Try 'guild operations %s' for a list of available operations.",
                what, m->name, m->name);
    else
        g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_NO_OPERATION,
                "%s is not defined for this project\n"
                "Try 'guild operations' for a list of available operations.",
                what);
}

static void no_such_model_error(const char *opspec, GError **error)
{
    if (!opspec || !*opspec)
        g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_NO_DEFAULT,
                "cannot find a default operation\nTry 'guild operations' for a list.");
    else if (strchr(opspec, ':'))
        g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_NO_MODEL,
                "cannot find operation %s\n"
                "Try 'guild operations' for a list of available operations.",
                opspec);
    else
        g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_NO_MODEL,
                "cannot find operation %s\n"
                "You may need to include a model in the form MODEL:OPERATION. "
                "Try 'guild operations' for a list of available operations.",
                opspec);
}

static int cmp_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void multiple_models_error(const char *ref, GPtrArray *matches, GError **error)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < matches->len; i++)
        g_ptr_array_add(names, ((ModelDef *)matches->pdata[i])->name);
    g_ptr_array_sort(names, cmp_strings);
    g_autoptr(GString) list = g_string_new(NULL);
    for (guint i = 0; i < names->len; i++)
        g_string_append_printf(list, "\n  %s", (char *)names->pdata[i]);
    g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_MULTIPLE_MODELS,
            "there are multiple models that match '%s'\nTry specifying one of the following:%s",
            ref, list->str);
}

/* Without a model: the default one, or the anonymous one. With: by part of the name, and if several
 * match, by the whole. NULL with an error if there is not exactly one. */
static ModelDef *match_model(Guildfile *g, const char *ref, const char *opspec, GError **error)
{
    g_autoptr(GPtrArray) matches = g_ptr_array_new();
    ModelDef *dflt = guildfile_default_model(g);
    gboolean by_name = ref && *ref;
    for (guint i = 0; i < g->models->len; i++) {
        ModelDef *m = g->models->pdata[i];
        if (by_name ? strstr(m->name, ref) != NULL : m == dflt || !*m->name)
            g_ptr_array_add(matches, m);
        if (!by_name && m == dflt)
            break;
    }
    if (matches->len == 1)
        return matches->pdata[0];
    for (guint i = 0; by_name && i < matches->len; i++) {
        ModelDef *m = matches->pdata[i];
        if (g_str_equal(m->name, ref))
            return m;
    }
    if (by_name && matches->len)
        multiple_models_error(ref, matches, error);
    else
        no_such_model_error(opspec, error);
    return NULL;
}

static OpDef *from_guildfile(const char *opspec, const char *dir, GError **error)
{
    g_autofree char *model_ref = NULL, *op_name = NULL;
    if (!opspec_parse(opspec, &model_ref, &op_name)) {
        g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_INVALID,
                "invalid operation '%s'\n"
                "Try 'guild operations' for a list of available operations.",
                opspec);
        return NULL;
    }
    if (!guildfile_is_dir(dir)) {
        no_such_model_error(opspec, error);
        return NULL;
    }
    g_autoptr(GError) err = NULL;
    g_autoptr(Guildfile) g = guildfile_load(dir, &err);
    if (!g) {
        g_set_error_literal(error, OPSPEC_ERROR, OPSPEC_ERROR_GUILDFILE, err->message);
        return NULL;
    }
    ModelDef *m = match_model(g, model_ref, opspec, error);
    if (!m)
        return NULL;
    OpDef *op = op_name ? modeldef_operation(m, op_name) : modeldef_default_operation(m);
    if (!op) {
        no_such_op_error(m, op_name, error);
        return NULL;
    }
    return opdef_ref(op);
}

/* ---- scripts ---- */

/* An operation of a generated guildfile in `dir`, as a user would write it. */
static OpDef *generated_op(const char *name, Value *op_data, const char *dir, GError **error)
{
    g_autoptr(Value) doc = value_new_list();
    Value *item = value_new_map();
    Value *ops = value_new_map();
    value_map_set(ops, name, op_data);
    value_map_set_string(item, "model", "");
    value_map_set(item, "operations", ops);
    value_list_append(doc, item);
    g_autoptr(Guildfile) g = guildfile_for_data(doc, NULL, dir, error);
    return g ? opdef_ref(modeldef_operation(g->models->pdata[0], name)) : NULL;
}

/* Folder that holds both the script and cwd, and the script's path in it. */
static char *common_dir(const char *script, const char *cwd, char **rel)
{
    g_autofree char *real_script = fs_realpath(script);
    char *dir = fs_realpath(cwd);
    while (!g_str_equal(dir, "/")) {
        gsize n = strlen(dir);
        if (strncmp(real_script, dir, n) == 0 && real_script[n] == '/')
            break;
        char *parent = g_path_get_dirname(dir);
        g_free(dir);
        dir = parent;
    }
    *rel = fs_relpath(real_script, dir);
    return dir;
}

/* Runs of scripts that train are models to the reference, those that prepare are datasets. */
static void add_tags(Value *data, const char *name)
{
    g_autofree char *lower = g_utf8_strdown(name, -1);
    const char *tag = strstr(lower, "train")     ? "model"
                      : strstr(lower, "prepare") ? "dataset"
                                                 : NULL;
    if (!tag)
        return;
    Value *tags = value_new_list();
    value_list_append(tags, value_new_string(tag));
    value_map_set(data, "tags", tags);
}

static Value *python_script_data(const char *path, const char *rel, const char *name)
{
    g_autoptr(PyFlagsResult) found = pyflags_for_script(path, NULL);
    g_autofree char *module = g_strndup(rel, strlen(rel) - strlen(".py"));
    g_autofree char *quoted = text_shell_quote(module);
    g_autofree char *exec =
            g_strdup_printf("${python_exe} -um guild.op_main %s ${flag_args}", quoted);
    Value *data = value_new_map();
    value_map_set_string(data, "exec", exec);
    value_map_set(data, "flags", value_ref(found->flags));
    value_map_set_string(data, "flags-dest", found->dest);
    if (found->output_scalars)
        value_map_set(data, "output-scalars", value_ref(found->output_scalars));
    value_map_set_string(data, "objective", "loss");
    add_tags(data, name);
    return data;
}

/* What remains of `path` without the name at its end, absolute: where a script's opref says it is.
 */
static char *script_base(const char *path, const char *name)
{
    g_autofree char *base = g_strndup(path, strlen(path) - strlen(name));
    return fs_abspath(*base ? base : ".", NULL);
}

static OpDef *from_python_script(const char *opspec, const char *cwd, GError **error)
{
    g_autofree char *path = fs_join(cwd, opspec);
    if (!g_str_has_suffix(path, ".py") || !fs_is_file(path))
        return NULL;
    g_autofree char *name = g_path_get_basename(path);
    g_autofree char *rel = NULL;
    g_autofree char *dir = common_dir(path, cwd, &rel);
    OpDef *op = generated_op(name, python_script_data(path, rel, name), dir, error);
    if (!op)
        return NULL;
    g_autofree char *base = script_base(path, name);
    op->opref = opref_new("script", base, "", "", name);
    return op;
}

/* What makes a file that is not executable one that can run. */
static const char *way_to_run(const char *path)
{
    static const struct {
        const char *ending, *way;
    } ways[] = {
            {".ipynb", "must be an executable file: make a script of the notebook "
                       "('jupyter nbconvert --to script')"},
            {".R", "must be an executable file: let it begin with '#!/usr/bin/env Rscript' and "
                   "make it executable ('chmod +x')"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(ways); i++)
        if (g_str_has_suffix(path, ways[i].ending))
            return ways[i].way;
    return "must be an executable file";
}

static OpDef *from_executable(const char *opspec, const char *cwd, GError **error)
{
    g_autofree char *path = fs_join(cwd, opspec);
    if (!fs_exists(path))
        return NULL;
    if (!fs_is_file(path) || access(path, X_OK) != 0) {
        g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_NOT_EXECUTABLE, "cannot run '%s': %s", opspec,
                way_to_run(path));
        return NULL;
    }
    g_autofree char *abs = fs_abspath(path, NULL);
    g_autofree char *dir = g_path_get_dirname(abs);
    g_autofree char *exec = text_shell_quote(abs);
    Value *data = value_new_map();
    value_map_set_string(data, "exec", exec);
    OpDef *op = generated_op(opspec, data, dir, error);
    if (!op)
        return NULL;
    g_autofree char *base = script_base(path, opspec);
    op->opref = opref_new("script", base, "", "", opspec);
    return op;
}

/* ---- all together ---- */

static OpDef *from_elsewhere(const char *opspec, const char *cwd, GError **error)
{
    OpDef *op = builtin_opdef(opspec);
    GError *err = NULL;
    if (!op)
        op = from_python_script(opspec, cwd, &err);
    if (!op && !err)
        op = from_executable(opspec, cwd, &err);
    if (err)
        g_propagate_error(error, err);
    return op;
}

OpDef *opdef_for_opspec(const char *opspec, const char *cwd, GError **error)
{
    g_autofree char *dir = cwd ? g_strdup(cwd) : fs_cwd();
    g_autoptr(GError) lookup = NULL;
    OpDef *op = from_guildfile(opspec, dir, &lookup);
    if (op)
        return op;
    if (opspec && *opspec) {
        GError *err = NULL;
        op = from_elsewhere(opspec, dir, &err);
        if (op)
            return op;
        if (err) {
            g_propagate_error(error, err);
            return NULL;
        }
    }
    g_propagate_error(error, g_steal_pointer(&lookup));
    return NULL;
}

static OpDef *from_guildfile_ref(const OpRef *ref, GError **error)
{
    g_autoptr(Guildfile) g = guildfile_load(ref->pkg_name, error);
    if (!g)
        return NULL;
    const ModelDef *m = guildfile_model(g, ref->model_name);
    OpDef *op = m ? modeldef_operation(m, ref->op_name) : NULL;
    if (op)
        return opdef_ref(op);
    g_set_error(error, OPSPEC_ERROR, OPSPEC_ERROR_NO_OPERATION,
            "operation '%s%s%s' is not defined in %s", ref->model_name, *ref->model_name ? ":" : "",
            ref->op_name, ref->pkg_name);
    return NULL;
}

OpDef *opdef_for_opref(const OpRef *ref, GError **error)
{
    if (g_str_equal(ref->pkg_type, "guildfile"))
        return from_guildfile_ref(ref, error);
    g_autofree char *opspec = opref_to_opspec(ref, NULL);
    g_autoptr(GError) err = NULL;
    OpDef *op = NULL;
    if (g_str_equal(ref->pkg_type, "builtin"))
        op = builtin_opdef(opspec);
    else if (g_str_equal(ref->pkg_type, "script")) {
        op = from_python_script(opspec, ref->pkg_name, &err);
        if (!op && !err)
            op = from_executable(ref->op_name, ref->pkg_name, &err);
    }
    if (op)
        return op;
    if (err)
        g_propagate_error(error, g_steal_pointer(&err));
    else
        no_such_model_error(opspec, error);
    return NULL;
}

gboolean opdef_is_default_batch(const OpDef *op)
{
    return op->opref && g_str_equal(op->opref->pkg_type, "builtin") && g_str_equal(op->name, "+");
}
