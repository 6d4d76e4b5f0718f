/* SPDX-License-Identifier: Apache-2.0 */
/* See parse.h. Options are looked up by their spelling in one hash table built from the command's
 * tables; what was given is kept by key. */
#include "cli/parse.h"

#include "cli/closest.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char **values; /* NULL-terminated, as given; counts and flags add an empty one each */
    int n;
} Given;

struct CliArgs {
    const CliCommand *command;
    char *path;
    GHashTable *by_name; /* "-m" -> const CliOption* */
    GHashTable *given;   /* key -> Given* */
    GPtrArray *positional;
    gboolean help;
};

static void given_free(gpointer data)
{
    Given *given = data;
    g_strfreev(given->values);
    g_free(given);
}

void cli_args_free(CliArgs *args)
{
    if (!args)
        return;
    g_hash_table_unref(args->by_name);
    g_hash_table_unref(args->given);
    g_ptr_array_unref(args->positional);
    g_free(args->path);
    g_free(args);
}

const CliCommand *cli_find_command(const CliCommand *const *commands, const char *name)
{
    for (gsize i = 0; commands && commands[i]; i++) {
        g_auto(GStrv) names = g_strsplit(commands[i]->name, "|", -1);
        if (g_strv_contains((const char *const *)names, name))
            return commands[i];
    }
    return NULL;
}

const CliOption *cli_each_option(const CliOption *const *tables, CliOptionFn fn, gpointer data)
{
    for (gsize t = 0; tables && tables[t]; t++)
        for (const CliOption *o = tables[t]; o->key; o++)
            if (fn(o, data))
                return o;
    return NULL;
}

char **cli_option_names(const CliOption *option)
{
    char **names = g_strsplit(option->names, ",", -1);
    for (gsize i = 0; names[i]; i++)
        g_strstrip(names[i]);
    return names;
}

static gboolean add_names(const CliOption *option, gpointer data)
{
    g_auto(GStrv) names = cli_option_names(option);
    for (gsize i = 0; names[i]; i++)
        g_hash_table_insert(data, g_strdup(names[i]), (gpointer)option);
    return FALSE;
}

static gboolean takes_value(const CliOption *o)
{
    return o->kind != OPT_FLAG && o->kind != OPT_COUNT;
}

static void add_given(CliArgs *args, const CliOption *option, const char *value)
{
    if (option->undoes)
        g_hash_table_remove(args->given, option->undoes);
    Given *given = g_hash_table_lookup(args->given, option->key);
    if (!given) {
        given = g_new0(Given, 1);
        g_hash_table_insert(args->given, g_strdup(option->key), given);
    }
    given->values = g_renew(char *, given->values, given->n + 2);
    given->values[given->n++] = g_strdup(value);
    given->values[given->n] = NULL;
}

/* "'-m' / '--max-trials'", as click names an option in its messages. */
static char *option_label(const CliOption *o)
{
    g_auto(GStrv) names = cli_option_names(o);
    g_autofree char *joined = g_strjoinv("' / '", names);
    return g_strdup_printf("'%s'", joined);
}

/* A fault in how an option was written. click shows no hint with these. */
static gboolean bad_spelling(const char *name, const char *what)
{
    fprintf(stderr, "guild: Option '%s' %s.\n", name, what);
    return FALSE;
}

static gboolean bad_value(const CliArgs *args, const CliOption *o, const char *fmt, ...)
        G_GNUC_PRINTF(3, 4);

static gboolean bad_value(const CliArgs *args, const CliOption *o, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *what = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_autofree char *label = option_label(o);
    cli_usage_error(args, "Invalid value for %s: %s", label, what);
    return FALSE;
}

static gboolean check_value(const CliArgs *args, const CliOption *o, const char *value)
{
    char *end = NULL;
    gint64 n = 0;
    errno = 0;
    if (o->kind == OPT_INT)
        n = g_ascii_strtoll(value, &end, 10);
    else if (o->kind == OPT_FLOAT)
        g_ascii_strtod(value, &end);
    else
        return TRUE;
    gboolean is_number = end != value && !*end && errno != ERANGE;
    if (!is_number && o->kind == OPT_FLOAT)
        return bad_value(args, o, "%s", value);
    if (!is_number)
        return bad_value(
                args, o, "'%s' is not a valid integer%s.", value, o->at_least ? " range" : "");
    if (o->at_least && n < g_ascii_strtoll(o->at_least, NULL, 10))
        return bad_value(
                args, o, "%" G_GINT64_FORMAT " is not in the range x>=%s.", n, o->at_least);
    return TRUE;
}

/* Records option `o` spelled `name`. `attached` is a value in the same word or NULL; *next is the
 * index of the next word and moves on if that is the value. */
static gboolean take_option(CliArgs *args, const CliOption *o, const char *name,
        const char *attached, const char *const *words, int *next)
{
    if (!takes_value(o)) {
        if (attached)
            return bad_spelling(name, "does not take a value");
        add_given(args, o, "");
        return TRUE;
    }
    const char *value = attached;
    if (!value && o->kind == OPT_OPTIONAL) {
        const char *word = words[*next];
        value = word && word[0] != '-' ? words[(*next)++] : o->optional_value;
    } else if (!value) {
        if (!words[*next])
            return bad_spelling(name, "requires an argument");
        value = words[(*next)++];
    }
    if (!check_value(args, o, value))
        return FALSE;
    add_given(args, o, value);
    return TRUE;
}

static gboolean unknown_option(const CliArgs *args, const char *name)
{
    g_autoptr(GPtrArray) known = g_ptr_array_new();
    GHashTableIter it;
    gpointer option;
    g_hash_table_iter_init(&it, args->by_name);
    while (g_hash_table_iter_next(&it, &option, NULL))
        if (strlen(name) > 2 && strlen(option) > 2)
            g_ptr_array_add(known, option);
    const char *close = cli_closest(name, (const char *const *)known->pdata, known->len);
    if (close)
        cli_usage_error(args, "unrecognized option '%s' (did you mean %s?)", name, close);
    else
        cli_usage_error(args, "unrecognized option '%s'", name);
    return FALSE;
}

/* A cluster of one-letter options: -sn, -m5, -Set. */
static gboolean parse_short(CliArgs *args, const char *word, const char *const *words, int *next)
{
    for (const char *c = word + 1; *c; c++) {
        char name[3] = {'-', *c, '\0'};
        const CliOption *o = g_hash_table_lookup(args->by_name, name);
        if (!o)
            return unknown_option(args, name);
        if (takes_value(o)) {
            const char *attached = c[1] ? c + 1 : NULL;
            return take_option(args, o, name, attached, words, next);
        }
        add_given(args, o, "");
    }
    return TRUE;
}

static gboolean parse_option(CliArgs *args, const char *word, const char *const *words, int *next)
{
    const char *equals = strchr(word, '=');
    g_autofree char *name = equals ? g_strndup(word, (gsize)(equals - word)) : g_strdup(word);
    if (strcmp(word, "--help") == 0) {
        args->help = TRUE;
        return TRUE;
    }
    const CliOption *o = g_hash_table_lookup(args->by_name, name);
    if (o && strlen(name) > 2)
        return take_option(args, o, name, equals ? equals + 1 : NULL, words, next);
    if (g_str_has_prefix(word, "--"))
        return unknown_option(args, name);
    return parse_short(args, word, words, next);
}

CliArgs *cli_args_parse(
        const CliCommand *command, const char *path, const char *const *words, int *rest)
{
    CliArgs *args = g_new0(CliArgs, 1);
    args->command = command;
    args->path = g_strdup(path);
    args->by_name = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    args->given = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, given_free);
    args->positional = g_ptr_array_new_with_free_func(g_free);
    cli_each_option(command->options, add_names, args->by_name);

    int i = 0;
    gboolean options_end = FALSE;
    while (words[i]) {
        const char *word = words[i];
        gboolean is_option = !options_end && word[0] == '-' && word[1] != '\0';
        if (!is_option && command->sub)
            break;
        i++;
        if (!is_option) {
            g_ptr_array_add(args->positional, g_strdup(word));
        } else if (strcmp(word, "--") == 0) {
            options_end = TRUE;
        } else if (!parse_option(args, word, words, &i)) {
            cli_args_free(args);
            return NULL;
        }
    }
    *rest = i;
    g_ptr_array_add(args->positional, NULL);
    return args;
}

const char *cli_args_path(const CliArgs *args)
{
    return args->path;
}

gboolean cli_args_wants_help(const CliArgs *args)
{
    return args->help;
}

static const Given *lookup(const CliArgs *a, const char *key)
{
    return g_hash_table_lookup(a->given, key);
}

gboolean cli_given(const CliArgs *a, const char *key)
{
    return lookup(a, key) != NULL;
}

gboolean cli_flag(const CliArgs *a, const char *key)
{
    return lookup(a, key) != NULL;
}

gboolean cli_has_options(const CliArgs *args)
{
    return g_hash_table_size(args->given) > 0;
}

static gboolean has_key(const CliOption *o, gpointer key)
{
    return strcmp(o->key, key) == 0;
}

gboolean cli_is_set(const CliArgs *a, const char *key)
{
    const CliOption *o = cli_each_option(a->command->options, has_key, (gpointer)key);
    const char *value = cli_string(a, key);
    return value && (*value || !o || (o->kind != OPT_STRING && o->kind != OPT_OPTIONAL));
}

int cli_count(const CliArgs *a, const char *key)
{
    const Given *given = lookup(a, key);
    return given ? given->n : 0;
}

const char *cli_string(const CliArgs *a, const char *key)
{
    const Given *given = lookup(a, key);
    return given ? given->values[given->n - 1] : NULL;
}

gint64 cli_int(const CliArgs *a, const char *key, gint64 dflt)
{
    const char *text = cli_string(a, key);
    return text ? g_ascii_strtoll(text, NULL, 10) : dflt;
}

double cli_float(const CliArgs *a, const char *key, double dflt)
{
    const char *text = cli_string(a, key);
    return text ? g_ascii_strtod(text, NULL) : dflt;
}

const char *const *cli_multi(const CliArgs *a, const char *key)
{
    static const char *const none[] = {NULL};
    const Given *given = lookup(a, key);
    return given ? (const char *const *)given->values : none;
}

const char *const *cli_positional(const CliArgs *a)
{
    return (const char *const *)a->positional->pdata;
}

guint cli_n_positional(const CliArgs *a)
{
    return a->positional->len - 1;
}

const CliCommand *cli_command(const CliArgs *a)
{
    return a->command;
}
