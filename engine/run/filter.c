/* SPDX-License-Identifier: Apache-2.0 */
/* Filter expressions: lexer, recursive descent parser, evaluation. See filter.h for the grammar's
 * source. The reference's parser is LALR; the grammar needs one token of lookahead only, so the
 * token that is reported as unexpected is the same. */
#include "engine/run/filter.h"

#include <math.h>
#include <string.h>

#include "engine/base/yaml.h"
#include "engine/run/run.h"

#define MAX_DEPTH 200

typedef enum {
    TOK_END,
    TOK_ID,
    TOK_NUMBER,
    TOK_STRING,
    TOK_EQ,
    TOK_NEQ,
    TOK_LT,
    TOK_LTE,
    TOK_GT,
    TOK_GTE,
    TOK_LPAREN,
    TOK_RPAREN,
    TOK_LBRACKET,
    TOK_RBRACKET,
    TOK_COMMA,
    TOK_AND,
    TOK_OR,
    TOK_IN,
    TOK_NOT,
    TOK_TRUE,
    TOK_FALSE,
    TOK_IS,
    TOK_UNDEFINED,
    TOK_CONTAINS,
} Tok;

typedef enum {
    NODE_TERM,     /* value */
    NODE_LIST,     /* value: a list of terms and lists */
    NODE_COMPARE,  /* name op left */
    NODE_IN,       /* name, left (list); negate */
    NODE_CONTAINS, /* name, left; negate */
    NODE_AND,
    NODE_OR,
    NODE_NOT,
} NodeKind;

struct Filter {
    NodeKind kind;
    Tok op;
    gboolean negate;
    char *name;
    Value *value;
    Filter *left, *right;
};

typedef struct {
    const char *begin, *text;
    int line;
    Tok tok;
    Value *tok_value; /* of an id (string), number or string literal; a word's or sign's own text */
    int tok_line, tok_pos;
    guint depth;
    GError *error;
} Parser;

void filter_free(Filter *f)
{
    if (!f)
        return;
    g_free(f->name);
    value_unref(f->value);
    filter_free(f->left);
    filter_free(f->right);
    g_free(f);
}

static Filter *node(NodeKind kind)
{
    Filter *f = g_new0(Filter, 1);
    f->kind = kind;
    return f;
}

/* --- lexer --- */

static void fail_at(Parser *p, int line, int pos, const char *what)
{
    if (p->error)
        return;
    if (line == 1)
        g_set_error(&p->error, RUN_ERROR_DOMAIN, RUN_ERR_FILTER,
                "syntax error in filter at position %d: %s", pos, what);
    else
        g_set_error(&p->error, RUN_ERROR_DOMAIN, RUN_ERR_FILTER,
                "syntax error in filter on line %d, position %d: %s", line, pos, what);
}

static void set_token(Parser *p, Tok tok, const char *end, Value *value)
{
    value_unref(p->tok_value);
    p->tok = tok;
    p->tok_line = p->line;
    p->tok_pos = (int)(p->text - p->begin);
    p->tok_value = value ? value : value_new_string_len(p->text, (gsize)(end - p->text));
    p->text = end;
}

static Tok word_token(const char *word)
{
    static const struct {
        const char *word;
        Tok tok;
    } reserved[] = {
            {"and", TOK_AND},
            {"or", TOK_OR},
            {"in", TOK_IN},
            {"not", TOK_NOT},
            {"true", TOK_TRUE},
            {"false", TOK_FALSE},
            {"is", TOK_IS},
            {"undefined", TOK_UNDEFINED},
            {"contains", TOK_CONTAINS},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(reserved); i++)
        if (g_ascii_strcasecmp(word, reserved[i].word) == 0)
            return reserved[i].tok;
    return TOK_ID;
}

static gboolean lex_sign(Parser *p)
{
    static const struct {
        const char *sign;
        Tok tok;
    } signs[] = {
            {"(", TOK_LPAREN},
            {")", TOK_RPAREN},
            {"[", TOK_LBRACKET},
            {"]", TOK_RBRACKET},
            {"<>", TOK_NEQ},
            {"!=", TOK_NEQ},
            {"=", TOK_EQ},
            {"<=", TOK_LTE},
            {"<", TOK_LT},
            {">=", TOK_GTE},
            {">", TOK_GT},
            {",", TOK_COMMA},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(signs); i++) {
        if (g_str_has_prefix(p->text, signs[i].sign)) {
            set_token(p, signs[i].tok, p->text + strlen(signs[i].sign), NULL);
            return TRUE;
        }
    }
    return FALSE;
}

static gboolean lex_word(Parser *p)
{
    if (!g_ascii_isalpha(*p->text))
        return FALSE;
    const char *end = p->text + strcspn(p->text, " ,<>!=\n()[]");
    g_autofree char *word = g_strndup(p->text, (gsize)(end - p->text));
    set_token(p, word_token(word), end, NULL);
    return TRUE;
}

static const char *skip_digits(const char *s)
{
    while (g_ascii_isdigit(*s))
        s++;
    return s;
}

/* -?\.?\d+(\.\d+)?(e[+-]?\d+)? ; the value is what YAML makes of the text. */
static gboolean lex_number(Parser *p)
{
    const char *s = p->text;
    s += *s == '-';
    s += *s == '.';
    if (!g_ascii_isdigit(*s))
        return FALSE;
    s = skip_digits(s);
    if (*s == '.' && g_ascii_isdigit(s[1]))
        s = skip_digits(s + 1);
    if (*s == 'e') {
        const char *exp = s + 1;
        exp += *exp == '+' || *exp == '-';
        if (g_ascii_isdigit(*exp))
            s = skip_digits(exp);
    }
    Value *v = yaml_parse(p->text, s - p->text, NULL, NULL);
    set_token(p, TOK_NUMBER, s, v);
    return TRUE;
}

static gboolean lex_string(Parser *p)
{
    char quote = *p->text;
    if (quote != '"' && quote != '\'')
        return FALSE;
    const char *s = p->text + 1;
    while (*s && *s != quote && *s != '\n') {
        if (*s == '\\' && (s[1] == '\0' || s[1] == '\n'))
            return FALSE;
        s += *s == '\\' ? 2 : 1;
    }
    if (*s != quote)
        return FALSE;
    s++;
    g_autoptr(GError) error = NULL;
    Value *v = yaml_parse(p->text, s - p->text, NULL, &error);
    if (!v) {
        g_set_error(&p->error, RUN_ERROR_DOMAIN, RUN_ERR_FILTER, "invalid filter expression: %s",
                error->message);
        return TRUE;
    }
    set_token(p, TOK_STRING, s, v);
    return TRUE;
}

static void advance(Parser *p)
{
    if (p->error) {
        p->tok = TOK_END;
        return;
    }
    for (; *p->text == ' ' || *p->text == '\t' || *p->text == '\n'; p->text++)
        p->line += *p->text == '\n';
    if (*p->text == '\0') {
        set_token(p, TOK_END, p->text, NULL);
        return;
    }
    if (lex_sign(p) || lex_word(p) || lex_number(p) || lex_string(p))
        return;
    g_autofree char *c =
            g_utf8_validate(p->text, -1, NULL) ? g_utf8_substring(p->text, 0, 1) : g_strdup("?");
    g_autofree char *what = g_strdup_printf("unexpected character '%s'", c);
    fail_at(p, p->line, (int)(p->text - p->begin), what);
    p->tok = TOK_END;
}

/* --- parser --- */

static Filter *unexpected(Parser *p)
{
    if (p->error)
        return NULL;
    if (p->tok == TOK_END) {
        g_set_error(&p->error, RUN_ERROR_DOMAIN, RUN_ERR_FILTER,
                "syntax error in filter - unexpected end of expresion");
        return NULL;
    }
    g_autofree char *repr = value_repr(p->tok_value);
    g_autofree char *what = g_strdup_printf("unexpected token %s", repr);
    fail_at(p, p->tok_line, p->tok_pos, what);
    return NULL;
}

static Filter *parse_expression(Parser *p);
static Filter *parse_term(Parser *p);

/* "[" term ("," term)* "]" */
static Filter *parse_list(Parser *p)
{
    if (p->tok != TOK_LBRACKET || p->depth >= MAX_DEPTH)
        return unexpected(p);
    p->depth++;
    g_autoptr(Filter) list = node(NODE_LIST);
    list->value = value_new_list();
    do {
        advance(p);
        g_autoptr(Filter) item = parse_term(p);
        if (!item)
            return NULL;
        value_list_append(list->value, value_ref(item->value));
    } while (p->tok == TOK_COMMA);
    p->depth--;
    if (p->tok != TOK_RBRACKET)
        return unexpected(p);
    advance(p);
    return g_steal_pointer(&list);
}

static Filter *parse_term(Parser *p)
{
    Value *v;
    switch (p->tok) {
    case TOK_NUMBER:
    case TOK_STRING:
    case TOK_ID:
        v = value_ref(p->tok_value);
        break;
    case TOK_TRUE:
    case TOK_FALSE:
        v = value_new_bool(p->tok == TOK_TRUE);
        break;
    case TOK_UNDEFINED:
        v = value_new_null();
        break;
    case TOK_LBRACKET:
        return parse_list(p);
    default:
        return unexpected(p);
    }
    Filter *term = node(NODE_TERM);
    term->value = v;
    advance(p);
    return term;
}

static Filter *with_left(Filter *f /* taken over */, Filter *left /* taken over; NULL: failed */)
{
    f->left = left;
    if (left)
        return f;
    filter_free(f);
    return NULL;
}

/* NAME in LIST, NAME contains TERM; the word is the current token. */
static Filter *parse_membership(Parser *p, const char *name, gboolean negate)
{
    if (p->tok != TOK_IN && p->tok != TOK_CONTAINS)
        return unexpected(p);
    gboolean in = p->tok == TOK_IN;
    Filter *f = node(in ? NODE_IN : NODE_CONTAINS);
    f->name = g_strdup(name);
    f->negate = negate;
    advance(p);
    return with_left(f, in ? parse_list(p) : parse_term(p));
}

static Filter *parse_runtest(Parser *p, const char *name)
{
    if (p->tok == TOK_NOT) {
        advance(p);
        return parse_membership(p, name, TRUE);
    }
    if (p->tok == TOK_IN || p->tok == TOK_CONTAINS)
        return parse_membership(p, name, FALSE);
    Filter *f = node(NODE_COMPARE);
    f->name = g_strdup(name);
    f->op = p->tok == TOK_IS ? TOK_EQ : p->tok;
    gboolean is = p->tok == TOK_IS;
    advance(p);
    if (is && p->tok == TOK_NOT) {
        f->op = TOK_NEQ;
        advance(p);
    }
    return with_left(f, parse_term(p));
}

static gboolean begins_runtest(Tok tok)
{
    return (tok >= TOK_EQ && tok <= TOK_GTE) || tok == TOK_IS || tok == TOK_IN || tok == TOK_NOT ||
           tok == TOK_CONTAINS;
}

static Filter *parse_operand(Parser *p)
{
    if (p->depth >= MAX_DEPTH)
        return unexpected(p);
    if (p->tok == TOK_NOT) {
        p->depth++;
        advance(p);
        Filter *f = with_left(node(NODE_NOT), parse_operand(p));
        p->depth--;
        return f;
    }
    if (p->tok == TOK_LPAREN) {
        p->depth++;
        advance(p);
        g_autoptr(Filter) inner = parse_expression(p);
        p->depth--;
        if (!inner || p->tok != TOK_RPAREN)
            return unexpected(p);
        advance(p);
        return g_steal_pointer(&inner);
    }
    if (p->tok != TOK_ID)
        return parse_term(p);
    g_autofree char *name = g_strdup(value_get_string(p->tok_value));
    g_autoptr(Filter) term = parse_term(p);
    return begins_runtest(p->tok) ? parse_runtest(p, name) : g_steal_pointer(&term);
}

/* operand [(and|or) expression]: both words are of one precedence and bind to the right. */
static Filter *parse_expression(Parser *p)
{
    if (p->depth >= MAX_DEPTH)
        return unexpected(p);
    g_autoptr(Filter) first = parse_operand(p);
    if (!first || (p->tok != TOK_AND && p->tok != TOK_OR))
        return g_steal_pointer(&first);
    g_autoptr(Filter) f = node(p->tok == TOK_AND ? NODE_AND : NODE_OR);
    f->left = g_steal_pointer(&first);
    p->depth++;
    advance(p);
    f->right = parse_expression(p);
    p->depth--;
    return f->right ? g_steal_pointer(&f) : NULL;
}

Filter *filter_parse(const char *text, GError **error)
{
    Parser p = {.begin = text, .text = text, .line = 1};
    advance(&p);
    g_autoptr(Filter) f = parse_expression(&p);
    if (!p.error && p.tok != TOK_END)
        unexpected(&p);
    value_unref(p.tok_value);
    if (p.error) {
        g_propagate_error(error, p.error);
        return NULL;
    }
    return g_steal_pointer(&f);
}

/* --- evaluation --- */

static Value *lookup(const FilterSource *src, gpointer run, const char *name)
{
    if (g_str_has_prefix(name, "attr:"))
        return src->attr(run, name + 5);
    if (g_str_has_prefix(name, "flag:"))
        return src->flag(run, name + 5);
    if (g_str_has_prefix(name, "scalar:"))
        return src->scalar(run, name + 7);
    Value *v = src->attr(run, name);
    if (v && !value_is_null(v))
        return v;
    value_unref(v);
    v = src->flag(run, name);
    if (v && !value_is_null(v))
        return v;
    value_unref(v);
    return src->scalar(run, name);
}

static gboolean is_numeric(const Value *v)
{
    return value_is_number(v) || value_kind(v) == VALUE_BOOL;
}

static int sign_of(double a, double b)
{
    return (a > b) - (a < b);
}

/* Python's ordering. FALSE if it would raise a TypeError or, for NaN, say no to everything. */
static gboolean order(const Value *a, const Value *b, int *result)
{
    if (value_kind(a) == VALUE_INT && value_kind(b) == VALUE_INT) {
        *result = value_compare(a, b);
        return TRUE;
    }
    if (is_numeric(a) && is_numeric(b)) {
        double x = value_get_float(a), y = value_get_float(b);
        *result = sign_of(x, y);
        return !isnan(x) && !isnan(y);
    }
    if (value_is_string(a) && value_is_string(b)) {
        *result = strcmp(value_get_string(a), value_get_string(b));
        return TRUE;
    }
    if (!value_is_list(a) || !value_is_list(b))
        return FALSE;
    gsize n = MIN(value_list_size(a), value_list_size(b));
    for (gsize i = 0; i < n; i++)
        if (!value_equal(value_list_at(a, i), value_list_at(b, i)))
            return order(value_list_at(a, i), value_list_at(b, i), result);
    *result = sign_of((double)value_list_size(a), (double)value_list_size(b));
    return TRUE;
}

static gboolean compare(Tok op, const Value *a, const Value *b)
{
    int c;
    switch (op) {
    case TOK_EQ:
        return value_equal(a, b);
    case TOK_NEQ:
        return !value_equal(a, b);
    case TOK_LT:
        return order(a, b, &c) && c < 0;
    case TOK_LTE:
        return order(a, b, &c) && c <= 0;
    case TOK_GT:
        return order(a, b, &c) && c > 0;
    default:
        return order(a, b, &c) && c >= 0;
    }
}

static gboolean list_has(const Value *list, const Value *item)
{
    for (gsize i = 0; i < value_list_size(list); i++)
        if (value_equal(value_list_at(list, i), item))
            return TRUE;
    return FALSE;
}

static gboolean contains(const Value *value, const Value *wanted)
{
    if (value_is_list(value)) {
        if (!value_is_list(wanted))
            return list_has(value, wanted);
        for (gsize i = 0; i < value_list_size(wanted); i++)
            if (!list_has(value, value_list_at(wanted, i)))
                return FALSE;
        return TRUE;
    }
    g_autofree char *text = value_str(value), *part = value_str(wanted);
    g_autofree char *lower_text = g_utf8_strdown(text, -1), *lower_part = g_utf8_strdown(part, -1);
    return strstr(lower_text, lower_part) != NULL;
}

static gboolean test_membership(const Filter *f, const Value *value, const Value *target)
{
    gboolean result = f->kind == NODE_IN ? list_has(target, value)
                                         : value && value_truthy(value) && contains(value, target);
    return result != f->negate;
}

gboolean filter_test(const Filter *f, const FilterSource *src, gpointer run)
{
    switch (f->kind) {
    case NODE_AND:
        return filter_test(f->left, src, run) && filter_test(f->right, src, run);
    case NODE_OR:
        return filter_test(f->left, src, run) || filter_test(f->right, src, run);
    case NODE_NOT:
        return !filter_test(f->left, src, run);
    case NODE_TERM:
        return value_truthy(f->value);
    case NODE_LIST:
        return value_list_size(f->value) > 0;
    default: {
        g_autoptr(Value) value = lookup(src, run, f->name);
        return f->kind == NODE_COMPARE ? compare(f->op, value, f->left->value)
                                       : test_membership(f, value, f->left->value);
    }
    }
}
