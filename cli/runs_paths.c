/* SPDX-License-Identifier: Apache-2.0 */
/* See runs_paths.h. */
#include "cli/runs_paths.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/project/guildfile.h"

/* A key of the map `sourcecode` in the run's attribute `op`, or NULL. Newly allocated. */
static char *op_sourcecode_key(Run *run, const char *key)
{
    g_autoptr(Value) op = run_try_attr(run, "op");
    const char *value = value_map_string(value_map_get(op, "sourcecode"), key, NULL);
    return value && *value ? g_strdup(value) : NULL;
}

char *runs_sourcecode_dir(Run *run)
{
    g_autofree char *dest = op_sourcecode_key(run, "dest");
    if (!dest)
        return g_strdup(run_dir(run));
    g_autofree char *joined = fs_join(run_dir(run), dest);
    return fs_normpath(joined);
}

char *runs_project_sourcecode_dir(Run *run)
{
    const OpRef *ref = run_peek_opref(run);
    if (ref && strcmp(ref->pkg_type, "script") == 0)
        return g_strdup(ref->pkg_name);
    if (!ref || strcmp(ref->pkg_type, "guildfile") != 0)
        return NULL;
    g_autoptr(Guildfile) gf = guildfile_load_plain(ref->pkg_name, NULL);
    const ModelDef *model = gf ? guildfile_model(gf, ref->model_name) : NULL;
    if (!model || !modeldef_operation(model, ref->op_name))
        return NULL;
    g_autofree char *root = op_sourcecode_key(run, "root");
    return root ? fs_join(gf->dir, root) : g_strdup(gf->dir);
}
