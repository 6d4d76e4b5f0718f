/* SPDX-License-Identifier: Apache-2.0 */
/* Where the Guild home is. See home.h. */
#include "engine/project/home.h"

#include "engine/base/fs.h"

static char *current_home;

static const char *env_or_null(const char *name)
{
    const char *v = g_getenv(name);
    return v && *v ? v : NULL;
}

/* `.guild` of the active environment, if it is there: how the reference before 0.9 kept homes. */
static char *active_env_home(void)
{
    const char *env = env_or_null("CONDA_PREFIX");
    if (!env)
        env = env_or_null("VIRTUAL_ENV");
    if (!env)
        return NULL;
    g_autofree char *path = g_build_filename(env, ".guild", NULL);
    return fs_is_dir(path) ? fs_realpath(path) : NULL;
}

/* The nearest `.guild` folder from cwd upward; the user's home is the last place looked at. */
static char *home_above(const char *cwd, const char *user_home)
{
    g_autofree char *stop = fs_realpath(user_home);
    g_autofree char *dir = fs_abspath(cwd, NULL);
    while (TRUE) {
        char *path = g_build_filename(dir, ".guild", NULL);
        if (fs_is_dir(path))
            return path;
        g_free(path);
        g_autofree char *real = fs_realpath(dir);
        char *parent = g_path_get_dirname(dir);
        if (g_str_equal(real, stop) || g_str_equal(parent, dir)) {
            g_free(parent);
            return NULL;
        }
        g_free(dir);
        dir = parent;
    }
}

static char *find(const char *option, const char *cwd)
{
    if (option)
        return fs_abspath(option, cwd);
    const char *env = env_or_null("GUILD_HOME");
    if (env)
        return fs_abspath(env, NULL);
    char *home = active_env_home();
    if (home)
        return home;
    g_autofree char *user_home = fs_expanduser("~");
    home = home_above(cwd ? cwd : ".", user_home);
    return home ? home : g_build_filename(user_home, ".guild", NULL);
}

char *home_find_from(const char *option, const char *cwd)
{
    char *home = find(option, cwd);
    g_free(current_home);
    current_home = g_strdup(home);
    return home;
}

char *home_find(const char *option)
{
    return home_find_from(option, NULL);
}

const char *home_current(void)
{
    if (!current_home)
        g_free(home_find(NULL));
    return current_home;
}
