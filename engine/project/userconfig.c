/* SPDX-License-Identifier: Apache-2.0 */
/* The user's configuration file. See userconfig.h. */
#include "engine/project/userconfig.h"

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/project/home.h"

G_DEFINE_QUARK(userconfig - error - quark, userconfig_error)

#define EXTENDS_DEPTH_MAX 32

char *userconfig_path(const char *cwd)
{
    const char *env = g_getenv("GUILD_CONFIG");
    if (env && *env)
        return fs_abspath(env, cwd);
    char *path = fs_abspath("guild-config.yml", cwd);
    if (fs_exists(path))
        return path;
    g_free(path);
    path = g_build_filename(home_current(), "config.yml", NULL);
    if (fs_exists(path))
        return path;
    g_free(path);
    g_autofree char *user_home = fs_expanduser("~");
    return g_build_filename(user_home, ".guild", "config.yml", NULL);
}

static void fill_from_parent(const Value *parent, Value *target)
{
    for (gsize i = 0; i < value_map_size(parent); i++) {
        const char *name = value_map_key_at(parent, i);
        Value *val = value_map_at(parent, i);
        Value *mine = value_map_get(target, name);
        if (!mine)
            value_map_set(target, name, value_copy(val));
        else if (value_is_map(mine) && value_is_map(val))
            fill_from_parent(val, mine);
    }
}

static gboolean apply_item_extends(
        Value *item, Value *section, Value *config, const char *path, guint depth, GError **error);

static gboolean apply_one(const char *spec, Value *item, Value *section, Value *config,
        const char *path, guint depth, GError **error)
{
    Value *home = section;
    Value *parent = value_map_get(section, spec);
    if (!parent) {
        home = value_map_get(config, "config");
        parent = value_map_get(home, spec);
    }
    if (!parent || depth > EXTENDS_DEPTH_MAX) {
        g_set_error(error, USERCONFIG_ERROR, USERCONFIG_ERROR_INVALID,
                parent ? "cycle in 'extends' of '%s' in %s" : "cannot find '%s' in %s", spec, path);
        return FALSE;
    }
    if (!value_is_map(parent))
        return TRUE;
    if (!apply_item_extends(parent, home, config, path, depth + 1, error))
        return FALSE;
    fill_from_parent(parent, item);
    return TRUE;
}

static gboolean apply_item_extends(
        Value *item, Value *section, Value *config, const char *path, guint depth, GError **error)
{
    g_autoptr(Value) extends = value_ref(value_map_get(item, "extends"));
    if (!extends)
        return TRUE;
    value_map_remove(item, "extends");
    if (value_is_string(extends))
        return apply_one(value_get_string(extends), item, section, config, path, depth, error);
    for (gsize i = 0; value_is_list(extends) && i < value_list_size(extends); i++) {
        g_autofree char *spec = value_str(value_list_at(extends, i));
        if (!apply_one(spec, item, section, config, path, depth, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean apply_extends(Value *config, const char *path, GError **error)
{
    for (gsize i = 0; i < value_map_size(config); i++) {
        Value *section = value_map_at(config, i);
        if (g_str_equal(value_map_key_at(config, i), "config") || !value_is_map(section))
            continue;
        for (gsize j = 0; j < value_map_size(section); j++) {
            Value *item = value_map_at(section, j);
            if (value_is_map(item) && !apply_item_extends(item, section, config, path, 0, error))
                return FALSE;
        }
    }
    value_map_remove(config, "config");
    return TRUE;
}

Value *userconfig_load(const char *cwd, GError **error)
{
    g_autofree char *path = userconfig_path(cwd);
    g_autoptr(GError) err = NULL;
    if (!fs_exists(path))
        return value_new_map();
    g_autoptr(Value) parsed = yaml_parse_file(path, &err);
    if (!parsed)
        log_warning("error loading user config in %s: %s", path, err->message);
    if (!value_is_map(parsed)) {
        if (parsed && !value_is_null(parsed))
            log_warning("error loading user config in %s: expected a mapping", path);
        return value_new_map();
    }
    g_autoptr(Value) config = value_copy(parsed); /* anchors share values, extends writes to them */
    return apply_extends(config, path, error) ? g_steal_pointer(&config) : NULL;
}

Value *userconfig_remote(const char *cwd, const char *name, GError **error)
{
    g_autofree char *path = userconfig_path(cwd);
    g_autoptr(Value) config = userconfig_load(cwd, error);
    if (!config)
        return NULL;
    const Value *remote = value_map_get(value_map_get(config, "remotes"), name);
    if (!remote) {
        g_set_error(error, USERCONFIG_ERROR, USERCONFIG_ERROR_NO_REMOTE,
                "remote '%s' is not defined in %s - add it under 'remotes'\n"
                "Show remotes by running 'guild remotes' or 'guild remotes --help' for more "
                "information.",
                name, path);
        return NULL;
    }
    if (!value_is_map(remote) || !value_map_string(remote, "type", NULL)) {
        g_set_error(error, USERCONFIG_ERROR, USERCONFIG_ERROR_INVALID,
                "remote '%s' in %s:%u must be a mapping with a 'type'", name, path,
                value_line(remote));
        return NULL;
    }
    Value *out = value_copy(remote);
    value_map_set_string(out, "name", name);
    return out;
}

char **userconfig_remote_names(const char *cwd, GError **error)
{
    g_autoptr(Value) config = userconfig_load(cwd, error);
    if (!config)
        return NULL;
    g_autoptr(Value) remotes = value_ref(value_map_get(config, "remotes"));
    GPtrArray *names = g_ptr_array_new();
    if (value_is_map(remotes)) {
        value_map_sort(remotes);
        for (gsize i = 0; i < value_map_size(remotes); i++)
            g_ptr_array_add(names, g_strdup(value_map_key_at(remotes, i)));
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}
