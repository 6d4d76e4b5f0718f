/* SPDX-License-Identifier: Apache-2.0 */
/* Labels of runs; see label.h. A template is text with `${NAME|FILTER|FILTER:ARG}` tokens. Filters
 * see the flag's value; what they leave untouched is formatted as in the default label. */
#include "engine/op/label.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/run/describe.h"

#define FLOAT_DIGITS 5
#define PATH_LEN 20

static gboolean is_path(const Value *v)
{
    return value_is_string(v) && strchr(value_get_string(v), '/') && fs_exists(value_get_string(v));
}

/* A value as labels show it; `shorten`: long floats and paths are cut. */
static char *format_flag(const Value *v, gboolean shorten)
{
    if (!shorten || !is_path(v))
        return flagval_format(v, shorten ? FLOAT_DIGITS : 0);
    g_autofree char *text = run_shorten_path(value_get_string(v), PATH_LEN);
    if (!strchr(text, ' '))
        return g_steal_pointer(&text);
    g_autoptr(Value) quoted = value_new_string(text);
    return value_repr(quoted);
}

static char *join_assigns(const Value *flag_vals, gboolean shorten, const char *delim)
{
    g_autoptr(Value) sorted = value_new_map();
    if (value_is_map(flag_vals))
        value_map_update(sorted, flag_vals);
    value_map_sort(sorted);
    GString *s = g_string_new(NULL);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const Value *v = value_map_at(sorted, i);
        if (value_is_null(v))
            continue;
        g_autofree char *text = format_flag(v, shorten);
        g_string_append_printf(
                s, "%s%s=%s", s->len ? delim : "", value_map_key_at(sorted, i), text);
    }
    return g_string_free(s, FALSE);
}

char *run_label_default(const Value *flag_vals)
{
    return join_assigns(flag_vals, TRUE, " ");
}

char *run_flags_desc(const Value *flag_vals)
{
    return join_assigns(flag_vals, FALSE, ", ");
}

/* Of a template with its references written out: a short one may name a long value often. */
#define MAX_LABEL_BYTES (1024 * 1024)

/* Filters. A token's value is a Value until a filter makes text of it; `text` wins over `val`. */
typedef struct Token {
    const Value *val;
    char *text;
} Token;

static void token_set(Token *t, char *text)
{
    g_free(t->text);
    t->text = text;
}

/* Splits "%-08.3f" into what may be handed to printf; FALSE if it is anything else. */
static gboolean split_format(const char *fmt, gsize *spec_len, char *conv)
{
    const char *p = fmt + 1;
    p += strspn(p, "-+ #0");
    gsize width = strspn(p, "0123456789");
    p += width;
    gsize precision = 0;
    if (*p == '.') {
        precision = strspn(p + 1, "0123456789");
        p += 1 + precision;
    }
    *spec_len = p - fmt;
    *conv = *p;
    return width <= 3 && precision <= 3 && *p && strchr("diouxXeEfFgGs", *p);
}

/* Python's `fmt % value` for one conversion with text around it. A kind that does not fit passes
 * through, as in the reference. */
static void filter_format(Token *t, const char *fmt)
{
    gsize spec_len;
    char conv;
    if (!split_format(fmt, &spec_len, &conv)) {
        g_autofree char *repr = t->text ? g_strdup(t->text) : value_repr(t->val);
        log_warning("error formatting %s with '%s': unsupported format", repr, fmt);
        return;
    }
    const char *rest = fmt + spec_len + 1;
    g_autofree char *spec = g_strndup(fmt, spec_len);
    g_autofree char *text = NULL;
    gboolean numeric = !t->text && (value_is_number(t->val) || value_kind(t->val) == VALUE_BOOL);
    if (conv == 's') {
        g_autofree char *arg = t->text ? g_strdup(t->text) : value_str(t->val);
        g_autofree char *f = g_strconcat(spec, "s", NULL);
        text = g_strdup_printf(f, arg);
    } else if (!numeric) {
        return;
    } else if (strchr("eEfFgG", conv)) {
        g_autofree char *f = g_strdup_printf("%s%c", spec, conv);
        text = g_strdup_printf(f, value_get_float(t->val));
    } else {
        g_autofree char *f = g_strdup_printf("%sl%c", spec, conv == 'i' ? 'd' : conv);
        text = g_strdup_printf(f, (long)value_get_float(t->val));
    }
    token_set(t, g_strconcat(text, rest, NULL));
}

static const char *token_string(const Token *t)
{
    if (t->text)
        return t->text;
    return value_is_string(t->val) ? value_get_string(t->val) : NULL;
}

static void filter_basename(Token *t)
{
    const char *s = token_string(t);
    if (!s || !*s) {
        token_set(t, g_strdup(""));
        return;
    }
    g_autofree char *path = g_strdup(s);
    for (gsize n = strlen(path); n > 1 && path[n - 1] == '/'; n--)
        path[n - 1] = '\0';
    const char *slash = strrchr(path, '/');
    token_set(t, g_strdup(slash ? slash + 1 : path));
}

static void filter_unquote(Token *t)
{
    const char *s = token_string(t);
    gsize n = s ? strlen(s) : 0;
    if (n >= 2 && s[0] == '\'' && s[n - 1] == '\'')
        token_set(t, g_strndup(s + 1, n - 2));
    else if (s)
        token_set(t, g_strdup(s));
}

static void apply_filter(Token *t, const char *filter)
{
    const char *colon = strchr(filter, ':');
    g_autofree char *name = colon ? g_strndup(filter, colon - filter) : g_strdup(filter);
    const char *arg = colon ? colon + 1 : NULL;
    if (name[0] == '%') {
        filter_format(t, name);
    } else if (strcmp(name, "default") == 0) {
        if (!t->text && value_is_null(t->val))
            token_set(t, g_strdup(arg ? arg : ""));
    } else if (strcmp(name, "basename") == 0) {
        if (arg)
            log_warning("ignoring argment to baseline in '%s'", filter);
        filter_basename(t);
    } else if (strcmp(name, "unquote") == 0) {
        filter_unquote(t);
    } else {
        log_warning("unsupported template transform: '%s'", filter);
        token_set(t, g_strdup("#error#"));
    }
}

/* Text of "NAME|FILTER...". */
static char *render_token(const char *ref, const Value *flag_vals, const char *default_label)
{
    g_auto(GStrv) parts = g_strsplit(ref, "|", -1);
    Token t = {.val = parts[0] ? value_map_get(flag_vals, parts[0]) : NULL};
    if (value_is_null(t.val) && parts[0] && strcmp(parts[0], "default_label") == 0)
        t.text = g_strdup(default_label);
    for (guint i = 1; parts[0] && parts[i]; i++)
        apply_filter(&t, parts[i]);
    if (t.text)
        return t.text;
    if (value_is_null(t.val))
        return g_strdup("");
    /* A filter that let the value pass hands it on bare: Python's str(), not a label's form. */
    return parts[0] && parts[1] ? value_str(t.val) : format_flag(t.val, TRUE);
}

char *run_label(const char *label_template, const Value *flag_vals)
{
    g_autofree char *dflt = run_label_default(flag_vals);
    if (!label_template)
        return g_steal_pointer(&dflt);
    GString *s = g_string_new(NULL);
    const char *p = label_template;
    for (const char *open; (open = strstr(p, "${"));) {
        /* A reference has at least one character: "${}" is text. */
        const char *close = open[2] ? strchr(open + 3, '}') : NULL;
        if (!close)
            break;
        g_string_append_len(s, p, open - p);
        g_autofree char *ref = g_strndup(open + 2, close - open - 2);
        g_autofree char *text = render_token(ref, flag_vals, dflt);
        p = close + 1;
        if (s->len + strlen(text) > MAX_LABEL_BYTES) {
            log_warning("a label is too long: the value of '%s' and what follows is left out", ref);
            return g_string_free(s, FALSE);
        }
        g_string_append(s, text);
    }
    g_string_append(s, p);
    return g_string_free(s, FALSE);
}
