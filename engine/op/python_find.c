/* SPDX-License-Identifier: Apache-2.0 */
/* Interpreters by version; see python_find.h. */
#include "engine/op/python_find.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/op/op.h"
#include "engine/project/python_exe.h"

/* Numbers of "3.11" by place, missing ones 0; at most `places` are looked at. */
static int compare_versions(const char *a, const char *b, guint places)
{
    for (guint i = 0; i < places && (*a || *b); i++) {
        char *end;
        long x = strtol(a, &end, 10);
        a = *end == '.' ? end + 1 : end + strlen(end);
        long y = strtol(b, &end, 10);
        b = *end == '.' ? end + 1 : end + strlen(end);
        if (x != y)
            return x < y ? -1 : 1;
    }
    return 0;
}

static guint n_places(const char *version)
{
    guint n = *version ? 1 : 0;
    for (; *version; version++)
        n += *version == '.';
    return n;
}

static gboolean clause_fits(const char *version, const char *clause)
{
    static const char *const operators[] = {"===", "==", "!=", "<=", ">=", "~=", "<", ">", ""};
    guint i = 0;
    while (!g_str_has_prefix(clause, operators[i]))
        i++;
    g_autofree char *wanted = g_strstrip(g_strdup(clause + strlen(operators[i])));
    guint places = G_MAXUINT;
    if (g_str_has_suffix(wanted, ".*")) {
        wanted[strlen(wanted) - 2] = '\0';
        places = n_places(wanted);
    }
    int c = compare_versions(version, wanted, places);
    switch (operators[i][0]) {
    case '!':
        return c != 0;
    case '<':
        return operators[i][1] ? c <= 0 : c < 0;
    case '>':
        return operators[i][1] ? c >= 0 : c > 0;
    case '~':
        return c >= 0 && compare_versions(version, wanted, MAX(n_places(wanted), 2) - 1) == 0;
    default:
        return c == 0;
    }
}

gboolean python_version_fits(const char *version, const char *spec)
{
    g_auto(GStrv) clauses = g_strsplit(spec, ",", -1);
    for (char **c = clauses; *c; c++)
        if (*g_strstrip(*c) && !clause_fits(version, *c))
            return FALSE;
    return TRUE;
}

static gint compare_paths(gconstpointer a, gconstpointer b)
{
    return text_natural_compare(*(const char *const *)a, *(const char *const *)b);
}

char *python_find(const Value *requires, GError **error)
{
    g_autofree char *usual = python_exe(error);
    if (!usual)
        return NULL;
    g_autofree char *spec = value_str(requires);
    g_autofree char *dir = g_path_get_dirname(usual);
    g_auto(GStrv) names = fs_list(dir, NULL);
    g_autoptr(GPtrArray) fits = g_ptr_array_new();
    for (char **n = names; n && *n; n++) {
        const char *version = g_str_has_prefix(*n, "python") ? *n + 6 : "";
        if (*version && version[strspn(version, "0123456789.")] == '\0' &&
                python_version_fits(version, spec))
            g_ptr_array_add(fits, *n);
    }
    if (fits->len) {
        g_ptr_array_sort(fits, compare_paths);
        return g_build_filename(dir, g_ptr_array_index(fits, 0), NULL);
    }
    g_autofree char *repr = value_repr(requires);
    g_set_error(error, OP_ERROR, OP_ERROR_CMD,
            "cannot find a python interpreter for requirement %s", repr);
    return NULL;
}
