/* SPDX-License-Identifier: Apache-2.0 */
/* `guild runs info`: all that is known about one run. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/run_waits.h"
#include "cli/runs_args.h"
#include "cli/runs_format.h"
#include "engine/base/flagval.h"
#include "engine/base/json.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"
#include "engine/run/describe.h"
#include "engine/run/index.h"
#include "engine/run/manifest.h"
#include "engine/run/scalars.h"

static const CliOption info_options[] = {
        {"comments", "-c, --comments", OPT_FLAG, NULL, "Show the run's comments."},
        {"env", "-e, --env", OPT_FLAG, NULL, "Show the run's environment."},
        {"deps", "-d, --deps", OPT_FLAG, NULL, "Show resolved dependencies."},
        {"manifest", "-m, --manifest", OPT_FLAG, NULL, "Show the manifest."},
        {"plugins", "-p, --plugins", OPT_FLAG, NULL, "Show plugins."},
        {"all_scalars", "-s, --all-scalars", OPT_FLAG, NULL,
                "Show all values of all scalars; without it only the last of those that are not "
                "system scalars."},
        {"json", "--json", OPT_FLAG, NULL, "Print JSON."},
        {"private_attrs", "--private-attrs", OPT_FLAG, NULL, "Show attributes of Guild's own.",
                .hidden = TRUE},
        CLI_OPTIONS_END,
};

/* Attributes that are shown elsewhere or not at all. What else a run has, such as `run-attrs` that
 * 0.9.0 kept one by one, or how often a trial was tried, is shown under its own name. */
static const char *const known_attrs[] = {"cmd", "comments", "compare", "deps", "env",
        "exit_status", "flags", "host", "id", "initialized", "label", "marked", "max_trials",
        "objective", "op", "opdef", "opdef_attrs", "pip_freeze", "platform", "plugins",
        "r_packages_loaded", "r_sys_info", "random_seed", "resolved_deps", "run_params",
        "sourcecode_digest", "stage_trials", "started", "steps", "stopped", "tags", "trials",
        "user", "user_flags", "vcs_commit", NULL};

/* The value of an attribute, or an empty list or map where there is none. */
static Value *attr_or_empty(Run *run, const char *name, gboolean map)
{
    Value *v = run_try_attr(run, name);
    if (v && value_truthy(v))
        return v;
    value_unref(v);
    return map ? value_new_map() : value_new_list();
}

static void add_other_attrs(Run *run, gboolean private_attrs, Value *data)
{
    g_auto(GStrv) names = run_attr_names(run);
    for (char **name = names; *name; name++) {
        if (g_strv_contains(known_attrs, *name) || (**name == '_' && !private_attrs))
            continue;
        g_autoptr(Value) v = run_try_attr(run, *name);
        g_autofree char *text = run_format_attr(v);
        value_map_set_string(data, *name, text);
    }
}

static void add_details(Run *run, gboolean private_attrs, Value *data)
{
    for (const char *const *name = runs_detail_names; *name; name++)
        value_map_set(data, *name, runs_detail(run, *name, 0));
    add_other_attrs(run, private_attrs, data);
    if (!private_attrs)
        return;
    const OpRef *ref = run_peek_opref(run);
    g_autofree char *opref = ref ? opref_to_string(ref) : NULL;
    Value *op = run_try_attr(run, "op");
    value_map_set_string(data, "opref", opref ? opref : "");
    value_map_set(data, "op", op ? op : value_new_null());
}

/* --- scalars --- */

static Value *scalar_value(const Value *s, const char *val_key, const char *step_key, gboolean json)
{
    const Value *val = value_map_get(s, val_key), *step = value_map_get(s, step_key);
    if (json) {
        Value *pair = value_new_list();
        value_list_append(
                pair, value_is_nan(val) ? value_new_null() : value_copy(val)); /* no JSON */
        value_list_append(pair, value_copy(step));
        return pair;
    }
    g_autofree char *step_text = value_str(step);
    g_autofree char *val_text = value_kind(val) == VALUE_FLOAT
                                        ? g_strdup_printf("%.6f", value_get_float(val))
                                : value_is_null(val) ? g_strdup("nan")
                                                     : value_str(val);
    g_autofree char *text = g_strdup_printf("%s (step %s)", val_text, step_text);
    return value_new_string(text);
}

static Value *all_scalar_values(const Value *s, gboolean json)
{
    /* The reference shows the step of the minimum with the maximum; kept as its users see it. */
    static const char *const rows[][3] = {
            {"first", "first_val", "first_step"},
            {"last", "last_val", "last_step"},
            {"min", "min_val", "min_step"},
            {"max", "max_val", "min_step"},
            {"avg", "avg_val", "count"},
            {"total", "total", "count"},
    };
    Value *map = value_new_map();
    for (gsize i = 0; i < G_N_ELEMENTS(rows); i++)
        value_map_set(map, rows[i][0], scalar_value(s, rows[i][1], rows[i][2], json));
    return map;
}

static Value *scalars_data(Run *run, CliArgs *args)
{
    gboolean all = cli_flag(args, "all_scalars"), json = cli_flag(args, "json");
    g_autoptr(RunIndex) index = run_index_open(NULL);
    g_autoptr(Value) scalars = run_index_scalars(index, run);
    Value *data = value_new_map();
    for (gsize i = 0; i < value_list_size(scalars); i++) {
        const Value *s = value_list_at(scalars, i);
        const char *tag = value_map_string(s, "tag", "");
        g_autofree char *key = scalar_key(value_map_string(s, "prefix", ""), tag);
        if (all)
            value_map_set(data, key, all_scalar_values(s, json));
        else if (!g_str_has_prefix(tag, "sys/"))
            value_map_set(data, key, scalar_value(s, "last_val", "last_step", json));
    }
    return data;
}

/* --- sections that options ask for --- */

static Value *comments_data(Run *run)
{
    g_autoptr(Value) comments = attr_or_empty(run, "comments", FALSE);
    Value *list = value_new_list();
    for (gsize i = 0; value_is_list(comments) && i < value_list_size(comments); i++) {
        const Value *comment = value_list_at(comments, i);
        if (!value_is_map(comment)) {
            g_autofree char *repr = value_repr(comment);
            value_list_append(list, value_new_string(repr));
            continue;
        }
        g_autofree char *body = g_strstrip(g_strdup(value_map_string(comment, "body", "")));
        g_autofree char *time = run_format_timestamp(value_map_int(comment, "time", 0));
        Value *item = value_new_map();
        value_map_set_string(item, "user", value_map_string(comment, "user", ""));
        value_map_set_string(item, "host", value_map_string(comment, "host", ""));
        value_map_set_string(item, "time", time);
        value_map_set_string(item, "body", body);
        value_list_append(list, item);
    }
    return list;
}

static int compare_strings(gconstpointer a, gconstpointer b, gpointer data)
{
    (void)data;
    return strcmp(value_get_string(a), value_get_string(b));
}

static Value *manifest_data(Run *run)
{
    g_autoptr(GPtrArray) entries = run_manifest_read(run);
    Value *data = value_new_map();
    for (guint i = 0; i < entries->len; i++) {
        char **entry = entries->pdata[i];
        const char *section = strcmp(entry[0], "s") == 0   ? "sourcecode"
                              : strcmp(entry[0], "d") == 0 ? "dependencies"
                                                           : NULL;
        if (!section)
            continue;
        if (!value_map_has(data, section))
            value_map_set(data, section, value_new_list());
        value_list_append(value_map_get(data, section), value_new_string(entry[1]));
    }
    for (gsize i = 0; i < value_map_size(data); i++)
        value_list_sort(value_map_at(data, i), compare_strings, NULL);
    return data;
}

/* What the run logged, and the operation's attributes as newer Guilds keep them. */
static Value *other_attrs(Run *run, gboolean private_attrs)
{
    g_autoptr(Value) all = value_new_map();
    g_autoptr(Value) opdef_attrs = attr_or_empty(run, "opdef_attrs", TRUE);
    g_autoptr(Value) logged = scalars_read_attrs(run_dir(run));
    if (value_is_map(opdef_attrs))
        value_map_update(all, opdef_attrs);
    for (gsize i = 0; logged && i < value_map_size(logged); i++) {
        const char *name = value_map_key_at(logged, i);
        if (private_attrs || name[0] != '_')
            value_map_set(all, name, value_ref(value_map_at(logged, i)));
    }
    Value *others = value_new_map();
    for (gsize i = 0; i < value_map_size(all); i++)
        if (!run_attr_is_core(value_map_key_at(all, i)))
            value_map_set(others, value_map_key_at(all, i), value_ref(value_map_at(all, i)));
    return others;
}

static Value *info_data(Run *run, CliArgs *args)
{
    gboolean private_attrs = cli_flag(args, "private_attrs");
    Value *data = value_new_map();
    add_details(run, private_attrs, data);
    g_autofree char *waits_for = run_waits_for(run);
    if (waits_for)
        value_map_set_string(data, "waits_for", waits_for);
    value_map_set(data, "tags", attr_or_empty(run, "tags", FALSE));
    value_map_set(data, "flags", attr_or_empty(run, "flags", TRUE));
    g_autoptr(Run) proto = run_batch_proto(run);
    if (proto)
        value_map_set(data, "proto-flags", attr_or_empty(proto, "flags", TRUE));
    value_map_set(data, "scalars", scalars_data(run, args));
    g_autoptr(Value) others = other_attrs(run, private_attrs);
    if (value_map_size(others) > 0)
        value_map_set(data, "attributes", value_ref(others));
    if (cli_flag(args, "comments"))
        value_map_set(data, "comments", comments_data(run));
    if (cli_flag(args, "env"))
        value_map_set(data, "environment", attr_or_empty(run, "env", TRUE));
    if (cli_flag(args, "manifest"))
        value_map_set(data, "manifest", manifest_data(run));
    if (cli_flag(args, "deps"))
        value_map_set(data, "dependencies", attr_or_empty(run, "deps", TRUE));
    if (cli_flag(args, "plugins"))
        value_map_set(data, "plugins", attr_or_empty(run, "plugins", FALSE));
    if (private_attrs && cli_flag(args, "json") && proto) {
        Value *proto_data = value_new_map();
        add_details(proto, TRUE, proto_data);
        value_map_set(data, "proto-run", proto_data);
    }
    return data;
}

/* --- printing --- */

static void print_indented(const char *text, const char *margin, gboolean strip)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++)
        printf("%s%s\n", margin, strip ? g_strstrip(*line) : *line);
}

/* Flag text without the quotes around a whole string. */
static char *unquoted(const Value *v)
{
    char *text = flagval_encode(v);
    gsize n = strlen(text);
    if (text[0] != '\'' || n < 2 || text[n - 1] != '\'')
        return text;
    char *inner = g_strndup(text + 1, n - 2);
    g_free(text);
    return inner;
}

static void print_item_map(const Value *item)
{
    g_autoptr(Value) sorted = value_copy(item);
    value_map_sort(sorted);
    puts("  -");
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_autofree char *text = unquoted(value_map_at(sorted, i));
        if (strchr(text, '\n')) {
            printf("    %s: |\n", value_map_key_at(sorted, i));
            print_indented(text, "      ", TRUE);
        } else {
            printf("    %s: %s\n", value_map_key_at(sorted, i), text);
        }
    }
}

static void print_list(const char *name, const Value *list)
{
    printf("%s:\n", name);
    for (gsize i = 0; i < value_list_size(list); i++) {
        const Value *item = value_list_at(list, i);
        g_autofree char *text = value_is_map(item) ? NULL : flagval_encode(item);
        if (text)
            printf("  - %s\n", text);
        else
            print_item_map(item);
    }
}

/* By prefix, then tag, as "prefix#tag" or "tag" says. */
static int compare_scalar_keys(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    const char *hash_x = strchr(x, '#'), *hash_y = strchr(y, '#');
    g_autofree char *prefix_x = g_strndup(x, hash_x ? (gsize)(hash_x - x) : 0);
    g_autofree char *prefix_y = g_strndup(y, hash_y ? (gsize)(hash_y - y) : 0);
    int c = strcmp(prefix_x, prefix_y);
    return c ? c : strcmp(hash_x ? hash_x + 1 : x, hash_y ? hash_y + 1 : y);
}

static int compare_natural(const void *a, const void *b)
{
    return text_natural_compare(*(const char *const *)a, *(const char *const *)b);
}

static void print_entry(const char *name, const Value *v)
{
    if (value_is_list(v)) {
        printf("  %s:\n", name);
        for (gsize i = 0; i < value_list_size(v); i++) {
            g_autofree char *text = flagval_encode(value_list_at(v, i));
            printf("    - %s\n", text);
        }
        return;
    }
    g_autofree char *text = value_is_map(v) ? yaml_dump(v) : flagval_encode(v);
    if (value_is_map(v)) {
        printf("  %s:\n", name);
        print_indented(text, "    ", FALSE);
    } else {
        printf("  %s: %s\n", name, text);
    }
}

static void print_map(const char *name, const Value *map)
{
    gsize n = value_map_size(map);
    g_autofree const char **keys = g_new(const char *, n + 1);
    for (gsize i = 0; i < n; i++)
        keys[i] = value_map_key_at(map, i);
    qsort(keys, n, sizeof(*keys),
            strcmp(name, "scalars") == 0 ? compare_scalar_keys : compare_natural);
    printf("%s:\n", name);
    for (gsize i = 0; i < n; i++)
        print_entry(keys[i], value_map_get(map, keys[i]));
}

static void print_info(const Value *data)
{
    for (gsize i = 0; i < value_map_size(data); i++) {
        const char *name = value_map_key_at(data, i);
        const Value *v = value_map_at(data, i);
        if (value_is_list(v)) {
            print_list(name, v);
        } else if (value_is_map(v)) {
            print_map(name, v);
        } else {
            g_autofree char *text = value_str(v);
            printf("%s: %s\n", name, text);
        }
    }
}

static int info(CliArgs *args)
{
    g_auto(RunsChoice) choice = {0};
    if (!runs_choice_init(&choice, args, FALSE))
        return choice.status;
    if (!cli_check_max_args(args, 1))
        return 2;
    g_autoptr(Run) run = runs_choice_one(&choice, cli_positional(args)[0]);
    if (!run)
        return choice.status;
    g_autoptr(Value) data = info_data(run, args);
    if (cli_flag(args, "json")) {
        g_autofree char *json = json_dump(data, 0, FALSE);
        puts(json);
    } else {
        print_info(data);
    }
    return 0;
}

static const CliOption *const tables[] = {
        info_options, runs_common_filters, runs_status_filters, runs_remote_option, NULL};

const CliCommand cmd_info = {
        .name = "info",
        .args = "[RUN]",
        .summary = "Show run information.",
        .help = "Shows information about one run, the latest unless RUN is "
                "given.\n\n" RUNS_HELP_RUNS "\n\n" RUNS_HELP_FILTERS,
        .options = tables,
        .run = info,
        .args_complete = "run",
};
