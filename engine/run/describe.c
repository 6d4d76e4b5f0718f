/* SPDX-License-Identifier: Apache-2.0 */
/* Names and texts for listings. See describe.h. */
#include "engine/run/describe.h"

#include <string.h>

#include "engine/base/clock.h"
#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"

#define SHORT_DIR_CHARS 28
#define MAX_PROTO_DEPTH 8

static char *model_and_op(const OpRef *ref)
{
    return *ref->model_name ? g_strconcat(ref->model_name, ":", ref->op_name, NULL)
                            : g_strdup(ref->op_name);
}

static char *base_operation(const OpRef *ref)
{
    static const char *const plain_types[] = {
            "guildfile", "script", "builtin", "test", "import", NULL};
    g_autofree char *name = model_and_op(ref);
    if (g_strv_contains(plain_types, ref->pkg_type))
        return g_steal_pointer(&name);
    if (strcmp(ref->pkg_type, "package") == 0)
        return g_strconcat(ref->pkg_name, "/", name, NULL);
    if (strcmp(ref->pkg_type, "pending") == 0)
        return g_strdup(ref->op_name);
    if (strcmp(ref->pkg_type, "func") == 0)
        return g_strconcat(ref->op_name, "()", NULL);
    log_debug("cannot format op desc, unexpected pkg type: %s (%s)", ref->pkg_type, ref->pkg_name);
    return g_strdup("?");
}

/* A proto may itself be a batch; the depth stops one that contains itself through a link. */
static char *operation_at_depth(Run *run, guint depth)
{
    const OpRef *ref = run_peek_opref(run);
    if (!ref)
        return g_strdup("?");
    g_autofree char *base = base_operation(ref);
    g_autoptr(Run) proto = depth < MAX_PROTO_DEPTH ? run_batch_proto(run) : NULL;
    if (!proto)
        return g_steal_pointer(&base);
    g_autofree char *inner = operation_at_depth(proto, depth + 1);
    return g_strconcat(inner, base[0] == '+' ? "" : "+", base, NULL);
}

char *run_format_operation(Run *run)
{
    return operation_at_depth(run, 0);
}

char *run_format_dir(const char *dir)
{
    g_autofree char *abs = fs_abspath(dir, NULL);
    g_autofree char *home = fs_expanduser("~");
    if (!g_str_has_prefix(abs, home))
        return g_steal_pointer(&abs);
    const char *rest = abs + strlen(home);
    return g_strconcat("~/", *rest ? rest + 1 : "", NULL);
}

char *run_format_from(Run *run)
{
    const OpRef *ref = run_peek_opref(run);
    if (!ref)
        return NULL;
    if (strcmp(ref->pkg_type, "guildfile") == 0 || strcmp(ref->pkg_type, "script") == 0)
        return run_format_dir(ref->pkg_name);
    if (strcmp(ref->pkg_type, "package") == 0)
        return g_strconcat(ref->pkg_name, "==", ref->pkg_version, NULL);
    return g_strdup(ref->pkg_name);
}

char *run_op_dir(Run *run)
{
    g_autoptr(Run) proto = run_batch_proto(run);
    const OpRef *ref = run_peek_opref(proto ? proto : run);
    if (!ref)
        return NULL;
    if (strcmp(ref->pkg_type, "script") == 0)
        return g_strdup(ref->pkg_name);
    if (strcmp(ref->pkg_type, "guildfile") != 0 && strcmp(ref->pkg_type, "import") != 0)
        return NULL;
    /* os.path.dirname: "" for a name without a slash. */
    const char *slash = strrchr(ref->pkg_name, '/');
    gsize len = slash == ref->pkg_name ? 1 : slash ? (gsize)(slash - ref->pkg_name) : 0;
    return g_strndup(ref->pkg_name, len);
}

/* "/a//b" into "/a", "/b": leading and doubled slashes stay with the part behind them. */
static GPtrArray *split_path(const char *path)
{
    GPtrArray *parts = g_ptr_array_new_with_free_func(g_free);
    const char *p = path;
    while (*p) {
        const char *start = p;
        while (*p == '/')
            p++;
        while (*p && *p != '/')
            p++;
        g_ptr_array_add(parts, g_strndup(start, (gsize)(p - start)));
        if (*p == '/')
            p++;
    }
    return parts;
}

static gsize chars_with_slashes(GPtrArray *parts)
{
    gsize n = 0;
    for (guint i = 0; i < parts->len; i++)
        n += (gsize)g_utf8_strlen(parts->pdata[i], -1) + 1;
    return n;
}

static char *join_shortened(GPtrArray *left, GPtrArray *right)
{
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < left->len; i++)
        g_string_append_printf(out, "%s%s", i ? "/" : "", (char *)left->pdata[i]);
    g_string_append(out, "/\xe2\x80\xa6");
    for (guint i = right->len; i-- > 0;)
        g_string_append_printf(out, "/%s", (char *)right->pdata[i]);
    return g_string_free(out, FALSE);
}

char *run_shorten_path(const char *path, guint max_chars)
{
    if (g_utf8_strlen(path, -1) <= max_chars)
        return g_strdup(path);
    g_autoptr(GPtrArray) parts = split_path(path);
    if (parts->len <= 1)
        return g_strdup(path);
    g_autoptr(GPtrArray) left = g_ptr_array_new(), right = g_ptr_array_new();
    guint from = 0, to = parts->len;
    g_ptr_array_add(right, parts->pdata[--to]);
    gboolean take_right = path[0] != '/';
    if (take_right)
        g_ptr_array_add(left, parts->pdata[from++]);
    while (from < to) {
        char *part = take_right ? parts->pdata[--to] : parts->pdata[from++];
        gsize length = chars_with_slashes(left) + chars_with_slashes(right) +
                       (gsize)g_utf8_strlen(part, -1) + 1;
        if (length >= max_chars)
            break;
        g_ptr_array_add(take_right ? right : left, part);
        take_right = !take_right;
    }
    g_autofree char *shortened = join_shortened(left, right);
    if (g_utf8_strlen(shortened, -1) >= g_utf8_strlen(path, -1))
        return g_strdup(path);
    return g_steal_pointer(&shortened);
}

/* What is left of `path` below `start`; NULL if it is not below it. */
static const char *subpath(const char *path, const char *start)
{
    gsize n = strlen(start);
    gboolean slash = n > 0 && start[n - 1] == '/';
    if (strcmp(path, start) == 0 || strncmp(path, start, n) != 0 || (!slash && path[n] != '/'))
        return NULL;
    return path + n + (slash ? 0 : 1);
}

char *run_shorten_op_dir(const char *op_dir, const char *cwd)
{
    const char *below = subpath(op_dir, cwd);
    if (below)
        return run_shorten_path(below, SHORT_DIR_CHARS);
    g_autofree char *parent = g_path_get_dirname(cwd);
    if (strcmp(parent, op_dir) == 0)
        return g_strdup("../");
    const char *peer = subpath(op_dir, parent);
    g_autofree char *path = peer ? g_strconcat("../", peer, NULL) : run_format_dir(op_dir);
    return run_shorten_path(path, SHORT_DIR_CHARS);
}

char *run_format_timestamp(gint64 us)
{
    return us ? clock_format_local(us) : g_strdup("");
}

char *run_format_duration(Run *run)
{
    gint64 started = run_attr_int(run, "started", 0), stopped = run_attr_int(run, "stopped", 0);
    if (!started)
        return NULL;
    if (run_status(run) == RUN_RUNNING)
        return clock_format_duration(started, 0);
    return stopped ? clock_format_duration(started, stopped) : NULL;
}

static char *format_attr_lines(const Value *v)
{
    GString *out = g_string_new("\n");
    gboolean is_map = value_is_map(v);
    g_autoptr(Value) sorted = is_map ? value_copy(v) : NULL;
    if (sorted)
        value_map_sort(sorted);
    gsize n = is_map ? value_map_size(sorted) : value_list_size(v);
    for (gsize i = 0; i < n; i++) {
        g_autofree char *item =
                run_format_attr(is_map ? value_map_at(sorted, i) : value_list_at(v, i));
        g_string_append(out, i ? "\n  " : "  ");
        if (is_map)
            g_string_append_printf(out, "%s: ", value_map_key_at(sorted, i));
        g_string_append(out, item);
    }
    return g_string_free(out, FALSE);
}

char *run_format_attr(const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        return g_strdup("");
    case VALUE_STRING:
        return g_strdup(value_get_string(v));
    case VALUE_LIST:
    case VALUE_MAP:
        return format_attr_lines(v);
    default:
        return flagval_encode(v);
    }
}

/* --- attributes by name --- */

static Value *take_text(char *text /* taken over; NULL gives NULL */)
{
    Value *v = text ? value_new_string(text) : NULL;
    g_free(text);
    return v;
}

static Value *named_id(Run *run)
{
    return value_new_string(run_id(run));
}

static Value *named_short_id(Run *run)
{
    return take_text(run_short_id(run));
}

static Value *named_operation(Run *run)
{
    return take_text(run_format_operation(run));
}

static Value *named_from(Run *run)
{
    return take_text(run_format_from(run));
}

static Value *named_op(Run *run)
{
    const OpRef *ref = run_peek_opref(run);
    return ref ? value_new_string(ref->op_name) : NULL;
}

static Value *named_op_model(Run *run)
{
    const OpRef *ref = run_peek_opref(run);
    return ref ? value_new_string(ref->model_name) : NULL;
}

static Value *named_sourcecode(Run *run)
{
    g_autofree char *digest = run_attr_text(run, "sourcecode_digest");
    return take_text(g_strndup(digest ? digest : "", 8));
}

static Value *named_started(Run *run)
{
    return take_text(run_format_timestamp(run_attr_int(run, "started", 0)));
}

static Value *named_stopped(Run *run)
{
    return take_text(run_format_timestamp(run_attr_int(run, "stopped", 0)));
}

static Value *named_status(Run *run)
{
    return value_new_string(run_status_name(run_status(run)));
}

static Value *named_time(Run *run)
{
    return take_text(run_format_duration(run));
}

static const struct {
    const char *name;
    Value *(*get)(Run *run);
} core_attrs[] = {
        {"id", named_id},
        {"run", named_short_id},
        {"short_id", named_short_id},
        {"operation", named_operation},
        {"from", named_from},
        {"op", named_op},
        {"op_model", named_op_model},
        {"sourcecode", named_sourcecode},
        {"started", named_started},
        {"stopped", named_stopped},
        {"status", named_status},
        {"time", named_time},
};

gboolean run_is_core_attr(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(core_attrs); i++)
        if (strcmp(core_attrs[i].name, name) == 0)
            return TRUE;
    return FALSE;
}

Value *run_named_attr(Run *run, const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(core_attrs); i++)
        if (strcmp(core_attrs[i].name, name) == 0)
            return core_attrs[i].get(run);
    Value *v = run_opdef_attr(run, name);
    return v ? v : run_try_attr(run, name);
}
