/* SPDX-License-Identifier: Apache-2.0 */
/* `guild operations`: what the project in the current folder can run. */
#include "cli/commands.h"

#include <string.h>

#include "cli/out.h"
#include "cli/projectargs.h"
#include "engine/base/flagval.h"

static const CliOption operations_options[] = {
        {"all", "-a, --all", OPT_FLAG, NULL,
                "Show private operations too: those whose names start with an underscore."},
        {"installed", "-i, --installed", OPT_FLAG, NULL,
                "Show operations of installed packages instead of the project's."},
        {"verbose", "-v, --verbose", OPT_FLAG, NULL,
                "Show the module, flags and full description of each operation."},
        CLI_OPTIONS_END,
};

/* "NAME: DESCRIPTION (default is VALUE)" for each flag, as Python prints the list. */
static char *flags_text(const OpDef *op)
{
    g_autoptr(Value) list = value_new_list();
    for (guint i = 0; i < op->flags->len; i++) {
        const FlagDef *f = op->flags->pdata[i];
        g_autofree char *dflt = flagval_encode(f->dflt);
        g_autofree char *text = g_strdup_printf("%s:%s%s (default is %s)", f->name,
                *f->description ? " " : "", f->description, dflt);
        value_list_append(list, value_new_string(text));
    }
    return value_repr(list);
}

static void add_detail(OutTable *table, const char *name, const char *text)
{
    g_autofree char *line = g_strdup_printf("  %s: %s", name, text);
    out_table_detail(table, line);
}

static void add_details(OutTable *table, const OpDef *op, const char *details)
{
    g_autofree char *flags = flags_text(op);
    add_detail(table, "main", op->main ? op->main : "");
    add_detail(table, "flags", flags);
    add_detail(table, "details", details);
}

static int cmp_ops(gconstpointer a, gconstpointer b)
{
    const OpDef *oa = *(OpDef *const *)a, *ob = *(OpDef *const *)b;
    int by_model = strcmp(oa->modeldef->name, ob->modeldef->name);
    return by_model ? by_model : strcmp(oa->name, ob->name);
}

static gboolean is_shown(const OpDef *op, const char *description, const CliArgs *args)
{
    const char *const values[] = {op->fullname, description, NULL};
    gboolean is_private = op->name[0] == '_' || op->modeldef->name[0] == '_';
    return (!is_private || cli_flag(args, "all")) && project_matches(cli_positional(args), values);
}

static int operations_run(CliArgs *args)
{
    GError *error = NULL;
    g_autoptr(Guildfile) g = cli_flag(args, "installed") ? NULL : project_here(&error);
    if (error)
        return cli_gerror(error);
    if (!g)
        return 0;
    g_autoptr(GPtrArray) ops = g_ptr_array_new();
    for (guint i = 0; i < g->models->len; i++)
        g_ptr_array_extend(ops, ((ModelDef *)g->models->pdata[i])->operations, NULL, NULL);
    g_ptr_array_sort(ops, cmp_ops);
    g_autoptr(OutTable) table = out_table_new(2);
    for (guint i = 0; i < ops->len; i++) {
        const OpDef *op = ops->pdata[i];
        g_autofree char *details = NULL;
        g_autofree char *description = project_description(op->description, &details);
        if (!is_shown(op, description, args))
            continue;
        char **cells = g_new0(char *, 3);
        cells[0] = g_strdup(op->fullname);
        cells[1] = g_strdup(description);
        out_table_add(table, cells);
        if (cli_flag(args, "verbose"))
            add_details(table, op, details);
    }
    out_table_print(table, stdout, 0, OUT_PLAIN);
    return 0;
}

const CliCommand cmd_operations = {
        .name = "operations|ops",
        .args = "[FILTER]...",
        .summary = "Show the project's operations.",
        .help = "Shows the operations that the guild.yml of the current folder defines. Without "
                "one "
                "there is nothing to show; scripts can be run all the same.\n\n"
                "With FILTER, only operations are shown whose name or description contains it. "
                "Several must all be contained.",
        .options = (const CliOption *const[]){operations_options, NULL},
        .run = operations_run,
        .args_complete = "op",
};
