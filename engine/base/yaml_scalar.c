/* SPDX-License-Identifier: Apache-2.0 */
/* Implicit types of YAML 1.1 scalars: see yaml_scalar.h. Hand-written matchers in place of the
 * regular expressions of PyYAML, because this is asked for every string that a run writes. */
#include "engine/base/yaml_scalar.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Python refuses to convert longer integers to text. */
#define INT_MAX_DIGITS 4300

#define is_digit(c) ((c) >= '0' && (c) <= '9')

static gboolean any_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (strcmp(s, *words) == 0)
            return TRUE;
    return FALSE;
}

/* Skips characters of `set` from s. */
static const char *skip(const char *s, const char *set)
{
    return s + strspn(s, set);
}

static const char *skip_sign(const char *s)
{
    return *s == '-' || *s == '+' ? s + 1 : s;
}

static gboolean is_bool(const char *s, gboolean strict)
{
    static const char *const words[] = {"yes", "Yes", "YES", "no", "No", "NO", "true", "True",
            "TRUE", "false", "False", "FALSE", "on", "On", "ON", "off", "Off", "OFF", NULL};
    if (strict && s[0] && !s[1] && strchr("yYnN", s[0]))
        return TRUE;
    return any_of(s, words);
}

static gboolean is_null(const char *s)
{
    static const char *const words[] = {"", "~", "null", "Null", "NULL", NULL};
    return any_of(s, words);
}

/* (:[0-5]?[0-9])+ ; NULL if there is none. */
static const char *skip_sixties(const char *s)
{
    const char *end = NULL;
    while (*s == ':' && is_digit(s[1])) {
        s += s[1] <= '5' && is_digit(s[2]) ? 3 : 2;
        end = s;
    }
    return end;
}

static gboolean is_int(const char *s)
{
    s = skip_sign(s);
    if (s[0] == '0') {
        if (s[1] == 'b')
            return s[2] && !*skip(s + 2, "01_");
        if (s[1] == 'x')
            return s[2] && !*skip(s + 2, "0123456789abcdefABCDEF_");
        return !*skip(s + 1, "01234567_");
    }
    if (!is_digit(*s))
        return FALSE;
    s = skip(s, "0123456789_");
    if (!*s)
        return TRUE;
    s = skip_sixties(s);
    return s && !*s;
}

/* e with a sign and digits up to the end. */
static gboolean is_exponent(const char *s, gboolean sign_optional)
{
    if (*s != 'e' && *s != 'E')
        return FALSE;
    const char *digits = skip_sign(s + 1);
    if (digits == s + 1 && !sign_optional)
        return FALSE;
    return *digits && !*skip(digits, "0123456789");
}

static gboolean is_float(const char *s)
{
    static const char *const inf[] = {".inf", ".Inf", ".INF", NULL};
    static const char *const nan[] = {".nan", ".NaN", ".NAN", NULL};
    const char *p = skip_sign(s);
    if (*p == '.') {
        if (any_of(p, inf) || any_of(s, nan))
            return TRUE;
        if (p != s)
            return FALSE;
        p = skip(p + 1, "0123456789_");
        return p > s + 1 && (!*p || is_exponent(p, FALSE));
    }
    if (!is_digit(*p))
        return FALSE;
    p = skip(p, "0123456789_");
    if (*p == '.') {
        p = skip(p + 1, "0123456789_");
        return !*p || is_exponent(p, TRUE);
    }
    if (*p == ':') {
        p = skip_sixties(p);
        return p && *p == '.' && !*skip(p + 1, "0123456789_");
    }
    return is_exponent(p, TRUE);
}

typedef struct {
    int year, month, day;
    gboolean has_time;
    int hour, minute, second;
    int micros;
    gboolean has_micros, has_zone;
    int zone_minutes;
} Stamp;

/* Reads min to max digits; moves *s behind them. */
static gboolean read_digits(const char **s, int min, int max, int *n)
{
    int count = 0;
    *n = 0;
    while (count < max && is_digit(**s)) {
        *n = *n * 10 + (*(*s)++ - '0');
        count++;
    }
    return count >= min;
}

static gboolean read_zone(const char *s, Stamp *t)
{
    s = skip(s, " \t");
    t->has_zone = TRUE;
    if (*s == 'Z')
        return !s[1];
    int sign = *s == '-' ? -1 : 1, hours, minutes = 0;
    if (*s != '-' && *s != '+')
        return FALSE;
    s++;
    if (!read_digits(&s, 1, 2, &hours))
        return FALSE;
    if (*s == ':') {
        s++;
        if (!read_digits(&s, 2, 2, &minutes))
            return FALSE;
    }
    t->zone_minutes = sign * (hours * 60 + minutes);
    return !*s;
}

/* TRUE if the text has the form of a date or a time; the numbers may still be out of range. */
static gboolean read_stamp(const char *s, Stamp *t)
{
    memset(t, 0, sizeof *t);
    const char *start = s;
    if (!read_digits(&s, 4, 4, &t->year) || *s++ != '-' || !read_digits(&s, 1, 2, &t->month) ||
            *s++ != '-' || !read_digits(&s, 1, 2, &t->day))
        return FALSE;
    if (!*s)
        return s - start == 10;
    const char *time = *s == 'T' || *s == 't' ? s + 1 : skip(s, " \t");
    if (time == s)
        return FALSE;
    s = time;
    t->has_time = TRUE;
    if (!read_digits(&s, 1, 2, &t->hour) || *s++ != ':' || !read_digits(&s, 2, 2, &t->minute) ||
            *s++ != ':' || !read_digits(&s, 2, 2, &t->second))
        return FALSE;
    if (*s == '.') {
        s++;
        const char *fraction = s;
        for (int i = 0; i < 6; i++)
            t->micros = t->micros * 10 + (is_digit(*s) ? *s++ - '0' : 0);
        t->has_micros = s > fraction && t->micros != 0;
        s = skip(s, "0123456789");
    }
    return !*s || read_zone(s, t);
}

YamlTag yaml_scalar_resolve(const char *s, gsize len, gboolean strict)
{
    Stamp stamp;
    switch (*s) {
    case 0:
        return len ? YAML_TAG_STR : YAML_TAG_NULL;
    case 'n':
    case 'N':
        if (is_null(s))
            return YAML_TAG_NULL;
        /* fall through */
    case 'y':
    case 'Y':
    case 't':
    case 'T':
    case 'f':
    case 'F':
    case 'o':
    case 'O':
        return len <= 5 && is_bool(s, strict) ? YAML_TAG_BOOL : YAML_TAG_STR;
    case '~':
        return len == 1 ? YAML_TAG_NULL : YAML_TAG_STR;
    case '<':
        return strcmp(s, "<<") == 0 ? YAML_TAG_MERGE : YAML_TAG_STR;
    case '=':
    case '!':
    case '&':
    case '*':
        return len == 1 ? YAML_TAG_OTHER : YAML_TAG_STR;
    case '-':
    case '+':
    case '.':
        return is_int(s) ? YAML_TAG_INT : is_float(s) ? YAML_TAG_FLOAT : YAML_TAG_STR;
    default:
        if (!is_digit(*s))
            return YAML_TAG_STR;
        if (is_int(s))
            return YAML_TAG_INT;
        if (is_float(s))
            return YAML_TAG_FLOAT;
        return read_stamp(s, &stamp) ? YAML_TAG_TIMESTAMP : YAML_TAG_STR;
    }
}

/* A decimal number of any length, lowest digit first, that grows by n = n * factor + add. */
static void decimal_grow(GByteArray *n, guint factor, guint add)
{
    guint carry = add;
    for (guint i = 0; i < n->len; i++) {
        carry += n->data[i] * factor;
        n->data[i] = carry % 10;
        carry /= 10;
    }
    for (; carry; carry /= 10) {
        guint8 digit = carry % 10;
        g_byte_array_append(n, &digit, 1);
    }
}

/* Digits of `base`, or base 60 parts between colons, without sign and underscores. */
static Value *int_from_digits(const char *s, guint base, gboolean negative)
{
    g_autoptr(GByteArray) n = g_byte_array_new();
    gboolean sixties = strchr(s, ':') != NULL;
    guint part = 0;
    gboolean first = TRUE;
    for (; *s; s++) {
        if (*s == ':') {
            if (!first)
                decimal_grow(n, 60, part);
            part = 0;
            first = FALSE;
        } else if (sixties && !first) {
            part = part * 10 + (guint)(*s - '0');
        } else {
            decimal_grow(n, base, (guint)g_ascii_xdigit_value(*s));
        }
    }
    if (sixties)
        decimal_grow(n, 60, part);
    if (n->len == 0)
        return value_new_int(0);
    GString *text = g_string_new(negative ? "-" : "");
    for (guint i = n->len; i > 0; i--)
        g_string_append_c(text, (char)('0' + n->data[i - 1]));
    Value *v = value_new_int_text(text->str);
    g_string_free(text, TRUE);
    return v;
}

static char *without_underscores(const char *s, gsize len)
{
    char *out = g_malloc(len + 1), *p = out;
    for (; *s; s++)
        if (*s != '_')
            *p++ = *s;
    *p = 0;
    return out;
}

static Value *make_int(const char *s, gsize len, const char **why)
{
    if (len > INT_MAX_DIGITS) {
        *why = "the integer has too many digits";
        return NULL;
    }
    gint64 i;
    if (len < 19 && (s[*s == '-'] != '0' || len == 1) && *s != '+' && !strpbrk(s, "_:") &&
            g_ascii_string_to_signed(s, 10, G_MININT64, G_MAXINT64, &i, NULL))
        return value_new_int(i);
    g_autofree char *text = without_underscores(s, len);
    gboolean negative = *text == '-';
    char *digits = (char *)skip_sign(text);
    guint base = 10;
    if (g_str_has_prefix(digits, "0b"))
        base = 2, digits += 2;
    else if (g_str_has_prefix(digits, "0x"))
        base = 16, digits += 2;
    else if (*digits == '0' && digits[1])
        base = 8;
    if (!*digits) {
        *why = "the integer has no digits";
        return NULL;
    }
    return int_from_digits(digits, base, negative);
}

static Value *make_float(const char *s, gsize len, const char **why)
{
    g_autofree char *text = without_underscores(s, len);
    double sign = *text == '-' ? -1 : 1;
    const char *p = skip_sign(text);
    if (g_ascii_strcasecmp(p, ".inf") == 0)
        return value_new_float(sign * (double)INFINITY);
    if (g_ascii_strcasecmp(p, ".nan") == 0)
        return value_new_float((double)NAN);
    double d = 0;
    char *end;
    for (;;) {
        double part = g_ascii_strtod(p, &end);
        if (end == p || (*end && *end != ':')) {
            *why = "the number has no digits";
            return NULL;
        }
        d = d * 60 + part;
        if (!*end)
            return value_new_float(sign * d);
        p = end + 1;
    }
}

static Value *make_timestamp(const char *s, const char **why)
{
    Stamp t;
    if (!read_stamp(s, &t) || !t.year || t.month > 12 || t.day > 31 ||
            !g_date_valid_dmy((GDateDay)t.day, (GDateMonth)t.month, (GDateYear)t.year) ||
            t.hour > 23 || t.minute > 59 || t.second > 59 || ABS(t.zone_minutes) >= 24 * 60) {
        *why = "no such date or time";
        return NULL;
    }
    GString *text = g_string_new(NULL);
    g_string_printf(text, "%04d-%02d-%02d", t.year, t.month, t.day);
    if (t.has_time)
        g_string_append_printf(text, " %02d:%02d:%02d", t.hour, t.minute, t.second);
    if (t.has_micros)
        g_string_append_printf(text, ".%06d", t.micros);
    if (t.has_zone)
        g_string_append_printf(text, "%c%02d:%02d", t.zone_minutes < 0 ? '-' : '+',
                ABS(t.zone_minutes) / 60, ABS(t.zone_minutes) % 60);
    Value *v = value_new_timestamp(text->str);
    g_string_free(text, TRUE);
    return v;
}

static Value *make_bool(const char *s, const char **why)
{
    if (!is_bool(s, FALSE)) {
        *why = "expected a boolean";
        return NULL;
    }
    return value_new_bool(strchr("yYtT", s[0]) || g_ascii_strcasecmp(s, "on") == 0);
}

Value *yaml_scalar_value(YamlTag tag, const char *s, gsize len, const char **why)
{
    switch (tag) {
    case YAML_TAG_STR:
        return value_new_string_len(s, len);
    case YAML_TAG_NULL:
        return value_new_null();
    case YAML_TAG_BOOL:
        return make_bool(s, why);
    case YAML_TAG_INT:
        if (is_int(s))
            return make_int(s, len, why);
        *why = "expected an integer";
        return NULL;
    case YAML_TAG_FLOAT:
        if (is_float(s) || is_int(s))
            return make_float(s, len, why);
        *why = "expected a number";
        return NULL;
    case YAML_TAG_TIMESTAMP:
        return make_timestamp(s, why);
    case YAML_TAG_MERGE:
    case YAML_TAG_OTHER:
        *why = "could not determine a constructor for the value";
        return NULL;
    }
    return NULL;
}
