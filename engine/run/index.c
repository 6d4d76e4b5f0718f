/* SPDX-License-Identifier: Apache-2.0 */
/* Run index. See index.h. */
#include "engine/run/index.h"

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
