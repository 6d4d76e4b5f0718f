/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that select source code and the walk that applies them; see sourcecode.h. Order matters
 * everywhere: of rules (the last that applies wins), and of files (a rule may stop applying after
 * a number of matches): in each folder first its files by name, then its folders by name. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/op/sourcecode.h"
#include "engine/op/vcs.h"
#include "engine/project/guildfile.h"
#include "engine/project/plugins.h"

#define DEFAULT_MAX_BYTES (1024 * 1024)
#define DEFAULT_MAX_COUNT 100
#define MAX_DEPTH 256

static gint64 env_number(const char *name, gint64 dflt)
{
    const char *text = g_getenv(name);
    gint64 n = text ? g_ascii_strtoll(text, NULL, 10) : 0;
    return n > 0 ? n : dflt;
}

static gint64 max_bytes(void)
{
    return env_number("MAX_DEFAULT_SOURCECODE_FILE_SIZE", DEFAULT_MAX_BYTES);
}

guint sourcecode_max_count(void)
{
    return env_number("MAX_DEFAULT_SOURCECODE_COUNT", DEFAULT_MAX_COUNT);
}

/* Rules. */

static void rule_free(gpointer p)
{
    SelectRule *r = p;
    g_strfreev(r->patterns);
    g_free(r->sentinel);
    g_clear_pointer(&r->git_ignored, g_hash_table_unref);
    g_free(r);
}

void sourcecode_select_free(SourceSelect *select)
{
    if (!select)
        return;
    g_free(select->root);
    g_ptr_array_unref(select->rules);
    g_free(select);
}

static SelectRule *add_rule(
        SourceSelect *s, gboolean include, SelectType type, const char *const *patterns)
{
    SelectRule *r = g_new0(SelectRule, 1);
    r->include = include;
    r->type = type;
    r->patterns = g_strdupv((char **)patterns);
    g_ptr_array_add(s->rules, r);
    return r;
}

static SelectRule *add_simple_rule(SourceSelect *s, gboolean include, SelectType type,
        const char *pattern, const char *sentinel)
{
    SelectRule *r = add_rule(s, include, type, (const char *const[]){pattern, NULL});
    r->sentinel = g_strdup(sentinel);
    return r;
}

static void add_git_rules(SourceSelect *s, char **ignored)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(dirs, g_strdup(".git"));
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (char **p = ignored; *p; p++) {
        g_autofree char *full = g_build_filename(s->root, *p, NULL);
        if (fs_is_dir(full)) {
            char *dir = g_strdup(*p);
            if (g_str_has_suffix(dir, "/"))
                dir[strlen(dir) - 1] = '\0';
            g_ptr_array_add(dirs, dir);
        }
        g_hash_table_add(set, fs_normpath(*p));
    }
    g_ptr_array_add(dirs, NULL);
    add_simple_rule(s, FALSE, SELECT_DIR, ".guild", NULL);
    add_simple_rule(s, FALSE, SELECT_DIR, "*", ".guild-nocopy");
    add_rule(s, FALSE, SELECT_DIR, (const char *const *)dirs->pdata);
    add_rule(s, TRUE, SELECT_ANY, (const char *const[]){NULL})->git_ignored = set;
    add_rule(s, FALSE, SELECT_ANY, (const char *const[]){".git*", ".guildignore", NULL});
}

static void add_default_rules(SourceSelect *s, const OpDef *opdef)
{
    add_simple_rule(s, FALSE, SELECT_DIR, ".*", NULL);
    add_simple_rule(s, FALSE, SELECT_DIR, "*", ".guild-nocopy");
    SelectRule *text = add_simple_rule(s, TRUE, SELECT_TEXT, "*", NULL);
    text->size_lt = max_bytes() + 1;
    text->max_matches = sourcecode_max_count();
    if (!plugins_op_is_python(opdef))
        return;
    static const struct {
        const char *pattern, *sentinel;
    } python_dirs[] = {{"__pycache__", NULL}, {"*", "bin/activate"}, {"*", "Scripts/activate"},
            {"build", NULL}, {"dist", NULL}, {"*.egg-info", NULL}};
    for (gsize i = 0; i < G_N_ELEMENTS(python_dirs); i++)
        add_simple_rule(s, FALSE, SELECT_DIR, python_dirs[i].pattern, python_dirs[i].sentinel);
}

static SelectType type_for_name(const char *name)
{
    static const char *const names[] = {
            [SELECT_TEXT] = "text", [SELECT_BINARY] = "binary", [SELECT_DIR] = "dir"};
    for (gsize i = SELECT_TEXT; name && i < G_N_ELEMENTS(names); i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return SELECT_ANY;
}

/* A pattern that names a folder means what is in it. */
static char *glob_for_pattern(const char *root, const char *pattern)
{
    g_autofree char *full = fs_join(root, pattern);
    return fs_is_dir(full) ? fs_join(pattern, "*") : g_strdup(pattern);
}

static void add_config_rules(SourceSelect *s, const FileSelectDef *def)
{
    for (guint i = 0; def && def->specs && i < def->specs->len; i++) {
        const FileSelectSpec *spec = g_ptr_array_index(def->specs, i);
        g_autoptr(GPtrArray) patterns = g_ptr_array_new_with_free_func(g_free);
        for (char **p = spec->patterns; p && *p; p++)
            g_ptr_array_add(
                    patterns, spec->patterns_type ? g_strdup(*p) : glob_for_pattern(s->root, *p));
        g_ptr_array_add(patterns, NULL);
        add_rule(s, spec->include, type_for_name(spec->patterns_type),
                (const char *const *)patterns->pdata);
    }
}

/* No file can be selected: the last rule of any kind that matters excludes all. */
static gboolean selects_nothing(const SourceSelect *s)
{
    gboolean nothing = FALSE;
    for (guint i = 0; i < s->rules->len; i++) {
        const SelectRule *r = g_ptr_array_index(s->rules, i);
        if (r->include)
            nothing = FALSE;
        else if (r->type == SELECT_ANY && g_strv_contains((const char *const *)r->patterns, "*"))
            nothing = TRUE;
    }
    return nothing;
}

SourceSelect *sourcecode_select_for_opdef(const OpDef *opdef)
{
    const FileSelectDef *own = opdef->sourcecode;
    const FileSelectDef *model = opdef->modeldef ? opdef->modeldef->sourcecode : NULL;
    SourceSelect *s = g_new0(SourceSelect, 1);
    s->rules = g_ptr_array_new_with_free_func(rule_free);
    const char *dir = opdef->guildfile && opdef->guildfile->dir ? opdef->guildfile->dir : ".";
    const char *root = own && own->root ? own->root : model ? model->root : NULL;
    g_autofree char *joined = root ? fs_join(dir, root) : g_strdup(dir);
    s->root = fs_normpath(joined);
    gboolean has_specs = own && own->specs && own->specs->len;
    gboolean disabled = (own && own->disabled) || (model && model->disabled && !has_specs);
    if (value_truthy(opdef->steps)) {
        s->disabled = TRUE;
        return s;
    }
    if (disabled) {
        add_simple_rule(s, FALSE, SELECT_ANY, "*", NULL);
    } else {
        g_auto(GStrv) ignored = vcs_ignored(s->root);
        if (ignored)
            add_git_rules(s, ignored);
        else
            add_default_rules(s, opdef);
        add_config_rules(s, model);
        add_config_rules(s, own);
    }
    s->disabled = selects_nothing(s);
    return s;
}

char *sourcecode_rule_str(const SelectRule *r)
{
    static const char *const types[] = {
            [SELECT_TEXT] = " text", [SELECT_BINARY] = " binary", [SELECT_DIR] = " dir"};
    if (r->git_ignored)
        return g_strdup("gitignore + guildignore patterns");
    GString *s = g_string_new(r->include ? "include" : "exclude");
    if (r->type)
        g_string_append(s, types[r->type]);
    for (char **p = r->patterns; *p; p++) {
        g_autofree char *quoted = strchr(*p, ' ') ? text_shell_quote(*p) : g_strdup(*p);
        g_string_append_printf(s, "%s%s", p == r->patterns ? " " : ", ", quoted);
    }
    const char *delim = " ";
    if (r->sentinel) {
        g_string_append_printf(s, "%scontaining %s", delim, r->sentinel);
        delim = ", ";
    }
    if (r->size_lt) {
        g_string_append_printf(s, "%ssize < %" G_GINT64_FORMAT, delim, r->size_lt);
        delim = ", ";
    }
    if (r->max_matches)
        g_string_append_printf(s, "%smax match %u", delim, r->max_matches);
    return g_string_free(s, FALSE);
}

/* Applying. */

static gboolean matches_patterns(const SelectRule *r, const char *rel)
{
    if (r->git_ignored)
        return !g_hash_table_contains(r->git_ignored, rel);
    const char *slash = strrchr(rel, '/');
    const char *base = slash ? slash + 1 : rel;
    for (char **p = r->patterns; *p; p++) {
        const char *pattern = *p + strspn(*p, "/");
        if (text_fnmatch(pattern, strchr(*p, '/') ? rel : base))
            return TRUE;
    }
    return FALSE;
}

static gboolean is_text(const char *path)
{
    if (fs_exists(path))
        return fs_is_text_file(path);
    log_warning("could not check for text file %s: %s does not exist", path, path);
    return FALSE;
}

static gboolean fits_type(const SelectRule *r, const char *full)
{
    switch (r->type) {
    case SELECT_TEXT:
        return is_text(full);
    case SELECT_BINARY:
        return !is_text(full);
    case SELECT_DIR: {
        g_autofree char *sentinel = r->sentinel ? g_build_filename(full, r->sentinel, NULL) : NULL;
        return !sentinel || fs_lexists(sentinel);
    }
    default:
        return TRUE;
    }
}

static gboolean fits_size(const SelectRule *r, const char *full)
{
    struct stat st;
    return !r->size_lt || stat(full, &st) < 0 || st.st_size < r->size_lt;
}

/* TRUE if the rule applies; else *failed (may be NULL) tells which safety limit was in the way. */
static gboolean rule_applies(SelectRule *r, const char *full, const char *rel, const char **failed)
{
    const char *why = NULL;
    gboolean applies = FALSE;
    if (r->max_matches && r->matches >= r->max_matches)
        why = SOURCECODE_EXCESS_COUNT;
    else if (matches_patterns(r, rel) && fits_type(r, full)) {
        applies = fits_size(r, full);
        why = applies ? NULL : SOURCECODE_EXCESS_SIZE;
    }
    if (failed)
        *failed = why;
    if (applies)
        r->matches++;
    return applies;
}

/* Whether the file is selected. If not, and the default rules alone decided, *excess says if it was
 * for a safety limit. */
static gboolean select_file(SourceSelect *s, const char *full, const char *rel, const char **excess)
{
    gboolean selected = FALSE;
    guint file_rules = 0;
    const char *failed = NULL;
    const SelectRule *last = NULL;
    for (guint i = 0; i < s->rules->len; i++) {
        SelectRule *r = g_ptr_array_index(s->rules, i);
        if (r->type == SELECT_DIR)
            continue;
        file_rules++;
        last = r;
        if (rule_applies(r, full, rel, &failed))
            selected = r->include;
    }
    gboolean only_default = file_rules == 1 && last->include && last->size_lt == max_bytes() + 1 &&
                            last->max_matches == sourcecode_max_count();
    *excess = only_default ? failed : NULL;
    return selected;
}

static gboolean enters_dir(SourceSelect *s, const char *full, const char *rel)
{
    gboolean enter = TRUE;
    for (guint i = 0; i < s->rules->len; i++) {
        SelectRule *r = g_ptr_array_index(s->rules, i);
        if (r->type == SELECT_DIR && rule_applies(r, full, rel, NULL))
            enter = r->include;
    }
    return enter;
}

typedef struct Walk {
    SourceSelect *select;
    const char *const *ignore;
    const SourceHandler *handler;
    struct stat stop_at;          /* a folder that is never entered: the run itself */
    struct stat above[MAX_DEPTH]; /* folders on the way here, to see loops of links */
} Walk;

static gboolean same_dir(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

static gboolean is_loop(const Walk *w, guint depth, const struct stat *st)
{
    if (same_dir(st, &w->stop_at))
        return TRUE;
    for (guint i = 0; i <= depth; i++)
        if (same_dir(st, &w->above[i]))
            return TRUE;
    return FALSE;
}

static gboolean visit_file(Walk *w, const char *full, const char *rel, GError **error)
{
    const char *excess = NULL;
    gboolean selected = !(w->ignore && g_strv_contains(w->ignore, rel)) &&
                        select_file(w->select, full, rel, &excess);
    if (selected)
        return w->handler->copy(w->select->root, rel, w->handler->data, error);
    if (w->handler->skip)
        w->handler->skip(w->select->root, rel, excess, w->handler->data);
    return TRUE;
}

static gboolean visit_dir(Walk *w, const char *rel_dir, guint depth, GError **error);

static gboolean visit_subdirs(Walk *w, GPtrArray *dirs, guint depth, GError **error)
{
    for (guint i = 0; i < dirs->len; i++) {
        const char *rel = g_ptr_array_index(dirs, i);
        g_autofree char *full = g_build_filename(w->select->root, rel, NULL);
        struct stat st;
        if (depth + 1 >= MAX_DEPTH || stat(full, &st) < 0 || is_loop(w, depth, &st))
            continue;
        w->above[depth + 1] = st;
        if (!visit_dir(w, rel, depth + 1, error))
            return FALSE;
    }
    return TRUE;
}

/* An unreadable folder below the root is passed over, as Python's os.walk does. */
static gboolean visit_dir(Walk *w, const char *rel_dir, guint depth, GError **error)
{
    g_autofree char *full_dir = g_build_filename(w->select->root, rel_dir, NULL);
    g_autoptr(GError) list_error = NULL;
    g_auto(GStrv) names = fs_list(full_dir, &list_error);
    if (list_error) {
        if (depth == 0)
            g_propagate_error(error, g_steal_pointer(&list_error));
        return depth > 0;
    }
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(g_free);
    for (char **n = names; *n; n++) {
        char *rel = *rel_dir ? g_strconcat(rel_dir, "/", *n, NULL) : g_strdup(*n);
        g_autofree char *full = g_build_filename(w->select->root, rel, NULL);
        if (!fs_is_dir(full)) {
            g_ptr_array_add(files, rel);
        } else if (enters_dir(w->select, full, rel)) {
            g_ptr_array_add(dirs, rel);
        } else {
            if (w->handler->skip)
                w->handler->skip(w->select->root, rel, NULL, w->handler->data);
            g_free(rel);
        }
    }
    for (guint i = 0; i < files->len; i++) {
        const char *rel = g_ptr_array_index(files, i);
        g_autofree char *full = g_build_filename(w->select->root, rel, NULL);
        if (!visit_file(w, full, rel, error))
            return FALSE;
    }
    return visit_subdirs(w, dirs, depth, error);
}

gboolean sourcecode_walk(SourceSelect *select, const char *const *ignore, const char *except_dir,
        const SourceHandler *handler, GError **error)
{
    if (select->disabled)
        return TRUE;
    g_autofree Walk *w = g_new0(Walk, 1);
    w->select = select;
    w->ignore = ignore;
    w->handler = handler;
    if (except_dir && stat(except_dir, &w->stop_at) < 0)
        memset(&w->stop_at, 0, sizeof w->stop_at);
    if (stat(select->root, &w->above[0]) < 0) {
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                "cannot read source code root %s: %s", select->root, g_strerror(errno));
        return FALSE;
    }
    return visit_dir(w, "", 0, error);
}
