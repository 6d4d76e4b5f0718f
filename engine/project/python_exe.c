/* SPDX-License-Identifier: Apache-2.0 */
/* The Python interpreter and our package. See python_exe.h. */
#include "engine/project/python_exe.h"

#include "config.h"
#include "engine/base/fs.h"

static gboolean env_has_python(void)
{
    const char *prefix = g_getenv("VIRTUAL_ENV");
    if (!prefix || !*prefix)
        prefix = g_getenv("CONDA_PREFIX");
    if (!prefix || !*prefix)
        return FALSE;
    g_autofree char *python = g_build_filename(prefix, "bin", "python", NULL);
    return fs_exists(python);
}

char *python_exe(GError **error)
{
    const char *chosen = g_getenv("GUILD_PYTHON_EXE");
    if (chosen && *chosen)
        return g_strdup(chosen);
    static const char *const names[] = {"python3", "python"};
    if (env_has_python()) {
        char *path = g_find_program_in_path("python");
        if (path)
            return path;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        char *path = g_find_program_in_path(names[i]);
        if (path)
            return path;
    }
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
            "cannot find a Python interpreter: python3 is not on PATH (install it or set "
            "GUILD_PYTHON_EXE)");
    return NULL;
}

char *python_exe_or_name(void)
{
    char *path = python_exe(NULL);
    return path ? path : g_strdup("python3");
}

static gboolean has_package(const char *dir)
{
    g_autofree char *path = g_build_filename(dir, "guild", "op_main.py", NULL);
    return fs_is_file(path);
}

/* In order: the source tree when run from a build folder in it, beside the program, the install. */
static char *find_package_dir(void)
{
    g_autofree char *exe = fs_realpath("/proc/self/exe");
    g_autofree char *bin = g_path_get_dirname(exe);
    g_autofree char *prefix = g_path_get_dirname(bin);
    char *places[] = {
            g_build_filename(prefix, "share", "guild", "python", NULL),
            g_build_filename(GUILD_PKGDATADIR, "python", NULL),
            g_strdup(GUILD_SOURCE_PYTHON),
    };
    gboolean installed = g_str_has_suffix(bin, "/bin");
    char *found = NULL;
    for (gsize i = 0; i < G_N_ELEMENTS(places); i++) {
        gsize k = installed
                          ? i
                          : (i + 2) % G_N_ELEMENTS(places); /* a build folder: its sources first */
        if (!found && has_package(places[k]))
            found = g_steal_pointer(&places[k]);
    }
    for (gsize i = 0; i < G_N_ELEMENTS(places); i++)
        g_free(places[i]);
    return found;
}

const char *python_package_dir(void)
{
    static char *dir;
    static gsize looked; /* trials are made ready on threads too */
    if (g_once_init_enter(&looked)) {
        dir = find_package_dir();
        g_once_init_leave(&looked, 1);
    }
    return dir;
}

static void add_path(GPtrArray *paths, const char *path)
{
    for (guint i = 0; i < paths->len; i++)
        if (g_str_equal(paths->pdata[i], path))
            return;
    g_ptr_array_add(paths, g_strdup(path));
}

static void add_paths(GPtrArray *paths, const char *joined)
{
    if (!joined || !*joined)
        return;
    g_auto(GStrv) parts = g_strsplit(joined, ":", -1);
    for (char **p = parts; *p; p++)
        add_path(paths, *p);
}

char *python_path_env(const char *first)
{
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    add_paths(paths, first);
    if (python_package_dir())
        add_path(paths, python_package_dir());
    add_paths(paths, g_getenv("PYTHONPATH"));
    g_ptr_array_add(paths, NULL);
    return g_strjoinv(":", (char **)paths->pdata);
}
