/* SPDX-License-Identifier: Apache-2.0 */
/* See complete_runs.h. */
#include "cli/complete_runs.h"

#include <string.h>

#include "cli/parse.h"
#include "cli/runs_args.h"
#include "cli/runs_paths.h"
#include "engine/base/fs.h"
#include "engine/run/describe.h"

typedef struct {
    RunsChoice *choice;
    const char *prefix;
    CompleteOffer offer;
    gpointer data;
    GHashTable *offered;
} Search;

static void offer_once(Search *s, const char *word)
{
    if (word && *word && g_hash_table_add(s->offered, g_strdup(word)))
        s->offer(s->data, word);
}

static void offer_attr_value(Search *s, const Value *v)
{
    if (!value_truthy(v))
        return;
    g_autofree char *text = value_str(v);
    offer_once(s, text);
}

static void offer_id(Search *s, Run *run)
{
    g_autofree char *id = run_short_id(run);
    offer_once(s, id);
}

static void offer_op(Search *s, Run *run)
{
    g_autofree char *op = run_format_operation(run);
    offer_once(s, op);
}

static void offer_label(Search *s, Run *run)
{
    g_autoptr(Value) label = run_try_attr(run, "label");
    offer_attr_value(s, label);
}

static void offer_tags(Search *s, Run *run)
{
    g_autoptr(Value) tags = run_try_attr(run, "tags");
    if (!value_is_list(tags))
        return;
    for (gsize i = 0; i < value_list_size(tags); i++)
        offer_attr_value(s, value_list_at(tags, i));
}

static void offer_digest(Search *s, Run *run)
{
    g_autoptr(Value) digest = run_try_attr(run, "sourcecode_digest");
    offer_attr_value(s, digest);
}

static void offer_attrs(Search *s, Run *run)
{
    g_autofree char *attrs = run_guild_path(run, "attrs");
    g_auto(GStrv) names = fs_list(attrs, NULL);
    for (char **name = names; *name; name++)
        offer_once(s, *name);
}

/* One level: a folder is offered with its '/', to go on from there. */
static void offer_files(Search *s, Run *run)
{
    const char *slash = strrchr(s->prefix, '/');
    g_autofree char *sub = g_strndup(s->prefix, slash ? (gsize)(slash + 1 - s->prefix) : 0);
    g_autofree char *root = cli_flag(s->choice->args, "sourcecode") ? runs_sourcecode_dir(run)
                                                                    : g_strdup(run_dir(run));
    g_autofree char *dir = g_build_filename(root, sub, NULL);
    g_auto(GStrv) names = fs_list(dir, NULL);
    for (char **name = names; *name; name++) {
        g_autofree char *path = g_build_filename(dir, *name, NULL);
        if (**name == '.' && !g_str_has_prefix(s->prefix + strlen(sub), "."))
            continue;
        g_autofree char *word = g_strconcat(sub, *name, fs_is_dir(path) ? "/" : "", NULL);
        offer_once(s, word);
    }
}

static const struct {
    const char *kind;
    void (*offer)(Search *s, Run *run);
    gboolean one; /* of the run that the words name, else of each that they choose */
} kinds[] = {
        {"run", offer_id, FALSE},
        {"deleted-run", offer_id, FALSE},
        {"run-op", offer_op, FALSE},
        {"run-label", offer_label, FALSE},
        {"run-tag", offer_tags, FALSE},
        {"run-digest", offer_digest, FALSE},
        {"run-attr", offer_attrs, TRUE},
        {"run-file", offer_files, TRUE},
};

static void search(Search *s, gsize kind)
{
    if (strcmp(kinds[kind].kind, "deleted-run") == 0 || cli_flag(s->choice->args, "deleted"))
        s->choice->query.where = RUN_STORE_TRASH;
    if (kinds[kind].one) {
        g_autoptr(Run) run = runs_choice_one(s->choice, cli_positional(s->choice->args)[0]);
        if (run)
            kinds[kind].offer(s, run);
        return;
    }
    g_autoptr(GPtrArray) runs = runs_choice_filtered(s->choice);
    for (guint i = 0; runs && i < runs->len; i++)
        kinds[kind].offer(s, runs->pdata[i]);
}

gboolean complete_runs(const char *kind, const CliCommand *command, const char *const *before,
        const char *prefix, CompleteOffer offer, gpointer data)
{
    gsize k = 0;
    while (k < G_N_ELEMENTS(kinds) && strcmp(kinds[k].kind, kind) != 0)
        k++;
    if (k == G_N_ELEMENTS(kinds))
        return FALSE;
    int rest;
    CliArgs *args = cli_args_parse(command, "guild", before, &rest);
    if (!args)
        return TRUE;
    g_auto(RunsChoice) choice = {0};
    Search s = {&choice, prefix, offer, data,
            g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL)};
    if (!cli_given(args, "remote") && runs_choice_init(&choice, args, FALSE))
        search(&s, k);
    g_hash_table_unref(s.offered);
    runs_choice_clear(&choice);
    choice = (RunsChoice){0};
    cli_args_free(args);
    return TRUE;
}
