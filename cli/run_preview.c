/* SPDX-License-Identifier: Apache-2.0 */
/* What the user is asked before a run begins; see run.h. */
#include "cli/run.h"

#include <string.h>

#include "cli/out.h"
#include "engine/base/flagval.h"

char *run_op_desc(const Op *op)
{
    return opref_to_opspec(op->opref, cli_cwd());
}

static const char *action(RunState *s)
{
    if (run_flag(s->args, "stage"))
        return "stage";
    if (run_flag(s->args, "stage_trials"))
        return "stage trials for";
    return run_string(s->args, "restart") ? "start" : "run";
}

static char *subject(RunState *s)
{
    g_autofree char *desc = run_op_desc(s->user_op);
    if (s->restart_run)
        return g_strdup_printf("%s (%s)", run_id(s->restart_run), desc);
    return g_steal_pointer(&desc);
}

/* Trials of a flag map: each flag with a list multiplies them. */
static gint64 count_product(const Value *flags)
{
    gint64 n = 1;
    for (gsize i = 0; i < value_map_size(flags); i++) {
        const Value *v = value_map_at(flags, i);
        gint64 size = value_is_list(v) ? (gint64)value_list_size(v) : 1;
        if (__builtin_mul_overflow(n, size, &n))
            return G_MAXINT64;
    }
    return n;
}

gint64 run_count_trials(RunState *s)
{
    const Op *op = s->user_op;
    gint64 max = s->batch_op->max_trials;
    gint64 n = 0;
    if (!value_truthy(op->batch_trials))
        n = count_product(op->flag_vals);
    for (gsize i = 0; value_truthy(op->batch_trials) && i < value_list_size(op->batch_trials);
            i++) {
        g_autoptr(Value) merged = value_new_map();
        value_map_update(merged, op->flag_vals);
        value_map_update(merged, value_list_at(op->batch_trials, i));
        value_map_update(merged, op->user_flag_vals);
        n += count_product(merged);
    }
    return max && max < n ? max : n;
}

static char *batch_desc(const Op *batch_op)
{
    g_autofree char *name = run_op_desc(batch_op);
    if (strcmp(name, "+") == 0)
        return g_strdup(" as a batch");
    if (strcmp(name, "random") == 0 || strcmp(name, "skopt:random") == 0)
        return g_strdup(" with random search");
    return g_strdup_printf(" with %s optimizer", name);
}

static char *batch_suffix(RunState *s)
{
    const Op *op = s->batch_op;
    if (!op)
        return g_strdup("");
    g_autofree char *desc = batch_desc(op);
    g_autoptr(GString) parts = g_string_new(NULL);
    gint64 n = strcmp(op->opref->op_name, "+") == 0 ? run_count_trials(s) : 0;
    if (n || strcmp(op->opref->op_name, "+") == 0)
        g_string_append_printf(parts, "%" G_GINT64_FORMAT " trial%s", n, n == 1 ? "" : "s");
    else if (op->max_trials)
        g_string_append_printf(parts, "%" G_GINT64_FORMAT " trials", op->max_trials);
    if (op_is_likely_optimizer(op) && op->objective && *op->objective) {
        gboolean max = op->objective[0] == '-';
        g_string_append_printf(parts, "%s%s %s", parts->len ? ", " : "",
                max ? "maximize" : "minimize", op->objective + (max ? 1 : 0));
    }
    return parts->len ? g_strdup_printf("%s (%s)", desc, parts->str) : g_steal_pointer(&desc);
}

static char *flag_text(const char *name, const Value *v, const Value *null_labels)
{
    if (value_is_null(v)) {
        const Value *label = value_map_get(null_labels, name);
        g_autoptr(Value) dflt = value_new_string("default");
        return flagval_encode(label ? label : dflt);
    }
    if (flagval_is_function(v))
        return g_strdup(value_get_string(v));
    return flagval_encode(v);
}

static void add_flags(GString *text, const Op *op)
{
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, op->flag_vals);
    value_map_sort(sorted);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const char *name = value_map_key_at(sorted, i);
        g_autofree char *val = flag_text(name, value_map_at(sorted, i), op->flag_null_labels);
        g_string_append_printf(text, "  %s: %s\n", name, val);
    }
}

gboolean run_confirm(RunState *s)
{
    g_autofree char *what = subject(s);
    g_autofree char *batch = batch_suffix(s);
    const char *remote = run_string(s->args, "remote");
    gboolean note = value_map_size(s->user_op->flag_vals) && value_truthy(s->user_op->batch_trials);
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_printf(text, "You are about to %s %s%s%s%s%s\n", action(s), what, batch,
            remote ? " on " : "", remote ? remote : "",
            note ? " (flags below used unless specified in batch trial)" : "");
    add_flags(text, s->user_op);
    if (s->batch_op && value_map_size(s->batch_op->flag_vals)) {
        g_autoptr(GString) optimizer = g_string_new("Optimizer flags:\n");
        add_flags(optimizer, s->batch_op);
        g_autofree char *styled = out_style(stderr, OUT_DIM, optimizer->str);
        g_string_append(text, styled);
    }
    g_string_append(text, "Continue?");
    return out_confirm(text->str, TRUE);
}
