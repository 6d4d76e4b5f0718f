/* SPDX-License-Identifier: Apache-2.0 */
/* `config:` sources: a YAML, JSON or INI file of the project with the source's params and the run's
 * flags put in by their dotted names (guild/resolver.py ConfigResolver). */
#include "engine/deps/source.h"

#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/ini.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"

#include <errno.h>
#include <string.h>

typedef enum { FORMAT_NONE, FORMAT_YAML, FORMAT_JSON, FORMAT_INI } ConfigFormat;

/* By extension; of "c.yml.in" it is "yml". */
static ConfigFormat format_of(const char *path)
{
    g_autofree char *lower = g_ascii_strdown(path, -1);
    while (g_str_has_suffix(lower, ".in"))
        lower[strlen(lower) - 3] = '\0';
    const char *dot = strrchr(lower, '.');
    if (!dot || strchr(dot, '/'))
        return FORMAT_NONE;
    if (!strcmp(dot, ".yml") || !strcmp(dot, ".yaml"))
        return FORMAT_YAML;
    if (!strcmp(dot, ".json"))
        return FORMAT_JSON;
    return !strcmp(dot, ".cfg") || !strcmp(dot, ".ini") ? FORMAT_INI : FORMAT_NONE;
}

static Value *load(const char *path, GError **error)
{
    switch (format_of(path)) {
    case FORMAT_YAML:
        return yaml_parse_file(path, error);
    case FORMAT_JSON:
        return json_parse_file(path, error);
    case FORMAT_INI: {
        g_autofree char *text = fs_read_regular(path, 0, NULL, error);
        return text ? ini_parse(text, path, error) : NULL;
    }
    default:
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "unsupported file type for '%s'", path);
        return NULL;
    }
}

static char *encode(const Value *config, const char *path, GError **error)
{
    switch (format_of(path)) {
    case FORMAT_JSON:
        return json_dump(config, 0, TRUE);
    case FORMAT_INI:
        return ini_dump(config, error);
    default:
        return yaml_dump(config);
    }
}

/* Sets `name`, in which dots lead into maps; the longest beginning that is a key goes first, and
 * what is missing is made. */
static gboolean set_nested(Value *config, const char *name, Value *val, GError **error)
{
    for (gsize len = strlen(name); len;) {
        g_autofree char *key = g_strndup(name, len);
        Value *there = value_map_get(config, key);
        if (there && !name[len]) {
            value_map_set(config, key, value_ref(val));
            return TRUE;
        }
        if (there && value_is_map(there))
            return set_nested(there, name + len + 1, val, error);
        if (there) {
            g_autofree char *text = value_repr(there);
            g_set_error(error, DEP_ERROR, DEP_ERROR_CONFLICT,
                    "'%s' cannot be nested: conflicts with {'%s': %s}", name, key, text);
            return FALSE;
        }
        char *dot = g_strrstr_len(name, (gssize)len, ".");
        len = dot ? (gsize)(dot - name) : 0;
    }
    g_auto(GStrv) parts = g_strsplit(name, ".", -1);
    guint n = g_strv_length(parts);
    for (guint i = 0; i + 1 < n; i++) {
        Value *next = value_new_map();
        value_map_set(config, parts[i], next);
        config = next;
    }
    value_map_set(config, n ? parts[n - 1] : "", value_ref(val));
    return TRUE;
}

/* A string flag with `arg-split` is a list here; any other value is itself. New reference. */
static Value *split_value(Value *val, const Value *flag_config)
{
    Value *split = value_map_get(flag_config, "arg-split");
    if (!value_truthy(split) || !value_is_string(val))
        return value_ref(val);
    g_auto(GStrv) parts = flagval_split(value_get_string(val), split);
    Value *list = value_new_list();
    for (guint i = 0; parts && parts[i]; i++) {
        Value *item = flagval_decode(parts[i], NULL, NULL, NULL);
        value_list_append(list, item ? item : value_new_string(parts[i]));
    }
    return list;
}

static gboolean apply_flags(Value *config, const SourceJob *job, GError **error)
{
    g_autoptr(Value) op = run_try_attr(job->run, "op");
    const Value *cmd_flags = value_map_get(value_map_get(op, "op-cmd"), "cmd-flags");
    for (gsize i = 0; value_is_map(job->flags) && i < value_map_size(job->flags); i++) {
        const char *name = value_map_key_at(job->flags, i);
        Value *val = value_map_at(job->flags, i);
        if (value_is_null(val))
            continue;
        const Value *flag_config = value_map_get(cmd_flags, name);
        g_autoptr(Value) final = split_value(val, flag_config);
        const char *arg_name = value_map_string(flag_config, "arg-name", NULL);
        if (!set_nested(config, arg_name && *arg_name ? arg_name : name, final, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean apply_params(Value *config, const Value *params, GError **error)
{
    if (params && value_truthy(params) && !value_is_map(params)) {
        g_autofree char *text = value_repr(params);
        log_warning("unexpected params %s - cannot apply to config", text);
        return TRUE;
    }
    for (gsize i = 0; value_is_map(params) && i < value_map_size(params); i++)
        if (!set_nested(config, value_map_key_at(params, i), value_map_at(params, i), error))
            return FALSE;
    return TRUE;
}

/* A new folder in the run's `.guild/generated`. */
static char *new_generated_dir(Run *run, GError **error)
{
    g_autofree char *parent = run_guild_path(run, "generated");
    if (!fs_mkdirs(parent, error))
        return NULL;
    g_autofree char *dir = g_build_filename(parent, "XXXXXX", NULL);
    if (g_mkdtemp(dir))
        return g_steal_pointer(&dir);
    g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "cannot make a folder in %s: %s", parent,
            g_strerror(errno));
    return NULL;
}

/* Only a map takes values; a file of another kind stays as it is where none are to be set. */
static gboolean has_values(const SourceJob *job)
{
    if (value_truthy(job->source->params))
        return TRUE;
    for (gsize i = 0; value_is_map(job->flags) && i < value_map_size(job->flags); i++)
        if (!value_is_null(value_map_at(job->flags, i)))
            return TRUE;
    return FALSE;
}

char *source_generate_config(const SourceJob *job, const char *path, GError **error)
{
    GError *load_error = NULL;
    g_autoptr(Value) loaded = load(path, &load_error);
    if (loaded && !value_is_map(loaded) && has_values(job))
        g_set_error(&load_error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "expected a mapping but got %s",
                value_kind_name(value_kind(loaded)));
    if (load_error) {
        g_set_error(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, "error loading config from %s: %s",
                path, load_error->message);
        g_error_free(load_error);
        return NULL;
    }
    g_autoptr(Value) config = value_copy(loaded);
    if (!apply_params(config, job->source->params, error) || !apply_flags(config, job, error))
        return NULL;
    g_autofree char *text = encode(config, path, error);
    g_autofree char *dir = text ? new_generated_dir(job->run, error) : NULL;
    if (!dir)
        return NULL;
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *target = g_build_filename(dir, base, NULL);
    return fs_write(target, text, -1, error) ? g_steal_pointer(&target) : NULL;
}
