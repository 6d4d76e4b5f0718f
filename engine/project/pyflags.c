/* SPDX-License-Identifier: Apache-2.0 */
/* Importing flags of Python modules into operations. See pyflags.h. */
#include "engine/project/pyflags.h"

#include <glib/gstdio.h>
#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"
#include "engine/project/configflags.h"
#include "engine/project/gfdata.h"
#include "engine/project/gfmodel.h"
#include "engine/project/pyhelper.h"
#include "engine/project/pymodule.h"
#include "engine/project/resflags.h"

/* One module whose flags are wanted, and the answer. */
typedef struct {
    OpDef *op;     /* NULL for a bare script */
    char *path;    /* the module's file; NULL if it was not found */
    char *warning; /* why not */
    char *key;     /* of the cache */
    char *stamp;
    Value *request;
    Value *answer;     /* map as import_flags.py gives it */
    gboolean fresh;    /* asked now, not from the cache */
    gboolean no_flags; /* flags-import is off: asked only for the framework */
} ImportJob;

static gboolean env_on(const char *name)
{
    return g_strcmp0(g_getenv(name), "1") == 0;
}

void pyflags_note(const char *fmt, ...)
{
    if (!env_on("FLAGS_TEST"))
        return;
    va_list ap;
    va_start(ap, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, ap);
    va_end(ap);
    g_printerr("%s\n", msg);
}

static void warn_import(const char *msg)
{
    if (!env_on("NO_WARN_FLAGS_IMPORT"))
        log_warning("%s", msg);
}

static void note_refreshing(void)
{
    static gboolean done;
    const char *completing = g_getenv("_GUILD_COMPLETE");
    if (done || env_on("NO_IMPORT_FLAGS_PROGRESS") || env_on("FLAGS_TEST") ||
            (completing && *completing))
        return;
    done = TRUE;
    g_printerr("Refreshing flags...\n");
}

static void job_free(gpointer p)
{
    ImportJob *j = p;
    g_free(j->path);
    g_free(j->warning);
    g_free(j->key);
    g_free(j->stamp);
    value_unref(j->request);
    value_unref(j->answer);
    g_free(j);
}

static Value *flags_request(const char *path, const char *sys_path, const char *package,
        const char *const *base_args, const char *dest)
{
    static const char *const none[] = {NULL};
    Value *r = value_new_map();
    value_map_set_string(r, "do", "flags");
    value_map_set_string(r, "path", path);
    value_map_set_string(r, "sys_path", sys_path ? sys_path : ".");
    value_map_set_string(r, "package", package ? package : "");
    value_map_set(r, "base_args", value_new_strv(base_args ? base_args : none));
    value_map_set_string(r, "dest", dest);
    return r;
}

/* The same for an operation and for its script by name: paths are absolute, and of sys_path counts
 * what import_flags.py doesn't search in any case: the script's folder and ours. */
static char *cache_key(const Value *request)
{
    g_autofree char *path = fs_abspath(value_map_string(request, "path", ""), NULL);
    g_autofree char *sys_path = fs_abspath(value_map_string(request, "sys_path", "."), NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    g_autofree char *cwd = fs_abspath(".", NULL);
    gboolean known = g_str_equal(sys_path, folder) || g_str_equal(sys_path, cwd);
    g_autoptr(Value) key = value_new_map();
    value_map_update(key, request);
    value_map_set_string(key, "path", path);
    value_map_set_string(key, "sys_path", known ? "." : sys_path);
    return yaml_dump_flow(key);
}

static ImportJob *job_new(OpDef *op, Value *request, const char *path)
{
    ImportJob *j = g_new0(ImportJob, 1);
    j->op = op;
    j->path = g_strdup(path);
    j->request = request;
    j->key = cache_key(request);
    GStatBuf st = {0};
    g_stat(path, &st);
    j->stamp = g_strdup_printf("%" G_GINT64_FORMAT ".%09ld %" G_GINT64_FORMAT,
            (gint64)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec, (gint64)st.st_size);
    j->answer = pyhelper_cache_get(j->key, j->stamp);
    return j;
}

/* Once: warnings keep the order of the operations, around the note that flags are refreshed. */
static void warn_not_found(ImportJob *j)
{
    if (j->warning)
        warn_import(j->warning);
    g_clear_pointer(&j->warning, g_free);
}

/* Asks for all that the cache doesn't have, in one process; what was answered is cached. */
static void ask_missing(GPtrArray *jobs)
{
    g_autoptr(Value) requests = value_new_list();
    g_autoptr(GPtrArray) missing = g_ptr_array_new();
    for (guint i = 0; i < jobs->len; i++) {
        ImportJob *j = jobs->pdata[i];
        if (!missing->len)
            warn_not_found(j);
        if (j->path && !j->answer) {
            value_list_append(requests, value_ref(j->request));
            g_ptr_array_add(missing, j);
            if (!j->no_flags)
                note_refreshing();
        }
    }
    if (!missing->len)
        return;
    g_autoptr(GError) err = NULL;
    g_autoptr(Value) answers = pyhelper_ask(requests, &err);
    for (guint i = 0; i < missing->len; i++) {
        ImportJob *j = missing->pdata[i];
        if (!answers) {
            g_autofree char *shown = fs_relpath(j->path, NULL);
            g_autofree char *msg =
                    g_strdup_printf("cannot import flags from %s: %s", shown, err->message);
            warn_import(msg);
            continue;
        }
        j->answer = value_ref(value_list_at(answers, i));
        j->fresh = TRUE;
        if (value_map_bool(j->answer, "ok", FALSE))
            pyhelper_cache_put(j->key, j->stamp, j->answer);
    }
}

static void note_how(const ImportJob *j)
{
    const Value *notes = value_map_get(j->answer, "notes");
    for (gsize i = 0; value_is_list(notes) && i < value_list_size(notes); i++)
        pyflags_note("%s", value_get_string(value_list_at(notes, i)));
}

static void note_imported(const ImportJob *j)
{
    const char *dest = value_map_string(j->answer, "dest", NULL);
    if (!dest || !env_on("FLAGS_TEST"))
        return;
    g_autofree char *shown = fs_relpath(j->path, NULL);
    g_autofree char *yaml = yaml_dump(value_map_get(j->answer, "flags"));
    g_auto(GStrv) lines = g_strsplit(yaml, "\n", -1);
    g_autofree char *indented = g_strjoinv("\n  ", lines);
    pyflags_note("%s flags imported for dest '%s':\n  %s", shown, dest, indented);
}

/* Warnings belong to the moment of asking: cached answers are quiet. */
static void report(const ImportJob *j)
{
    if (!j->fresh || j->no_flags)
        return;
    note_how(j);
    static const char *const lists[] = {"warnings", "quiet_warnings"};
    for (gsize k = 0; k < G_N_ELEMENTS(lists); k++) {
        const Value *warnings = value_map_get(j->answer, lists[k]);
        for (gsize i = 0; value_is_list(warnings) && i < value_list_size(warnings); i++) {
            g_autofree char *msg = value_str(value_list_at(warnings, i));
            if (k == 0)
                log_warning("%s", msg);
            else
                warn_import(msg);
        }
    }
    note_imported(j);
}

/* Lines that Keras prints, beside the usual ones. */
static Value *framework_output_scalars(const Value *answer)
{
    if (g_strcmp0(value_map_string(answer, "framework", NULL), "keras") != 0)
        return NULL;
    static const char *const patterns[] = {"Epoch (?P<step>[0-9]+)", " - ([a-z_]+): (\\value)",
            "Test loss: (?P<test_loss>\\value)", "Test accuracy: (?P<test_accuracy>\\value)",
            "^\\key:\\s+\\value\\s+\\((?:step\\s+)?(?P<step>\\step)\\)$",
            "^(\\key):\\s+(\\value)(?:\\s+\\(.*\\))?$", NULL};
    return value_new_strv(patterns);
}

/* ---- operations ---- */

gboolean pyflags_import_disabled(const OpDef *op)
{
    const Value *v = op->flags_import;
    return v && ((value_kind(v) == VALUE_BOOL && !value_get_bool(v)) ||
                        (value_is_list(v) && value_list_size(v) == 0));
}

static gboolean names_flag(const Value *list, const char *name)
{
    if (value_is_string(list))
        return g_str_equal(value_get_string(list), name);
    for (gsize i = 0; value_is_list(list) && i < value_list_size(list); i++) {
        const Value *v = value_list_at(list, i);
        if (value_is_string(v) && g_str_equal(value_get_string(v), name))
            return TRUE;
    }
    return FALSE;
}

/* Not configured: what guild.yml defines gets completed. */
static gboolean wanted(const OpDef *op, const char *name)
{
    if (op->flags_import_skip && names_flag(op->flags_import_skip, name))
        return FALSE;
    const Value *v = op->flags_import;
    if (!v)
        return opdef_flag(op, name) != NULL;
    if (value_kind(v) == VALUE_BOOL ||
            (value_is_string(v) && g_str_equal(value_get_string(v), "all")))
        return TRUE;
    return names_flag(v, name);
}

void pyflags_merge(OpDef *op, const Value *flags)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify)flagdef_free);
    for (gsize i = 0; value_is_map(flags) && i < value_map_size(flags); i++) {
        const char *name = value_map_key_at(flags, i);
        if (!wanted(op, name))
            continue;
        g_autoptr(GError) err = NULL;
        g_autoptr(Value) data = gf_coerce_flag(name, value_map_at(flags, i), NULL, &err);
        FlagDef *f = data ? flagdef_new(name, data, op->guildfile->src, &err) : NULL;
        if (f)
            g_ptr_array_add(found, f);
        else {
            g_autofree char *msg =
                    g_strdup_printf("cannot import flags from %s: %s", op->main, err->message);
            warn_import(msg);
        }
    }
    opdef_merge_flags(op, found);
}

static char *safe_module_name(const char *name)
{
    gsize n = strlen(name);
    if (n > 3 && g_ascii_strcasecmp(name + n - 3, ".py") == 0)
        n -= 3;
    return g_strdelimit(g_strndup(name, n), "-", '_');
}

/* The package that a dotted module is in: "a.b" of "dir/a.b.c". */
static char *module_package(const char *module)
{
    const char *slash = strrchr(module, '/');
    const char *name = slash ? slash + 1 : module;
    const char *dot = strrchr(name, '.');
    return dot ? g_strndup(name, dot - name) : g_strdup("");
}

static gboolean is_r_name(const char *name)
{
    return g_str_has_suffix(name, ".R") || g_str_has_suffix(name, ".r");
}

/* A job for the operation's main module; NULL if there is nothing to import. */
static ImportJob *job_for_op(OpDef *op)
{
    gboolean off = pyflags_import_disabled(op);
    pyflags_note("### Script flags for %s", op->fullname);
    if (off)
        pyflags_note("flags import disabled - skipping");
    if (off && op->output_scalars)
        return NULL;
    g_auto(GStrv) words = text_shell_split(op->main, NULL);
    if (!words || !words[0])
        return NULL;
    g_auto(GStrv) paths = opdef_model_paths(op);
    g_autofree char *sys_path = NULL;
    g_autoptr(GError) err = NULL;
    if (!off)
        pyflags_note("reading flags for main spec '%s'", words[0]);
    g_autofree char *path = pymodule_find(words[0], (const char *const *)paths, &sys_path, &err);
    if (!path) {
        ImportJob *j = g_new0(ImportJob, 1);
        if (!off)
            j->warning = g_strdup_printf("cannot import flags from %s: %s", words[0], err->message);
        return j;
    }
    g_autofree char *package = module_package(words[0]);
    ImportJob *j = job_new(op,
            flags_request(path, sys_path, package, (const char *const *)words + 1,
                    off ? "none" : op->flags_dest),
            path);
    j->no_flags = off;
    return j;
}

static void apply_job(ImportJob *j)
{
    warn_not_found(j);
    if (!j->answer)
        return;
    OpDef *op = j->op;
    report(j);
    if (!j->no_flags) {
        const char *dest = value_map_string(j->answer, "dest", NULL);
        if (!op->flags_dest && dest)
            op->flags_dest = g_strdup(dest);
        pyflags_merge(op, value_map_get(j->answer, "flags"));
    }
    if (!op->output_scalars)
        op->output_scalars = framework_output_scalars(j->answer);
}

typedef void (*OpFn)(OpDef *op, gpointer data);

static void each_op(Guildfile *g, OpFn fn, gpointer data)
{
    for (guint i = 0; i < g->models->len; i++) {
        ModelDef *m = g->models->pdata[i];
        for (guint j = 0; j < m->operations->len; j++)
            fn(m->operations->pdata[j], data);
    }
}

static void apply_config(OpDef *op, gpointer data)
{
    configflags_apply(op);
}

static void apply_resources(OpDef *op, gpointer data)
{
    resflags_apply(op);
}

/* An operation without any command runs the module of its name. */
static void add_job(OpDef *op, gpointer data)
{
    if (!op->main && !op->exec && !op->steps && !op->invalid)
        op->main = safe_module_name(op->name);
    if (!op->main || g_str_has_prefix(op->main, "guild.plugins.") || is_r_name(op->name))
        return;
    ImportJob *j = job_for_op(op);
    if (j)
        g_ptr_array_add(data, j);
}

static void run_jobs(GPtrArray *jobs)
{
    ask_missing(jobs);
    for (guint i = 0; i < jobs->len; i++)
        apply_job(jobs->pdata[i]);
    g_ptr_array_set_size(jobs, 0);
}

/* One operation after the other, so that what is noted stands together. */
static void import_one(OpDef *op, gpointer data)
{
    add_job(op, data);
    run_jobs(data);
}

void pyflags_apply_guildfile(Guildfile *g)
{
    g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func(job_free);
    each_op(g, apply_config, NULL);
    each_op(g, env_on("FLAGS_TEST") ? import_one : add_job, jobs);
    run_jobs(jobs);
    each_op(g, apply_resources, NULL);
}

PyFlagsResult *pyflags_for_script(const char *script_path, const char *flags_dest)
{
    PyFlagsResult *r = g_new0(PyFlagsResult, 1);
    g_autofree char *shown = fs_relpath(script_path, NULL);
    pyflags_note("### Script flags for %s", shown);
    g_autoptr(GPtrArray) jobs = g_ptr_array_new_with_free_func(job_free);
    ImportJob *j =
            job_new(NULL, flags_request(script_path, ".", "", NULL, flags_dest), script_path);
    g_ptr_array_add(jobs, j);
    ask_missing(jobs);
    report(j);
    Value *flags = value_map_get(j->answer, "flags");
    r->flags = value_is_map(flags) ? value_ref(flags) : value_new_map();
    r->dest = g_strdup(value_map_string(j->answer, "dest", NULL));
    r->output_scalars = framework_output_scalars(j->answer);
    return r;
}

void pyflags_result_free(PyFlagsResult *r)
{
    if (!r)
        return;
    g_free(r->dest);
    value_unref(r->flags);
    value_unref(r->output_scalars);
    g_free(r);
}
