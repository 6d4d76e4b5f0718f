/* SPDX-License-Identifier: Apache-2.0 */
/* Operation references: one line of shell words in `.guild/opref`. See opref.h. */
#include "engine/run/opref.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"

G_DEFINE_QUARK(opref - error - quark, opref_error)

OpRef *opref_new(const char *pkg_type, const char *pkg_name, const char *pkg_version,
        const char *model_name, const char *op_name)
{
    OpRef *ref = g_new0(OpRef, 1);
    ref->pkg_type = g_strdup(pkg_type ? pkg_type : "");
    ref->pkg_name = g_strdup(pkg_name ? pkg_name : "");
    ref->pkg_version = g_strdup(pkg_version ? pkg_version : "");
    ref->model_name = g_strdup(model_name ? model_name : "");
    ref->op_name = g_strdup(op_name ? op_name : "");
    return ref;
}

OpRef *opref_copy(const OpRef *ref)
{
    OpRef *copy = g_new0(OpRef, 1);
    copy->pkg_type = g_strdup(ref->pkg_type);
    copy->pkg_name = g_strdup(ref->pkg_name);
    copy->pkg_version = g_strdup(ref->pkg_version);
    copy->model_name = g_strdup(ref->model_name);
    copy->op_name = g_strdup(ref->op_name);
    return copy;
}

void opref_free(OpRef *ref)
{
    if (!ref)
        return;
    g_free(ref->pkg_type);
    g_free(ref->pkg_name);
    g_free(ref->pkg_version);
    g_free(ref->model_name);
    g_free(ref->op_name);
    g_free(ref);
}

OpRef *opref_parse(const char *text, GError **error)
{
    g_auto(GStrv) parts = text_shell_split(text, NULL);
    char *colon = parts && g_strv_length(parts) == 4 ? strchr(parts[0], ':') : NULL;
    if (!colon) {
        g_set_error(error, OPREF_ERROR, OPREF_ERROR_INVALID, "invalid opref '%s'", text);
        return NULL;
    }
    *colon = '\0';
    return opref_new(parts[0], colon + 1, parts[1], parts[2], parts[3]);
}

OpRef *opref_for_string(const char *text, GError **error)
{
    static GRegex *regex;
    static gsize once;
    if (g_once_init_enter(&once)) {
        regex = g_regex_new("^(?:(?:([^/]+)/)?([^:]+):)?([^/:]+)$", G_REGEX_OPTIMIZE, 0, NULL);
        g_once_init_leave(&once, 1);
    }
    g_autoptr(GMatchInfo) match = NULL;
    if (!g_regex_match(regex, text, 0, &match)) {
        g_set_error(error, OPREF_ERROR, OPREF_ERROR_INVALID, "invalid reference: '%s'", text);
        return NULL;
    }
    g_auto(GStrv) parts = g_new0(char *, 4);
    for (int i = 0; i < 3; i++)
        parts[i] = g_match_info_fetch(match, i + 1);
    OpRef *ref = g_new0(OpRef, 1);
    ref->pkg_name = parts[0][0] ? g_strdup(parts[0]) : NULL;
    ref->model_name = parts[1][0] ? g_strdup(parts[1]) : NULL;
    ref->op_name = g_strdup(parts[2]);
    return ref;
}

char *opref_to_string(const OpRef *ref)
{
    const char *parts[] = {
            ref->pkg_type, ref->pkg_name, ref->pkg_version, ref->model_name, ref->op_name};
    const char *before[] = {"", ":", " ", " ", " "};
    GString *out = g_string_new(NULL);
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *quoted = text_shell_quote(parts[i] ? parts[i] : "");
        g_string_append(out, before[i]);
        g_string_append(out, quoted);
    }
    return g_string_free(out, FALSE);
}

char *opref_to_opspec(const OpRef *ref, const char *cwd)
{
    if (g_strcmp0(ref->pkg_type, "script") == 0) {
        char *path = fs_join(ref->pkg_name, ref->op_name);
        if (!cwd)
            return path;
        char *rel = fs_relpath(path, cwd);
        g_free(path);
        return rel;
    }
    GString *out = g_string_new(NULL);
    if (g_strcmp0(ref->pkg_type, "package") == 0 && ref->pkg_name && *ref->pkg_name)
        g_string_append_printf(out, "%s/", ref->pkg_name);
    if (ref->model_name && *ref->model_name)
        g_string_append_printf(out, "%s:", ref->model_name);
    if (ref->op_name)
        g_string_append(out, ref->op_name);
    return g_string_free(out, FALSE);
}

static gboolean part_matches(const char *value, const char *pattern)
{
    return !pattern || g_strcmp0(value, pattern) == 0;
}

static gboolean name_matches(const char *value, const char *pattern, gboolean regex)
{
    if (!pattern)
        return TRUE;
    if (!regex || strcmp(pattern, "+") == 0)
        return g_strcmp0(value, pattern) == 0;
    /* Python's re.match(PATTERN + "$"): alternatives are not grouped. */
    g_autofree char *whole = g_strconcat(pattern, "$", NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(GRegex) compiled = g_regex_new(whole, 0, G_REGEX_MATCH_ANCHORED, &error);
    if (!compiled) {
        log_warning("error comparing %s using %s: %s", value, pattern, error->message);
        return FALSE;
    }
    return g_regex_match(compiled, value ? value : "", G_REGEX_MATCH_ANCHORED, NULL);
}

gboolean opref_matches(const OpRef *run_ref, const OpRef *pattern, gboolean regex)
{
    return part_matches(run_ref->pkg_type, pattern->pkg_type) &&
           part_matches(run_ref->pkg_name, pattern->pkg_name) &&
           part_matches(run_ref->pkg_version, pattern->pkg_version) &&
           name_matches(run_ref->model_name, pattern->model_name, regex) &&
           name_matches(run_ref->op_name, pattern->op_name, regex);
}

gboolean opref_equal(const OpRef *a, const OpRef *b)
{
    return g_strcmp0(a->pkg_type, b->pkg_type) == 0 && g_strcmp0(a->pkg_name, b->pkg_name) == 0 &&
           g_strcmp0(a->pkg_version, b->pkg_version) == 0 &&
           g_strcmp0(a->model_name, b->model_name) == 0 && g_strcmp0(a->op_name, b->op_name) == 0;
}
