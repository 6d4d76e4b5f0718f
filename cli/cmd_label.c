/* SPDX-License-Identifier: Apache-2.0 */
/* `guild label`: sets, extends, shortens or clears the labels of runs. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/runs_label.h"
#include "cli/runs_op.h"
#include "engine/op/label.h"

static const CliOption label_options[] = {
        {"set", "-s, --set", OPT_STRING, "VAL", "Make VAL the label. ${NAME} stands for a flag."},
        {"prepend", "-p, --prepend", OPT_STRING, "VAL", "Put VAL before the label."},
        {"append", "-a, --append", OPT_STRING, "VAL", "Put VAL behind the label."},
        {"remove", "-rm, --remove", OPT_MULTI, "VAL",
                "Take VAL out of the label. May be repeated."},
        {"clear", "-c, --clear", OPT_FLAG, NULL, "Remove the label."},
        CLI_OPTIONS_END,
};

char *runs_label_remove(const char *label, const char *part, GError **error)
{
    g_autofree char *pattern = g_strdup_printf("(^|\\s)%s($|\\s)", part);
    g_autoptr(GRegex) regex = g_regex_new(pattern, 0, 0, error);
    if (!regex) {
        g_prefix_error(error, "cannot remove label part '%s': ", part);
        return NULL;
    }
    g_auto(GStrv) pieces = g_regex_split(regex, label, 0);
    GString *kept = g_string_new(NULL);
    for (char **piece = pieces; *piece; piece++) {
        g_strstrip(*piece);
        if (**piece)
            g_string_append_printf(kept, "%s%s", kept->len ? " " : "", *piece);
    }
    return g_string_free(kept, FALSE);
}

static char *current_label(Run *run)
{
    char *label = run_attr_text(run, "label");
    return label ? label : g_strdup("");
}

/* A template with the run's flags, and ${label} for the label so far. */
static char *rendered(const char *label_template, Run *run, const char *label)
{
    g_autoptr(Value) flags = run_try_attr(run, "flags");
    g_autoptr(Value) params = value_new_map();
    if (flags && value_is_map(flags))
        value_map_update(params, flags);
    value_map_set_string(params, "label", label);
    char *text = run_label(label_template, params);
    return g_strstrip(text);
}

static char *new_label(Run *run, CliArgs *args, GError **error)
{
    g_autofree char *label = current_label(run);
    const char *set = cli_string(args, "set"), *prepend = cli_string(args, "prepend");
    const char *append = cli_string(args, "append");
    if (set && *set)
        return rendered(set, run, label);
    if (prepend && *prepend) {
        g_autofree char *part = rendered(prepend, run, label);
        return g_strconcat(part, " ", label, NULL);
    }
    if (append && *append) {
        g_autofree char *part = rendered(append, run, label);
        return g_strconcat(label, " ", part, NULL);
    }
    for (const char *const *part = cli_multi(args, "remove"); *part; part++) {
        char *rest = runs_label_remove(label, *part, error);
        if (!rest)
            return NULL;
        g_free(label);
        label = rest;
    }
    return g_steal_pointer(&label);
}

static int apply_label(GPtrArray *runs, RunsChoice *choice)
{
    gboolean clear = cli_flag(choice->args, "clear");
    for (guint i = 0; i < runs->len; i++) {
        Run *run = runs->pdata[i];
        g_autoptr(GError) error = NULL;
        if (clear) {
            run_del_attr(run, "label");
            continue;
        }
        g_autofree char *label = new_label(run, choice->args, &error);
        if (!label || !run_write_attr_string(run, "label", g_strstrip(label), &error))
            return cli_gerror(g_steal_pointer(&error));
    }
    fprintf(stderr, clear ? "Cleared label for %u run(s)\n" : "Labeled %u run(s)\n", runs->len);
    return 0;
}

/* The tuple of removed parts as Python prints it, which is what users of the reference see. */
static char *removed_parts(CliArgs *args)
{
    GString *out = g_string_new("(");
    const char *const *parts = cli_multi(args, "remove");
    for (gsize i = 0; parts[i]; i++) {
        g_autoptr(Value) v = value_new_string(parts[i]);
        g_autofree char *repr = value_repr(v);
        g_string_append_printf(out, "%s%s", i ? ", " : "", repr);
    }
    g_string_append(out, parts[0] && !parts[1] ? ",)" : ")");
    return g_string_free(out, FALSE);
}

static char *preview_text(CliArgs *args)
{
    static const struct {
        const char *key, *fmt;
    } previews[] = {
            {"set", "You are about to label the following runs with '%s':"},
            {"prepend", "You are about to prepend '%s' to the label of the following runs:"},
            {"append", "You are about to append '%s' to the label of the following runs:"},
            {"remove", "You are about to remove '%s' from the label of the following runs:"},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(previews); i++) {
        const char *value = cli_string(args, previews[i].key);
        if (!value || !*value)
            continue;
        g_autofree char *parts = removed_parts(args);
        g_auto(GStrv) around = g_strsplit(previews[i].fmt, "%s", 2);
        return g_strconcat(
                around[0], strcmp(previews[i].key, "remove") == 0 ? parts : value, around[1], NULL);
    }
    return g_strdup("You are about to clear the label of the following runs:");
}

static int label(CliArgs *args)
{
    static const char *const one_of[] = {"set", "append", "prepend", "remove", "clear", NULL};
    static const char *const incompatible[] = {"set", "append", "set", "prepend", "set", "remove",
            "set", "clear", "append", "prepend", "append", "clear", "append", "remove", "prepend",
            "clear", "prepend", "remove", NULL};
    if (!runs_check_required(args, one_of) || !runs_check_incompatible(args, incompatible))
        return 1;
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    g_autofree char *preview = preview_text(args);
    const RunsOp op = {
            .action = "label",
            .preview = preview,
            .prompt = "Continue?",
            .no_runs = "No runs to modify.",
            .default_runs = runs_latest,
            .confirm_default = TRUE,
            .apply = apply_label,
    };
    return runs_op(&choice, cli_positional(args), &op);
}

static const CliOption *const tables[] = {label_options, runs_common_filters, runs_status_filters,
        runs_remote_option, runs_yes_option, NULL};

const CliCommand cmd_label = {
        .name = "label",
        .args = "[RUN]...",
        .summary = "Set run labels.",
        .help = "Changes the labels of runs, of the latest unless RUN is given. Asks first unless "
                "--yes is used.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = label,
        .args_complete = "run",
};
