/* SPDX-License-Identifier: Apache-2.0 */
/* Help on operations and models; see op_help.h. */
#include "cli/op_help.h"

#include <string.h>

#include "engine/base/flagval.h"

/* A value as `NAME=...` would show it. */
static char *format_value(const Value *v)
{
    g_autofree char *text = flagval_encode(v);
    if (value_is_string(v) && text[0] != '\'' && text[0] != '"' && strchr(text, ' ')) {
        g_autoptr(Value) quoted = value_new_string(text);
        return value_repr(quoted);
    }
    return g_steal_pointer(&text);
}

static Value *choice_value(const FlagChoice *c)
{
    return c->alias && *c->alias ? value_new_string(c->alias) : value_ref(c->value);
}

char *op_help_choices(const FlagDef *flag)
{
    g_autoptr(Value) list = value_new_list();
    for (guint i = 0; i < flag->choices->len; i++)
        value_list_append(list, choice_value(g_ptr_array_index(flag->choices, i)));
    char *text = flagval_encode(list);
    gsize n = strlen(text);
    if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
        memmove(text, text + 1, n - 2);
        text[n - 2] = '\0';
    }
    return text;
}

static gboolean choices_described(const FlagDef *flag)
{
    for (guint i = 0; i < flag->choices->len; i++) {
        const FlagChoice *c = g_ptr_array_index(flag->choices, i);
        if (c->description && *c->description)
            return TRUE;
    }
    return FALSE;
}

static char *double_newlines(const char *text)
{
    GString *s = g_string_new(text);
    g_string_replace(s, "\n", "\n\n", 0);
    return g_string_free(s, FALSE);
}

static void write_described_choices(HelpWriter *w, const FlagDef *flag)
{
    gsize n = flag->choices->len;
    g_autofree HelpItem *items = g_new0(HelpItem, n);
    g_autoptr(GPtrArray) texts = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < n; i++) {
        const FlagChoice *c = g_ptr_array_index(flag->choices, i);
        g_autoptr(Value) v = choice_value(c);
        g_autofree char *stripped = g_strstrip(g_strdup(c->description ? c->description : ""));
        items[i] = (HelpItem){flagval_encode(v), double_newlines(stripped)};
        g_ptr_array_add(texts, (gpointer)items[i].term);
        g_ptr_array_add(texts, (gpointer)items[i].text);
    }
    help_write_heading(w, "Choices");
    help_indent(w);
    help_write_items(w, items, n);
    help_dedent(w);
}

/* The choices as a block that is not wrapped again. */
static char *choices_block(const FlagDef *flag, guint longest_name)
{
    g_autoptr(HelpWriter) w = help_writer_new();
    w->width -= longest_name + 4;
    if (choices_described(flag)) {
        write_described_choices(w, flag);
    } else {
        w->width -= strlen("Choices:");
        g_autofree char *list = op_help_choices(flag);
        const HelpItem item = {"Choices:", list};
        help_write_items(w, &item, 1);
    }
    return g_strconcat("\n\b\n", w->text->str, NULL);
}

static char *default_note(const FlagDef *flag)
{
    g_autofree char *text = NULL;
    if (!value_is_null(flag->dflt)) {
        text = format_value(flag->dflt);
    } else if (flag->required) {
        return g_strdup("(required)");
    } else if (flag->null_label && *flag->null_label) {
        g_autoptr(Value) label = value_new_string(flag->null_label);
        text = format_value(label);
    }
    return text ? g_strdup_printf("(default is %s)", text) : g_strdup("");
}

static char *flag_text(const FlagDef *flag, guint longest_name)
{
    g_auto(GStrv) lines = g_strsplit(flag->description, "\n", -1);
    g_autofree char *note = default_note(flag);
    const char *first = lines[0] ? lines[0] : "";
    GString *s = g_string_new(NULL);
    g_string_printf(s, "%s%s%s", first, *first ? " " : "", note);
    for (char **l = lines; *l && *++l;)
        g_string_append_printf(s, "\n\n%s", *l);
    if (flag->choices->len) {
        g_autofree char *block = choices_block(flag, longest_name);
        g_string_append_printf(s, "\n\n%s", block);
    }
    return g_string_free(s, FALSE);
}

void op_help_write_flags(HelpWriter *w, const OpDef *opdef)
{
    gsize n = opdef->flags->len;
    guint longest = 0;
    g_autofree HelpItem *items = g_new0(HelpItem, n + 1);
    for (gsize i = 0; i < n; i++)
        longest = MAX(longest,
                g_utf8_strlen(((FlagDef *)g_ptr_array_index(opdef->flags, i))->name, -1));
    for (gsize i = 0; i < n; i++) {
        const FlagDef *f = g_ptr_array_index(opdef->flags, i);
        items[i] = (HelpItem){f->name, flag_text(f, longest)};
    }
    help_write_items(w, items, n);
    for (gsize i = 0; i < n; i++)
        g_free((gpointer)items[i].text);
}

static void write_description(HelpWriter *w, const char *description)
{
    if (!description || !*description)
        return;
    g_autofree char *text = double_newlines(description);
    help_write_paragraph(w);
    help_write_text(w, text);
}

static void begin_section(HelpWriter *w, const char *heading)
{
    help_write_paragraph(w);
    help_write_heading(w, heading);
    help_indent(w);
}

/* Dependencies that someone described: they are what a user may set. */
static void write_dependencies(HelpWriter *w, const OpDef *opdef)
{
    g_autoptr(GArray) items = g_array_new(FALSE, FALSE, sizeof(HelpItem));
    for (guint i = 0; opdef->dependencies && i < opdef->dependencies->len; i++) {
        const OpDependencyDef *d = g_ptr_array_index(opdef->dependencies, i);
        const ResourceDef *r = d->spec && opdef->modeldef
                ? modeldef_resource(opdef->modeldef, d->spec) : NULL;
        const char *text = d->description && *d->description ? d->description
                                                              : r ? r->description : NULL;
        HelpItem item = {d->spec ? d->spec : "", text};
        if (text && *text)
            g_array_append_val(items, item);
    }
    if (!items->len)
        return;
    begin_section(w, "Dependencies");
    help_write_items(w, (const HelpItem *)items->data, items->len);
    help_dedent(w);
}

char *op_help_text(const OpDef *opdef)
{
    g_autoptr(HelpWriter) w = help_writer_new();
    g_autofree char *args = g_strdup_printf("run [OPTIONS] %s [FLAG]...", opdef->fullname);
    help_write_usage(w, "guild", args);
    write_description(w, opdef->description);
    help_write_paragraph(w);
    help_write_text(w, "Use 'guild run --help' for a list of options.");
    write_dependencies(w, opdef);
    if (opdef->flags->len) {
        begin_section(w, "Flags");
        op_help_write_flags(w, opdef);
        help_dedent(w);
    }
    return g_strdup(w->text->str);
}

static void write_operations(HelpWriter *w, const ModelDef *model)
{
    gsize n = model->operations->len;
    g_autofree HelpItem *items = g_new0(HelpItem, n + 1);
    for (gsize i = 0; i < n; i++) {
        const OpDef *op = g_ptr_array_index(model->operations, i);
        items[i] = (HelpItem){op->name,
                g_strndup(op->description, strcspn(op->description, "\n"))};
    }
    if (n) {
        begin_section(w, "Operations");
        help_write_items(w, items, n);
        help_dedent(w);
    }
    for (gsize i = 0; i < n; i++)
        g_free((gpointer)items[i].text);
}

static void write_resources(HelpWriter *w, const ModelDef *model)
{
    gsize n = model->resources ? model->resources->len : 0;
    g_autofree HelpItem *items = g_new0(HelpItem, n + 1);
    for (gsize i = 0; i < n; i++) {
        const ResourceDef *r = g_ptr_array_index(model->resources, i);
        items[i] = (HelpItem){r->name ? r->name : "", r->description};
    }
    if (!n)
        return;
    begin_section(w, "Resources");
    help_write_items(w, items, n);
    help_dedent(w);
}

char *op_help_model_text(const ModelDef *model)
{
    g_autoptr(HelpWriter) w = help_writer_new();
    g_autofree char *args = g_strdup_printf("run [OPTIONS] %s:OPERATION [FLAG]...", model->name);
    g_autofree char *hint = g_strdup_printf(
            "Use 'guild run %s:OPERATION --help-op' for help on a particular operation.",
            model->name);
    help_write_usage(w, "guild", args);
    write_description(w, model->description);
    help_write_paragraph(w);
    help_write_text(w, hint);
    write_operations(w, model);
    write_resources(w, model);
    return g_strdup(w->text->str);
}
