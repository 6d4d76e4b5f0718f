/* SPDX-License-Identifier: Apache-2.0 */
/* See runs_op.h. */
#include "cli/runs_op.h"

#include "cli/runs_format.h"

const char *const runs_latest[] = {"1", NULL};

static gboolean user_agrees(GPtrArray *runs, const RunsOp *op)
{
    out_line(stderr, op->preview_style, "%s", op->preview);
    g_autoptr(OutTable) table = runs_table(runs, runs_preview_columns, FALSE);
    out_table_print(table, stderr, 2, OUT_PLAIN);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    g_autofree char *prompt = g_strdup_printf(op->prompt, runs->len);
#pragma GCC diagnostic pop
    return out_confirm(prompt, op->confirm_default);
}

int runs_op_on(RunsChoice *choice, GPtrArray *runs, const RunsOp *op)
{
    if (runs->len == 0) {
        out_line(stderr, OUT_PLAIN, "%s", op->no_runs);
        return 0;
    }
    if (!cli_flag(choice->args, "yes") && !user_agrees(runs, op))
        return EXIT_ABORTED;
    if (!choice->remote)
        return op->apply(runs, choice);
    if (runs_remote && runs_remote->apply)
        return runs_remote->apply(choice->remote, op->action, runs, choice->args);
    return cli_error("remote %s does not support this command", choice->remote);
}

int runs_op(RunsChoice *choice, const char *const *run_args, const RunsOp *op)
{
    if (!*run_args && op->default_runs)
        run_args = op->default_runs;
    g_autoptr(GPtrArray) selected = runs_choice_selected(choice, run_args);
    if (!selected)
        return choice->status;
    if (!op->wanted)
        return runs_op_on(choice, selected, op);
    g_autoptr(GPtrArray) wanted = run_array_new();
    for (guint i = 0; i < selected->len; i++)
        if (op->wanted(selected->pdata[i]))
            g_ptr_array_add(wanted, run_ref(selected->pdata[i]));
    return runs_op_on(choice, wanted, op);
}
