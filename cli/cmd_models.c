/* SPDX-License-Identifier: Apache-2.0 */
/* `guild models`: the named models of the project in the current folder. */
#include "cli/commands.h"

#include <string.h>

#include "cli/out.h"
#include "cli/projectargs.h"

static const CliOption models_options[] = {
        {"all", "-a, --all", OPT_FLAG, NULL,
                "Show private models too: those whose names start with an underscore."},
        {"installed", "-i, --installed", OPT_FLAG, NULL,
                "Show models of installed packages instead of the project's."},
        {"verbose", "-v, --verbose", OPT_FLAG, NULL,
                "Show the source, operations and full description of each model."},
        CLI_OPTIONS_END,
};

static void add_details(OutTable *table, const ModelDef *m, const char *details)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < m->operations->len; i++)
        g_ptr_array_add(names, ((OpDef *)m->operations->pdata[i])->name);
    g_ptr_array_add(names, NULL);
    g_autofree char *ops = g_strjoinv(", ", (char **)names->pdata);
    g_autofree char *source = g_strdup_printf("  source: %s", m->guildfile->src);
    g_autofree char *operations = g_strdup_printf("  operations: %s", ops);
    g_autofree char *more = g_strdup_printf("  details: %s", details);
    out_table_detail(table, source);
    out_table_detail(table, operations);
    out_table_detail(table, more);
}

static int cmp_models(gconstpointer a, gconstpointer b)
{
    return strcmp((*(ModelDef *const *)a)->name, (*(ModelDef *const *)b)->name);
}

static int models_run(CliArgs *args)
{
    GError *error = NULL;
    g_autoptr(Guildfile) g = cli_flag(args, "installed") ? NULL : project_here(&error);
    if (error)
        return cli_gerror(error);
    if (!g)
        return 0;
    g_autoptr(GPtrArray) models = g_ptr_array_new();
    g_ptr_array_extend(models, g->models, NULL, NULL);
    g_ptr_array_sort(models, cmp_models);
    g_autoptr(OutTable) table = out_table_new(2);
    for (guint i = 0; i < models->len; i++) {
        const ModelDef *m = models->pdata[i];
        g_autofree char *details = NULL;
        g_autofree char *description = project_description(m->description, &details);
        const char *const values[] = {m->name, description, NULL};
        if (!*m->name || (*m->name == '_' && !cli_flag(args, "all")) ||
                !project_matches(cli_positional(args), values))
            continue;
        char **cells = g_new0(char *, 3);
        cells[0] = g_strdup(m->name);
        cells[1] = g_strdup(description);
        out_table_add(table, cells);
        if (cli_flag(args, "verbose"))
            add_details(table, m, details);
    }
    out_table_print(table, stdout, 0, OUT_PLAIN);
    return 0;
}

const CliCommand cmd_models = {
        .name = "models",
        .args = "[FILTER]...",
        .summary = "Show the project's models.",
        .help = "Shows the named models that the guild.yml of the current folder defines.\n\n"
                "With FILTER, only models are shown whose name or description contains it. Several "
                "must all be contained.",
        .options = (const CliOption *const[]){models_options, NULL},
        .run = models_run,
};
