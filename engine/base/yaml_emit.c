/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML writer. It prints what PyYAML's pure Python emitter prints with indent 2 and width 80,
 * without unicode: libyaml's own emitter differs from that one in when it folds and how it
 * quotes, and readers compare these files by bytes. It goes over the value directly, without
 * events, because a run writes some twenty small documents.
 *
 * State is PyYAML's: the column, whether the last thing written was white space, and whether only
 * indentation ("  - ") has been written on this line. */
#include "engine/base/yaml.h"
#include "engine/base/yaml_scalar.h"

#include <math.h>
#include <string.h>

#define BEST_INDENT 2
#define BEST_WIDTH 80
/* A key is written before its ':' on one line if its text is shorter than this; YAML allows 1024,
 * PyYAML 128 with the 5 bytes of a tag (!!str) counted in. */
#define SIMPLE_KEY_MAX 123

typedef struct {
    GString *out;
    int column;
    int indent; /* -1: at the root, none yet */
    int flow_level;
    gboolean whitespace;
    gboolean indention;
    gboolean flow;   /* all collections in flow style */
    gboolean strict; /* y and n are booleans */
} Emitter;

/* What the text of a scalar allows. */
typedef struct {
    gboolean multiline;
    gboolean flow_plain, block_plain, single_quoted;
} Analysis;

typedef enum { STYLE_PLAIN, STYLE_SINGLE, STYLE_DOUBLE } Style;

static void put(Emitter *e, const char *s, gsize len)
{
    g_string_append_len(e->out, s, (gssize)len);
    e->column += (int)len;
}

static void write_indicator(Emitter *e, const char *s, gboolean need_whitespace)
{
    if (need_whitespace && !e->whitespace)
        put(e, " ", 1);
    put(e, s, strlen(s));
    e->whitespace = FALSE;
    e->indention = FALSE;
}

/* One that leaves a line that was only indentation so: "-", "?" and ":". */
static void write_block_indicator(Emitter *e, const char *s)
{
    gboolean indention = e->indention;
    write_indicator(e, s, TRUE);
    e->indention = indention;
}

static void write_line_break(Emitter *e)
{
    g_string_append_c(e->out, '\n');
    e->whitespace = TRUE;
    e->indention = TRUE;
    e->column = 0;
}

static void write_indent(Emitter *e)
{
    int indent = MAX(e->indent, 0);
    if (!e->indention || e->column > indent || (e->column == indent && !e->whitespace))
        write_line_break(e);
    if (e->column < indent) {
        e->whitespace = TRUE;
        while (e->column < indent)
            put(e, " ", 1);
    }
}

static gboolean is_blank(char c)
{
    return c == 0 || strchr(" \t\r\n", c) != NULL;
}

/* U+0085, U+2028 and U+2029 are line breaks too. */
static gboolean is_unicode_break(const char *s)
{
    return memcmp(s, "\xc2\x85", 2) == 0 ||
           (strncmp(s, "\xe2\x80", 2) == 0 && (s[2] == '\xa8' || s[2] == '\xa9'));
}

typedef struct {
    gboolean flow_indicators, block_indicators;
} Indicators;

static void find_indicators(const char *s, Indicators *found)
{
    if (strncmp(s, "---", 3) == 0 || strncmp(s, "...", 3) == 0 ||
            strchr("#,[]{}&*!|>'\"%@`", s[0]) || (s[0] == '-' && is_blank(s[1])))
        found->flow_indicators = found->block_indicators = TRUE;
    if (s[0] == '?' || s[0] == ':') {
        found->flow_indicators = TRUE;
        found->block_indicators |= is_blank(s[1]);
    }
    for (const char *p = s + 1; (p = strpbrk(p, ",?[]{}:#")); p++) {
        if (*p == '#') {
            if (is_blank(p[-1]))
                found->flow_indicators = found->block_indicators = TRUE;
            continue;
        }
        found->flow_indicators = TRUE;
        if (*p == ':' && is_blank(p[1]))
            found->block_indicators = TRUE;
    }
}

static Analysis analyze(const char *s, gsize len)
{
    if (len == 0)
        return (Analysis){.block_plain = TRUE, .single_quoted = TRUE};
    Indicators found = {FALSE, FALSE};
    gboolean breaks = FALSE, special = FALSE, break_space = FALSE, space_break = FALSE;
    Analysis a = {FALSE};
    find_indicators(s, &found);
    for (const char *p = s; *p; p++) {
        guchar c = (guchar)*p;
        if (c == '\n') {
            breaks = TRUE;
            if (p > s && p[-1] == ' ')
                space_break = TRUE;
        } else if (c == ' ') {
            if (p > s && p[-1] == '\n')
                break_space = TRUE;
        } else if (c < 0x20 || c > 0x7e) {
            special = TRUE;
            a.multiline |= is_unicode_break(p);
        }
    }
    gboolean edge = strchr(" \n", s[0]) || strchr(" \n", s[len - 1]);
    gboolean plain = !edge && !break_space && !space_break && !special && !breaks;
    a.multiline |= breaks;
    a.flow_plain = plain && !found.flow_indicators;
    a.block_plain = plain && !found.block_indicators;
    a.single_quoted = !break_space && !space_break && !special;
    return a;
}

/* Writes the run of spaces s[i..j), or folds the line there if it is one space and the line is
 * full. TRUE if it folded. */
static gboolean write_spaces(Emitter *e, const char *s, gsize i, gsize j, gboolean may_fold)
{
    if (may_fold && j == i + 1 && e->column > BEST_WIDTH) {
        write_indent(e);
        return TRUE;
    }
    put(e, s + i, j - i);
    return FALSE;
}

static void write_plain(Emitter *e, const char *s, gsize len, gboolean split)
{
    if (!len)
        return;
    if (!e->whitespace)
        put(e, " ", 1);
    e->whitespace = FALSE;
    e->indention = FALSE;
    for (gsize i = 0; i < len;) {
        gsize word = strcspn(s + i, " ");
        put(e, s + i, word);
        i += word;
        gsize spaces = strspn(s + i, " ");
        if (spaces && write_spaces(e, s, i, i + spaces, split)) {
            e->whitespace = FALSE;
            e->indention = FALSE;
        }
        i += spaces;
    }
}

static void write_single_quoted(Emitter *e, const char *s, gsize len, gboolean split)
{
    write_indicator(e, "'", TRUE);
    for (gsize i = 0; i < len;) {
        gsize n = strcspn(s + i, " \n'");
        put(e, s + i, n);
        i += n;
        if (s[i] == '\'') {
            put(e, "''", 2);
            i++;
        } else if (s[i] == ' ') {
            n = strspn(s + i, " ");
            write_spaces(e, s, i, i + n, split && i > 0 && i + n < len);
            i += n;
        } else if (s[i] == '\n') {
            n = strspn(s + i, "\n");
            for (gsize k = 0; k <= n; k++) /* one more than there are: the first is folded */
                write_line_break(e);
            write_indent(e);
            i += n;
        }
    }
    write_indicator(e, "'", FALSE);
}

static void write_escape(Emitter *e, gunichar c)
{
    static const char names[][2] = {{0, '0'}, {'\a', 'a'}, {'\b', 'b'}, {'\t', 't'}, {'\n', 'n'},
            {'\v', 'v'}, {'\f', 'f'}, {'\r', 'r'}, {0x1b, 'e'}, {'"', '"'}, {'\\', '\\'}};
    char buf[16] = "";
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (c == (guchar)names[i][0])
            g_snprintf(buf, sizeof buf, "\\%c", names[i][1]);
    if (c == 0x85)
        g_strlcpy(buf, "\\N", sizeof buf);
    else if (c == 0xa0)
        g_strlcpy(buf, "\\_", sizeof buf);
    else if (c == 0x2028)
        g_strlcpy(buf, "\\L", sizeof buf);
    else if (c == 0x2029)
        g_strlcpy(buf, "\\P", sizeof buf);
    else if (!buf[0])
        g_snprintf(buf, sizeof buf, c <= 0xff ? "\\x%02X" : c <= 0xffff ? "\\u%04X" : "\\U%08X", c);
    put(e, buf, strlen(buf));
}

/* The characters of a string. A byte that is no UTF-8 is the surrogate that Python makes of it. */
static gunichar *decode_chars(const char *s, gsize len, gsize *count)
{
    gunichar *chars = g_new(gunichar, len + 1);
    gsize n = 0;
    while (*s) {
        gunichar c = g_utf8_get_char_validated(s, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            chars[n++] = 0xdc00 + (guchar)*s++;
        } else {
            chars[n++] = c;
            s = g_utf8_next_char(s);
        }
    }
    *count = n;
    return chars;
}

static void put_chars(Emitter *e, const gunichar *chars, gsize from, gsize to)
{
    for (; from < to; from++) {
        char c = (char)chars[from]; /* those that need no escape are ASCII */
        put(e, &c, 1);
    }
}

static void write_double_quoted(Emitter *e, const char *s, gsize len, gboolean split)
{
    gsize n, start = 0;
    g_autofree gunichar *chars = decode_chars(s, len, &n);
    write_indicator(e, "\"", TRUE);
    for (gsize end = 0; end <= n; end++) {
        gunichar c = end < n ? chars[end] : 0;
        if (end == n || c < 0x20 || c > 0x7e || c == '"' || c == '\\') {
            put_chars(e, chars, start, end);
            start = MAX(start, end);
            if (end < n) {
                write_escape(e, c);
                start = end + 1;
            }
        }
        if (!split || end == 0 || end + 1 >= n || !(c == ' ' || start >= end))
            continue;
        if (e->column + (int)end - (int)start > BEST_WIDTH) {
            put_chars(e, chars, start, end);
            start = MAX(start, end);
            put(e, "\\", 1);
            write_indent(e);
            e->whitespace = FALSE;
            e->indention = FALSE;
            if (chars[start] == ' ')
                put(e, "\\", 1);
        }
    }
    write_indicator(e, "\"", FALSE);
}

static char *float_text(double d)
{
    if (isnan(d))
        return g_strdup(".nan");
    if (isinf(d))
        return g_strdup(d < 0 ? "-.inf" : ".inf");
    g_autofree char *repr = value_float_repr(d);
    char *e = strchr(repr, 'e');
    if (!e || strchr(repr, '.'))
        return g_steal_pointer(&repr);
    *e = 0;
    return g_strconcat(repr, ".0e", e + 1, NULL);
}

/* The text of a scalar that is no string. */
static char *scalar_text(const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        return g_strdup("null");
    case VALUE_BOOL:
        return g_strdup(value_get_bool(v) ? "true" : "false");
    case VALUE_FLOAT:
        return float_text(value_get_float(v));
    default:
        return value_str(v);
    }
}

static void write_text(Emitter *e, const char *s, gsize len, Style style, gboolean split)
{
    if (style == STYLE_PLAIN)
        write_plain(e, s, len, split);
    else if (style == STYLE_SINGLE)
        write_single_quoted(e, s, len, split);
    else
        write_double_quoted(e, s, len, split);
}

static void emit_string(Emitter *e, const char *s, gsize len, gboolean is_stamp, gboolean key)
{
    Analysis a = analyze(s, len);
    Style style = STYLE_DOUBLE;
    if ((is_stamp || yaml_scalar_resolve(s, len, e->strict) == YAML_TAG_STR) &&
            !(key && (!len || a.multiline)) && (e->flow_level ? a.flow_plain : a.block_plain))
        style = STYLE_PLAIN;
    else if (a.single_quoted && !(key && a.multiline))
        style = STYLE_SINGLE;
    if (is_stamp && style != STYLE_PLAIN)
        write_indicator(e, "!!timestamp", TRUE);
    int indent = e->indent;
    e->indent = indent < 0 ? BEST_INDENT : indent + BEST_INDENT;
    write_text(e, s, len, style, !key);
    e->indent = indent;
}

static void emit_node(Emitter *e, const Value *v, gboolean in_map);

static void emit_flow_list(Emitter *e, const Value *v)
{
    int indent = e->indent;
    write_indicator(e, "[", TRUE);
    e->whitespace = TRUE;
    e->flow_level++;
    e->indent = indent < 0 ? BEST_INDENT : indent + BEST_INDENT;
    for (gsize i = 0; i < value_list_size(v); i++) {
        if (i)
            write_indicator(e, ",", FALSE);
        if (e->column > BEST_WIDTH)
            write_indent(e);
        emit_node(e, value_list_at(v, i), FALSE);
    }
    e->indent = indent;
    e->flow_level--;
    write_indicator(e, "]", FALSE);
}

static gboolean is_simple_key(const char *key)
{
    gsize len = strlen(key);
    if (!len || (len >= SIMPLE_KEY_MAX && g_utf8_strlen(key, -1) >= SIMPLE_KEY_MAX))
        return FALSE;
    return !analyze(key, len).multiline;
}

static int compare_at(const Value *map, gsize a, gsize b)
{
    if (value_map_key_kind(map, a) != VALUE_STRING && value_map_key_kind(map, b) != VALUE_STRING) {
        g_autoptr(Value) x = value_map_key_value(map, a), y = value_map_key_value(map, b);
        double d = value_is_number(x) && value_is_number(y)
                           ? value_get_float(x) - value_get_float(y)
                           : 0;
        if (d != 0)
            return d < 0 ? -1 : 1;
    }
    return strcmp(value_map_key_at(map, a), value_map_key_at(map, b));
}

static int compare_keys(const void *a, const void *b, void *map)
{
    return compare_at(map, *(const gsize *)a, *(const gsize *)b);
}

/* Positions of the entries in the order of their keys. */
static gsize *sorted_positions(const Value *map)
{
    gsize n = value_map_size(map);
    gsize *order = g_new(gsize, n);
    gboolean sorted = TRUE;
    for (gsize i = 0; i < n; i++) {
        order[i] = i;
        if (i && compare_at(map, i - 1, i) > 0)
            sorted = FALSE;
    }
    if (!sorted)
        g_qsort_with_data(order, (gint)n, sizeof *order, compare_keys, (gpointer)map);
    return order;
}

/* A number or a boolean stays one. */
static void emit_key(Emitter *e, const Value *map, gsize i, gboolean simple)
{
    const char *text = value_map_key_at(map, i);
    if (value_map_key_kind(map, i) == VALUE_STRING) {
        emit_string(e, text, strlen(text), FALSE, simple);
        return;
    }
    g_autoptr(Value) key = value_map_key_value(map, i);
    emit_node(e, key, FALSE);
}

static void emit_flow_map(Emitter *e, const Value *v)
{
    g_autofree gsize *order = sorted_positions(v);
    int indent = e->indent;
    write_indicator(e, "{", TRUE);
    e->whitespace = TRUE;
    e->flow_level++;
    e->indent = indent < 0 ? BEST_INDENT : indent + BEST_INDENT;
    for (gsize i = 0; i < value_map_size(v); i++) {
        const char *key = value_map_key_at(v, order[i]);
        if (i)
            write_indicator(e, ",", FALSE);
        if (e->column > BEST_WIDTH)
            write_indent(e);
        gboolean simple = is_simple_key(key);
        if (!simple)
            write_indicator(e, "?", TRUE);
        emit_key(e, v, order[i], simple);
        if (!simple && e->column > BEST_WIDTH)
            write_indent(e);
        write_indicator(e, ":", !simple);
        emit_node(e, value_map_at(v, order[i]), TRUE);
    }
    e->indent = indent;
    e->flow_level--;
    write_indicator(e, "}", FALSE);
}

static void emit_block_list(Emitter *e, const Value *v, gboolean in_map)
{
    int indent = e->indent;
    if (indent < 0)
        e->indent = 0;
    else if (!in_map || e->indention)
        e->indent += BEST_INDENT;
    for (gsize i = 0; i < value_list_size(v); i++) {
        write_indent(e);
        write_block_indicator(e, "-");
        emit_node(e, value_list_at(v, i), FALSE);
    }
    e->indent = indent;
}

static void emit_block_map(Emitter *e, const Value *v)
{
    g_autofree gsize *order = sorted_positions(v);
    int indent = e->indent;
    e->indent = indent < 0 ? 0 : indent + BEST_INDENT;
    for (gsize i = 0; i < value_map_size(v); i++) {
        const char *key = value_map_key_at(v, order[i]);
        write_indent(e);
        gboolean simple = is_simple_key(key);
        if (!simple)
            write_block_indicator(e, "?");
        emit_key(e, v, order[i], simple);
        if (simple) {
            write_indicator(e, ":", FALSE);
        } else {
            write_indent(e);
            write_block_indicator(e, ":");
        }
        emit_node(e, value_map_at(v, order[i]), TRUE);
    }
    e->indent = indent;
}

static void emit_node(Emitter *e, const Value *v, gboolean in_map)
{
    gboolean flow = e->flow || e->flow_level;
    switch (value_kind(v)) {
    case VALUE_LIST:
        if (flow || !value_list_size(v))
            emit_flow_list(e, v);
        else
            emit_block_list(e, v, in_map);
        break;
    case VALUE_MAP:
        if (flow || !value_map_size(v))
            emit_flow_map(e, v);
        else
            emit_block_map(e, v);
        break;
    case VALUE_STRING:
        emit_string(e, value_get_string(v), value_string_len(v), value_is_timestamp(v), FALSE);
        break;
    default: {
        g_autofree char *text = scalar_text(v);
        write_plain(e, text, strlen(text), FALSE);
        break;
    }
    }
}

static char *dump(const Value *v, gboolean flow, gboolean strict)
{
    Emitter e = {.out = g_string_sized_new(64),
            .indent = -1,
            .whitespace = TRUE,
            .indention = TRUE,
            .flow = flow,
            .strict = strict};
    emit_node(&e, v, FALSE);
    return g_string_free(e.out, FALSE);
}

char *yaml_dump(const Value *v)
{
    return dump(v, FALSE, FALSE);
}
char *yaml_dump_attr(const Value *v)
{
    return dump(v, FALSE, TRUE);
}
char *yaml_dump_flow(const Value *v)
{
    return dump(v, TRUE, FALSE);
}
