/* SPDX-License-Identifier: Apache-2.0 */
/* Output rules: patterns compiled once, the default ones matched by hand. */
#include "engine/exec/output_rules.h"

#include <string.h>

#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/exec/output_defaults.h"

#define KEY_PATTERN "[_a-zA-Z]\\S*"
#define NUM_PATTERN                                                                                \
    "(?:[-+]?[0-9]*\\.?(?:[0-9]+)?(?:[eE][-+]?[0-9]+)?|[nN][aA][nN]|[-+]?[iI][nN][fF])"
#define TERM_PATTERN "\\S+"
#define STEP_PATTERN "[0-9]+"

/* Backtracking steps that one match may take; a thousand times what sane patterns need. */
#define MATCH_LIMIT "(*LIMIT_MATCH=1000000)"
/* Longer lines (a program that never ends its line) are not looked at. */
#define LINE_MAX_BYTES 65536
#define CACHE_MAX 64

typedef struct Alias {
    const char *name, *pattern;
} Alias;

static const Alias scalar_aliases[] = {
        {"\\key", KEY_PATTERN}, {"\\value", NUM_PATTERN}, {"\\step", STEP_PATTERN}, {0}};
static const Alias attr_aliases[] = {{"\\key", KEY_PATTERN}, {"\\value", TERM_PATTERN}, {0}};

static const char *const default_scalars[] = {
        "^\\key:\\s+\\value\\s+\\((?:step\\s+)?(?P<step>\\step)\\)$",
        "^(\\key):\\s+(\\value)(?:\\s+\\(.*\\))?$",
        NULL,
};
static const char *const default_attrs[] = {"^(\\key):\\s+(\\value)$", NULL};

typedef struct Pattern {
    char *key;        /* of a map, or NULL */
    const char *text; /* with aliases replaced; in `texts` */
    GRegex *regex;
    char **names; /* of named groups in the order of their numbers, or NULL */
    gboolean warned;
} Pattern;

struct OutputRules {
    gint refs;
    OutputRulesKind kind;
    gboolean is_default;
    GPtrArray *patterns; /* Pattern*; compiled on demand for the default rules */
    GPtrArray *texts;    /* char*, NULL-terminated */
    char *cache_key;     /* NULL for the default rules */
};

static void pattern_free(gpointer data)
{
    Pattern *p = data;
    g_free(p->key);
    g_regex_unref(p->regex);
    g_strfreev(p->names);
    g_free(p);
}

/* Compiling */

static char *replace_aliases(const char *text, const Alias *aliases)
{
    GString *s = g_string_new(text);
    for (; aliases->name; aliases++)
        g_string_replace(s, aliases->name, aliases->pattern, 0);
    return g_string_free(s, FALSE);
}

/* What Python's syntax spells otherwise than PCRE: \Z is PCRE's \z, {,n} is {0,n}. */
static char *translate(const char *py)
{
    GString *s = g_string_new(MATCH_LIMIT);
    gboolean in_class = FALSE;
    for (const char *p = py; *p; p++) {
        if (*p == '\\' && p[1]) {
            g_string_append_c(s, '\\');
            p++;
            g_string_append_c(s, *p == 'Z' && !in_class ? 'z' : *p);
        } else if (!in_class && p[0] == '{' && p[1] == ',' && g_ascii_isdigit(p[2])) {
            g_string_append(s, "{0");
        } else {
            if (*p == '[' && !in_class) {
                in_class = TRUE;
                /* A bracket that comes first in a class is literal. */
                g_string_append_c(s, *p);
                if (p[1] == '^')
                    g_string_append_c(s, *++p);
                if (p[1] == ']')
                    g_string_append(s, "\\]"), p++;
                continue;
            }
            if (*p == '[' && in_class)
                g_string_append_c(s, '\\');
            if (*p == ']')
                in_class = FALSE;
            g_string_append_c(s, *p);
        }
    }
    return g_string_free(s, FALSE);
}

/* Names of the groups `(?P<name>` in order; NULL if there are none. */
static char **group_names(const char *pattern)
{
    GPtrArray *names = g_ptr_array_new();
    for (const char *p = pattern; (p = strstr(p, "(?P<")); p += 4) {
        guint slashes = 0;
        while (p - slashes > pattern && p[-1 - (gssize)slashes] == '\\')
            slashes++;
        const char *end = strchr(p, '>');
        if (end && slashes % 2 == 0)
            g_ptr_array_add(names, g_strndup(p + 4, (gsize)(end - p - 4)));
    }
    if (!names->len) {
        g_ptr_array_free(names, TRUE);
        return NULL;
    }
    g_ptr_array_add(names, NULL);
    return (char **)g_ptr_array_free(names, FALSE);
}

static const Alias *aliases_for(OutputRulesKind kind)
{
    return kind == OUTPUT_RULES_SCALARS ? scalar_aliases : attr_aliases;
}

static void add_pattern(OutputRules *rules, const char *key, const char *text)
{
    g_autofree char *full = replace_aliases(text, aliases_for(rules->kind));
    g_autofree char *pcre = translate(full);
    g_autoptr(GError) error = NULL;
    GRegex *regex = g_regex_new(pcre, G_REGEX_OPTIMIZE | G_REGEX_NEWLINE_LF, 0, &error);
    if (!regex) {
        /* Without GLib's prefix, which quotes the translated pattern and counts in it. */
        const char *at = g_strrstr(error->message, " at char ");
        const char *what = at ? strstr(at, ": ") : NULL;
        log_warning("error compiling pattern %s: %s", full, what ? what + 2 : error->message);
        return;
    }
    Pattern *p = g_new0(Pattern, 1);
    p->key = g_strdup(key);
    p->text = full;
    p->regex = regex;
    p->names = group_names(full);
    g_ptr_array_add(rules->patterns, p);
    g_ptr_array_add(rules->texts, g_steal_pointer(&full));
}

static void add_pattern_value(OutputRules *rules, const char *key, const Value *v)
{
    if (value_is_string(v)) {
        add_pattern(rules, key, value_get_string(v));
        return;
    }
    g_autofree char *repr = value_repr(v);
    log_warning("invalid output scalar pattern: %s", repr);
}

static int compare_strings(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void add_item(OutputRules *rules, const Value *item)
{
    if (value_is_map(item)) {
        g_autoptr(GPtrArray) keys = g_ptr_array_new();
        for (gsize i = 0; i < value_map_size(item); i++)
            g_ptr_array_add(keys, (gpointer)value_map_key_at(item, i));
        g_ptr_array_sort(keys, compare_strings);
        for (guint i = 0; i < keys->len; i++)
            add_pattern_value(rules, keys->pdata[i], value_map_get(item, keys->pdata[i]));
    } else if (value_is_string(item)) {
        add_pattern(rules, NULL, value_get_string(item));
    } else {
        g_autofree char *repr = value_repr(item);
        log_warning("invalid item config: %s", repr);
    }
}

static void compile(OutputRules *rules, const Value *config)
{
    rules->patterns = g_ptr_array_new_with_free_func(pattern_free);
    rules->texts = g_ptr_array_new_with_free_func(g_free);
    if (rules->is_default) {
        const char *const *p =
                rules->kind == OUTPUT_RULES_SCALARS ? default_scalars : default_attrs;
        for (; *p; p++)
            add_pattern(rules, NULL, *p);
    } else if (value_is_list(config)) {
        for (gsize i = 0; i < value_list_size(config); i++)
            add_item(rules, value_list_at(config, i));
    } else {
        add_item(rules, config);
    }
    g_ptr_array_add(rules->texts, NULL);
}

static void ensure_compiled(OutputRules *rules)
{
    if (!rules->patterns)
        compile(rules, NULL);
}

/* Sets by config, so that a thousand trials of one operation compile once. */
static GMutex cache_lock;
static GHashTable *cache; /* text -> OutputRules*, not referenced; an entry goes with its set */

OutputRules *output_rules_new(OutputRulesKind kind, const Value *config)
{
    gboolean is_default = value_is_null(config);
    g_autofree char *key = NULL;
    if (!is_default) {
        g_autofree char *text = yaml_dump_flow(config);
        key = g_strdup_printf("%d %s", (int)kind, text);
    } else {
        key = g_strdup_printf("%d", (int)kind);
    }
    g_mutex_lock(&cache_lock);
    if (!cache)
        cache = g_hash_table_new(g_str_hash, g_str_equal);
    OutputRules *rules = g_hash_table_lookup(cache, key);
    if (rules) {
        output_rules_ref(rules);
    } else {
        if (g_hash_table_size(cache) >= CACHE_MAX) {
            GHashTableIter iter;
            gpointer k, old;
            g_hash_table_iter_init(&iter, cache);
            while (g_hash_table_iter_next(&iter, &k, &old)) {
                g_hash_table_iter_steal(&iter);
                output_rules_unref(old);
            }
        }
        rules = g_new0(OutputRules, 1);
        rules->refs = 2; /* the caller's and the cache's */
        rules->kind = kind;
        rules->is_default = is_default;
        rules->cache_key = g_steal_pointer(&key);
        if (!is_default)
            compile(rules, config);
        g_hash_table_insert(cache, rules->cache_key, rules);
    }
    g_mutex_unlock(&cache_lock);
    return rules;
}

OutputRules *output_rules_ref(OutputRules *rules)
{
    if (rules)
        g_atomic_int_inc(&rules->refs);
    return rules;
}

void output_rules_unref(OutputRules *rules)
{
    if (!rules || !g_atomic_int_dec_and_test(&rules->refs))
        return;
    if (rules->patterns) {
        g_ptr_array_unref(rules->patterns);
        g_ptr_array_unref(rules->texts);
    }
    g_free(rules->cache_key);
    g_free(rules);
}

gboolean output_rules_disabled(const Value *config)
{
    return !value_is_null(config) && !value_truthy(config);
}

const char *const *output_rules_patterns(const OutputRules *rules)
{
    ensure_compiled((OutputRules *)rules);
    return (const char *const *)rules->texts->pdata;
}

/* Matching by regular expression */

static void set_value(OutputRules *rules, Value *vals, const char *key, const char *text)
{
    if (!text)
        return;
    if (rules->kind == OUTPUT_RULES_ATTRS) {
        value_map_set_string(vals, key ? key : "", text);
        return;
    }
    double d;
    if (output_rules_parse_float(text, &d))
        value_map_set(vals, key ? key : "", value_new_float(d));
}

/* The text of a group, NULL if it took no part in the match. */
static char *group_text(const GMatchInfo *info, gint n)
{
    gint start, end;
    if (!g_match_info_fetch_pos(info, n, &start, &end) || start < 0)
        return NULL;
    return g_match_info_fetch(info, n);
}

static char *named_text(const GMatchInfo *info, const char *name)
{
    gint start, end;
    if (!g_match_info_fetch_named_pos(info, name, &start, &end) || start < 0)
        return NULL;
    return g_match_info_fetch_named(info, name);
}

static void apply_match(OutputRules *rules, Pattern *p, const GMatchInfo *info, Value *vals)
{
    if (p->names) {
        const char *const *names = (const char *const *)p->names;
        if (g_strv_contains(names, "_key") && g_strv_contains(names, "_val")) {
            g_autofree char *key = named_text(info, "_key");
            g_autofree char *val = named_text(info, "_val");
            set_value(rules, vals, key, val);
            return;
        }
        for (; *names; names++) {
            g_autofree char *val = named_text(info, *names);
            set_value(rules, vals, *names, val);
        }
        return;
    }
    gint groups = g_regex_get_capture_count(p->regex);
    g_autofree char *one = groups >= 1 ? group_text(info, 1) : NULL;
    if (groups == 1) {
        set_value(rules, vals, p->key, one);
    } else if (groups == 2) {
        g_autofree char *two = group_text(info, 2);
        set_value(rules, vals, one, two);
    } else if (!p->warned) {
        p->warned = TRUE;
        log_warning(
                "bad unnamed group count %i for '%s' (expected 1 or 2) skipping", groups, p->text);
    }
}

typedef void (*MatchFn)(const GMatchInfo *info, gpointer data);

/* Calls fn for each match in the line, as finditer; gives their number. */
static guint each_match(Pattern *p, const char *line, MatchFn fn, gpointer data)
{
    g_autoptr(GMatchInfo) info = NULL;
    g_autoptr(GError) error = NULL;
    guint count = 0;
    g_regex_match_full(p->regex, line, -1, 0, 0, &info, &error);
    while (!error && g_match_info_matches(info)) {
        count++;
        fn(info, data);
        g_match_info_next(info, &error);
    }
    if (error && !p->warned) {
        p->warned = TRUE;
        log_warning("output pattern '%s' takes too long on some lines, which are skipped", p->text);
    }
    return count;
}

typedef struct Apply {
    OutputRules *rules;
    Pattern *pattern;
    Value *vals;
    GString *groups; /* Python's list of tuples, for the test command; may be NULL */
} Apply;

static void on_match(const GMatchInfo *info, gpointer data)
{
    Apply *a = data;
    apply_match(a->rules, a->pattern, info, a->vals);
}

/* The line without its end and without bytes that are no UTF-8. NULL for one that is too long. */
static char *clean_line(const char *line, gsize len)
{
    if (len > LINE_MAX_BYTES)
        return NULL;
    GString *s = g_string_sized_new(len + 1);
    while (len) {
        const char *end;
        g_utf8_validate_len(line, len, &end);
        g_string_append_len(s, line, end - line);
        gsize done = (gsize)(end - line);
        done += done < len;
        line += done;
        len -= done;
    }
    while (s->len) {
        const char *last = g_utf8_find_prev_char(s->str, s->str + s->len);
        gunichar c = g_utf8_get_char(last);
        if (!g_unichar_isspace(c) && c != '\v' && !(c >= 0x1c && c <= 0x1f) && c != 0x85)
            break;
        g_string_truncate(s, (gsize)(last - s->str));
    }
    return g_string_free(s, FALSE);
}

static Value *match_patterns(OutputRules *rules, const char *line)
{
    ensure_compiled(rules);
    Value *vals = value_new_map();
    for (guint i = 0; i < rules->patterns->len; i++) {
        Apply a = {rules, rules->patterns->pdata[i], vals, NULL};
        each_match(a.pattern, line, on_match, &a);
    }
    return vals;
}

Value *output_rules_match(OutputRules *rules, const char *line, gsize len)
{
    if (rules->is_default && (!len || len > LINE_MAX_BYTES || !memchr(line, ':', len)))
        return NULL;
    g_autofree char *text = clean_line(line, len);
    if (!text)
        return NULL;
    Value *vals;
    if (!rules->is_default || !g_str_is_ascii(text))
        vals = match_patterns(rules, text);
    else if (rules->kind == OUTPUT_RULES_SCALARS)
        vals = output_default_scalars(text);
    else
        vals = output_default_attrs(text);
    if (vals && !value_map_size(vals))
        g_clear_pointer(&vals, value_unref);
    if (vals)
        value_map_sort(vals);
    return vals;
}

/* The test command */

static void on_test_match(const GMatchInfo *info, gpointer data)
{
    Apply *a = data;
    apply_match(a->rules, a->pattern, info, a->vals);
    gint groups = g_regex_get_capture_count(a->pattern->regex);
    if (a->groups->len)
        g_string_append(a->groups, ", ");
    g_string_append_c(a->groups, '(');
    for (gint i = 1; i <= groups; i++) {
        g_autofree char *text = group_text(info, i);
        g_autoptr(Value) v = text ? value_new_string(text) : value_new_null();
        g_autofree char *repr = value_repr(v);
        g_string_append_printf(a->groups, "%s%s", i > 1 ? ", " : "", repr);
    }
    g_string_append(a->groups, groups == 1 ? ",)" : ")");
}

/* What Python's repr() makes of a pattern. */
static char *pattern_repr(const char *pattern)
{
    g_autoptr(Value) v = value_new_string(pattern);
    return value_repr(v);
}

static char *format_assigns(Value *vals)
{
    value_map_sort(vals);
    GString *s = g_string_new(NULL);
    for (gsize i = 0; i < value_map_size(vals); i++) {
        g_autofree char *text = value_str(value_map_at(vals, i));
        const char *key = value_map_key_at(vals, i);
        g_string_append_printf(s, "%s%s=%s", i ? ", " : "", *key ? key : "None", text);
    }
    return g_string_free(s, FALSE);
}

void output_rules_test(
        OutputRules *rules, const char *line, gsize len, OutputRulesEmitFn emit, gpointer data)
{
    ensure_compiled(rules);
    g_autofree char *text = clean_line(line, len);
    if (!text)
        return;
    emit(text, FALSE, data);
    for (guint i = 0; i < rules->patterns->len; i++) {
        g_autofree char *repr = pattern_repr(rules->texts->pdata[i]);
        g_autoptr(Value) vals = value_new_map();
        g_autoptr(GString) groups = g_string_new(NULL);
        Apply a = {rules, rules->patterns->pdata[i], vals, groups};
        g_autofree char *out = NULL;
        if (each_match(a.pattern, text, on_test_match, &a)) {
            g_autofree char *assigns = format_assigns(vals);
            out = g_strdup_printf("  %s: [%s] (%s)", repr, groups->str, assigns);
        } else {
            out = g_strdup_printf("  %s: <no matches>", repr);
        }
        emit(out, TRUE, data);
    }
}
