/* SPDX-License-Identifier: Apache-2.0 */
/* Values as Python prints them: str() and repr(), which the reference's messages, labels and
 * command lines are made of. */
#include "engine/base/value.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The shortest decimal digits that read back as `d` (finite, > 0), without point; *exp10 is the
 * place of the point: 0.DIGITS * 10^exp10. `digits` holds at least 20 bytes. */
static void shortest_digits(double d, char *digits, int *exp10)
{
    char buf[40];
    int first = d < 2 * DBL_MIN ? 1 : 15; /* subnormal ones have fewer digits than 15 */
    for (int precision = first; precision <= 17; precision++) {
        snprintf(buf, sizeof buf, "%.*e", precision - 1, d);
        if (precision == 17 || strtod(buf, NULL) == d)
            break;
        /* Below a power of two the doubles lie closer than above it, so that the right answer may
         * be the neighbour of the nearest one of this length. */
        int e;
        if (precision == 16 && frexp(d, &e) == 0.5) {
            char up[40];
            g_strlcpy(up, buf, sizeof up);
            if (up[16] < '9') {
                up[16]++;
                if (strtod(up, NULL) == d) {
                    memcpy(buf, up, sizeof buf);
                    break;
                }
            }
        }
    }
    char *e = strchr(buf, 'e');
    *exp10 = atoi(e + 1) + 1;
    char *out = digits;
    for (char *p = buf; p < e; p++)
        if (*p >= '0' && *p <= '9')
            *out++ = *p;
    while (out > digits + 1 && out[-1] == '0')
        out--;
    *out = 0;
}

char *value_float_repr(double d)
{
    if (isnan(d))
        return g_strdup("nan");
    if (isinf(d))
        return g_strdup(d < 0 ? "-inf" : "inf");
    const char *sign = signbit(d) ? "-" : "";
    if (d == 0)
        return g_strconcat(sign, "0.0", NULL);
    char digits[32];
    int exp10;
    shortest_digits(fabs(d), digits, &exp10);
    int n = (int)strlen(digits);
    if (exp10 > 16 || exp10 < -3) {
        int e = exp10 - 1;
        return g_strdup_printf("%s%c%s%se%c%02d", sign, digits[0], n > 1 ? "." : "", digits + 1,
                e < 0 ? '-' : '+', abs(e));
    }
    if (exp10 <= 0)
        return g_strdup_printf("%s0.%.*s%s", sign, -exp10, "0000", digits);
    if (exp10 >= n)
        return g_strdup_printf("%s%s%.*s.0", sign, digits, exp10 - n, "0000000000000000");
    return g_strdup_printf("%s%.*s.%s", sign, exp10, digits, digits + exp10);
}

/* What Python's str.isprintable() accepts. */
static gboolean is_printable(gunichar c)
{
    if (c == ' ')
        return TRUE;
    switch (g_unichar_type(c)) {
    case G_UNICODE_CONTROL:
    case G_UNICODE_FORMAT:
    case G_UNICODE_UNASSIGNED:
    case G_UNICODE_PRIVATE_USE:
    case G_UNICODE_SURROGATE:
    case G_UNICODE_LINE_SEPARATOR:
    case G_UNICODE_PARAGRAPH_SEPARATOR:
    case G_UNICODE_SPACE_SEPARATOR:
        return FALSE;
    default:
        return TRUE;
    }
}

static void repr_char(GString *out, gunichar c, char quote)
{
    if (c == '\n')
        g_string_append(out, "\\n");
    else if (c == '\r')
        g_string_append(out, "\\r");
    else if (c == '\t')
        g_string_append(out, "\\t");
    else if (c == '\\' || c == (gunichar)quote)
        g_string_append_printf(out, "\\%c", (char)c);
    else if (is_printable(c))
        g_string_append_unichar(out, c);
    else if (c < 0x100)
        g_string_append_printf(out, "\\x%02x", c);
    else if (c < 0x10000)
        g_string_append_printf(out, "\\u%04x", c);
    else
        g_string_append_printf(out, "\\U%08x", c);
}

static void repr_string(GString *out, const char *s)
{
    char quote = strchr(s, '\'') && !strchr(s, '"') ? '"' : '\'';
    g_string_append_c(out, quote);
    while (*s) {
        gunichar c = g_utf8_get_char_validated(s, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) { /* as Python's surrogateescape */
            g_string_append_printf(out, "\\udc%02x", (guchar)*s++);
            continue;
        }
        repr_char(out, c, quote);
        s = g_utf8_next_char(s);
    }
    g_string_append_c(out, quote);
}

static void repr_value(GString *out, const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        g_string_append(out, "None");
        break;
    case VALUE_BOOL:
        g_string_append(out, value_get_bool(v) ? "True" : "False");
        break;
    case VALUE_INT:
        if (value_get_int_text(v))
            g_string_append(out, value_get_int_text(v));
        else
            g_string_append_printf(out, "%" G_GINT64_FORMAT, value_get_int(v));
        break;
    case VALUE_FLOAT: {
        g_autofree char *text = value_float_repr(value_get_float(v));
        g_string_append(out, text);
        break;
    }
    case VALUE_STRING:
        repr_string(out, value_get_string(v));
        break;
    case VALUE_LIST:
        g_string_append_c(out, '[');
        for (gsize i = 0; i < value_list_size(v); i++) {
            if (i)
                g_string_append(out, ", ");
            repr_value(out, value_list_at(v, i));
        }
        g_string_append_c(out, ']');
        break;
    case VALUE_MAP:
        g_string_append_c(out, '{');
        for (gsize i = 0; i < value_map_size(v); i++) {
            if (i)
                g_string_append(out, ", ");
            if (value_map_key_kind(v, i) == VALUE_STRING)
                repr_string(out, value_map_key_at(v, i));
            else
                g_string_append(out, value_map_key_at(v, i));
            g_string_append(out, ": ");
            repr_value(out, value_map_at(v, i));
        }
        g_string_append_c(out, '}');
        break;
    }
}

char *value_repr(const Value *v)
{
    GString *out = g_string_new(NULL);
    repr_value(out, v);
    return g_string_free(out, FALSE);
}

char *value_str(const Value *v)
{
    return value_is_string(v) ? g_strdup(value_get_string(v)) : value_repr(v);
}
