/* SPDX-License-Identifier: Apache-2.0 */
/* Runs as text. See runs_format.h. */
#include "cli/runs_format.h"

#include <string.h>

#include "cli/cli.h"
#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/run/describe.h"

const char *const runs_detail_names[] = {"id", "operation", "from", "status", "started", "stopped",
        "marked", "label", "sourcecode_digest", "vcs_commit", "run_dir", "command", "exit_status",
        "pid", NULL};

const char *const runs_preview_columns[] = {
        "short_index", "op_desc", "started", "status_with_remote", "label", NULL};

static Value *text(char *s /* taken over; NULL is "" */)
{
    Value *v = value_new_string(s ? s : "");
    g_free(s);
    return v;
}

static Value *detail_id(Run *run, guint index)
{
    return value_new_string(run_id(run));
}

static Value *detail_short_id(Run *run, guint index)
{
    return text(run_short_id(run));
}

static Value *detail_index(Run *run, guint index)
{
    return text(index ? g_strdup_printf("[%u:%.8s]", index, run_id(run))
                      : g_strdup_printf("[%.8s]", run_id(run)));
}

static Value *detail_short_index(Run *run, guint index)
{
    return detail_index(run, 0);
}

static Value *detail_num_index(Run *run, guint index)
{
    return text(index ? g_strdup_printf("[%u]", index) : g_strdup("[?]"));
}

static Value *detail_operation(Run *run, guint index)
{
    return text(run_format_operation(run));
}

static Value *detail_from(Run *run, guint index)
{
    return text(run_format_from(run));
}

static Value *detail_status(Run *run, guint index)
{
    return value_new_string(run_status_name(run_status(run)));
}

static Value *detail_status_with_remote(Run *run, guint index)
{
    const char *status = run_status_name(run_status(run));
    g_autofree char *remote = run_remote(run);
    return text(remote && *remote ? g_strdup_printf("%s (%s)", status, remote) : g_strdup(status));
}

static Value *detail_started(Run *run, guint index)
{
    return text(run_format_timestamp(run_attr_int(run, "started", 0)));
}

static Value *detail_stopped(Run *run, guint index)
{
    return text(run_format_timestamp(run_attr_int(run, "stopped", 0)));
}

static Value *detail_duration(Run *run, guint index)
{
    gint64 started = run_attr_int(run, "started", 0);
    return started ? text(clock_format_duration(started, run_attr_int(run, "stopped", 0)))
                   : value_new_null();
}

static Value *detail_marked(Run *run, guint index)
{
    g_autoptr(Value) marked = run_try_attr(run, "marked");
    return value_new_string(marked && value_truthy(marked) ? "yes" : "no");
}

static Value *detail_label(Run *run, guint index)
{
    g_autoptr(Value) label = run_try_attr(run, "label");
    return label && value_truthy(label) ? value_ref(label) : value_new_string("");
}

static Value *detail_sourcecode_digest(Run *run, guint index)
{
    return text(run_attr_text(run, "sourcecode_digest"));
}

static Value *detail_vcs_commit(Run *run, guint index)
{
    return text(run_attr_text(run, "vcs_commit"));
}

static Value *detail_run_dir(Run *run, guint index)
{
    return text(run_format_dir(run_dir(run)));
}

static Value *detail_command(Run *run, guint index)
{
    g_autoptr(Value) cmd = run_try_attr(run, "cmd");
    GString *out = g_string_new(NULL);
    for (gsize i = 0; cmd && value_is_list(cmd) && i < value_list_size(cmd); i++) {
        g_autofree char *arg = value_str(value_list_at(cmd, i));
        gboolean quote = !*arg || strchr(arg, ' ');
        g_string_append_printf(out, quote ? "%s\"%s\"" : "%s%s", i ? " " : "", arg);
    }
    return text(g_string_free(out, FALSE));
}

static Value *detail_exit_status(Run *run, guint index)
{
    Value *status = run_try_attr(run, "exit_status");
    return status ? status : value_new_string("");
}

static Value *detail_pid(Run *run, guint index)
{
    pid_t pid = run_pid(run);
    return pid ? value_new_int(pid) : value_new_string("");
}

static Value *detail_model(Run *run, guint index)
{
    const OpRef *ref = run_peek_opref(run);
    return value_new_string(ref ? ref->model_name : "");
}

static Value *detail_op_name(Run *run, guint index)
{
    const OpRef *ref = run_peek_opref(run);
    return value_new_string(ref ? ref->op_name : "");
}

static Value *detail_pkg_name(Run *run, guint index)
{
    const OpRef *ref = run_peek_opref(run);
    return value_new_string(ref ? ref->pkg_name : "");
}

static const struct {
    const char *name;
    Value *(*get)(Run *run, guint index);
} details[] = {
        {"command", detail_command},
        {"duration", detail_duration},
        {"exit_status", detail_exit_status},
        {"from", detail_from},
        {"id", detail_id},
        {"index", detail_index},
        {"label", detail_label},
        {"marked", detail_marked},
        {"model", detail_model},
        {"num_index", detail_num_index},
        {"op_name", detail_op_name},
        {"operation", detail_operation},
        {"pid", detail_pid},
        {"pkg_name", detail_pkg_name},
        {"run_dir", detail_run_dir},
        {"short_id", detail_short_id},
        {"short_index", detail_short_index},
        {"sourcecode_digest", detail_sourcecode_digest},
        {"vcs_commit", detail_vcs_commit},
        {"started", detail_started},
        {"status", detail_status},
        {"status_with_remote", detail_status_with_remote},
        {"stopped", detail_stopped},
};

Value *runs_detail(Run *run, const char *name, guint index)
{
    for (gsize i = 0; i < G_N_ELEMENTS(details); i++)
        if (strcmp(details[i].name, name) == 0)
            return details[i].get(run, index);
    return NULL;
}

char *runs_detail_text(Run *run, const char *name, guint index)
{
    g_autoptr(Value) v = runs_detail(run, name, index);
    return value_str(v);
}

/* " (DIR)" where the operation is from another folder than cwd; NULL otherwise. */
static char *op_dir_suffix(Run *run)
{
    g_autofree char *dir = run_op_dir(run);
    if (!dir || !*dir)
        return NULL;
    g_autofree char *real_dir = fs_realpath(dir);
    g_autofree char *real_cwd = fs_realpath(cli_cwd());
    if (strcmp(real_dir, real_cwd) == 0)
        return NULL;
    g_autofree char *shortened = run_shorten_op_dir(dir, cli_cwd());
    return g_strdup_printf(" (%s)", shortened);
}

static char *column_text(Run *run, const char *column, guint index)
{
    g_autoptr(Value) v = NULL;
    if (strcmp(column, "op_desc") == 0)
        return run_format_operation(run);
    v = runs_detail(run, column, index);
    return value_str(v);
}

static void add_op_desc_suffix(OutTable *table, guint column, Run *run)
{
    g_autofree char *dir = op_dir_suffix(run);
    g_autoptr(Value) marked = run_try_attr(run, "marked");
    gboolean is_marked = marked && value_truthy(marked);
    out_table_suffix(table, column, dir ? dir : "", is_marked ? " [marked]" : "");
}

static void add_row(
        OutTable *table, Run *run, const char *const *columns, guint index, gboolean with_details)
{
    guint n = g_strv_length((char **)columns);
    char **cells = g_new0(char *, n + 1);
    for (guint i = 0; i < n; i++)
        cells[i] = column_text(run, columns[i], index);
    out_table_add(table, cells);
    for (guint i = 0; i < n; i++)
        if (strcmp(columns[i], "op_desc") == 0)
            add_op_desc_suffix(table, i, run);
    for (const char *const *name = runs_detail_names; with_details && *name; name++) {
        g_autofree char *value = runs_detail_text(run, *name, index);
        g_autofree char *line = g_strdup_printf("  %s: %s", *name, value);
        out_table_detail(table, line);
    }
}

OutTable *runs_table(GPtrArray *runs, const char *const *columns, gboolean with_details)
{
    OutTable *table = out_table_new(g_strv_length((char **)columns));
    for (guint i = 0; i < runs->len; i++) {
        Run *run = runs->pdata[i];
        g_autoptr(GError) error = NULL;
        OpRef *ref = run_opref(run, &error);
        if (ref)
            add_row(table, run, columns, i + 1, with_details);
        else
            log_warning("%s", error->message);
        opref_free(ref);
    }
    return table;
}
