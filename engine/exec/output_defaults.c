/* SPDX-License-Identifier: Apache-2.0 */
/* The default output rules without a regular expression engine, since every line of every run is
 * looked at. test_output_rules.c holds them against the patterns that they stand for. */
#include "engine/exec/output_defaults.h"

#include <math.h>
#include <string.h>

#include "engine/exec/output_rules.h"

/* Numbers */

static gboolean is_word(const char *s, const char *word)
{
    return g_ascii_strcasecmp(s, word) == 0;
}

gboolean output_rules_parse_float(const char *text, double *value)
{
    g_autofree char *s = g_strstrip(g_strdup(text));
    const char *p = *s == '-' || *s == '+' ? s + 1 : s;
    if (is_word(p, "inf") || is_word(p, "infinity") || is_word(p, "nan")) {
        *value = g_ascii_tolower(*p) == 'n' ? NAN : *s == '-' ? -INFINITY : INFINITY;
        return TRUE;
    }
    g_autoptr(GString) digits = g_string_new(NULL);
    for (const char *c = s; *c; c++) {
        if (*c == '_') {
            if (c == s || !g_ascii_isdigit(c[-1]) || !g_ascii_isdigit(c[1]))
                return FALSE;
            continue;
        }
        if (!g_ascii_isdigit(*c) && !strchr("+-.eE", *c))
            return FALSE; /* strtod would take hexadecimal */
        g_string_append_c(digits, *c);
    }
    char *end;
    double d = g_ascii_strtod(digits->str, &end);
    if (!digits->len || *end || end == digits->str)
        return FALSE;
    *value = d;
    return TRUE;
}

/* Matching the default rules by hand: ASCII lines only, where \s is exactly is_space(). */

static gboolean is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static const char *skip_space(const char *p)
{
    while (is_space(*p))
        p++;
    return p;
}

static const char *skip_digits(const char *p)
{
    while (g_ascii_isdigit(*p))
        p++;
    return p;
}

/* The end of the longest \value at p. All parts of a number are optional there. */
static const char *skip_number(const char *p)
{
    const char *q = *p == '-' || *p == '+' ? p + 1 : p;
    if (!g_ascii_strncasecmp(p, "nan", 3))
        return p + 3;
    if (!g_ascii_strncasecmp(q, "inf", 3))
        return q + 3;
    q = skip_digits(q);
    if (*q == '.')
        q = skip_digits(q + 1);
    if (*q == 'e' || *q == 'E') {
        const char *e = q[1] == '-' || q[1] == '+' ? q + 2 : q + 1;
        if (g_ascii_isdigit(*e))
            q = skip_digits(e);
    }
    return q;
}

/* The digits in "(12)" or "(step 12)" up to the end of the line. */
static gboolean match_step(const char *p, double *step)
{
    if (*p != '(')
        return FALSE;
    p++;
    if (!strncmp(p, "step", 4) && is_space(p[4]))
        p = skip_space(p + 4);
    const char *end = skip_digits(p);
    if (end == p || end[0] != ')' || end[1])
        return FALSE;
    *step = g_ascii_strtod(p, NULL);
    return TRUE;
}

/* `KEY: VALUE` or `KEY: VALUE (...)`. */
Value *output_default_scalars(const char *line)
{
    if (!g_ascii_isalpha(*line) && *line != '_')
        return NULL;
    const char *key_end = line;
    while (*key_end && !is_space(*key_end))
        key_end++;
    if (!*key_end || key_end - line < 2 || key_end[-1] != ':')
        return NULL;
    const char *num = skip_space(key_end);
    const char *num_end = skip_number(num);
    const char *rest = skip_space(num_end);
    gsize len = strlen(rest);
    gboolean plain = !*num_end;
    gboolean noted = rest > num_end && len >= 2 && rest[0] == '(' && rest[len - 1] == ')';
    /* An empty number matches as well where the space around it can be shared out. */
    if (num_end == num && num - key_end >= 2)
        noted = len >= 2 && rest[0] == '(' && rest[len - 1] == ')';
    else if (num_end == num || (!plain && !noted))
        return NULL;
    Value *vals = value_new_map();
    double d;
    if (noted && match_step(rest, &d))
        value_map_set(vals, "step", value_new_float(d));
    g_autofree char *text = g_strndup(num, (gsize)(num_end - num));
    if (output_rules_parse_float(text, &d)) {
        g_autofree char *key = g_strndup(line, (gsize)(key_end - 1 - line));
        value_map_set(vals, key, value_new_float(d));
    }
    return vals;
}

/* `KEY: TERM`. */
Value *output_default_attrs(const char *line)
{
    if (!g_ascii_isalpha(*line) && *line != '_')
        return NULL;
    const char *key_end = line;
    while (*key_end && !is_space(*key_end))
        key_end++;
    if (!*key_end || key_end - line < 2 || key_end[-1] != ':')
        return NULL;
    const char *term = skip_space(key_end);
    for (const char *p = term; *p; p++)
        if (is_space(*p))
            return NULL;
    Value *vals = value_new_map();
    g_autofree char *key = g_strndup(line, (gsize)(key_end - 1 - line));
    value_map_set_string(vals, key, term);
    return vals;
}
