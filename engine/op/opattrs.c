/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation leaves in the attributes of its run, in the reference's format
 * (run_impl._op_init_run_attrs): enough to start it again without its project. */
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/deps/dep.h"
#include "engine/op/op_internal.h"

/* Options that a restart takes anew when they are given. */
static const char *const respecifiable_params[] = {
        "force_sourcecode", "gpus", "label", "needed", "tags", NULL};

static Value *or_null(Value *v)
{
    return v ? value_ref(v) : value_new_null();
}

static Value *text_or_null(const char *text)
{
    return text ? value_new_string(text) : value_new_null();
}

static Value *config_data(const Op *op)
{
    Value *data = value_new_map();
    value_map_set(data, "flag-null-labels", or_null(op->flag_null_labels));
    value_map_set(data, "op-cmd", op_cmd_as_data(op->op_cmd));
    value_map_set(data, "python-requires", or_null(op->python_requires));
    value_map_set(data, "label-template", text_or_null(op->label_template));
    value_map_set(data, "output-scalars", or_null(op->output_scalars));
    value_map_set(data, "output-attrs", or_null(op->output_attrs));
    value_map_set(data, "deps", deps_as_data(op->deps));
    Value *sourcecode = value_new_map();
    value_map_set(sourcecode, "dest", text_or_null(op->sourcecode_dest));
    if (op->sourcecode_root && *op->sourcecode_root)
        value_map_set_string(sourcecode, "root", op->sourcecode_root);
    value_map_set(data, "sourcecode", sourcecode);
    value_map_set(data, "flags-extra", or_null(op->flags_extra));
    value_map_set(data, "delete-on-success", value_new_bool(op->delete_on_success));
    return data;
}

static Value *first_comment(const char *text)
{
    Value *item = value_new_map();
    value_map_set_string(item, "user", g_getenv("USER") ? g_getenv("USER") : "");
    value_map_set_string(item, "host", op_host_name());
    value_map_set_string(item, "body", text);
    value_map_set_int(item, "time", clock_timestamp_us());
    Value *list = value_new_list();
    value_list_append(list, item);
    return list;
}

static Value *merged_params(const OpRequest *req)
{
    Value *params = value_new_map();
    if (value_is_map(req->kept_params))
        value_map_update(params, req->kept_params);
    for (gsize i = 0; i < value_map_size(req->run_params); i++) {
        const char *name = value_map_key_at(req->run_params, i);
        Value *v = value_map_at(req->run_params, i);
        gboolean anew = value_truthy(v) && g_strv_contains(respecifiable_params, name);
        if (anew || !value_map_has(params, name))
            value_map_set(params, name, value_ref(v));
    }
    return params;
}

/* One attribute for all of `run-attrs`. */
static void add_opdef_attrs(Op *op)
{
    const Value *attrs = op->opdef ? op->opdef->run_attrs : NULL;
    g_autoptr(Value) legal = value_new_map();
    for (gsize i = 0; value_is_map(attrs) && i < value_map_size(attrs); i++) {
        const char *name = value_map_key_at(attrs, i);
        if (run_attr_is_core(name))
            log_warning("Invalid run attribute '%s' (reserved attribute) - ignoring", name);
        else
            value_map_set(legal, name, value_ref(value_map_at(attrs, i)));
    }
    if (value_map_size(legal))
        value_map_set(op->run_attrs, "opdef_attrs", value_ref(legal));
}

void op_init_run_attrs(Op *op, const OpRequest *req)
{
    Value *a = op->run_attrs;
    if (*op->label)
        value_map_set_string(a, "label", op->label);
    if (value_list_size(op->tags))
        value_map_set(a, "tags", value_ref(op->tags));
    if (op->comment && *op->comment)
        value_map_set(a, "comments", first_comment(op->comment));
    if (value_truthy(op->batch_trials))
        value_map_set(a, "trials", value_ref(op->batch_trials));
    value_map_set(a, "flags", value_ref(op->flag_vals));
    value_map_set(a, "user_flags", value_ref(op->user_flag_vals));
    if (req->run_params)
        value_map_set(a, "run_params", merged_params(req));
    value_map_set_int(a, "random_seed", op->random_seed);
    if (op->max_trials)
        value_map_set_int(a, "max_trials", op->max_trials);
    if (op->objective && *op->objective)
        value_map_set_string(a, "objective", op->objective);
    if (op->opdef && value_is_map(op->opdef->request))
        value_map_set(a, "request", value_ref(op->opdef->request)); /* for who starts it later */
    value_map_set(a, "op", config_data(op));
    if (!op->run) {
        value_map_set_string(a, "host", op_host_name());
        value_map_set_string(a, "user", g_getenv("USER") ? g_getenv("USER") : "");
        value_map_set(a, "platform", op_platform_info(op->home));
    }
    value_map_update(a, op->op_cmd_run_attrs);
    add_opdef_attrs(op);
}
