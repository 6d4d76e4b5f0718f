/* SPDX-License-Identifier: Apache-2.0 */
/* Reading flag values: the decoders of the reference in their order. A text is tried as Python's
 * int() and float(), as a function, as a repeated list and at last as YAML; what is none of these
 * is a string. `range`, `linspace` and `logspace` become lists at once, as NumPy would make them.
 */
#include "engine/base/flagval.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Items that a sequence function or a repeated list may give. */
#define MAX_ITEMS 1000000
/* Python's int() refuses more. */
#define MAX_INT_DIGITS 4300

#define NAME_CHARS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."

/* Functions within the arguments of functions; more is text. */
#define MAX_DEPTH 16

static Value *decode_untyped(const char *s, guint depth);
static Value *decode(const char *text, const char *flag_type, guint depth);

/* Copies the digits at *s, single underscores between them left out, to out; moves *s behind them.
 * FALSE if there are none or an underscore stands elsewhere. */
static gboolean take_digits(const char **s, GString *out)
{
    const char *p = *s;
    if (!g_ascii_isdigit(*p))
        return FALSE;
    for (; g_ascii_isdigit(*p) || (*p == '_' && g_ascii_isdigit(p[1])); p++)
        if (*p != '_')
            g_string_append_c(out, *p);
    *s = p;
    return TRUE;
}

static const char *skip_blank(const char *s)
{
    return s + strspn(s, " \t\n\r\v\f");
}

static gboolean only_blank(const char *s)
{
    return !*skip_blank(s);
}

/* As int(s); NULL if it isn't one. */
static Value *decode_int(const char *s)
{
    g_autoptr(GString) digits = g_string_new(NULL);
    s = skip_blank(s);
    gboolean negative = *s == '-';
    s += *s == '-' || *s == '+';
    if (!take_digits(&s, digits) || !only_blank(s) || digits->len > MAX_INT_DIGITS)
        return NULL;
    gsize zeros = strspn(digits->str, "0");
    if (zeros == digits->len)
        return value_new_int(0);
    g_string_erase(digits, 0, (gssize)zeros);
    if (negative)
        g_string_prepend_c(digits, '-');
    return value_new_int_text(digits->str);
}

/* "inf", "infinity" and "nan" in any case. */
static gboolean decode_named_float(const char *s, double sign, double *d)
{
    static const struct {
        const char *name;
        gboolean nan;
    } names[] = {{"infinity", FALSE}, {"inf", FALSE}, {"nan", TRUE}};
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        gsize len = strlen(names[i].name);
        if (g_ascii_strncasecmp(s, names[i].name, len) == 0 && only_blank(s + len)) {
            *d = names[i].nan ? (double)NAN : sign * (double)INFINITY;
            return TRUE;
        }
    }
    return FALSE;
}

/* As float(s); NULL if it isn't one. */
static Value *decode_float(const char *s)
{
    g_autoptr(GString) text = g_string_new(NULL);
    s = skip_blank(s);
    double sign = *s == '-' ? -1 : 1, d;
    s += *s == '-' || *s == '+';
    if (decode_named_float(s, sign, &d))
        return value_new_float(d);
    gboolean any = take_digits(&s, text);
    if (*s == '.') {
        g_string_append_c(text, *s++);
        any |= take_digits(&s, text);
    }
    if (!any)
        return NULL;
    if (*s == 'e' || *s == 'E') {
        g_string_append_c(text, *s++);
        if (*s == '-' || *s == '+')
            g_string_append_c(text, *s++);
        if (!take_digits(&s, text))
            return NULL;
    }
    return only_blank(s) ? value_new_float(sign * g_ascii_strtod(text->str, NULL)) : NULL;
}

/* Functions */

/* NAME[ARGS] with anything behind the last bracket. */
static gboolean split_named(const char *s, char **name, char **args)
{
    gsize len = strspn(s, NAME_CHARS);
    if (!len || s[len] != '[')
        return FALSE;
    g_autofree char *line = g_strndup(s, strcspn(s, "\n")); /* brackets on one line only */
    const char *close = len < strlen(line) ? strrchr(line + len, ']') : NULL;
    if (!close)
        return FALSE;
    *name = g_strndup(s, len);
    *args = g_strstrip(g_strndup(s + len + 1, (gsize)(close - line) - len - 1));
    return TRUE;
}

/* [A:B]: what YAML can't read, or reads as a list of one text or number (62 for 1:2). */
static gboolean split_anonymous(const char *s, char **args)
{
    gsize len = strlen(s);
    if (len < 2 || s[0] != '[' || s[len - 1] != ']' || !strchr(s, ':'))
        return FALSE;
    g_autoptr(Value) list = yaml_parse(s, (gssize)len, NULL, NULL);
    if (list) {
        if (!value_is_list(list) || value_list_size(list) != 1)
            return FALSE;
        const Value *item = value_list_at(list, 0);
        ValueKind kind = value_kind(item);
        if (kind != VALUE_INT && kind != VALUE_BOOL &&
                (kind != VALUE_STRING || value_is_timestamp(item)))
            return FALSE;
    }
    *args = g_strndup(s + 1, len - 2);
    return TRUE;
}

static gboolean decode_function(const char *text, guint depth, char **name, Value **args)
{
    g_autofree char *raw = NULL;
    char *found = NULL;
    if (depth > MAX_DEPTH)
        return FALSE;
    if (!split_named(text, &found, &raw) && !split_anonymous(text, &raw))
        return FALSE;
    Value *list = value_new_list();
    g_auto(GStrv) parts = *raw ? g_strsplit(raw, ":", -1) : NULL;
    for (char **part = parts; part && *part; part++)
        value_list_append(list, decode(g_strstrip(*part), NULL, depth + 1));
    *name = found ? found : g_strdup("");
    *args = list;
    return TRUE;
}

gboolean flagval_decode_function(const char *text, char **name, Value **args)
{
    return decode_function(text, 0, name, args);
}

gboolean flagval_is_function(const Value *v)
{
    g_autofree char *name = NULL, *args = NULL;
    if (!value_is_string(v))
        return FALSE;
    return split_named(value_get_string(v), &name, &args) ||
           split_anonymous(value_get_string(v), &args);
}

/* Sequences. Each gives NULL where the text is to be read otherwise; `problem` (newly allocated)
 * then says what to warn of, if anything. */

static gboolean is_seq_number(const Value *v)
{
    return value_is_number(v) || value_kind(v) == VALUE_BOOL;
}

/* The i-th argument as a number; absent is `dflt`. FALSE with a problem. */
static gboolean number_arg(const Value *args, gsize i, double dflt, double *d, char **problem)
{
    *d = dflt;
    if (i >= value_list_size(args))
        return TRUE;
    const Value *v = value_list_at(args, i);
    if (is_seq_number(v)) {
        *d = value_get_float(v);
        return TRUE;
    }
    if (value_is_null(v)) {
        *problem = g_strdup_printf("function requires at least %" G_GSIZE_FORMAT " arg(s)", i + 1);
    } else {
        g_autofree char *repr = value_repr(v);
        *problem = g_strdup_printf("invalid arg %s: expected a number", repr);
    }
    return FALSE;
}

static gboolean check_arg_count(
        const Value *args, gsize min, gsize max, const char *name, char **problem)
{
    if (value_list_size(args) < min) {
        *problem = g_strdup_printf("function requires at least %" G_GSIZE_FORMAT " arg(s)", min);
        return FALSE;
    }
    if (value_list_size(args) > max) {
        g_autoptr(Value) rest = value_new_list();
        for (gsize i = max; i < value_list_size(args); i++)
            value_list_append(rest, value_ref(value_list_at(args, i)));
        g_autofree char *repr = value_repr(rest);
        repr[strlen(repr) - 1] = 0;
        log_warning("unsupported arguments for %s function: (%s%s) - ignoring", name, repr + 1,
                value_list_size(rest) == 1 ? "," : "");
    }
    return TRUE;
}

/* An item of a sequence: floats are rounded to 8 places, unless they are tiny. */
static Value *seq_float(double d)
{
    char text[400];
    if (!(d > 1e-8) || isinf(d))
        return value_new_float(d);
    snprintf(text, sizeof text, "%.8f", d);
    return value_new_float(g_ascii_strtod(text, NULL));
}

static gboolean check_length(double length, char **problem)
{
    if (length <= MAX_ITEMS)
        return TRUE;
    *problem = g_strdup_printf("more than %d values", MAX_ITEMS);
    return FALSE;
}

static gboolean all_ints(const Value *args, gsize n)
{
    for (gsize i = 0; i < MIN(n, value_list_size(args)); i++)
        if (value_kind(value_list_at(args, i)) == VALUE_FLOAT)
            return FALSE;
    return TRUE;
}

static Value *expand_range(const Value *args, char **problem)
{
    double start, end, step;
    if (!check_arg_count(args, 1, 3, "range", problem) ||
            !number_arg(args, 0, 0, &start, problem) || !number_arg(args, 2, 1, &step, problem) ||
            !number_arg(args, 1, 0, &end, problem))
        return NULL;
    if (value_list_size(args) == 1) { /* up to, not including */
        end = start;
        start = 0;
    } else {
        end += MIN(step, 1);
    }
    if (step == 0) {
        *problem = g_strdup("division by zero");
        return NULL;
    }
    double length = ceil((end - start) / step);
    if (isnan(length) || !check_length(length, problem))
        return NULL;
    Value *list = value_new_list();
    double delta = (start + step) - start;
    gboolean ints = all_ints(args, 3);
    for (gint64 i = 0; i < (gint64)length; i++) {
        double d = i == 1 ? start + step : start + (double)i * delta;
        value_list_append(list, ints ? value_new_int((gint64)d) : seq_float(d));
    }
    return list;
}

/* The items of linspace; for logspace they are the exponents of `base`. */
static Value *expand_space(const Value *args, gboolean is_log, char **problem)
{
    double start, end, count, base;
    const char *name = is_log ? "logspace" : "linspace";
    if (!check_arg_count(args, 2, is_log ? 4 : 3, name, problem) ||
            !number_arg(args, 0, 0, &start, problem) || !number_arg(args, 1, 0, &end, problem) ||
            !number_arg(args, 2, 5, &count, problem) ||
            !(is_log ? number_arg(args, 3, 10, &base, problem) : TRUE))
        return NULL;
    if (value_list_size(args) > 2 && value_kind(value_list_at(args, 2)) == VALUE_FLOAT) {
        *problem = g_strdup("'float' object cannot be interpreted as an integer");
        return NULL;
    }
    if (count < 0 || !check_length(count, problem))
        return NULL;
    Value *list = value_new_list();
    gint64 n = (gint64)count;
    double step = n > 1 ? (end - start) / (double)(n - 1) : 0;
    for (gint64 i = 0; i < n; i++) {
        double d = n > 1 && i == n - 1 ? end : (double)i * step + start;
        value_list_append(list, seq_float(is_log ? pow(base, d) : d));
    }
    return list;
}

/* A function's text: a list for sequences, the text itself for the anonymous function. */
static Value *decode_function_or_sequence(const char *s, guint depth)
{
    g_autofree char *name = NULL, *problem = NULL;
    g_autoptr(Value) args = NULL;
    Value *v = NULL;
    if (!decode_function(s, depth, &name, &args))
        return NULL;
    if (!*name && *s == '[')
        return value_list_size(args) >= 2 ? value_new_string(s) : NULL;
    if (strcmp(name, "range") == 0)
        v = expand_range(args, &problem);
    else if (strcmp(name, "linspace") == 0)
        v = expand_space(args, FALSE, &problem);
    else if (strcmp(name, "logspace") == 0)
        v = expand_space(args, TRUE, &problem);
    else if (strcmp(name, "geomspace") == 0)
        problem = g_strdup("geomspace");
    if (!v && problem) {
        g_autoptr(Value) text = value_new_string(s);
        g_autofree char *repr = value_repr(text);
        log_warning("error decoding %s: %s", repr, problem);
    }
    return v;
}

/* "[1,2] * 3": the list's items so many times. */
static Value *decode_repeated_list(const char *s, guint depth)
{
    g_autofree char *text = g_strstrip(g_strdup(s));
    char *star = strrchr(text, '*');
    if (text[0] != '[' || !star || strchr(text, '\n'))
        return NULL;
    const char *count = skip_blank(star + 1);
    if (!*count || count[strspn(count, "0123456789")])
        return NULL;
    *star = 0;
    g_strchomp(text);
    if (!g_str_has_suffix(text, "]"))
        return NULL;
    g_autoptr(Value) item = depth < MAX_DEPTH ? decode_untyped(text, depth + 1) : NULL;
    if (!value_is_list(item))
        return value_new_string(s);
    guint64 n = g_ascii_strtoull(count, NULL, 10);
    if (n > MAX_ITEMS || n * value_list_size(item) > MAX_ITEMS) {
        log_warning("error decoding '%s': more than %d values", s, MAX_ITEMS);
        return value_new_string(s);
    }
    Value *list = value_new_list();
    for (guint64 i = 0; i < n; i++)
        value_list_extend(list, item);
    return list;
}

/* PyYAML takes no tab outside of quotes, libyaml does: such a text is a string. */
static gboolean has_plain_tab(const char *s)
{
    return !strchr("'\"[{", s[0]) && strchr(s, '\t');
}

static Value *decode_untyped(const char *s, guint depth)
{
    Value *v = decode_int(s);
    if (!v)
        v = decode_float(s);
    if (!v)
        v = decode_function_or_sequence(s, depth);
    if (!v)
        v = decode_repeated_list(s, depth);
    if (!v && !has_plain_tab(s))
        v = yaml_parse(s, -1, NULL, NULL);
    return v ? v : value_new_string(s);
}

/* What the flag's type alone makes of the text; NULL if that says nothing. */
static Value *decode_typed(const char *s, const char *type)
{
    static const char *const text_types[] = {"string", "path", "existing-path", NULL};
    if (g_strv_contains(text_types, type))
        return strchr("['\"{", s[0]) ? NULL : value_new_string(s);
    if (strcmp(type, "int") == 0)
        return decode_int(s);
    if (strcmp(type, "float") == 0)
        return decode_float(s);
    if (strcmp(type, "boolean") == 0) {
        Value *v = yaml_parse(s, -1, NULL, NULL);
        if (!v || !is_seq_number(v))
            return v;
        gboolean truth = value_truthy(v);
        value_unref(v);
        return value_new_bool(truth);
    }
    if (strcmp(type, "number") != 0 && strcmp(type, "auto") != 0)
        log_warning("uknown flag type %s, assuming 'auto'", type);
    return NULL;
}

static Value *decode(const char *text, const char *flag_type, guint depth)
{
    if (!*text)
        return value_new_string("");
    Value *v = flag_type ? decode_typed(text, flag_type) : NULL;
    if (!v)
        v = decode_untyped(text, depth);
    /* 1_000 and 1:30 are numbers to Python and YAML, but hardly to who typed them. */
    if (is_seq_number(v) && strpbrk(text, "_:") && !strstr(text, "!!")) {
        value_unref(v);
        return value_new_string(text);
    }
    return v;
}

Value *flagval_parse_int(const char *text)
{
    return decode_int(text);
}

Value *flagval_parse_float(const char *text)
{
    return decode_float(text);
}

Value *flagval_decode(
        const char *text, const char *flag_type, const char *flag_name, GError **error)
{
    return decode(text, flag_type, 0);
}
