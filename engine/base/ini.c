/* SPDX-License-Identifier: Apache-2.0 */
/* Python's configparser format; see ini.h. */
#include "engine/base/ini.h"

#include "engine/base/text.h"

#include <errno.h>
#include <string.h>

G_DEFINE_QUARK(guild - ini - error, ini_error)

typedef struct Parser {
    Value *sections;
    Value *section; /* borrowed */
    char *option;   /* of the value that may go on */
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
        value_map_set(p->section, p->option, decode_value(text));
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

Value *ini_parse(const char *text, const char *name, GError **error)
{
    Parser p = {.sections = value_new_map(), .value = g_string_new(NULL)};
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    gboolean ok = TRUE;
    for (guint i = 0; ok && lines[i]; i++)
        ok = parse_line(&p, lines[i], name, i + 1, error);
    if (ok)
        finish_option(&p);
    g_free(p.option);
    g_string_free(p.value, TRUE);
    if (ok)
        return p.sections;
    value_unref(p.sections);
    return NULL;
}

static void dump_section(GString *out, const char *name, const Value *section)
{
    g_string_append_printf(out, "[%s]\n", name);
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, section);
    value_map_sort(sorted);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_autofree char *raw = value_str(value_map_at(sorted, i));
        g_auto(GStrv) lines = g_strsplit(raw, "\n", -1);
        g_autofree char *text = g_strjoinv("\n\t", lines);
        g_autofree char *option = g_utf8_strdown(value_map_key_at(sorted, i), -1);
        g_string_append_printf(out, "%s = %s\n", option, text);
    }
    g_string_append_c(out, '\n');
}

char *ini_dump(const Value *sections, GError **error)
{
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, sections);
    value_map_sort(sorted);
    GString *out = g_string_new(NULL);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const char *name = value_map_key_at(sorted, i);
        if (!value_is_map(value_map_at(sorted, i))) {
            g_set_error(error, INI_ERROR, INI_ERROR_SYNTAX,
                    "'%s' is in no section (name it SECTION.%s)", name, name);
            g_string_free(out, TRUE);
            return NULL;
        }
        dump_section(out, name, value_map_at(sorted, i));
    }
    return g_string_free(out, FALSE);
}
