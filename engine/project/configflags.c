/* SPDX-License-Identifier: Apache-2.0 */
/* Flags of configuration files. See configflags.h. */
#include "engine/project/configflags.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/ini.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"
#include "engine/project/gfmodel.h"

#define CONFIG_MAX_BYTES (16 * 1024 * 1024)
#define NESTING_MAX 64

static Value *parse_json(const char *text, const char *name, GError **error)
{
    return json_parse(text, -1, name, error);
}

static Value *parse_yaml(const char *text, const char *name, GError **error)
{
    return yaml_parse(text, -1, name, error);
}

/* By extension; NAME.json.in is a template of NAME.json. */
static Value *load_config(const char *src, const char *path, GError **error)
{
    static const struct {
        const char *ext;
        Value *(*parse)(const char *text, const char *name, GError **error);
    } kinds[] = {
            {".yaml", parse_yaml},
            {".yml", parse_yaml},
            {".json", parse_json},
            {".ini", ini_parse},
            {".cfg", ini_parse},
    };
    g_autofree char *name = g_ascii_strdown(src, -1);
    while (g_str_has_suffix(name, ".in"))
        name[strlen(name) - 3] = '\0';
    for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_has_suffix(name, kinds[i].ext)) {
            if (!fs_is_file(path)) {
                g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                        "[Errno 2] No such file or directory: '%s'", src);
                return NULL;
            }
            g_autofree char *text = fs_read(path, CONFIG_MAX_BYTES, NULL, error);
            return text ? kinds[i].parse(text, path, error) : NULL;
        }
    g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "config type for %s not supported", src);
    return NULL;
}

static const char *type_of(const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_STRING:
        return "string";
    case VALUE_BOOL:
        return "boolean";
    case VALUE_INT:
    case VALUE_FLOAT:
        return "number";
    default:
        return NULL;
    }
}

/* A list as words for a shell, each as YAML writes it. */
static char *joined_list(const Value *list)
{
    g_autoptr(GString) out = g_string_new(NULL);
    for (gsize i = 0; i < value_list_size(list); i++) {
        g_autofree char *yaml = yaml_dump(value_list_at(list, i));
        g_autofree char *quoted = text_shell_quote(yaml);
        g_string_append_printf(out, "%s%s", i ? " " : "", quoted);
    }
    return g_strdup(out->str);
}

static Value *flag_data(Value *v)
{
    Value *data = value_new_map();
    if (value_is_list(v)) {
        g_autofree char *joined = joined_list(v);
        value_map_set_string(data, "default", joined);
        value_map_set(data, "arg-split", value_new_bool(TRUE));
    } else
        value_map_set(data, "default", value_ref(v));
    if (type_of(v))
        value_map_set_string(data, "type", type_of(v));
    return data;
}

/* {a: {b: 1}} is the flag a.b. */
static void add_flags(const Value *config, const char *prefix, guint depth, Value *flags)
{
    for (gsize i = 0; value_is_map(config) && i < value_map_size(config) && depth < NESTING_MAX;
            i++) {
        Value *v = value_map_at(config, i);
        g_autofree char *name = g_strconcat(prefix, value_map_key_at(config, i), NULL);
        if (value_is_map(v)) {
            g_autofree char *deeper = g_strconcat(name, ".", NULL);
            add_flags(v, deeper, depth + 1, flags);
        } else if (!value_is_timestamp(v)) /* a date is no value that a flag can have */
            value_map_set(flags, name, flag_data(v));
    }
}

static ResSource *find_source(const OpDef *op, const char *uri)
{
    for (guint i = 0; i < op->dependencies->len; i++) {
        const OpDependencyDef *d = op->dependencies->pdata[i];
        const ResourceDef *r = d->inline_resource;
        if (!r)
            r = modeldef_resource(op->modeldef, d->spec);
        for (guint j = 0; r && j < r->sources->len; j++) {
            ResSource *s = r->sources->pdata[j];
            if (g_str_equal(s->uri, uri))
                return s;
        }
    }
    return NULL;
}

/* The file is resolved into the run anew at each start, so that a restart sees new flag values. */
static void ensure_dependency(OpDef *op, const char *src)
{
    g_autofree char *uri = g_strconcat("config:", src, NULL);
    ResSource *s = find_source(op, uri);
    if (s) {
        if (s->always_resolve < 0)
            s->always_resolve = TRUE;
        if (s->replace_existing < 0)
            s->replace_existing = TRUE;
        return;
    }
    g_autoptr(Value) data = value_new_map();
    value_map_set_string(data, "config", src);
    value_map_set(data, "replace-existing", value_new_bool(TRUE));
    value_map_set(data, "always-resolve", value_new_bool(TRUE));
    g_autofree char *dir = g_path_get_dirname(src);
    if (!g_str_equal(dir, "."))
        value_map_set_string(data, "target-path", dir);
    g_autoptr(GError) err = NULL;
    if (!opdef_add_dependency(op, data, &err))
        log_warning("%s", err->message);
}

void configflags_apply(OpDef *op)
{
    if (!op->flags_dest || !g_str_has_prefix(op->flags_dest, "config:"))
        return;
    const char *src = op->flags_dest + strlen("config:");
    g_autofree char *path = fs_join(op->guildfile->dir ? op->guildfile->dir : ".", src);
    g_autoptr(GError) err = NULL;
    pyflags_note("### Script flags for %s", op->fullname);
    if (pyflags_import_disabled(op))
        pyflags_note("flags import disabled - skipping");
    else {
        g_autoptr(Value) config = load_config(src, path, &err);
        if (config) {
            g_autoptr(Value) flags = value_new_map();
            add_flags(config, "", 0, flags);
            pyflags_merge(op, flags);
        } else
            log_warning("%s", err->message);
    }
    ensure_dependency(op, src);
}
