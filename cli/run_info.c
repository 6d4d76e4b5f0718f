/* SPDX-License-Identifier: Apache-2.0 */
/* Questions about an operation that `guild run` answers instead of running it: --test-flags,
 * --test-sourcecode, --test-output-scalars, --test-output-attrs; see run.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/out.h"
#include "cli/run.h"
#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/exec/output_rules.h"
#include "engine/op/sourcecode.h"
#include "engine/project/guildfile.h"

/* --test-flags */

static void print_attr(guint indent, const char *name, const Value *v)
{
    if (value_is_null(v)) {
        printf("%*s%s:\n", indent, "", name);
        return;
    }
    g_autofree char *text = flagval_encode(v);
    printf("%*s%s: %s\n", indent, "", name, text);
}

static void print_text_attr(guint indent, const char *name, const char *text)
{
    g_autoptr(Value) v = text ? value_new_string(text) : NULL;
    print_attr(indent, name, v);
}

static void print_bool_attr(guint indent, const char *name, gboolean b)
{
    g_autoptr(Value) v = value_new_bool(b);
    print_attr(indent, name, v);
}

static void print_choices(const FlagDef *f)
{
    if (!f->choices->len) {
        puts("    choices: []");
        return;
    }
    g_autoptr(Value) list = value_new_list();
    for (guint i = 0; i < f->choices->len; i++) {
        const FlagChoice *c = g_ptr_array_index(f->choices, i);
        g_autofree char *text = flagval_encode(c->value);
        value_list_append(list, value_new_string(text));
    }
    print_attr(4, "choices", list);
}

static void print_flag(const FlagDef *f)
{
    printf("  %s:\n", f->name);
    print_attr(4, "default", f->dflt);
    print_text_attr(4, "type", f->type);
    print_bool_attr(4, "required", f->required);
    print_text_attr(4, "arg-name", f->arg_name);
    print_attr(4, "arg-skip", f->arg_skip);
    print_attr(4, "arg-switch", f->arg_switch);
    print_attr(4, "arg-split", f->arg_split);
    print_attr(4, "arg-encoding", f->arg_encoding);
    print_text_attr(4, "env-name", f->env_name);
    print_attr(4, "env-encoding", f->env_encoding);
    print_choices(f);
    print_bool_attr(4, "allow-other", f->allow_other);
    print_text_attr(4, "distribution", f->distribution);
    print_attr(4, "max", f->max);
    print_attr(4, "min", f->min);
    print_text_attr(4, "null-label", f->null_label);
}

int run_test_flags(RunState *s)
{
    const OpDef *d = s->user_op->opdef;
    if (!d)
        return cli_error("--test-flags needs the definition of an operation");
    print_text_attr(0, "flags-dest", d->flags_dest);
    print_attr(0, "flags-import", d->flags_import);
    puts("flags:");
    for (guint i = 0; i < d->flags->len; i++)
        print_flag(g_ptr_array_index(d->flags, i));
    return 0;
}

/* --test-sourcecode */

typedef struct Seen {
    char *base; /* the root as seen from the process's folder */
    GPtrArray *selected, *skipped;
} Seen;

static char *seen_path(const Seen *seen, const char *root, const char *rel)
{
    g_autofree char *full = g_build_filename(root, rel, NULL);
    g_autofree char *shown = fs_join(seen->base, rel);
    g_autofree char *normal = fs_relpath(shown, NULL);
    return g_strconcat("  ", normal, fs_is_dir(full) ? "/" : "", NULL);
}

static gboolean note_selected(const char *root, const char *rel, gpointer data, GError **error)
{
    Seen *seen = data;
    g_ptr_array_add(seen->selected, seen_path(seen, root, rel));
    return TRUE;
}

static void note_skipped(const char *root, const char *rel, const char *excess, gpointer data)
{
    Seen *seen = data;
    g_ptr_array_add(seen->skipped, seen_path(seen, root, rel));
}

static void print_source_root(const char *base)
{
    g_autofree char *abs = fs_abspath(base, NULL);
    g_autofree char *here = fs_cwd();
    if (strcmp(abs, here) == 0)
        puts("Copying from the current directory");
    else
        printf("Copying from '%s'\n", base);
}

int run_test_sourcecode(RunState *s)
{
    const OpDef *d = s->user_op->opdef;
    if (!d || !d->guildfile->dir)
        return cli_error("--test-sourcecode needs an operation of a project");
    g_autoptr(SourceSelect) select = sourcecode_select_for_opdef(d);
    g_auto(GStrv) ignore = op_local_dep_paths(s->user_op);
    Seen seen = {fs_relpath(select->root, NULL), g_ptr_array_new_with_free_func(g_free),
            g_ptr_array_new_with_free_func(g_free)};
    const SourceHandler handler = {note_selected, note_skipped, &seen};
    GError *error = NULL;
    gboolean ok = sourcecode_walk(select, (const char *const *)ignore, NULL, &handler, &error);
    print_source_root(seen.base);
    puts("Rules:");
    for (guint i = 0; i < select->rules->len; i++) {
        g_autofree char *rule = sourcecode_rule_str(g_ptr_array_index(select->rules, i));
        printf("  %s\n", rule);
    }
    if (select->disabled) {
        puts("Source code copy disabled");
    } else {
        puts("Selected for copy:");
        for (guint i = 0; i < seen.selected->len; i++)
            out_line(stdout, OUT_YELLOW, "%s", (char *)g_ptr_array_index(seen.selected, i));
        puts("Skipped:");
        for (guint i = 0; i < seen.skipped->len; i++)
            out_line(stdout, OUT_DIM, "%s", (char *)g_ptr_array_index(seen.skipped, i));
    }
    g_free(seen.base);
    g_ptr_array_unref(seen.selected);
    g_ptr_array_unref(seen.skipped);
    return ok ? 0 : cli_gerror(error);
}

/* --test-output-* */

static void emit_line(const char *text, gboolean is_result, gpointer data)
{
    gboolean match = is_result && !strstr(text, "<no matches>");
    out_line(stdout, !is_result ? OUT_PLAIN : match ? OUT_YELLOW : OUT_DIM, "%s", text);
}

static FILE *open_output(const char *path, int *status)
{
    if (strcmp(path, "-") == 0)
        return stdin;
    FILE *f = fopen(path, "rb");
    if (!f && errno == ENOENT)
        *status = cli_error("%s does not exist", path);
    else if (!f)
        *status = cli_error("error opening %s: %s", path, g_strerror(errno));
    return f;
}

int run_test_output(RunState *s, const char *path, gboolean scalars)
{
    const Value *config = scalars ? s->user_op->output_scalars : s->user_op->output_attrs;
    if (output_rules_disabled(config)) {
        fprintf(stderr, "Output %s disabled, nothing to test\n", scalars ? "scalars" : "attrs");
        return 0;
    }
    g_autoptr(OutputRules) rules =
            output_rules_new(scalars ? OUTPUT_RULES_SCALARS : OUTPUT_RULES_ATTRS, config);
    gboolean typed = strcmp(path, "-") == 0 && isatty(STDIN_FILENO);
    if (typed)
        out_note("Type patterns and press Enter to test. Use Ctrl-c or empty line to exit.");
    int status = 0;
    FILE *f = open_output(path, &status);
    if (!f)
        return status;
    char *line = NULL;
    size_t size = 0;
    for (ssize_t n; (n = getline(&line, &size, f)) >= 0;) {
        if (typed && (n == 0 || line[0] == '\n'))
            break;
        output_rules_test(rules, line, n, emit_line, NULL);
    }
    free(line);
    if (f != stdin)
        fclose(f);
    return 0;
}
