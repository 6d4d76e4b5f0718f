/* SPDX-License-Identifier: Apache-2.0 */
/* Editing in the user's editor; see edit.h. */
#include "cli/edit.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/out.h"
#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"
#include "engine/op/op.h"

static char *find_editor(void)
{
    static const char *const names[] = {"VISUAL", "EDITOR"};
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *editor = g_getenv(names[i]);
        if (editor && *editor)
            return g_strdup(editor);
    }
    return g_strdup(fs_exists("/usr/bin/editor") ? "/usr/bin/editor" : "vi");
}

/* The editor may be a command with arguments, so a shell starts it. */
static gboolean run_editor(const char *path, GError **error)
{
    g_autofree char *editor = find_editor();
    g_autofree char *quoted = text_shell_quote(path);
    g_autofree char *command = g_strdup_printf("%s %s", editor, quoted);
    const char *argv[] = {"/bin/sh", "-c", command, NULL};
    int status;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_CHILD_INHERITS_STDIN, NULL, NULL, NULL,
                NULL, &status, error))
        return FALSE;
    if (status == 0)
        return TRUE;
    g_set_error(error, G_SPAWN_ERROR, G_SPAWN_ERROR_FAILED, "%s: Editing failed", editor);
    return FALSE;
}

static char *without_comments(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    GString *s = g_string_new(NULL);
    for (char **l = lines; *l; l++)
        if (**l != '#')
            g_string_append_printf(s, "%s\n", *l);
    return g_strstrip(g_string_free(s, FALSE));
}

char *edit_text(const char *text, const char *extension, gboolean strip_comments, GError **error)
{
    g_autofree char *dir = fs_mkdtemp("guild-edit-", error);
    if (!dir)
        return NULL;
    g_autofree char *name = g_strconcat("edit", extension, NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *with_newline =
            g_str_has_suffix(text, "\n") ? g_strdup(text) : g_strconcat(text, "\n", NULL);
    char *edited = NULL;
    if (fs_write(path, with_newline, -1, error) && run_editor(path, error))
        edited = fs_read(path, 0, NULL, error);
    fs_remove_tree(dir, NULL);
    if (!edited || !strip_comments)
        return edited;
    char *stripped = without_comments(edited);
    g_free(edited);
    return stripped;
}

/* What helps to fill in a flag: the first line of its description and its choices. */
static char *flag_help(const FlagDef *f)
{
    GString *s = g_string_new_len(f->description, strcspn(f->description, "\n"));
    if (f->choices->len) {
        g_string_append_printf(s, "%sChoices:", s->len ? "\n" : "");
        for (guint i = 0; i < f->choices->len; i++) {
            const FlagChoice *c = g_ptr_array_index(f->choices, i);
            g_autofree char *text = c->alias ? g_strdup(c->alias) : flagval_encode(c->value);
            g_string_append_printf(s, "%s %s", i ? "," : "", text);
        }
    }
    return g_string_free(s, FALSE);
}

static char *flags_with_help(const Value *flags, const OpDef *opdef)
{
    if (!opdef)
        return yaml_dump(flags);
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, flags);
    value_map_sort(sorted);
    GString *s = g_string_new(NULL);
    g_string_printf(s, "# Editing flags for %s\n", opdef->fullname);
    gboolean blank = TRUE;
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        const char *name = value_map_key_at(sorted, i);
        const FlagDef *f = opdef_flag(opdef, name);
        g_autofree char *help = f ? flag_help(f) : NULL;
        gboolean has_help = help && *help;
        g_autoptr(Value) one = value_new_map();
        value_map_set(one, name, value_ref(value_map_at(sorted, i)));
        g_autofree char *line = yaml_dump(one);
        g_string_append_printf(s, "%s%s\n", blank || has_help ? "\n" : "", line);
        g_auto(GStrv) lines = g_strsplit(has_help ? help : "", "\n", -1);
        for (char **l = lines; has_help && *l; l++)
            g_string_append_printf(s, "  # %s\n", *l);
        blank = has_help;
    }
    return g_string_free(s, FALSE);
}

Value *edit_flag_values(const Value *flags, const OpDef *opdef, GError **error)
{
    g_autofree char *text = flags_with_help(flags, opdef);
    while (TRUE) {
        char *edited = edit_text(text, ".yml", FALSE, error);
        if (!edited)
            return NULL;
        g_free(text);
        text = edited;
        g_autofree char *bare = g_strstrip(g_strdup(edited));
        if (!*bare)
            return value_copy(flags);
        g_autoptr(GError) err = NULL;
        g_autoptr(Value) v = yaml_parse(edited, -1, NULL, &err);
        if (value_is_map(v))
            return g_steal_pointer(&v);
        fprintf(stderr, "Error reading flags: %s\n",
                err ? err->message : "expected a map of flag values");
        if (!out_confirm("Would you like to re-edit these flags?", TRUE)) {
            g_set_error_literal(error, OP_ERROR, OP_ERROR_ABORT, "");
            return NULL;
        }
    }
}
