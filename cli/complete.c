/* SPDX-License-Identifier: Apache-2.0 */
/* See complete.h. */
#include "cli/complete.h"

#include <string.h>

#include "cli/cli.h"
#include "cli/complete_runs.h"
#include "cli/parse.h"
#include "engine/base/flagval.h"
#include "engine/base/log.h"
#include "engine/project/opspec.h"
#include "engine/project/userconfig.h"

typedef struct {
    GPtrArray *out;
    const char *prefix; /* what the user has typed of the word */
    const CliCommand *command;
    GPtrArray
            *before; /* words between the command and this one, less an option that waits for it */
} Complete;

static void offer(Complete *c, const char *word)
{
    if (g_str_has_prefix(word, c->prefix))
        g_ptr_array_add(c->out, g_strdup(word));
}

static void offer_marker(Complete *c, const char *marker)
{
    g_ptr_array_add(c->out, g_strdup(marker));
}

/* ---- commands and options ---- */

static void offer_commands(Complete *c, const CliCommand *const *commands)
{
    for (; *commands; commands++) {
        if ((*commands)->hidden)
            continue;
        g_auto(GStrv) names = g_strsplit((*commands)->name, "|", -1);
        offer(c, names[0]);
    }
}

static gboolean offer_option(const CliOption *option, gpointer data)
{
    if (!option->hidden) {
        g_auto(GStrv) names = cli_option_names(option);
        for (char **name = names; *name; name++)
            if (g_str_has_prefix(*name, "--") || strlen(((Complete *)data)->prefix) > 1)
                offer(data, *name);
    }
    return FALSE;
}

static gboolean option_has_name(const CliOption *option, gpointer data)
{
    g_auto(GStrv) names = cli_option_names(option);
    return g_strv_contains((const char *const *)names, data);
}

static gboolean takes_value(const CliOption *option)
{
    return option->kind != OPT_FLAG && option->kind != OPT_COUNT && option->kind != OPT_OPTIONAL;
}

/* ---- values ---- */

static void offer_word(gpointer data, const char *word)
{
    offer(data, word);
}

static void offer_remotes(Complete *c)
{
    g_auto(GStrv) names = userconfig_remote_names(cli_cwd(), NULL);
    for (char **name = names; name && *name; name++)
        offer(c, *name);
}

static void offer_ops(Complete *c)
{
    g_autoptr(Guildfile) g = guildfile_load_plain(cli_cwd(), NULL);
    for (guint i = 0; g && i < g->models->len; i++) {
        const ModelDef *m = g->models->pdata[i];
        for (guint j = 0; j < m->operations->len; j++) {
            const OpDef *op = m->operations->pdata[j];
            if (op->name[0] != '_' && m->name[0] != '_')
                offer(c, op->fullname);
        }
    }
    if (!strchr(c->prefix, ':'))
        offer_marker(c, "!!file"); /* scripts are operations too */
}

static void offer_flag_values(Complete *c, const FlagDef *f)
{
    for (guint i = 0; i < f->choices->len; i++) {
        const FlagChoice *choice = f->choices->pdata[i];
        g_autofree char *val = flagval_encode(choice->value);
        g_autofree char *word = g_strdup_printf("%s=%s", f->name, val);
        offer(c, word);
    }
    if (f->type && (g_str_equal(f->type, "path") || g_str_equal(f->type, "existing-path")))
        offer_marker(c, "!!file");
}

/* NAME= for the flags of the operation, or the choices of the flag that has been named. */
static void offer_flags(Complete *c, const char *opspec)
{
    if (*c->prefix == '@') {
        offer_marker(c, "!!batchfile");
        return;
    }
    g_autoptr(OpDef) op = opdef_for_opspec(opspec, cli_cwd(), NULL);
    const char *equals = strchr(c->prefix, '=');
    for (guint i = 0; op && i < op->flags->len; i++) {
        const FlagDef *f = op->flags->pdata[i];
        g_autofree char *word = g_strconcat(f->name, "=", NULL);
        if (!equals)
            offer(c, word);
        else if (g_str_has_prefix(c->prefix, word))
            offer_flag_values(c, f);
    }
}

static void offer_choices(Complete *c, const char *list)
{
    g_auto(GStrv) choices = g_strsplit(list, ",", -1);
    for (char **choice = choices; *choice; choice++)
        offer(c, *choice);
}

/* `kind` as in CliOption.complete; first_arg is the command's first argument, if there is one. */
static void offer_value(Complete *c, const char *kind, const char *first_arg)
{
    if (!kind)
        return;
    if (g_str_equal(kind, "remote-run"))
        kind = first_arg ? "run" : "remote";
    if (complete_runs(
                kind, c->command, (const char *const *)c->before->pdata, c->prefix, offer_word, c))
        return;
    if (g_str_equal(kind, "remote")) {
        if (!first_arg)
            offer_remotes(c);
    } else if (g_str_equal(kind, "op-flag") && first_arg)
        offer_flags(c, first_arg);
    else if (g_str_equal(kind, "op") || g_str_equal(kind, "op-flag"))
        offer_ops(c);
    else if (g_str_equal(kind, "file"))
        offer_marker(c, "!!file");
    else if (g_str_equal(kind, "dir"))
        offer_marker(c, "!!dir");
    else if (g_str_has_prefix(kind, "choice:"))
        offer_choices(c, kind + strlen("choice:"));
    else
        g_assert_not_reached();
}

/* ---- the command line ---- */

static const CliOption *find_option(const CliCommand *command, const char *name)
{
    if (command)
        return cli_each_option(command->options, option_has_name, (gpointer)name);
    const CliOption *const global[] = {cli_global_options, NULL};
    return cli_each_option(global, option_has_name, (gpointer)name);
}

static void offer_options(Complete *c, const CliCommand *command)
{
    const CliOption *const global[] = {cli_global_options, NULL};
    cli_each_option(command ? command->options : global, offer_option, c);
    offer(c, "--help");
}

/* What comes next after `words` with `command` (NULL: guild itself). */
static void complete_next(
        Complete *c, const CliCommand *command, const CliOption *waiting, const char *first_arg)
{
    if (waiting)
        offer_value(c, waiting->complete, NULL);
    else if (*c->prefix == '-')
        offer_options(c, command);
    else if (!command)
        offer_commands(c, cli_commands);
    else {
        if (command->sub && !first_arg)
            offer_commands(c, command->sub);
        offer_value(c, command->args_complete, first_arg);
    }
}

GPtrArray *complete_words(const char *const *words)
{
    g_autoptr(GPtrArray) before = g_ptr_array_new();
    Complete c = {g_ptr_array_new_with_free_func(g_free), "", NULL, before};
    guint n = g_strv_length((char **)words);
    const CliCommand *command = NULL;
    const CliOption *waiting = NULL; /* an option whose value comes next */
    const char *first_arg = NULL;
    g_setenv("_GUILD_COMPLETE", "1", TRUE);
    g_setenv("NO_WARN_FLAGS_IMPORT", "1", TRUE);
    log_set_level(LOG_ERROR + 1);
    for (guint i = 1; i + 1 < n; i++) {
        const char *word = words[i];
        if (command)
            g_ptr_array_add(before, (gpointer)word);
        if (waiting) {
            if (!command)
                cli_complete_global(waiting->key, word);
            waiting = NULL;
            continue;
        }
        if (*word == '-') {
            const CliOption *option = find_option(command, word);
            waiting = option && takes_value(option) ? option : NULL;
            continue;
        }
        const CliCommand *const *subs = command ? command->sub : cli_commands;
        const CliCommand *sub = subs && !first_arg ? cli_find_command(subs, word) : NULL;
        if (sub) {
            command = sub;
            g_ptr_array_set_size(before, 0);
        } else if (!command)
            return c.out;
        else if (!first_arg)
            first_arg = word;
    }
    c.prefix = n > 1 ? words[n - 1] : "";
    c.command = command;
    if (waiting && before->len)
        g_ptr_array_set_size(before, (int)before->len - 1);
    g_ptr_array_add(before, NULL);
    complete_next(&c, command, waiting, first_arg);
    return c.out;
}
