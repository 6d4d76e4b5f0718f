/* SPDX-License-Identifier: Apache-2.0 */
/* Python's configparser format; see ini.h. */
#include "engine/base/ini.h"

#include "engine/base/text.h"

#include <string.h>

/* Of one reference to another option to the next; configparser's. */
#define MAX_DEPTH 10
/* Of a value with all references put in: they may double it at each step. */
#define MAX_VALUE_BYTES (1u << 20)
/* Where options are that are set without a section, and what a reference finds nowhere else. */
#define DEFAULTS "DEFAULT"

G_DEFINE_QUARK(guild - ini - error, ini_error)

typedef struct Parser {
    Value *sections; /* each a map of option to text as written */
    Value *section;  /* borrowed */
    char *option;    /* of the value that may go on */
    GString *value;
    gsize indent; /* of the option's line */
} Parser;

/* Python's int(), float() and configparser's booleans, in this order. */
static Value *decode_value(const char *s)
{
    char *end;
    const char *digits = s + (*s == '-' || *s == '+');
    if (*digits && strspn(digits, "0123456789") == strlen(digits))
        return value_new_int_text(*s == '+' ? digits : s);
    if (*digits && (g_ascii_isdigit(*digits) || *digits == '.') && !strpbrk(s, "xXpP")) {
        double d = g_ascii_strtod(s, &end);
        if (end != s && !*end)
            return value_new_float(d);
    }
    static const struct {
        const char *word;
        gboolean val;
    } words[] = {{"yes", TRUE}, {"true", TRUE}, {"on", TRUE}, {"no", FALSE}, {"false", FALSE},
            {"off", FALSE}};
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++)
        if (!g_ascii_strcasecmp(s, words[i].word))
            return value_new_bool(words[i].val);
    static const char *const specials[] = {"nan", "inf", "infinity"};
    for (gsize i = 0; i < G_N_ELEMENTS(specials); i++)
        if (!g_ascii_strcasecmp(digits, specials[i]))
            return value_new_float(g_ascii_strtod(s, NULL));
    return value_new_string(s);
}

static void finish_option(Parser *p)
{
    if (p->option) {
        g_autofree char *text = text_to_utf8(g_strchomp(p->value->str), -1);
        value_map_set(p->section, p->option, value_new_string(text));
    }
    g_clear_pointer(&p->option, g_free);
    g_string_truncate(p->value, 0);
}

static gboolean syntax(const char *name, guint line, const char *what, GError **error)
{
    g_set_error(
            error, INI_ERROR, INI_ERROR_SYNTAX, "%s:%u: %s", name ? name : "<config>", line, what);
    return FALSE;
}

static gboolean parse_option(Parser *p, char *line, const char *name, guint n, GError **error)
{
    if (!p->section)
        return syntax(name, n, "an option before the first [section]", error);
    gsize at = strcspn(line, "=:");
    if (!line[at])
        return syntax(name, n, "expected NAME = VALUE", error);
    g_autofree char *raw = g_strndup(line, at);
    g_autofree char *option = g_utf8_strdown(g_strchomp(raw), -1);
    if (!*option)
        return syntax(name, n, "an option without a name", error);
    if (value_map_has(p->section, option))
        return syntax(name, n, "an option that is there already", error);
    p->option = g_steal_pointer(&option);
    g_string_assign(p->value, g_strstrip(line + at + 1));
    return TRUE;
}

static gboolean parse_line(Parser *p, char *line, const char *name, guint n, GError **error)
{
    gsize indent = strspn(line, " \t\f\v");
    char *text = g_strchomp(line + indent);
    if (*text == '#' || *text == ';')
        return TRUE;
    if (!*text) {
        if (p->option)
            g_string_append_c(p->value, '\n');
        return TRUE;
    }
    if (p->option && indent > p->indent) {
        g_string_append_printf(p->value, "\n%s", text);
        return TRUE;
    }
    finish_option(p);
    p->indent = indent;
    if (*text != '[')
        return parse_option(p, text, name, n, error);
    char *close = strrchr(text, ']');
    if (!close || close == text + 1)
        return syntax(name, n, "expected [section]", error);
    *close = '\0';
    if (value_map_has(p->sections, text + 1))
        return syntax(name, n, "a section that is there already", error);
    p->section = value_new_map();
    value_map_set(p->sections, text + 1, p->section);
    return TRUE;
}

static gboolean bad_reference(const char *value, const char *what, GError **error)
{
    g_set_error(error, INI_ERROR, INI_ERROR_SYNTAX, "'%s' %s", value, what);
    return FALSE;
}

/* Appends `value` with what its references stand for. */
static gboolean expand(const Value *section, const Value *defaults, const char *value, guint depth,
        GString *out, GError **error)
{
    if (depth > MAX_DEPTH)
        return bad_reference(value, "refers to itself, or through too many others", error);
    for (const char *rest = value; *rest;) {
        gsize plain = strcspn(rest, "%");
        if (out->len + plain > MAX_VALUE_BYTES)
            return bad_reference(value, "stands for too long a text", error);
        g_string_append_len(out, rest, (gssize)plain);
        rest += plain;
        if (!*rest)
            break;
        if (rest[1] == '%') {
            g_string_append_c(out, '%');
            rest += 2;
            continue;
        }
        const char *close = rest[1] == '(' ? strchr(rest, ')') : NULL;
        if (!close || close == rest + 2 || close[1] != 's')
            return bad_reference(value, "has a '%' that is neither '%%' nor '%(name)s'", error);
        g_autofree char *written = g_strndup(rest + 2, (gsize)(close - rest - 2));
        g_autofree char *option = g_utf8_strdown(written, -1);
        const char *there =
                value_map_string(section, option, value_map_string(defaults, option, NULL));
        if (!there)
            return bad_reference(value, "refers to an option that is not there", error);
        if (!expand(section, defaults, there, depth + 1, out, error))
            return FALSE;
        rest = close + 2;
    }
    return TRUE;
}

/* The section with references put in and values decoded. New reference. */
static Value *finish_section(const Value *section, const Value *defaults, GError **error)
{
    g_autoptr(Value) full = value_new_map();
    g_autoptr(GString) text = g_string_new(NULL);
    for (gsize i = 0; i < value_map_size(section); i++) {
        g_string_truncate(text, 0);
        const char *raw = value_get_string(value_map_at(section, i));
        if (!expand(section, defaults, raw, 1, text, error))
            return NULL;
        value_map_set(full, value_map_key_at(section, i), decode_value(text->str));
    }
    return g_steal_pointer(&full);
}

/* What ini_parse() returns, of the options as they are written. */
static gboolean finish(const Parser *p, Value *out, const char *name, GError **error)
{
    const Value *defaults = value_map_get(p->sections, DEFAULTS);
    for (gsize i = 0; i < value_map_size(p->sections); i++) {
        Value *full = finish_section(value_map_at(p->sections, i), defaults, error);
        if (!full) {
            g_prefix_error(error, "%s: ", name ? name : "<config>");
            return FALSE;
        }
        value_map_set(out, value_map_key_at(p->sections, i), full);
    }
    return TRUE;
}

Value *ini_parse(const char *text, const char *name, GError **error)
{
    Parser p = {.sections = value_new_map(), .value = g_string_new(NULL)};
    g_autoptr(Value) out = value_new_map();
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    gboolean ok = TRUE;
    for (guint i = 0; ok && lines[i]; i++)
        ok = parse_line(&p, lines[i], name, i + 1, error);
    if (ok) {
        finish_option(&p);
        ok = finish(&p, out, name, error);
    }
    g_free(p.option);
    g_string_free(p.value, TRUE);
    value_unref(p.sections);
    return ok ? g_steal_pointer(&out) : NULL;
}

/* Whether reading `text` again finds only references and doubled signs in it. */
static gboolean can_be_read(const char *option, const char *text, GError **error)
{
    for (const char *at = strchr(text, '%'); at; at = strchr(at, '%')) {
        const char *close = at[1] == '(' ? strchr(at, ')') : NULL;
        if (at[1] == '%')
            at += 2;
        else if (close && close > at + 2 && close[1] == 's')
            at = close + 2;
        else {
            g_set_error(error, INI_ERROR, INI_ERROR_SYNTAX,
                    "invalid interpolation syntax in '%s' of '%s' (write %%%% for a percent sign)",
                    text, option);
            return FALSE;
        }
    }
    return TRUE;
}

static gboolean dump_section(GString *out, const char *name, const Value *section, GError **error)
{
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, section);
    value_map_sort(sorted);
    /* Names are lower case in the file; of two that become the same the last one stays. */
    g_autoptr(Value) options = value_new_map();
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_autofree char *option = g_utf8_strdown(value_map_key_at(sorted, i), -1);
        value_map_set(options, option, value_ref(value_map_at(sorted, i)));
    }
    g_string_append_printf(out, "[%s]\n", name);
    for (gsize i = 0; i < value_map_size(options); i++) {
        g_autofree char *raw = value_str(value_map_at(options, i));
        if (!can_be_read(value_map_key_at(options, i), raw, error))
            return FALSE;
        g_auto(GStrv) lines = g_strsplit(raw, "\n", -1);
        g_autofree char *text = g_strjoinv("\n\t", lines);
        g_string_append_printf(out, "%s = %s\n", value_map_key_at(options, i), text);
    }
    g_string_append_c(out, '\n');
    return TRUE;
}

char *ini_dump(const Value *config, GError **error)
{
    g_autoptr(Value) sections = value_new_map();
    g_autoptr(Value) defaults = value_new_map();
    for (gsize i = 0; i < value_map_size(config); i++) {
        const char *name = value_map_key_at(config, i);
        Value *v = value_map_at(config, i);
        if (!value_is_map(v))
            value_map_set(defaults, name, value_ref(v));
        else if (strcmp(name, DEFAULTS))
            value_map_set(sections, name, value_ref(v));
    }
    const Value *own = value_map_get(config, DEFAULTS);
    if (value_is_map(own) || value_map_size(defaults)) {
        Value *both = value_new_map();
        value_map_set(sections, DEFAULTS, both);
        if (value_is_map(own))
            value_map_update(both, own);
        value_map_update(both, defaults);
    }
    value_map_sort(sections);
    g_autoptr(GString) out = g_string_new(NULL);
    for (gsize i = 0; i < value_map_size(sections); i++)
        if (!dump_section(out, value_map_key_at(sections, i), value_map_at(sections, i), error))
            return NULL;
    return g_string_free(g_steal_pointer(&out), FALSE);
}
