/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to an operation that makes trials of another one. */
#include <string.h>

#include "engine/base/flagval.h"
#include "engine/op/op_internal.h"

#define SKOPT_FLAG_ENCODER "guild.plugins.skopt:encode_flag_for_optimizer"

void op_init_batch_config(Op *op, const OpRequest *req)
{
    op->max_trials = req->max_trials;
    if (!op->max_trials && op->run)
        op->max_trials = run_attr_int(op->run, "max_trials", 0);
    else if (!op->max_trials && op->opdef)
        op->max_trials = op->opdef->default_max_trials;
    op->objective = g_strdup(req->objective);
    if (op->run) {
        g_autoptr(Value) own = run_get_attr(op->run, "stage_trials", NULL);
        Value *stage = req->stage_trials ? value_new_bool(TRUE)
                       : own             ? value_ref(own)
                                         : value_new_null();
        value_map_set(op->op_cmd_run_attrs, "stage_trials", stage);
    } else if (req->stage_trials) {
        value_map_set(op->op_cmd_run_attrs, "stage_trials", value_new_bool(TRUE));
    }
}

/* What an optimizer is told about a flag that the user left to it: its choices, or a function over
 * its range that begins with the default. */
static Value *encode_search_space(const FlagDef *f, const Value *val)
{
    if (f->choices->len) {
        Value *list = value_new_list();
        for (guint i = 0; i < f->choices->len; i++)
            value_list_append(
                    list, value_ref(((FlagChoice *)g_ptr_array_index(f->choices, i))->value));
        return list;
    }
    if (value_is_null(f->min) || value_is_null(f->max))
        return value_ref((Value *)val);
    g_autofree char *low = flagval_encode(f->min);
    g_autofree char *high = flagval_encode(f->max);
    g_autofree char *initial = value_is_null(val) ? NULL : flagval_encode(val);
    g_autofree char *text =
            g_strdup_printf("%s[%s:%s%s%s]", f->distribution ? f->distribution : "uniform", low,
                    high, initial ? ":" : "", initial ? initial : "");
    return value_new_string(text);
}

void op_encode_flags_for_batch(Op *user_op, const Op *batch_op)
{
    if (batch_op->run || !batch_op->opdef || !user_op->opdef ||
            g_strcmp0(batch_op->opdef->flag_encoder, SKOPT_FLAG_ENCODER) != 0)
        return;
    for (gsize i = 0; i < value_map_size(user_op->flag_vals); i++) {
        const char *name = value_map_key_at(user_op->flag_vals, i);
        const FlagDef *f = opdef_flag(user_op->opdef, name);
        if (f && !value_map_has(user_op->user_flag_vals, name))
            value_map_set(user_op->flag_vals, name,
                    encode_search_space(f, value_map_at(user_op->flag_vals, i)));
    }
}

gboolean op_is_likely_optimizer(const Op *op)
{
    return strcmp(op->opref->op_name, "+") != 0 && strcmp(op->opref->op_name, "random") != 0;
}
