/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a folder, an archive or a run a source means: `select`, `select-min`,
 * `select-max`, and the rules where there is none. */
#include "engine/deps/source.h"

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/run/manifest.h"

#include <string.h>

static gint compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *strings_new(void)
{
    return g_ptr_array_new_with_free_func(g_free);
}

/* Keys of a set of strings, sorted, each joined to root. The set keeps its keys. */
static GPtrArray *sorted_joined(GHashTable *set, const char *root)
{
    GPtrArray *paths = strings_new();
    GHashTableIter it;
    gpointer key;
    g_hash_table_iter_init(&it, set);
    while (g_hash_table_iter_next(&it, &key, NULL))
        g_ptr_array_add(paths, g_build_filename(root, key, NULL));
    g_ptr_array_sort(paths, compare_strings);
    return paths;
}

static GRegex *compile(const char *pattern)
{
    g_autofree char *whole = g_strconcat(pattern, "$", NULL);
    GError *error = NULL;
    GRegex *re = g_regex_new(whole, G_REGEX_OPTIMIZE, G_REGEX_MATCH_ANCHORED, &error);
    if (!re) {
        log_error("error compiling regular expression '%s': %s", pattern, error->message);
        g_error_free(error);
    }
    return re;
}

/* Group 1 as a number; FALSE if there is none. */
static gboolean match_number(const GMatchInfo *m, double *number)
{
    g_autofree char *text = g_match_info_get_match_count(m) > 1 ? g_match_info_fetch(m, 1) : NULL;
    char *end = NULL;
    if (!text || !*text)
        return FALSE;
    *number = g_ascii_strtod(text, &end);
    return !*end;
}

static void apply_select(const ResSelect *select, const GPtrArray *sorted, GHashTable *picked)
{
    g_autoptr(GRegex) re = compile(select->pattern);
    const char *best = NULL;
    double best_number = 0;
    for (guint i = 0; re && i < sorted->len; i++) {
        g_autoptr(GMatchInfo) m = NULL;
        double number;
        if (!g_utf8_validate(sorted->pdata[i], -1, NULL) ||
                !g_regex_match(re, sorted->pdata[i], 0, &m))
            continue;
        if (select->reduce == SELECT_ALL) {
            g_hash_table_add(picked, sorted->pdata[i]);
        } else if (match_number(m, &number) &&
                   (!best || (select->reduce == SELECT_MIN ? number < best_number
                                                           : number > best_number))) {
            best = sorted->pdata[i];
            best_number = number;
        }
    }
    if (best)
        g_hash_table_add(picked, (gpointer)best);
}

GPtrArray *source_select(const ResSource *source, const char *root, const GPtrArray *rel_paths)
{
    g_autoptr(GPtrArray) sorted = g_ptr_array_new();
    for (guint i = 0; i < rel_paths->len; i++)
        g_ptr_array_add(sorted, rel_paths->pdata[i]);
    g_ptr_array_sort(sorted, compare_strings);
    g_autoptr(GHashTable) picked = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < source->select->len; i++)
        apply_select(source->select->pdata[i], sorted, picked);
    return sorted_joined(picked, root);
}

static gboolean add_path(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    g_ptr_array_add(data, g_strdup(rel));
    return TRUE;
}

GPtrArray *source_all_paths(const char *dir, GError **error)
{
    g_autoptr(GPtrArray) paths = strings_new();
    return fs_walk(dir, FALSE, add_path, paths, error) ? g_steal_pointer(&paths) : NULL;
}

GPtrArray *source_top_paths(const char *root, const GPtrArray *rel_paths)
{
    g_autoptr(GHashTable) tops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < rel_paths->len; i++) {
        const char *rel = rel_paths->pdata[i];
        if (!g_str_has_prefix(rel, ".guild"))
            g_hash_table_add(tops, g_strndup(rel, strcspn(rel, "/")));
    }
    return sorted_joined(tops, root);
}

/* ---- files that a run made ---- */

typedef struct Generated {
    GHashTable *kinds; /* path in the manifest -> first letter of its kind */
    int legacy;
    GHashTable *tops;
} Generated;

/* Kind of the entry for a path or of a folder that it is in; 0 if the run made it. */
static char entry_kind(GHashTable *kinds, const char *rel)
{
    g_autofree char *path = g_strdup(rel);
    for (;;) {
        char kind = (char)GPOINTER_TO_INT(g_hash_table_lookup(kinds, path));
        char *slash = strrchr(path, '/');
        if (kind || !slash)
            return kind;
        *slash = '\0';
    }
}

static gboolean look_at_file(
        const char *root, const char *rel, const struct stat *st, gpointer data)
{
    Generated *g = data;
    if (S_ISDIR(st->st_mode))
        return strcmp(rel, ".guild") != 0;
    g_autofree char *full = g_build_filename(root, rel, NULL);
    if (S_ISLNK(st->st_mode) && fs_is_dir(full) && !g_hash_table_contains(g->kinds, rel))
        return TRUE; /* a link to a folder is no file */
    char kind = entry_kind(g->kinds, rel);
    if (!kind || g->legacy == 2 || (g->legacy == 1 && kind == 'd'))
        g_hash_table_add(g->tops, g_strndup(rel, strcspn(rel, "/")));
    return TRUE;
}

GPtrArray *source_generated_paths(Run *run, GError **error)
{
    g_autoptr(GHashTable) kinds = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GHashTable) tops = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    for (guint i = 0; i < entries->len; i++) {
        char **entry = entries->pdata[i];
        if (entry[0] && entry[0][0] && entry[1])
            g_hash_table_insert(kinds, fs_normpath(entry[1]), GINT_TO_POINTER((int)entry[0][0]));
    }
    const char *legacy = g_getenv("GUILD_LEGACY_OPDEP_SELECT");
    Generated g = {kinds, legacy && legacy[0] && !legacy[1] ? legacy[0] - '0' : 0, tops};
    if (!fs_walk(run_dir(run), FALSE, look_at_file, &g, error))
        return NULL;
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    GHashTableIter it;
    gpointer key;
    g_hash_table_iter_init(&it, tops);
    while (g_hash_table_iter_next(&it, &key, NULL))
        g_ptr_array_add(names, key);
    return source_top_paths(run_dir(run), names);
}
