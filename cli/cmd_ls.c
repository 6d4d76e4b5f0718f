/* SPDX-License-Identifier: Apache-2.0 */
/* `guild ls`: the files of a run. */
#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/runs_args.h"
#include "coordinator/coordinator.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/run/describe.h"
#include "engine/run/manifest.h"

static const CliOption ls_options[] = {
        {"path", "-p, --path", OPT_STRING, "PATH",
                "Only files at or below PATH, or that match it "
                "if it is a pattern.",
                "run-file"},
        {"sourcecode", "-s, --sourcecode", OPT_FLAG, NULL, "List source code files."},
        {"dependencies", "-d, --dependencies", OPT_FLAG, NULL, "List dependencies."},
        {"generated", "-g, --generated", OPT_FLAG, NULL, "List generated files."},
        {"all", "-a, --all", OPT_FLAG, NULL, "Show all files, Guild's own too."},
        {"full_path", "-f, --full-path", OPT_FLAG, NULL, "Show full paths."},
        {"follow_links", "-L, --follow-links", OPT_FLAG, NULL, "Enter folders that are links."},
        {"no_format", "-n, --no-format", OPT_FLAG, NULL, "Show only the names."},
        {"human_readable", "-h, --human-readable", OPT_FLAG, NULL,
                "Accepted; sizes are always bytes."},
        CLI_OPTIONS_END,
};

typedef struct {
    gboolean all;
    char **pattern;         /* parts of --path; NULL without it */
    gboolean is_pattern;    /* it has * or ? */
    const char *types;      /* "sdg" letters of the manifest that are wanted; "" any */
    GHashTable *entries;    /* path -> type, owned; NULL if types is "" */
    GHashTable *entry_dirs; /* folders that hold a file of the index, and theirs */
    const char *run_dir;
    GPtrArray *found;
} Listing;

static char **split_path(const char *path)
{
    g_auto(GStrv) parts = g_strsplit_set(path, "/\\", -1);
    GPtrArray *kept = g_ptr_array_new();
    for (char **p = parts; *p; p++)
        if (**p)
            g_ptr_array_add(kept, g_strdup(*p));
    g_ptr_array_add(kept, NULL);
    return (char **)g_ptr_array_free(kept, FALSE);
}

static gboolean is_subpath(char **start, char **path)
{
    for (; *start; start++, path++)
        if (!*path || strcmp(*start, *path) != 0)
            return FALSE;
    return TRUE;
}

static gboolean strv_equal(char **a, char **b)
{
    return g_strv_length(a) == g_strv_length(b) && is_subpath(a, b);
}

static gboolean matches_pattern(const Listing *l, char **parts, gboolean all)
{
    guint n = g_strv_length(l->pattern);
    if (g_strv_length(parts) < n)
        return FALSE;
    for (guint i = 0; i < n; i++)
        if (!text_fnmatch(l->pattern[i], parts[i]))
            return FALSE;
    for (guint i = 0; parts[i] && !all; i++)
        if (parts[i][0] == '.' && (i >= n || l->pattern[i][0] != '.'))
            return FALSE;
    return TRUE;
}

/* What --path and --all say of a path. */
static gboolean base_match(const Listing *l, const char *rel, gboolean force_all)
{
    gboolean all = l->all || force_all;
    const char *slash = strrchr(rel, '/');
    gboolean hidden = (slash ? slash[1] : rel[0]) == '.';
    if (!l->pattern)
        return all || !hidden;
    g_auto(GStrv) parts = split_path(rel);
    if (l->is_pattern)
        return matches_pattern(l, parts, all);
    return hidden && !all ? strv_equal(parts, l->pattern) : is_subpath(l->pattern, parts);
}

/* Whether a folder that did not match itself is entered. */
static gboolean base_enters(const Listing *l, const char *rel)
{
    const char *slash = strrchr(rel, '/');
    gboolean hidden = (slash ? slash[1] : rel[0]) == '.';
    if (!l->pattern)
        return l->all || !hidden;
    g_auto(GStrv) parts = split_path(rel);
    if (!l->is_pattern)
        return is_subpath(parts, l->pattern);
    guint depth = g_strv_length(parts);
    if (l->all || !hidden || g_strv_length(l->pattern) < depth)
        return TRUE;
    return l->pattern[depth - 1][0] == '.';
}

static gboolean is_guild_path(const char *rel)
{
    return strncmp(rel, ".guild", 6) == 0 && (rel[6] == '/' || rel[6] == '\0');
}

static gboolean is_dir(const Listing *l, const char *rel)
{
    g_autofree char *path = fs_join(l->run_dir, rel);
    return fs_is_dir(path);
}

static gboolean matches(const Listing *l, const char *rel)
{
    if (!*l->types)
        return base_match(l, rel, FALSE);
    const char *type = g_hash_table_lookup(l->entries, rel);
    if (!type && (is_guild_path(rel) || is_dir(l, rel)))
        return FALSE;
    return strchr(l->types, type ? *type : 'g') && base_match(l, rel, TRUE);
}

static gboolean add_entry(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    Listing *l = data;
    (void)root;
    if (matches(l, rel)) {
        g_ptr_array_add(l->found, g_strdup(rel));
        return TRUE;
    }
    return *l->types ? g_hash_table_contains(l->entry_dirs, rel) : base_enters(l, rel);
}

/* --- the manifest's view --- */

static void add_parents(GHashTable *dirs, const char *rel)
{
    g_autofree char *dir = g_path_get_dirname(rel);
    while (strcmp(dir, ".") != 0 && g_hash_table_add(dirs, g_strdup(dir))) {
        char *parent = g_path_get_dirname(dir);
        g_free(dir);
        dir = parent;
    }
}

/* The type of a file is that of its own entry or of the nearest folder's that has one. */
static gboolean index_file(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    Listing *l = data;
    (void)root;
    if (g_hash_table_contains(l->entries, rel)) {
        add_parents(l->entry_dirs, rel);
        return TRUE;
    }
    if (is_guild_path(rel) || is_dir(l, rel))
        return TRUE;
    g_autofree char *dir = g_path_get_dirname(rel);
    while (strcmp(dir, ".") != 0) {
        const char *type = g_hash_table_lookup(l->entries, dir);
        if (type) {
            g_hash_table_insert(l->entries, g_strdup(rel), g_strdup(type));
            break;
        }
        char *parent = g_path_get_dirname(dir);
        g_free(dir);
        dir = parent;
    }
    add_parents(l->entry_dirs, rel);
    return TRUE;
}

static void index_manifest(Listing *l, Run *run, gboolean follow)
{
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    l->entries = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    l->entry_dirs = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (guint i = 0; i < entries->len; i++) {
        char **entry = entries->pdata[i];
        g_hash_table_insert(l->entries, fs_normpath(entry[1]), g_strndup(entry[0], 1));
    }
    fs_walk(l->run_dir, follow, index_file, l, NULL);
}

/* --- output --- */

static int natural(gconstpointer a, gconstpointer b)
{
    return text_natural_compare(*(const char *const *)a, *(const char *const *)b);
}

static void print_listing(Listing *l, CliArgs *args)
{
    gboolean full = cli_flag(args, "full_path"), plain = full || cli_flag(args, "no_format");
    if (!plain) {
        g_autofree char *base = g_path_get_basename(l->run_dir);
        g_autofree char *header = run_format_dir(l->run_dir);
        const char *no_path = g_getenv("NO_HEADER_PATH");
        printf("%s:\n", g_strcmp0(no_path, "1") == 0 ? base : header);
    }
    g_ptr_array_sort(l->found, natural);
    for (guint i = 0; i < l->found->len; i++) {
        const char *rel = l->found->pdata[i];
        g_autofree char *path = fs_join(l->run_dir, rel);
        printf("%s%s%s\n", plain ? "" : "  ", full ? path : rel, fs_is_dir(path) ? "/" : "");
    }
}

static void list_run(Run *run, CliArgs *args)
{
    const char *path = cli_string(args, "path");
    char types[4] = "";
    if (cli_flag(args, "sourcecode"))
        strcat(types, "s");
    if (cli_flag(args, "dependencies"))
        strcat(types, "d");
    if (cli_flag(args, "generated"))
        strcat(types, "g");
    /* A peer of the coordinator has its links shown, not where they lead on this machine. */
    gboolean follow = cli_flag(args, "follow_links") && !g_getenv(COMMAND_FOR_REMOTE);
    Listing l = {.all = cli_flag(args, "all"),
            .types = types,
            .run_dir = run_dir(run),
            .pattern = path && *path ? split_path(path) : NULL,
            .is_pattern = path && strpbrk(path, "*?"),
            .found = g_ptr_array_new_with_free_func(g_free)};
    if (*types)
        index_manifest(&l, run, follow);
    fs_walk(l.run_dir, follow, add_entry, &l, NULL);
    print_listing(&l, args);
    g_ptr_array_unref(l.found);
    g_strfreev(l.pattern);
    g_clear_pointer(&l.entries, g_hash_table_unref);
    g_clear_pointer(&l.entry_dirs, g_hash_table_unref);
}

static int ls(CliArgs *args)
{
    const char *path = cli_string(args, "path");
    if (path && g_path_is_absolute(path))
        return cli_error("PATH must be relative\nTry 'guild ls --help' for more information.");
    if (!cli_check_max_args(args, 1))
        return 2;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, TRUE))
        return choice.status;
    if (choice.remote && cli_flag(args, "full_path"))
        log_warning("--full-path is not supported for remote file lists - ignoring");
    g_autoptr(Run) run = runs_choice_one(&choice, cli_positional(args)[0]);
    if (!run)
        return choice.status;
    list_run(run, args);
    return 0;
}

static const CliOption *const tables[] = {
        ls_options, runs_common_filters, runs_status_filters, runs_remote_option, NULL};

const CliCommand cmd_ls = {
        .name = "ls",
        .args = "[RUN]",
        .summary = "List run files.",
        .help = "Lists the files of a run, the latest unless RUN is given.\n\n" RUNS_HELP_RUNS
                "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = ls,
        .args_complete = "run",
};
