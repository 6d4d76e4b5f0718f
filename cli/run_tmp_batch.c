/* SPDX-License-Identifier: Apache-2.0 */
/* Asking an optimizer that is an operation for its trials; see run.h. */
#include <stdio.h>
#include <string.h>

#include "cli/child.h"
#include "cli/run.h"
#include "engine/base/fs.h"
#include "engine/batch/optimizer.h"

gboolean run_has_own_optimizer(const RunState *s)
{
    return s->batch_op && !(strcmp(s->batch_op->opref->pkg_type, "builtin") == 0 &&
                                  optimizer_class_find(s->batch_op->opref->op_name));
}

/* The process of the batch run, without a trace in attributes or output. */
static int run_process(RunState *s, Run *run, const char *name, const char *value, GError **error)
{
    g_auto(GStrv) env = op_proc_env(s->batch_op, run);
    env = g_environ_setenv(g_steal_pointer(&env), name, value, TRUE);
    int status =
            child_run((const char *const *)s->batch_op->cmd_args, env, run_dir(run), NULL, error);
    return child_exit_code(status);
}

int run_tmp_batch(RunState *s, const char *name, const char *value)
{
    GError *error = NULL;
    g_autofree char *dir = fs_mkdtemp("guild-batch-", &error);
    g_autoptr(Run) run = dir ? run_init_batch(s, dir, &error) : NULL;
    fflush(stdout);
    int status = run ? run_process(s, run, name, value, &error) : 1;
    if (dir)
        fs_remove_tree(dir, NULL);
    return error ? run_print_error(error, NULL, NULL) : status;
}
