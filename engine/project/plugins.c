/* SPDX-License-Identifier: Apache-2.0 */
/* Plugin names of operations. See plugins.h. */
#include "engine/project/plugins.h"

#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/project/guildfile.h"

typedef struct {
    const char *name;
    gboolean is_summary;                  /* also selected by "all" and "summary" */
    gboolean (*enabled)(const OpDef *op); /* NULL: only when asked for */
} PluginRow;

static gboolean always(const OpDef *op)
{
    return TRUE;
}

static gboolean has_nvidia_smi(const OpDef *op)
{
    static int found = -1;
    if (found < 0) {
        g_autofree char *path = g_find_program_in_path("nvidia-smi");
        found = path != NULL;
    }
    return found;
}

static gboolean is_r_script(const OpDef *op)
{
    return g_str_has_suffix(op->name, ".R") || g_str_has_suffix(op->name, ".r");
}

/* The reference's order, by name as its entry points are. */
static const PluginRow plugins[] = {
        {"config_flags"},
        {"cpu", TRUE, always},
        {"dask"},
        {"disk", TRUE, always},
        {"dvc"},
        {"exec_script"},
        {"gpu", TRUE, has_nvidia_smi},
        {"ipynb"},
        {"memory", TRUE, always},
        {"perf", TRUE, always},
        {"python_frameworks"},
        {"python_script", FALSE, plugins_op_is_python},
        {"r_script", FALSE, is_r_script},
        {"resource_flags"},
        {"quarto_document"},
        {"queue"},
        {"skopt"},
};

static gboolean is_python_path(const char *exe)
{
    g_autofree char *base = g_path_get_basename(exe);
    g_autofree char *lower = g_ascii_strdown(base, -1);
    return g_str_has_prefix(lower, "python") && fs_is_file(exe) && access(exe, X_OK) == 0;
}

gboolean plugins_op_is_python(const OpDef *op)
{
    if (op->main)
        return TRUE;
    g_auto(GStrv) words = op->exec ? text_shell_split(op->exec, NULL) : NULL;
    if (words && words[0] &&
            (g_str_equal(words[0], "${python_exe}") ||
                    g_str_equal(words[0], "${guild_python_exe}") || is_python_path(words[0])))
        return TRUE;
    return op->steps && value_list_size(op->steps) > 0;
}

static gboolean selected(const PluginRow *p, const char *const *names)
{
    for (; *names; names++)
        if (g_str_equal(*names, p->name) ||
                (p->is_summary && (g_str_equal(*names, "all") || g_str_equal(*names, "summary"))))
            return TRUE;
    return FALSE;
}

char **plugins_for_opdef(const OpDef *op)
{
    char **names = op->plugins ? op->plugins : op->modeldef->plugins;
    GPtrArray *out = g_ptr_array_new();
    for (gsize i = 0; i < G_N_ELEMENTS(plugins); i++) {
        const PluginRow *p = &plugins[i];
        if (names ? selected(p, (const char *const *)names) : p->enabled && p->enabled(op))
            g_ptr_array_add(out, g_strdup(p->name));
    }
    g_ptr_array_add(out, NULL);
    return (char **)g_ptr_array_free(out, FALSE);
}

gboolean plugins_is_known(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(plugins); i++)
        if (g_str_equal(plugins[i].name, name))
            return TRUE;
    return FALSE;
}
