/* SPDX-License-Identifier: Apache-2.0 */
/* See projectargs.h. */
#include "cli/projectargs.h"

#include <string.h>

#include "cli/cli.h"
#include "engine/base/fs.h"

Guildfile *project_here(GError **error)
{
    return guildfile_is_dir(cli_cwd()) ? guildfile_load(cli_cwd(), error) : NULL;
}

char *project_where(const char *dir)
{
    g_autofree char *here = fs_cwd();
    g_autofree char *abs = fs_abspath(dir, here);
    return g_str_equal(abs, here) ? g_strdup("the current directory")
                                  : g_strdup_printf("'%s'", dir);
}

static gboolean in_any(const char *filter, const char *const *values)
{
    g_autofree char *wanted = g_utf8_strdown(filter, -1);
    for (; *values; values++) {
        g_autofree char *lower = g_utf8_strdown(*values, -1);
        if (strstr(lower, wanted))
            return TRUE;
    }
    return FALSE;
}

gboolean project_matches(const char *const *filters, const char *const *values)
{
    for (; *filters; filters++)
        if (!in_any(*filters, values))
            return FALSE;
    return TRUE;
}

char *project_description(const char *text, char **details)
{
    gsize n = strcspn(text, "\n");
    g_auto(GStrv) lines = text[n] ? g_strsplit(text + n + 1, "\n", -1) : NULL;
    g_autoptr(Value) list = value_new_list();
    for (guint i = 0; lines && lines[i]; i++) {
        if (i)
            value_list_append(list, value_new_string(""));
        value_list_append(list, value_new_string(lines[i]));
    }
    *details = value_repr(list);
    return g_strndup(text, n);
}
