/* SPDX-License-Identifier: Apache-2.0 */
/* Run index. See index.h. */
#include "engine/run/index.h"

#include "engine/run/describe.h"
#include "engine/run/scalars.h"

struct RunIndex {
    char *path;
};

RunIndex *run_index_open(RunStore *store)
{
    (void)store;
    return g_new0(RunIndex, 1);
}

void run_index_close(RunIndex *index)
{
    g_free(index);
}

void run_index_load(RunIndex *index, GPtrArray *runs)
{
    (void)index;
    (void)runs;
}

Value *run_index_scalars(RunIndex *index, Run *run)
{
    (void)index;
    return scalars_read_value(run_dir(run));
}

Value *run_index_attrs(RunIndex *index, Run *run)
{
    (void)index;
    g_autoptr(Value) opdef_attrs = run_try_attr(run, "opdef_attrs");
    g_autoptr(Value) logged = scalars_read_attrs(run_dir(run));
    Value *attrs = value_new_map();
    if (opdef_attrs && value_is_map(opdef_attrs))
        value_map_update(attrs, opdef_attrs);
    value_map_update(attrs, logged);
    for (gsize i = value_map_size(attrs); i-- > 0;)
        if (run_is_core_attr(value_map_key_at(attrs, i)))
            value_map_remove(attrs, value_map_key_at(attrs, i));
    return attrs;
}

Value *run_index_named_attr(RunIndex *index, Run *run, const char *name)
{
    if (!run_is_core_attr(name)) {
        g_autoptr(Value) attrs = run_index_attrs(index, run);
        Value *v = value_map_get(attrs, name);
        if (v)
            return value_ref(v);
    }
    return run_named_attr(run, name);
}
