/* SPDX-License-Identifier: Apache-2.0 */
/* Text helpers with Python's semantics: see text.h. */
#include "engine/base/text.h"
#include "engine/base/yaml.h"

#include <string.h>

G_DEFINE_QUARK(guild - text - error, text_error)

/* Shell words */

static gboolean is_shell_safe(const char *s)
{
    for (; *s; s++)
        if (!g_ascii_isalnum(*s) && !strchr("_@%+=:,./-", *s))
            return FALSE;
    return TRUE;
}

/* A text that begins and ends with a quote comes out of shlex.quote() as ''"'"'...'"'"'' ; the
 * reference writes "'...'" for it. So do we, unless a shell would then read something else. */
static char *simplify_quoted(const char *quoted)
{
    static const char start[] = "''\"'\"'", end[] = "'\"'\"''";
    gsize len = strlen(quoted), cut = strlen(start);
    if (!g_str_has_prefix(quoted, start) || !g_str_has_suffix(quoted, end))
        return NULL;
    g_autofree char *inner = len > 2 * cut ? g_strndup(quoted + cut, len - 2 * cut) : g_strdup("");
    if (strpbrk(inner, "'\"\\$`!"))
        return NULL;
    return g_strconcat("\"'", inner, "'\"", NULL);
}

char *text_shell_quote(const char *s)
{
    if (*s && is_shell_safe(s))
        return g_strdup(s);
    GString *out = g_string_new("'");
    for (; *s; s++) {
        if (*s == '\'')
            g_string_append(out, "'\"'\"'");
        else
            g_string_append_c(out, *s);
    }
    g_string_append_c(out, '\'');
    char *simple = simplify_quoted(out->str);
    g_autofree char *quoted = g_string_free(out, FALSE);
    return simple ? simple : g_steal_pointer(&quoted);
}

char *text_shell_join(const char *const *argv)
{
    GString *out = g_string_new(NULL);
    for (gsize i = 0; argv && argv[i]; i++) {
        g_autofree char *word = text_shell_quote(argv[i]);
        if (i)
            g_string_append_c(out, ' ');
        g_string_append(out, word);
    }
    return g_string_free(out, FALSE);
}

/* Appends what stands in quotes behind s[0] to word; gives the closing quote, NULL if there is
 * none. Only in double quotes does a backslash escape, and only the quote and itself. */
static const char *read_quoted(const char *s, GString *word)
{
    char quote = *s++;
    for (; *s && *s != quote; s++) {
        if (quote == '"' && *s == '\\' && (s[1] == '"' || s[1] == '\\'))
            s++;
        g_string_append_c(word, *s);
    }
    return *s ? s : NULL;
}

char **text_shell_split(const char *s, GError **error)
{
    g_autoptr(GStrvBuilder) words = g_strv_builder_new();
    g_autoptr(GString) word = g_string_new(NULL);
    gboolean in_word = FALSE;
    for (; *s; s++) {
        if (strchr(" \t\r\n", *s)) {
            if (in_word)
                g_strv_builder_add(words, word->str);
            g_string_truncate(word, 0);
            in_word = FALSE;
            continue;
        }
        in_word = TRUE;
        if (*s == '"' || *s == '\'') {
            s = read_quoted(s, word);
            if (!s) {
                g_set_error(error, TEXT_ERROR, TEXT_ERROR_SYNTAX, "No closing quotation");
                return NULL;
            }
        } else {
            if (*s == '\\' && !*++s) {
                g_set_error(error, TEXT_ERROR, TEXT_ERROR_SYNTAX, "No escaped character");
                return NULL;
            }
            g_string_append_c(word, *s);
        }
    }
    if (in_word)
        g_strv_builder_add(words, word->str);
    return g_strv_builder_end(words);
}

/* Environment */

char *text_env_var_name(const char *s)
{
    g_autofree char *valid = text_to_utf8(s, -1);
    g_autofree char *upper = g_utf8_strup(valid, -1);
    GString *out = g_string_new(NULL);
    for (const char *p = upper; *p; p = g_utf8_next_char(p))
        g_string_append_c(out, g_ascii_isupper(*p) || g_ascii_isdigit(*p) ? *p : '_');
    return g_string_free(out, FALSE);
}

char *text_env_var_quote(const char *s)
{
    return *s ? text_shell_quote(s) : g_strdup("");
}

/* References */

/* Values may refer to values that refer to others: ten characters can stand for gigabytes. */
#define MAX_REFS 100000
#define MAX_REF_DEPTH 100
#define MAX_RESOLVED_BYTES (16 * 1024 * 1024)

typedef struct {
    const Value *params, *undefined;
    GPtrArray *stack; /* names being resolved, borrowed */
    guint refs;
    gsize bytes; /* put together so far, for whatever part */
    GError **error;
} Resolver;

static Value *resolve_text(Resolver *r, const char *s);

static gboolean is_too_much(Resolver *r, const char *name)
{
    if (++r->refs <= MAX_REFS && r->stack->len < MAX_REF_DEPTH && r->bytes <= MAX_RESOLVED_BYTES)
        return FALSE;
    g_set_error(r->error, TEXT_ERROR, TEXT_ERROR_LIMIT, "%s", name);
    return TRUE;
}

static Value *resolve_name(Resolver *r, const char *name)
{
    if (is_too_much(r, name))
        return NULL;
    for (guint i = 0; i < r->stack->len; i++)
        if (strcmp(r->stack->pdata[i], name) == 0) {
            g_set_error(r->error, TEXT_ERROR, TEXT_ERROR_CYCLE, "%s", name);
            return NULL;
        }
    const Value *v = value_map_get(r->params, name);
    if (!v)
        v = r->undefined;
    if (!v) {
        g_set_error(r->error, TEXT_ERROR, TEXT_ERROR_UNDEFINED, "%s", name);
        return NULL;
    }
    if (!value_is_string(v))
        return value_ref((Value *)v);
    g_ptr_array_add(r->stack, (gpointer)name);
    Value *resolved = resolve_text(r, value_get_string(v));
    g_ptr_array_set_size(r->stack, (gint)r->stack->len - 1);
    return resolved;
}

/* The next "${name}" or "\${name}" in s: its start and, behind its brace, its end. */
static gboolean find_ref(const char *s, const char **start, const char **end)
{
    for (const char *p = s; (p = strstr(p, "${")); p += 2) {
        const char *close = p[2] && p[2] != '\n' ? p + 3 + strcspn(p + 3, "}\n") : NULL;
        if (close && *close == '}') {
            *start = p > s && p[-1] == '\\' ? p - 1 : p;
            *end = close + 1;
            return TRUE;
        }
    }
    return FALSE;
}

static void append_value(Resolver *r, GString *out, const Value *v)
{
    g_autofree char *text = value_is_string(v) ? NULL : yaml_dump(v);
    gsize before = out->len;
    g_string_append(out, text ? text : value_get_string(v));
    r->bytes += out->len - before;
}

static Value *resolve_text(Resolver *r, const char *s)
{
    g_autoptr(GString) out = g_string_new(NULL);
    const char *start, *end;
    while (find_ref(s, &start, &end)) {
        g_string_append_len(out, s, start - s);
        gboolean whole = out->len == 0 && !*end;
        if (*start == '\\') {
            g_string_append_len(out, start + 1, end - start - 1);
        } else {
            g_autofree char *name = g_strndup(start + 2, (gsize)(end - start - 3));
            g_autoptr(Value) v = resolve_name(r, name);
            if (!v)
                return NULL;
            if (whole)
                return g_steal_pointer(&v);
            append_value(r, out, v);
        }
        s = end;
    }
    g_string_append(out, s);
    return value_new_string_len(out->str, out->len);
}

Value *text_resolve_refs(const char *s, const Value *params, const Value *undefined, GError **error)
{
    if (!strstr(s, "${"))
        return value_new_string(s);
    g_autoptr(GPtrArray) stack = g_ptr_array_new();
    Resolver r = {params, undefined, stack, 0, 0, error};
    return resolve_text(&r, s);
}

/* Patterns and order */

/* Does the class that begins behind '[' hold c? *end is behind its ']'. NULL in *end if the class
 * is not closed: the '[' is then a character. */
static gboolean match_class(const char *p, gunichar c, const char **end)
{
    gboolean negate = *p == '!', found = FALSE;
    const char *s = negate ? p + 1 : p;
    const char *close = *s == ']' ? strchr(s + 1, ']') : strchr(s, ']');
    *end = close ? close + 1 : NULL;
    while (close && s < close) {
        gunichar low = g_utf8_get_char(s), high = low;
        s = g_utf8_next_char(s);
        if (s + 1 < close && *s == '-') {
            high = g_utf8_get_char(s + 1);
            s = g_utf8_next_char(s + 1);
        }
        found |= c >= low && c <= high;
    }
    return found != negate;
}

/* Matches one pattern element other than '*' against the character c; moves *p behind it. */
static gboolean match_one(const char **p, gunichar c)
{
    const char *end;
    if (**p == '?') {
        (*p)++;
        return TRUE;
    }
    if (**p == '[') {
        gboolean matches = match_class(*p + 1, c, &end);
        if (end) {
            *p = end;
            return matches;
        }
    }
    gunichar want = g_utf8_get_char(*p);
    *p = g_utf8_next_char(*p);
    return want == c;
}

static gboolean match_valid(const char *pattern, const char *name)
{
    const char *star = NULL, *star_name = NULL;
    while (*name) {
        if (*pattern == '*') {
            star = ++pattern;
            star_name = name;
            continue;
        }
        if (*pattern && match_one(&pattern, g_utf8_get_char(name))) {
            name = g_utf8_next_char(name);
            continue;
        }
        if (!star)
            return FALSE;
        pattern = star; /* let the last star take one more */
        name = star_name = g_utf8_next_char(star_name);
    }
    while (*pattern == '*')
        pattern++;
    return !*pattern;
}

gboolean text_fnmatch(const char *pattern, const char *name)
{
    g_autofree char *valid_pattern = text_to_utf8(pattern, -1),
                    *valid_name = text_to_utf8(name, -1);
    return match_valid(valid_pattern, valid_name);
}

static int compare_digits(const char *a, gsize la, const char *b, gsize lb)
{
    while (la && *a == '0')
        a++, la--;
    while (lb && *b == '0')
        b++, lb--;
    return la != lb ? (la < lb ? -1 : 1) : memcmp(a, b, la);
}

static int compare_run(const char *a, gsize la, const char *b, gsize lb)
{
    int c = memcmp(a, b, MIN(la, lb));
    return c ? c : (la > lb) - (la < lb);
}

int text_natural_compare(const char *a, const char *b)
{
    const char *whole_a = a, *whole_b = b;
    for (gboolean digits = FALSE; *a && *b; digits = !digits) {
        gsize la = digits ? strspn(a, "0123456789") : strcspn(a, "0123456789");
        gsize lb = digits ? strspn(b, "0123456789") : strcspn(b, "0123456789");
        int c = digits ? compare_digits(a, la, b, lb) : compare_run(a, la, b, lb);
        if (c)
            return c;
        a += la;
        b += lb;
    }
    if (*a || *b)
        return *a ? 1 : -1;
    return strcmp(whole_a, whole_b);
}

gboolean text_is_hex(const char *s)
{
    return *s && !s[strspn(s, "0123456789abcdefABCDEF")];
}

char *text_to_utf8(const char *s, gssize len)
{
    return g_utf8_make_valid(s, len);
}

char *text_format_bytes(guint64 bytes)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (bytes < 1024)
        return g_strdup_printf("%u byte%s", (guint)bytes, bytes == 1 ? "" : "s");
    double amount = (double)bytes / 1024;
    guint unit = 0;
    for (; amount >= 1024 && unit + 1 < G_N_ELEMENTS(units); unit++)
        amount /= 1024;
    return g_strdup_printf("%.1f %s", amount, units[unit]);
}
