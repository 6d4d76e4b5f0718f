/* SPDX-License-Identifier: Apache-2.0 */
/* `guild tag`: adds and removes tags of runs. */
#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/runs_label.h"
#include "cli/runs_op.h"
#include "engine/base/text.h"

static const CliOption tag_options[] = {
        {"add", "-a, --add", OPT_MULTI, "TAG", "Add TAG. May be repeated."},
        {"delete", "-d, --delete", OPT_MULTI, "TAG", "Remove TAG. May be repeated."},
        {"clear", "-c, --clear", OPT_FLAG, NULL, "Remove all tags."},
        {"sync_labels", "-s, --sync-labels", OPT_FLAG, NULL,
                "Add and remove the tags in the runs' labels too."},
        {"list_all", "--list-all", OPT_FLAG, NULL, "List the tags that the runs have."},
        CLI_OPTIONS_END,
};

/* Sorted, without doubles; freed with its strings. */
static GPtrArray *sorted_set(void)
{
    return g_ptr_array_new_with_free_func(g_free);
}

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void set_add(GPtrArray *set, const char *name)
{
    if (g_ptr_array_find_with_equal_func(set, name, g_str_equal, NULL))
        return;
    g_ptr_array_add(set, g_strdup(name));
    g_ptr_array_sort(set, compare_names);
}

static void set_remove(GPtrArray *set, const char *name)
{
    guint i;
    if (g_ptr_array_find_with_equal_func(set, name, g_str_equal, &i))
        g_ptr_array_remove_index(set, i);
}

static void add_run_tags(GPtrArray *set, Run *run)
{
    g_autoptr(Value) tags = run_try_attr(run, "tags");
    for (gsize i = 0; tags && value_is_list(tags) && i < value_list_size(tags); i++) {
        g_autofree char *name = value_str(value_list_at(tags, i));
        set_add(set, name);
    }
}

static int list_all(RunsChoice *choice)
{
    g_autoptr(GPtrArray) runs = runs_choice_selected(choice, cli_positional(choice->args));
    if (!runs)
        return choice->status;
    g_autoptr(GPtrArray) set = sorted_set();
    for (guint i = 0; i < runs->len; i++)
        add_run_tags(set, runs->pdata[i]);
    for (guint i = 0; i < set->len; i++)
        puts(set->pdata[i]);
    return 0;
}

static gboolean write_tags(Run *run, GPtrArray *set, GError **error)
{
    g_autoptr(Value) tags = value_new_list();
    for (guint i = 0; i < set->len; i++)
        value_list_append(tags, value_new_string(set->pdata[i]));
    return run_write_attr(run, "tags", tags, error);
}

/* The label without the removed tags and with the added ones in front. */
static char *synced_label(Run *run, GPtrArray *old_tags, CliArgs *args, GError **error)
{
    g_autofree char *old = run_attr_text(run, "label");
    g_autofree char *label = g_strdup(old ? old : "");
    gboolean clear = cli_flag(args, "clear");
    const char *const *delete = cli_multi(args, "delete");
    for (guint i = 0; clear ? i < old_tags->len : delete[i] != NULL; i++) {
        char *rest = runs_label_remove(label, clear ? old_tags->pdata[i] : delete[i], error);
        if (!rest)
            return NULL;
        g_free(label);
        label = rest;
    }
    g_auto(GStrv) words = text_shell_split(old ? old : "", NULL);
    GString *out = g_string_new(NULL);
    for (const char *const *tag = cli_multi(args, "add"); *tag; tag++)
        if (!words || !g_strv_contains((const char *const *)words, *tag))
            g_string_append_printf(out, "%s ", *tag);
    g_string_append(out, label);
    return g_string_free(out, FALSE);
}

static gboolean modify_tags(Run *run, CliArgs *args, GError **error)
{
    g_autoptr(GPtrArray) old_tags = sorted_set();
    g_autoptr(GPtrArray) tags = sorted_set();
    add_run_tags(old_tags, run);
    if (!cli_flag(args, "clear"))
        add_run_tags(tags, run);
    for (const char *const *tag = cli_multi(args, "delete"); *tag; tag++)
        set_remove(tags, *tag);
    for (const char *const *tag = cli_multi(args, "add"); *tag; tag++)
        set_add(tags, *tag);
    if (!write_tags(run, tags, error))
        return FALSE;
    if (!cli_flag(args, "sync_labels"))
        return TRUE;
    g_autofree char *label = synced_label(run, old_tags, args, error);
    return label && run_write_attr_string(run, "label", label, error);
}

static int apply_tags(GPtrArray *runs, RunsChoice *choice)
{
    for (guint i = 0; i < runs->len; i++) {
        g_autoptr(GError) error = NULL;
        if (!modify_tags(runs->pdata[i], choice->args, &error))
            return cli_gerror(g_steal_pointer(&error));
    }
    fprintf(stderr, "Modified tags for %u run(s)\n", runs->len);
    return 0;
}

static int tag(CliArgs *args)
{
    static const char *const one_of[] = {"add", "delete", "clear", "list_all", NULL};
    static const char *const incompatible[] = {
            "add", "list_all", "delete", "list_all", "clear", "list_all", NULL};
    if (!runs_check_required(args, one_of) || !runs_check_incompatible(args, incompatible))
        return 1;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    if (cli_flag(args, "list_all"))
        return list_all(&choice);
    g_autofree char *sync = out_style(stderr, OUT_YELLOW,
            cli_flag(args, "sync_labels")
                    ? "Labels are updated to reflect the latest tags."
                    : "Labels are not updated - use --sync-labels to apply changes run labels.");
    g_autofree char *preview =
            g_strconcat("You are about to modify tags for the following runs:\n", sync, NULL);
    const RunsOp op = {
            .action = "tag",
            .preview = preview,
            .prompt = "Continue?",
            .no_runs = "No runs to modify.",
            .default_runs = runs_latest,
            .confirm_default = TRUE,
            .apply = apply_tags,
    };
    return runs_op(&choice, cli_positional(args), &op);
}

static const CliOption *const tables[] = {tag_options, runs_common_filters, runs_status_filters,
        runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_tag = {
        .name = "tag",
        .args = "[RUN]...",
        .summary = "Add or remove run tags.",
        .help = "Changes the tags of runs, of the latest unless RUN is given. Labels stay as they "
                "are "
                "unless --sync-labels is used.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = tag,
        .args_complete = "run",
};
