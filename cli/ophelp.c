/* SPDX-License-Identifier: Apache-2.0 */
/* Help about operations. See ophelp.h. Layout and words as the reference's (guild/help.py). */
#include "cli/ophelp.h"

#include <string.h>

#include "cli/helpdoc.h"
#include "engine/base/flagval.h"

/* Terms and their texts, for helpdoc_dl(). */
typedef struct {
    GPtrArray *terms;
    GPtrArray *texts;
} Rows;

static Rows rows_new(void)
{
    return (Rows){g_ptr_array_new_with_free_func(g_free), g_ptr_array_new_with_free_func(g_free)};
}

static void rows_add(Rows *rows, const char *term, char *text)
{
    g_ptr_array_add(rows->terms, g_strdup(term));
    g_ptr_array_add(rows->texts, text);
}

static void rows_write(Rows *rows, HelpDoc *doc)
{
    helpdoc_dl(doc, (const char *const *)rows->terms->pdata,
            (const char *const *)rows->texts->pdata, rows->terms->len);
    g_ptr_array_unref(rows->terms);
    g_ptr_array_unref(rows->texts);
}

/* Each newly allocated line of `text` is a paragraph of its own. */
static char *as_paragraphs(const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    return g_strjoinv("\n\n", lines);
}

static char *first_line(const char *text)
{
    return g_strndup(text, strcspn(text, "\n"));
}

/* ---- flags ---- */

static char *choice_text(const FlagChoice *c)
{
    return c->alias && *c->alias ? g_strdup(c->alias) : flagval_encode(c->value);
}

static void write_described_choices(const GPtrArray *choices, HelpDoc *doc)
{
    helpdoc_heading(doc, "Choices");
    helpdoc_indent(doc);
    Rows rows = rows_new();
    for (guint i = 0; i < choices->len; i++) {
        const FlagChoice *c = choices->pdata[i];
        g_autofree char *term = choice_text(c);
        g_autofree char *description = g_strstrip(g_strdup(c->description));
        rows_add(&rows, term, as_paragraphs(description));
    }
    rows_write(&rows, doc);
    helpdoc_dedent(doc);
}

static void write_plain_choices(const GPtrArray *choices, HelpDoc *doc)
{
    g_autoptr(Value) vals = value_new_list();
    for (guint i = 0; i < choices->len; i++) {
        const FlagChoice *c = choices->pdata[i];
        value_list_append(
                vals, c->alias && *c->alias ? value_new_string(c->alias) : value_ref(c->value));
    }
    g_autofree char *list = flagval_encode(vals);
    Rows rows = rows_new();
    rows_add(&rows, "Choices:", g_strndup(list + 1, strlen(list) - 2));
    rows_write(&rows, doc);
}

static char *choices_text(const GPtrArray *choices, guint name_width)
{
    gboolean described = FALSE;
    for (guint i = 0; i < choices->len; i++)
        described = described || *((FlagChoice *)choices->pdata[i])->description;
    HelpDoc *doc = helpdoc_new(0);
    guint taken = name_width + 4 + (described ? 0 : strlen("Choices:"));
    doc->width = doc->width > taken ? doc->width - taken : 1;
    if (described)
        write_described_choices(choices, doc);
    else
        write_plain_choices(choices, doc);
    g_autofree char *text = helpdoc_finish(doc);
    return g_strconcat("\n\b\n", text, NULL);
}

static char *default_text(const FlagDef *f)
{
    g_autofree char *val = NULL;
    if (f->dflt)
        val = flagval_format(f->dflt, 0);
    else if (f->required)
        return g_strdup("(required)");
    else if (f->null_label && *f->null_label) {
        g_autoptr(Value) label = value_new_string(f->null_label);
        val = flagval_format(label, 0);
    }
    return val ? g_strdup_printf("(default is %s)", val) : g_strdup("");
}

static char *flag_text(const FlagDef *f, guint name_width)
{
    g_autofree char *line = first_line(f->description);
    g_autofree char *dflt = default_text(f);
    const char *more = strchr(f->description, '\n');
    g_autoptr(GString) text = g_string_new(NULL);
    g_string_append_printf(text, "%s%s%s", line, *line ? " " : "", dflt);
    if (more) {
        g_autofree char *rest = as_paragraphs(more + 1);
        g_string_append_printf(text, "\n\n%s", rest);
    }
    if (f->choices->len) {
        g_autofree char *choices = choices_text(f->choices, name_width);
        g_string_append_printf(text, "\n\n%s", choices);
    }
    return g_strdup(text->str);
}

static void write_flags(const OpDef *op, HelpDoc *doc)
{
    guint width = 0;
    for (guint i = 0; i < op->flags->len; i++)
        width = MAX(width, g_utf8_strlen(((FlagDef *)op->flags->pdata[i])->name, -1));
    Rows rows = rows_new();
    for (guint i = 0; i < op->flags->len; i++) {
        const FlagDef *f = op->flags->pdata[i];
        rows_add(&rows, f->name, flag_text(f, width));
    }
    rows_write(&rows, doc);
}

/* ---- one operation, one model ---- */

static void write_section(HelpDoc *doc, const char *name, Rows *rows)
{
    helpdoc_paragraph(doc);
    helpdoc_heading(doc, name);
    helpdoc_indent(doc);
    rows_write(rows, doc);
    helpdoc_dedent(doc);
}

/* Only those with a description are meant for users. */
static Rows described_dependencies(const OpDef *op)
{
    Rows rows = rows_new();
    for (guint i = 0; i < op->dependencies->len; i++) {
        const OpDependencyDef *d = op->dependencies->pdata[i];
        const ResourceDef *r = d->spec ? modeldef_resource(op->modeldef, d->spec) : NULL;
        const char *text = *d->description ? d->description : r ? r->description : "";
        if (*text)
            rows_add(&rows, d->spec ? d->spec : "", g_strdup(text));
    }
    return rows;
}

static void write_intro(HelpDoc *doc, const char *usage, const char *description, const char *hint)
{
    helpdoc_usage(doc, usage);
    if (*description) {
        g_autofree char *text = as_paragraphs(description);
        helpdoc_paragraph(doc);
        helpdoc_text(doc, text);
    }
    helpdoc_paragraph(doc);
    helpdoc_text(doc, hint);
}

char *ophelp_operation(const OpDef *op)
{
    HelpDoc *doc = helpdoc_new(0);
    g_autofree char *usage = g_strdup_printf("run [OPTIONS] %s [FLAG]...", op->fullname);
    write_intro(doc, usage, op->description, "Use 'guild run --help' for a list of options.");
    Rows deps = described_dependencies(op);
    if (deps.terms->len)
        write_section(doc, "Dependencies", &deps);
    else
        rows_write(&deps, doc);
    if (op->flags->len) {
        helpdoc_paragraph(doc);
        helpdoc_heading(doc, "Flags");
        helpdoc_indent(doc);
        write_flags(op, doc);
        helpdoc_dedent(doc);
    }
    return helpdoc_finish(doc);
}

char *ophelp_model(const ModelDef *m)
{
    HelpDoc *doc = helpdoc_new(0);
    g_autofree char *usage = g_strdup_printf("run [OPTIONS] %s:OPERATION [FLAG]...", m->name);
    g_autofree char *hint = g_strdup_printf(
            "Use 'guild run %s:OPERATION --help-op' for help on a particular operation.", m->name);
    write_intro(doc, usage, m->description, hint);
    if (m->operations->len) {
        Rows rows = rows_new();
        for (guint i = 0; i < m->operations->len; i++) {
            const OpDef *op = m->operations->pdata[i];
            rows_add(&rows, op->name, first_line(op->description));
        }
        write_section(doc, "Operations", &rows);
    }
    if (m->resources->len) {
        Rows rows = rows_new();
        for (guint i = 0; i < m->resources->len; i++) {
            const ResourceDef *r = m->resources->pdata[i];
            rows_add(&rows, r->name, g_strdup(r->description));
        }
        write_section(doc, "Resources", &rows);
    }
    return helpdoc_finish(doc);
}

/* ---- a project ---- */

static void write_description(HelpDoc *doc, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (guint i = 0; lines[i]; i++) {
        if (i)
            helpdoc_paragraph(doc);
        helpdoc_text(doc, lines[i]);
    }
}

static void write_operation(HelpDoc *doc, const OpDef *op)
{
    helpdoc_text(doc, op->name);
    helpdoc_indent(doc);
    if (*op->description)
        write_description(doc, op->description);
    if (op->flags->len) {
        if (*op->description)
            helpdoc_paragraph(doc);
        helpdoc_heading(doc, "Flags");
        helpdoc_indent(doc);
        write_flags(op, doc);
        helpdoc_dedent(doc);
    }
    helpdoc_dedent(doc);
}

static void write_operations(HelpDoc *doc, const ModelDef *m)
{
    gboolean any = FALSE;
    for (guint i = 0; i < m->operations->len; i++) {
        const OpDef *op = m->operations->pdata[i];
        if (op->name[0] == '_')
            continue;
        if (any)
            helpdoc_paragraph(doc);
        write_operation(doc, op);
        any = TRUE;
    }
}

static void write_references(HelpDoc *doc, const Value *refs)
{
    helpdoc_heading(doc, "References");
    helpdoc_paragraph(doc);
    helpdoc_indent(doc);
    for (gsize i = 0; value_is_list(refs) && i < value_list_size(refs); i++) {
        g_autofree char *ref = value_str(value_list_at(refs, i));
        g_autofree char *text = g_strdup_printf("\b\n- %s", ref);
        helpdoc_text(doc, text);
    }
    helpdoc_dedent(doc);
}

static void write_model(HelpDoc *doc, const ModelDef *m)
{
    helpdoc_text(doc, m->name);
    helpdoc_indent(doc);
    if (*m->description) {
        helpdoc_paragraph(doc);
        write_description(doc, m->description);
    }
    helpdoc_paragraph(doc);
    helpdoc_heading(doc, "Operations");
    helpdoc_paragraph(doc);
    helpdoc_indent(doc);
    if (m->operations->len)
        write_operations(doc, m);
    else
        helpdoc_text(doc, "No operations defined for this model");
    helpdoc_dedent(doc);
    helpdoc_paragraph(doc);
    if (m->references)
        write_references(doc, m->references);
    helpdoc_dedent(doc);
}

static void start_section(HelpDoc *doc, const char *name)
{
    if (doc->indent) {
        doc->indent = 0;
        helpdoc_paragraph(doc);
    }
    helpdoc_text(doc, name);
    helpdoc_paragraph(doc);
    doc->indent = 4;
}

/* By name, private ones (with an underscore) last. */
static int cmp_models(gconstpointer a, gconstpointer b)
{
    const ModelDef *ma = *(ModelDef *const *)a, *mb = *(ModelDef *const *)b;
    gboolean pa = ma->name[0] == '_', pb = mb->name[0] == '_';
    return pa != pb ? pa - pb : strcmp(ma->name, mb->name);
}

static void write_overview(HelpDoc *doc, const char *where)
{
    g_autofree char *text = g_strdup_printf(
            "You are viewing help for operations defined in %s.\n\n"
            "To run an operation use 'guild run OPERATION' where OPERATION is one of options "
            "listed "
            "below. If an operation is associated with a model, include the model name as "
            "MODEL:OPERATION.\n\n"
            "To list available operations, run 'guild operations'.\n\n"
            "Set operation flags using 'FLAG=VALUE' arguments to the run command. Refer to the "
            "operations below for a list of supported flags.\n\n"
            "For more information on running operations, try 'guild run --help'.\n\n"
            "For general information, try 'guild --help'.",
            where);
    start_section(doc, "OVERVIEW");
    helpdoc_text(doc, text);
}

char *ophelp_guildfile(const Guildfile *g, const char *where)
{
    HelpDoc *doc = helpdoc_new(0);
    g_autofree char *package = g->package ? g_strdup_printf("the '%s' package",
                                                    value_map_string(g->package, "package", ""))
                                          : NULL;
    write_overview(doc, package ? package : where);
    const ModelDef *anon = guildfile_model(g, "");
    if (anon && anon->operations->len) {
        start_section(doc, "BASE OPERATIONS");
        if (*anon->description) {
            write_description(doc, anon->description);
            helpdoc_paragraph(doc);
        }
        write_operations(doc, anon);
    }
    g_autoptr(GPtrArray) models = g_ptr_array_new();
    for (guint i = 0; i < g->models->len; i++)
        if (*((ModelDef *)g->models->pdata[i])->name)
            g_ptr_array_add(models, g->models->pdata[i]);
    g_ptr_array_sort(models, cmp_models);
    for (guint i = 0; i < models->len; i++) {
        if (!i)
            start_section(doc, "MODELS");
        else
            helpdoc_paragraph(doc);
        write_model(doc, models->pdata[i]);
    }
    return helpdoc_finish(doc);
}
