/* SPDX-License-Identifier: Apache-2.0 */
/* Finding Python modules. See pymodule.h. The rules are imp.find_module's: a folder with
 * __init__.py is a package (to be run it needs a __main__.py), else NAME.py or NAME.pyc. The
 * interpreter is asked for its module path only when a module is not in the project. */
#include <glib/gstdio.h>
#include <string.h>

#include "engine/base/fs.h"
#include "engine/project/pymodule.h"
#include "engine/project/pyhelper.h"
#include "engine/project/python_exe.h"

/* The interpreter's own part of sys.path, cached by its file's time. */
static Value *ask_sys_path(void)
{
    g_autofree char *python = python_exe(NULL);
    if (!python)
        return NULL;
    GStatBuf st = {0};
    g_stat(python, &st);
    const char *env_path = g_getenv("PYTHONPATH");
    g_autofree char *key = g_strdup_printf("sys-path\n%s", env_path ? env_path : "");
    g_autofree char *stamp = g_strdup_printf("%" G_GINT64_FORMAT, (gint64)st.st_mtime);
    Value *cached = pyhelper_cache_get(key, stamp);
    if (cached)
        return cached;
    g_autoptr(Value) requests = value_new_list();
    Value *request = value_new_map();
    value_map_set_string(request, "do", "sys-path");
    value_list_append(requests, request);
    g_autoptr(Value) answers = pyhelper_ask(requests, NULL);
    if (!answers)
        return NULL;
    Value *paths = value_map_get(value_list_at(answers, 0), "sys_path");
    if (paths)
        pyhelper_cache_put(key, stamp, paths);
    return value_ref(paths);
}

const char *const *pymodule_sys_path(void)
{
    static char **paths;
    if (paths)
        return (const char *const *)paths;
    g_autoptr(Value) list = ask_sys_path();
    GPtrArray *out = g_ptr_array_new();
    for (gsize i = 0; value_is_list(list) && i < value_list_size(list); i++)
        g_ptr_array_add(out, value_str(value_list_at(list, i)));
    g_ptr_array_add(out, NULL);
    paths = (char **)g_ptr_array_free(out, FALSE);
    return (const char *const *)paths;
}

static char *first_file(const char *dir, const char *const *names)
{
    for (; *names; names++) {
        char *path = g_build_filename(dir, *names, NULL);
        if (fs_is_file(path))
            return path;
        g_free(path);
    }
    return NULL;
}

/* The module's file in `dir`, or NULL. A package that can't be run sets the error. */
static char *find_in(const char *dir, const char *name, const char *module, GError **error)
{
    static const char *const inits[] = {"__init__.py", "__init__.pyc", NULL};
    static const char *const mains[] = {"__main__.py", "__main__.pyc", NULL};
    g_autofree char *package = g_build_filename(dir, name, NULL);
    g_autofree char *init = first_file(package, inits);
    if (init) {
        char *path = first_file(package, mains);
        if (!path)
            g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                    "No module named %s.__main__ ('%s' is a package and cannot be directly "
                    "executed)",
                    module, module);
        return path;
    }
    g_autofree char *py = g_strconcat(name, ".py", NULL);
    g_autofree char *pyc = g_strconcat(name, ".pyc", NULL);
    const char *files[] = {py, pyc, NULL};
    return first_file(dir, files);
}

/* "a.b.c" below `base`: folder a/b, name c. */
static char *find_below(const char *base, const char *module, GError **error)
{
    g_auto(GStrv) parts = g_strsplit(module, ".", -1);
    guint n = g_strv_length(parts);
    if (!n || !*parts[n - 1])
        return NULL;
    g_autofree char *name = g_steal_pointer(&parts[n - 1]);
    g_autofree char *rel = g_strjoinv("/", parts);
    g_autofree char *dir = g_build_filename(base, rel, NULL);
    return find_in(dir, name, module, error);
}

char *pymodule_find(
        const char *main_mod, const char *const *model_paths, char **sys_path, GError **error)
{
    const char *slash = strrchr(main_mod, '/');
    const char *module = slash ? slash + 1 : main_mod;
    g_autofree char *folder = slash ? g_strndup(main_mod, slash - main_mod) : g_strdup(".");
    for (int system = 0; system <= 1; system++) {
        if (system && python_package_dir() && g_str_has_prefix(module, "guild.")) {
            char *path = find_below(python_package_dir(), module, NULL);
            if (path)
                return path;
        }
        for (const char *const *base = model_paths; *base; base++) {
            g_autofree char *own = fs_join(*base, folder);
            const char *const own_list[] = {own, NULL};
            const char *const *dirs = system ? pymodule_sys_path() : own_list;
            for (; *dirs; dirs++) {
                GError *err = NULL;
                char *path = find_below(*dirs, module, &err);
                if (err) {
                    g_propagate_error(error, err);
                    return NULL;
                }
                if (path) {
                    if (sys_path)
                        *sys_path = g_steal_pointer(&own);
                    return path;
                }
            }
        }
    }
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "No module named %s", main_mod);
    return NULL;
}
