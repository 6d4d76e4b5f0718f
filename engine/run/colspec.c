/* SPDX-License-Identifier: Apache-2.0 */
/* See colspec.h. */
#include "engine/run/colspec.h"

#include <string.h>

#include "engine/base/text.h"
#include "engine/base/yaml.h"
#include "engine/run/describe.h"
#include "engine/run/scalars.h"

G_DEFINE_QUARK(colspec - error - quark, colspec_error)

/* The reference reads "select " and the text, so its positions count from there. */
#define POSITION_OFFSET ((int)strlen("select "))

typedef enum { TOK_END, TOK_SCALAR, TOK_ATTR, TOK_FLAG, TOK_COMMA, TOK_NAME, TOK_QUOTED } Tok;

typedef struct {
    const char *begin, *text;
    Tok tok;
    char *value; /* text of the token; of a quoted one what is inside */
    int pos;
    GError *error;
} Parser;

static const char *const qualifiers[] = {
        "min", "max", "first", "last", "avg", "total", "count", NULL};

void colspec_free(ColSpec *spec)
{
    if (!spec)
        return;
    g_free(spec->name);
    g_free(spec->qualifier);
    g_free(spec->named_as);
    g_free(spec);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ColSpec, colspec_free)

static const char *quoted_end(const char *s)
{
    char quote = *s++;
    while (*s && *s != quote && *s != '\n')
        s += *s == '\\' && s[1] ? 2 : 1;
    return *s == quote ? s + 1 : NULL;
}

static gboolean take_prefix(Parser *p)
{
    static const struct {
        const char *prefix;
        Tok tok;
    } prefixes[] = {
            {"scalar:", TOK_SCALAR},
            {"attr:", TOK_ATTR},
            {"flag:", TOK_FLAG},
            {".", TOK_ATTR},
            {"=", TOK_FLAG},
            {",", TOK_COMMA},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(prefixes); i++) {
        if (!g_str_has_prefix(p->text, prefixes[i].prefix))
            continue;
        p->tok = prefixes[i].tok;
        p->value = g_strdup(prefixes[i].prefix);
        p->text += strlen(prefixes[i].prefix);
        return TRUE;
    }
    return FALSE;
}

static void advance(Parser *p)
{
    g_clear_pointer(&p->value, g_free);
    p->text += strspn(p->text, " \t\n");
    p->pos = (int)(p->text - p->begin) + POSITION_OFFSET;
    p->tok = TOK_END;
    if (!*p->text || p->error || take_prefix(p))
        return;
    if (*p->text != '"' && *p->text != '\'') {
        gsize n = strcspn(p->text, " ,\n");
        p->tok = TOK_NAME;
        p->value = g_strndup(p->text, n);
        p->text += n;
        return;
    }
    const char *end = quoted_end(p->text);
    g_autoptr(Value) v = end ? yaml_parse(p->text, end - p->text, NULL, NULL) : NULL;
    if (!v) {
        g_set_error(&p->error, COLSPEC_ERROR, 0, "unexpected token '%s', line 1, pos %d", p->text,
                p->pos);
        return;
    }
    p->tok = TOK_QUOTED;
    p->value = value_str(v);
    p->text = end;
}

static void unexpected(Parser *p)
{
    if (p->error)
        return;
    if (p->tok == TOK_END)
        g_set_error(&p->error, COLSPEC_ERROR, 0, "query string cannot be empty");
    else
        g_set_error(&p->error, COLSPEC_ERROR, 0, "unexpected token '%s', line 1, pos %d", p->value,
                p->pos);
}

static gboolean is_word(const Parser *p, const char *word)
{
    return p->tok == TOK_NAME && strcmp(p->value, word) == 0;
}

static gboolean is_qualifier(const Parser *p)
{
    return p->tok == TOK_NAME && g_strv_contains(qualifiers, p->value);
}

static gboolean is_reserved(const Parser *p)
{
    return is_qualifier(p) || is_word(p, "step") || is_word(p, "as") || is_word(p, "select");
}

/* A name, quoted or not a reserved word. NULL if there is none. */
static char *take_name(Parser *p, gboolean allow_reserved)
{
    gboolean name =
            p->tok == TOK_QUOTED || (p->tok == TOK_NAME && (allow_reserved || !is_reserved(p)));
    if (!name) {
        unexpected(p);
        return NULL;
    }
    char *value = g_steal_pointer(&p->value);
    advance(p);
    return value;
}

static ColSpec *parse_column(Parser *p)
{
    g_autoptr(ColSpec) spec = g_new0(ColSpec, 1);
    if (p->tok == TOK_ATTR || p->tok == TOK_FLAG) {
        spec->kind = p->tok == TOK_ATTR ? COLSPEC_ATTR : COLSPEC_FLAG;
        advance(p);
    } else if (p->tok == TOK_SCALAR) {
        advance(p);
    } else if (is_qualifier(p)) {
        spec->qualifier = g_steal_pointer(&p->value);
        advance(p);
    }
    spec->name = take_name(p, FALSE);
    if (!spec->name)
        return NULL;
    if (spec->kind == COLSPEC_SCALAR && is_word(p, "step")) {
        spec->step = TRUE;
        advance(p);
    }
    while (is_word(p, "as")) {
        advance(p);
        g_free(spec->named_as);
        spec->named_as = take_name(p, TRUE);
        if (!spec->named_as)
            return NULL;
    }
    return g_steal_pointer(&spec);
}

GPtrArray *colspec_parse(const char *text, GError **error)
{
    Parser p = {.begin = text, .text = text};
    g_autoptr(GPtrArray) columns = g_ptr_array_new_with_free_func((GDestroyNotify)colspec_free);
    do {
        advance(&p);
        ColSpec *spec = parse_column(&p);
        if (spec)
            g_ptr_array_add(columns, spec);
    } while (!p.error && p.tok == TOK_COMMA);
    if (!p.error && p.tok != TOK_END)
        unexpected(&p);
    g_free(p.value);
    if (p.error) {
        g_propagate_error(error, p.error);
        return NULL;
    }
    return g_steal_pointer(&columns);
}

char *colspec_header(const ColSpec *spec)
{
    if (spec->named_as)
        return g_strdup(spec->named_as);
    if (spec->kind != COLSPEC_SCALAR)
        return g_strdup(spec->name);
    g_autofree char *key = g_strstrip(g_strdelimit(g_strdup(spec->name), "#", ' '));
    return g_strconcat(key, spec->step ? " step" : "", NULL);
}

/* The key of a summary's map that a qualifier means; NULL for a step of what has none. */
static char *scalar_column_key(const char *qualifier, gboolean step)
{
    static const char *const without_step[] = {"avg", "total", "count", NULL};
    const char *name = qualifier ? qualifier : "last";
    if (!g_strv_contains(without_step, name))
        return g_strconcat(name, step ? "_step" : "_val", NULL);
    if (step)
        return NULL;
    return strcmp(name, "avg") == 0 ? g_strdup("avg_val") : g_strdup(name);
}

/* Without a prefix any source of the run counts, else those whose prefix begins so. What is not a
 * number has no place in an order: it is no value. */
static Value *scalar_column(const ColSpec *spec, Run *run, RunIndex *index)
{
    const char *hash = strchr(spec->name, '#');
    const char *tag = hash ? hash + 1 : spec->name;
    g_autofree char *prefix =
            hash ? g_strndup(spec->name, (gsize)(hash - spec->name)) : g_strdup("");
    g_autoptr(Value) scalars = run_index_scalars(index, run);
    g_autofree char *key = scalar_column_key(spec->qualifier, spec->step);
    for (gsize i = 0; key && i < value_list_size(scalars); i++) {
        const Value *s = value_list_at(scalars, i);
        if (strcmp(value_map_string(s, "tag", ""), tag) == 0 &&
                g_str_has_prefix(value_map_string(s, "prefix", ""), prefix)) {
            Value *v = value_map_get(s, key);
            return value_is_nan(v) ? NULL : value_ref(v);
        }
    }
    return NULL;
}

Value *colspec_value(const ColSpec *spec, Run *run, RunIndex *index)
{
    g_autoptr(Value) flags = NULL;
    switch (spec->kind) {
    case COLSPEC_SCALAR:
        return scalar_column(spec, run, index);
    case COLSPEC_FLAG:
        flags = run_try_attr(run, "flags");
        return value_ref(value_map_get(flags, spec->name));
    default:
        return run_index_named_attr(index, run, spec->name);
    }
}

int colspec_compare(const Value *a, const Value *b)
{
    if (value_is_string(a) && value_is_string(b))
        return text_natural_compare(value_get_string(a), value_get_string(b));
    return value_compare(a, b);
}
