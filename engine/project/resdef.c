/* SPDX-License-Identifier: Apache-2.0 */
/* Resource definitions out of data. See resdef.h; the reference is guild/resourcedef.py. */
#include "engine/project/resdef.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/project/gfdata.h"

G_DEFINE_QUARK(resdef - error - quark, resdef_error)

/* In the reference's order, which its messages show. */
static const char *const source_types[] = {"config", "file", "module", "url", "operation", NULL};

static const char *const source_attrs[] = {"name", "sha256", "unpack", "type", "select",
        "select-min", "select-max", "warn-if-empty", "optional", "fail-if-empty", "rename", "help",
        "post-process", "target-path", "target-type", "replace-existing", "always-resolve", "path",
        "preserve-path", "params", "flag-name", NULL};

static void res_error(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);

static void res_error(GError **error, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_set_error_literal(error, RESDEF_ERROR, RESDEF_ERROR_FORMAT, msg);
}

static void select_free(gpointer p)
{
    ResSelect *s = p;
    g_free(s->pattern);
    g_free(s);
}

static void rename_free(gpointer p)
{
    ResRename *r = p;
    g_free(r->pattern);
    g_free(r->repl);
    g_free(r);
}

static void source_free(gpointer p)
{
    ResSource *s = p;
    char **texts[] = {&s->uri, &s->scheme, &s->path, &s->name, &s->flag_name, &s->sha256, &s->type,
            &s->target_path, &s->target_type, &s->help};
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        g_free(*texts[i]);
    if (s->select)
        g_ptr_array_unref(s->select);
    if (s->rename)
        g_ptr_array_unref(s->rename);
    value_unref(s->post_process);
    value_unref(s->params);
    g_free(s);
}

/* An attribute under its name with dashes or with underscores: the reference takes both. */
static Value *attr(const Value *data, const char *name)
{
    Value *v = value_map_get(data, name);
    if (!v) {
        g_autofree char *alt = g_strdelimit(g_strdup(name), "-", '_');
        v = value_map_get(data, alt);
    }
    return v && !value_is_null(v) ? v : NULL;
}

static gboolean attr_bool(const Value *data, const char *name, gboolean dflt)
{
    Value *v = attr(data, name);
    return v ? value_truthy(v) : dflt;
}

static gboolean attr_text(const Value *data, const char *name, char **out, GError **error)
{
    Value *v = attr(data, name);
    if (!v)
        return TRUE;
    if (value_is_list(v) || value_is_map(v)) {
        g_autofree char *repr = gf_repr(v);
        res_error(error, "invalid %s value %s: expected a string", name, repr);
        return FALSE;
    }
    g_free(*out);
    *out = value_str(v);
    return TRUE;
}

static gboolean add_select(
        ResSource *s, const Value *data, const char *name, SelectReduce reduce, GError **error)
{
    Value *v = attr(data, name);
    if (!v)
        return TRUE;
    if (!value_is_string(v) && !value_is_list(v)) {
        g_autofree char *text = gf_repr(v);
        res_error(error, "invalid %s val: %s", name, text);
        return FALSE;
    }
    gsize n = value_is_list(v) ? value_list_size(v) : 1;
    for (gsize i = 0; i < n; i++) {
        const Value *item = value_is_list(v) ? value_list_at(v, i) : v;
        ResSelect *sel = g_new0(ResSelect, 1);
        sel->pattern = value_str(item);
        sel->reduce = reduce;
        g_ptr_array_add(s->select, sel);
    }
    return TRUE;
}

static ResRename *rename_spec(const Value *v, GError **error)
{
    g_autofree char *repr = gf_repr(v);
    if (value_is_map(v)) {
        Value *pattern = value_map_get(v, "pattern");
        Value *repl = value_map_get(v, "repl");
        ResRename *r = g_new0(ResRename, 1);
        r->pattern = pattern ? value_str(pattern) : g_strdup("");
        r->repl = repl ? value_str(repl) : g_strdup("");
        return r;
    }
    if (!value_is_string(v)) {
        res_error(error, "invalid rename spec %s: expected string or map", repr);
        return NULL;
    }
    g_auto(GStrv) parts = text_shell_split(value_get_string(v), NULL);
    guint n = parts ? g_strv_length(parts) : 0;
    if (n != 1 && n != 2) {
        res_error(error, "invalid rename spec %s: expected 'PATTERN REPL' or 'NAME'", repr);
        return NULL;
    }
    ResRename *r = g_new0(ResRename, 1);
    r->pattern = g_strdup(n == 2 ? parts[0] : ".*");
    r->repl = g_strdup(parts[n - 1]);
    return r;
}

static gboolean read_rename(ResSource *s, const Value *data, GError **error)
{
    Value *v = attr(data, "rename");
    if (!v)
        return TRUE;
    s->rename = g_ptr_array_new_with_free_func(rename_free);
    gsize n = value_is_list(v) ? value_list_size(v) : 1;
    for (gsize i = 0; i < n; i++) {
        ResRename *r = rename_spec(value_is_list(v) ? value_list_at(v, i) : v, error);
        if (!r)
            return FALSE;
        g_ptr_array_add(s->rename, r);
    }
    return TRUE;
}

static gboolean read_target_path(const Value *data, const char *context, char **out, GError **error)
{
    gboolean both = value_truthy(attr(data, "target-path")) && value_truthy(attr(data, "path"));
    if (both)
        log_warning("target-path and path both specified for %s - using target-path", context);
    return attr_text(
            data, value_truthy(attr(data, "target-path")) ? "target-path" : "path", out, error);
}

static void warn_unknown_attrs(const ResSource *s, const Value *data, const char *type)
{
    g_autoptr(Value) sorted = gf_shallow_copy(data);
    value_map_sort(sorted);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const char *key = value_map_key_at(sorted, i);
        g_autofree char *dashed = g_strdelimit(g_strdup(key), "_", '-');
        if (g_strv_contains(source_attrs, dashed) || g_strv_contains(source_types, key))
            continue;
        g_autoptr(Value) name = value_new_string(ressource_resolving_name(s));
        g_autofree char *repr = value_repr(name);
        log_warning("unexpected source attribute '%s' in resource %s", dashed, repr);
    }
}

static void split_uri(ResSource *s)
{
    const char *colon = strchr(s->uri, ':');
    s->scheme = colon ? g_ascii_strdown(s->uri, colon - s->uri) : g_strdup("");
    const char *rest = colon ? colon + 1 : s->uri;
    if (!g_str_equal(s->scheme, "file") && g_str_has_prefix(rest, "//")) {
        const char *slash = strchr(rest + 2, '/');
        rest = slash ? slash : "";
        s->path = g_strndup(rest, strcspn(rest, "?#"));
        return;
    }
    if (g_str_has_prefix(rest, "///")) /* file:///PATH, with no host */
        rest += 2;
    s->path = g_strdup(rest);
}

static gboolean read_source_attrs(
        ResSource *s, const ResourceDef *r, const Value *data, GError **error)
{
    const struct {
        const char *name;
        char **field;
    } texts[] = {
            {"name", &s->name},
            {"flag-name", &s->flag_name},
            {"sha256", &s->sha256},
            {"type", &s->type},
            {"target-type", &s->target_type},
            {"help", &s->help},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(texts); i++)
        if (!attr_text(data, texts[i].name, texts[i].field, error))
            return FALSE;
    Value *flag_name = attr(data, "flag-name");
    if (flag_name && value_kind(flag_name) == VALUE_BOOL && !value_get_bool(flag_name)) {
        s->no_flag = TRUE;
        g_clear_pointer(&s->flag_name, g_free);
    }
    s->unpack = attr_bool(data, "unpack", r->default_unpack);
    s->optional = attr_bool(data, "optional", FALSE);
    s->warn_if_empty = attr_bool(data, "warn-if-empty", TRUE);
    s->fail_if_empty = attr_bool(data, "fail-if-empty", FALSE);
    s->preserve_path = attr_bool(data, "preserve-path", FALSE);
    s->replace_existing = attr_bool(data, "replace-existing", -1);
    s->always_resolve = attr_bool(data, "always-resolve", -1);
    s->post_process = value_ref(attr(data, "post-process"));
    s->params = value_is_map(attr(data, "params")) ? value_ref(attr(data, "params")) : NULL;
    g_autofree char *context = g_strdup_printf("source %s", ressource_resolving_name(s));
    return add_select(s, data, "select", SELECT_ALL, error) &&
           add_select(s, data, "select-min", SELECT_MIN, error) &&
           add_select(s, data, "select-max", SELECT_MAX, error) && read_rename(s, data, error) &&
           read_target_path(data, context, &s->target_path, error);
}

static ResSource *source_new(
        const ResourceDef *r, const char *type, const char *val, const Value *data, GError **error)
{
    ResSource *s = g_new0(ResSource, 1);
    s->select = g_ptr_array_new_with_free_func(select_free);
    s->uri = g_str_equal(type, "url") ? g_strdup(val) : g_strdup_printf("%s:%s", type, val);
    split_uri(s);
    if (!read_source_attrs(s, r, data, error)) {
        source_free(s);
        return NULL;
    }
    warn_unknown_attrs(s, data, type);
    return s;
}

static ResSource *source_for_map(const ResourceDef *r, const Value *data, GError **error)
{
    const char *type = NULL;
    g_autoptr(GPtrArray) given = g_ptr_array_new();
    for (int i = 0; source_types[i]; i++)
        if (gf_get_truthy(data, source_types[i])) {
            type = type ? type : source_types[i];
            g_ptr_array_add(given, (char *)source_types[i]);
        }
    g_autofree char *repr = gf_repr(data);
    if (!given->len) {
        g_autofree char *types = g_strjoinv(", ", (char **)source_types);
        res_error(error,
                "invalid source %s in resource '%s': missing required attribute (one of %s)", repr,
                r->fullname, types);
        return NULL;
    }
    if (given->len > 1) {
        g_ptr_array_add(given, NULL);
        g_autofree char *names = g_strjoinv(", ", (char **)given->pdata);
        res_error(error, "invalid source %s in resource '%s': conflicting attributes (%s)", repr,
                r->fullname, names);
        return NULL;
    }
    const Value *v = value_map_get(data, type);
    if (value_is_map(v) || value_is_list(v)) {
        res_error(error, "invalid source %s in resource '%s': '%s' must be a string", repr,
                r->fullname, type);
        return NULL;
    }
    g_autofree char *val = value_str(v);
    return source_new(r, type, val, data, error);
}

static gboolean read_sources(ResourceDef *r, const Value *data, GError **error)
{
    const Value *sources = value_map_get(data, "sources");
    if (!sources)
        return TRUE;
    if (!value_is_list(sources)) {
        g_autofree char *repr = gf_repr(sources);
        res_error(error, "invalid sources value for resource '%s': %s", r->fullname, repr);
        return FALSE;
    }
    g_autoptr(Value) none = value_new_map();
    for (gsize i = 0; i < value_list_size(sources); i++) {
        const Value *item = value_list_at(sources, i);
        ResSource *s = NULL;
        if (value_is_map(item))
            s = source_for_map(r, item, error);
        else if (value_is_string(item))
            s = source_new(r, "file", value_get_string(item), none, error);
        else {
            g_autofree char *repr = gf_repr(item);
            res_error(error, "invalid source for resource '%s': %s", r->fullname, repr);
        }
        if (!s)
            return FALSE;
        g_ptr_array_add(r->sources, s);
    }
    return TRUE;
}

static gboolean read_attrs(ResourceDef *r, const Value *data, GError **error)
{
    if (!attr_text(data, "description", &r->description, error) ||
            !attr_text(data, "target-type", &r->target_type, error))
        return FALSE;
    if (!r->description)
        r->description = g_strdup("");
    r->preserve_path = gf_get_truthy(data, "preserve-path");
    r->default_unpack = attr_bool(data, "default-unpack", TRUE);
    r->is_private = gf_get_truthy(data, "private");
    r->references = value_ref(gf_get(data, "references"));
    if (!read_sources(r, data, error))
        return FALSE;
    g_autofree char *name = resdef_resolving_name(r);
    g_autofree char *context = g_strdup_printf("resource %s", name);
    return read_target_path(data, context, &r->target_path, error);
}

ResourceDef *resdef_new(const char *name, const Value *data, const char *model_name, GError **error)
{
    if (!value_is_map(data) && !value_is_list(data)) {
        g_autofree char *repr = gf_repr(data);
        g_set_error(error, RESDEF_ERROR, RESDEF_ERROR_VALUE,
                "invalid resource value %s: expected a mapping or a list", repr);
        return NULL;
    }
    g_autoptr(ResourceDef) r = g_new0(ResourceDef, 1);
    r->name = g_strdup(name);
    r->fullname = g_strdup_printf("%s:%s", model_name, name && *name ? name : "<inline>");
    r->sources = g_ptr_array_new_with_free_func(source_free);
    if (value_is_list(data)) {
        r->data = value_new_map();
        value_set_line(r->data, value_line(data));
        value_map_set(r->data, "sources", value_ref((Value *)data));
    } else
        r->data = value_ref((Value *)data);
    if (!read_attrs(r, r->data, error))
        return NULL;
    return g_steal_pointer(&r);
}

void resdef_free(ResourceDef *r)
{
    if (!r)
        return;
    g_free(r->name);
    g_free(r->fullname);
    value_unref(r->data);
    g_free(r->description);
    g_free(r->target_type);
    value_unref(r->references);
    if (r->sources)
        g_ptr_array_unref(r->sources);
    g_free(r->target_path);
    g_free(r);
}

char *resdef_resolving_name(const ResourceDef *r)
{
    if (r->name && *r->name)
        return g_strdup(r->name);
    GString *names = g_string_new(NULL);
    for (guint i = 0; i < r->sources->len; i++) {
        if (i)
            g_string_append_c(names, ',');
        g_string_append(names, ressource_resolving_name(r->sources->pdata[i]));
    }
    if (!names->len)
        g_string_append(names, "resource");
    return g_string_free(names, FALSE);
}

const char *ressource_resolving_name(const ResSource *s)
{
    if (s->name && *s->name)
        return s->name;
    return s->flag_name && *s->flag_name ? s->flag_name : s->uri;
}

gboolean ressource_is_operation(const ResSource *s)
{
    return g_str_equal(s->scheme, "operation");
}

const char *ressource_project_local_path(const ResSource *s)
{
    return g_str_equal(s->scheme, "file") || g_str_equal(s->scheme, "config") ? s->path : NULL;
}
