/* SPDX-License-Identifier: Apache-2.0 */
/* An operation becomes a run directory, and that is made ready to be executed; see op.h. The order
 * in which markers and attributes appear is the reference's (guild/op.py), since others watch them.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/deps/resolve.h"
#include "engine/op/op.h"
#include "engine/op/pip_freeze.h"
#include "engine/op/sourcecode.h"
#include "engine/op/vcs.h"
#include "engine/project/guildfile.h"

/* What a new run takes over from the one it is modelled on. */
static const char *const proto_attrs[] = {
        "sourcecode_digest", "vcs_commit", "host", "user", "platform", "plugins", "pip_freeze"};

static gboolean env_is(const char *name, const char *value)
{
    return g_strcmp0(g_getenv(name), value) == 0;
}

/* Making the run directory. */

static gboolean write_attrs(Op *op, Run *run, GError **error)
{
    if (!run_write_opref(run, op->opref, error))
        return FALSE;
    g_autoptr(Value) cmd = value_new_strv((const char *const *)op->cmd_args);
    if (!run_write_attr(run, "cmd", cmd, error))
        return FALSE;
    for (gsize i = 0; i < value_map_size(op->run_attrs); i++)
        if (!run_write_attr(
                    run, value_map_key_at(op->run_attrs, i), value_map_at(op->run_attrs, i), error))
            return FALSE;
    return TRUE;
}

char **op_local_dep_paths(const Op *op)
{
    GPtrArray *paths = g_ptr_array_new();
    for (guint i = 0; i < op->deps->len; i++) {
        const Dep *dep = g_ptr_array_index(op->deps, i);
        for (guint j = 0; j < dep->resdef->sources->len; j++) {
            const char *p =
                    ressource_project_local_path(g_ptr_array_index(dep->resdef->sources, j));
            if (p && *p)
                g_ptr_array_add(paths, fs_normpath(p));
        }
    }
    g_ptr_array_add(paths, NULL);
    return (char **)g_ptr_array_free(paths, FALSE);
}

static gboolean copy_sourcecode(Op *op, Run *run, GError **error)
{
    const OpDef *d = op->opdef;
    if (env_is("NO_SOURCECODE", "1") || !d->guildfile || !d->guildfile->dir)
        return TRUE;
    g_autoptr(SourceSelect) select = sourcecode_select_for_opdef(d);
    g_autofree char *dest = fs_join(run_dir(run), op->sourcecode_dest ? op->sourcecode_dest : ".");
    g_autofree char *normal = fs_normpath(dest);
    g_autofree char *below = fs_relpath(normal, run_dir(run));
    if (strcmp(below, ".") != 0 && !fs_is_safe_rel(below)) {
        g_set_error(error, OP_ERROR, OP_ERROR_OPDEF,
                "invalid definition for operation '%s': source code can't be copied to '%s', which "
                "is outside of the run directory",
                d->fullname, op->sourcecode_dest);
        return FALSE;
    }
    g_auto(GStrv) ignore = op_local_dep_paths(op);
    return sourcecode_copy(select, run, normal, (const char *const *)ignore, error);
}

static gboolean touch_manifest(Run *run, GError **error)
{
    g_autofree char *path = run_guild_path(run, "manifest");
    int fd = fs_open_own(path, O_WRONLY);
    if (fd < 0)
        return fs_write_own(path, "", 0, error);
    close(fd);
    return TRUE;
}

static gboolean init_from_project(Op *op, Run *run, GError **error)
{
    if (!touch_manifest(run, error) || !copy_sourcecode(op, run, error) ||
            !sourcecode_write_digest(run, error))
        return FALSE;
    const char *dir = op->opdef->guildfile ? op->opdef->guildfile->dir : NULL;
    if (env_is("NO_VCS_COMMIT", "1") || !dir)
        return TRUE;
    g_autofree char *commit = vcs_commit(dir);
    return !commit || run_write_attr_string(run, "vcs_commit", commit, error);
}

static gboolean init_from_proto(Op *op, Run *run, GError **error)
{
    if (!env_is("NO_SOURCECODE", "1") && !sourcecode_copy_from_run(op->run, run, error))
        return FALSE;
    for (gsize i = 0; i < G_N_ELEMENTS(proto_attrs); i++) {
        if (!run_has_attr(op->run, proto_attrs[i]))
            continue;
        g_autoptr(Value) v = run_get_attr(op->run, proto_attrs[i], error);
        if (!v || !run_write_attr(run, proto_attrs[i], v, error))
            return FALSE;
    }
    return TRUE;
}

static gboolean init_content(Op *op, Run *run, GError **error)
{
    if (!run_init_skel(run, error) || !run_set_marker(run, "PENDING", error))
        return FALSE;
    run_clear_marker(run, "STAGED");
    if (!write_attrs(op, run, error))
        return FALSE;
    if (!op->run || op->force_sourcecode)
        return init_from_project(op, run, error);
    return !op->run_is_proto || init_from_proto(op, run, error);
}

Run *op_init_run(Op *op, const char *dir, GError **error)
{
    g_autofree char *new_dir = NULL;
    if (!dir && !(dir = op->run_dir)) {
        g_autofree char *id = run_new_id();
        dir = new_dir = g_build_filename(op->home, "runs", id, NULL);
    }
    gboolean existed = fs_lexists(dir);
    g_autofree char *guild_dir = g_build_filename(dir, ".guild", NULL);
    gboolean was_run = fs_lexists(guild_dir);
    g_autoptr(Run) run = run_new(dir, NULL);
    if (init_content(op, run, error))
        return g_steal_pointer(&run);
    if (!existed)
        fs_remove_tree(dir, NULL);
    else if (!was_run)
        fs_remove_tree(guild_dir, NULL);
    else
        run_clear_marker(run, "PENDING");
    return NULL;
}

/* Dependencies. */

static gboolean resolve_deps(Op *op, Run *run, gboolean for_stage, gboolean force, GError **error)
{
    g_autoptr(GError) err = NULL;
    g_autoptr(RunStore) store = run_store_open(op->home, error);
    if (!store)
        return FALSE;
    const DepsContext ctx = {.store = store, .for_stage = for_stage, .continue_on_error = force};
    if (deps_resolve(op->deps, run, &ctx, &err))
        return TRUE;
    if (err->domain != DEP_ERROR)
        g_propagate_error(error, g_steal_pointer(&err));
    else
        g_set_error(error, OP_ERROR, OP_ERROR_DEPS,
                "run failed because a dependency was not met: %s", err->message);
    return FALSE;
}

static gboolean set_started(Run *run, GError **error)
{
    return run_write_attr_int(run, "started", clock_timestamp_us(), error);
}

/* Staging. */

static gboolean write_env_file(Op *op, Run *run, GError **error)
{
    g_auto(GStrv) env = op_proc_env(op, run);
    g_autoptr(GString) text = g_string_new(NULL);
    for (char **e = env; *e; e++) {
        const char *eq = strchr(*e, '=');
        g_autofree char *name = g_strndup(*e, eq - *e);
        if (strcmp(name, "PWD") == 0 || strcmp(name, "_") == 0)
            continue;
        g_autofree char *quoted = text_env_var_quote(eq + 1);
        g_string_append_printf(text, "export %s=%s\n", name, quoted);
    }
    g_autofree char *path = run_guild_path(run, "ENV");
    return fs_write_own(path, text->str, text->len, error);
}

Run *op_stage(Op *op, gboolean force_deps, GError **error)
{
    g_autoptr(Run) run = op_init_run(op, NULL, error);
    if (!run)
        return NULL;
    gboolean ok = write_env_file(op, run, error) &&
                  resolve_deps(op, run, TRUE, force_deps, error) &&
                  run_set_marker(run, "STAGED", error);
    run_clear_marker(run, "PENDING");
    if (!ok || !set_started(run, error))
        return NULL;
    return g_steal_pointer(&run);
}

Run *op_stage_apart(Op *op, GError **error)
{
    g_autoptr(Run) run = op_init_run(op, NULL, error);
    if (!run || !run_set_marker(run, "STAGED", error))
        return NULL;
    run_clear_marker(run, "PENDING");
    return set_started(run, error) ? g_steal_pointer(&run) : NULL;
}

/* Starting. */

static gboolean write_pip_freeze(Op *op, Run *run, GError **error)
{
    const OpDef *d = op->opdef;
    if (!op->plugins || !g_strv_contains((const char *const *)op->plugins, "python_script"))
        return TRUE;
    gboolean off = value_kind(d->pip_freeze) == VALUE_BOOL && !value_get_bool(d->pip_freeze);
    if (off || env_is("NO_PIP_FREEZE", "1"))
        return TRUE;
    g_autoptr(Value) packages = pip_freeze(op->home);
    return run_write_attr(run, "pip_freeze", packages, error);
}

gboolean op_resolve(Op *op, Run *run, GError **error)
{
    return resolve_deps(op, run, FALSE, FALSE, error) && deps_mark_done(run, error);
}

gboolean op_prepare_start(Op *op, Run *run, gboolean force_deps, GError **error)
{
    run_clear_marker(run, "STAGED");
    gboolean ok = op->deps_done || resolve_deps(op, run, FALSE, force_deps, error);
    run_clear_marker(run, "PENDING");
    return ok && write_pip_freeze(op, run, error) && set_started(run, error);
}

/* Environment. */

static void set_env(Value *env, const char *name, const char *value)
{
    value_map_set_string(env, name, value ? value : "");
}

static Value *op_env(Op *op, Run *run)
{
    Value *env = value_new_map();
    value_map_update(env, op->cmd_env);
    g_autofree char *opspec = opref_to_opspec(op->opref, NULL);
    g_autofree char *sourcecode = g_strjoinv(":", op->sourcecode_paths);
    g_autofree char *cwd = fs_cwd();
    set_env(env, "GUILD_OP", opspec);
    set_env(env, "GUILD_HOME", op->home);
    set_env(env, "GUILD_SOURCECODE", sourcecode);
    g_autofree char *level = g_strdup_printf("%d", log_level());
    set_env(env, "LOG_LEVEL", g_getenv("LOG_LEVEL") ? g_getenv("LOG_LEVEL") : level);
    set_env(env, "CMD_DIR", cwd);
    /* For our Python modules that hand over to the program (guild/_handover.py). */
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);
    if (exe)
        set_env(env, "GUILD_EXE", exe);
    set_env(env, "RUN_DIR", run_dir(run));
    set_env(env, "RUN_ID", run_id(run));
    value_map_sort(env);
    return env;
}

static int compare_names(const char *a, const char *b)
{
    gsize la = strcspn(a, "="), lb = strcspn(b, "=");
    int c = memcmp(a, b, MIN(la, lb));
    return c ? c : la < lb ? -1 : la > lb;
}

static int compare_entries(gconstpointer a, gconstpointer b)
{
    return compare_names(*(const char *const *)a, *(const char *const *)b);
}

/* Our own environment sorted by name, of each name the first. Pointers into environ; made anew when
 * an entry there changed. Every run of a batch begins with it. */
static char **own_env(void)
{
    static GPrivate cache = G_PRIVATE_INIT((GDestroyNotify)g_ptr_array_unref);
    GPtrArray *a = g_private_get(&cache); /* as in environ, NULL, sorted, NULL */
    gsize n = g_strv_length(environ);
    if (!a || a->len < n + 2 || memcmp(a->pdata, environ, (n + 1) * sizeof *environ)) {
        a = g_ptr_array_new();
        for (gsize i = 0; i <= n; i++)
            g_ptr_array_add(a, environ[i]);
        g_autoptr(GPtrArray) sorted = g_ptr_array_new();
        for (gsize i = 0; i < n; i++)
            if (strchr(environ[i], '=') > environ[i] && !g_str_has_prefix(environ[i], "_="))
                g_ptr_array_add(sorted, environ[i]);
        g_ptr_array_sort(sorted, compare_entries);
        for (guint i = 0; i < sorted->len; i++)
            if (!i || compare_names(sorted->pdata[i - 1], sorted->pdata[i]))
                g_ptr_array_add(a, sorted->pdata[i]);
        g_ptr_array_add(a, NULL);
        g_private_replace(&cache, a);
    }
    return (char **)a->pdata + n + 1;
}

/* NULL-terminated entries by name, those of `over` (a sorted map of strings) in place of ours. */
static char **merge_env(char **own, const Value *over)
{
    gsize i = 0, size = value_map_size(over);
    GPtrArray *env = g_ptr_array_new();
    while (*own || i < size) {
        g_autofree char *entry = i < size ? g_strconcat(value_map_key_at(over, i), "=",
                                                    value_get_string(value_map_at(over, i)), NULL)
                                          : NULL;
        int c = !*own ? 1 : !entry ? -1 : compare_names(*own, entry);
        while (*own && c < 0) {
            g_ptr_array_add(env, g_strdup(*own++));
            c = !*own ? 1 : !entry ? -1 : compare_names(*own, entry);
        }
        if (*own && c == 0)
            own++;
        if (entry)
            g_ptr_array_add(env, g_steal_pointer(&entry));
        i++;
    }
    g_ptr_array_add(env, NULL);
    return (char **)g_ptr_array_free(env, FALSE);
}

char **op_proc_env(Op *op, Run *run)
{
    g_autoptr(Value) over = op_env(op, run);
    return merge_env(own_env(), over);
}

/* A name that may belong to a secret. */
static gboolean looks_secret(const char *name)
{
    static const char *const parts[] = {"password", "token", "secret"};
    g_autofree char *lower = g_ascii_strdown(name, -1);
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++)
        if (strstr(lower, parts[i]))
            return TRUE;
    return FALSE;
}

static gboolean is_private(const Op *op, const char *name)
{
    if (value_is_string(op->private_env))
        return strcmp(value_get_string(op->private_env), name) == 0;
    for (gsize i = 0; value_is_list(op->private_env) && i < value_list_size(op->private_env); i++) {
        const Value *item = value_list_at(op->private_env, i);
        if (value_is_string(item) && strcmp(value_get_string(item), name) == 0)
            return TRUE;
    }
    return FALSE;
}

Value *op_safe_env(Op *op, const char *const *env)
{
    Value *safe = value_new_map();
    for (; *env; env++) {
        const char *eq = strchr(*env, '=');
        g_autofree char *name = g_strndup(*env, eq - *env);
        if (looks_secret(name) || is_private(op, name))
            continue;
        g_autofree char *text = text_to_utf8(eq + 1, -1);
        value_map_set_string(safe, name, text);
    }
    return safe;
}

gboolean op_deletes_run(const Op *op, Run *run)
{
    if (!op->delete_on_success)
        return FALSE;
    g_autofree char *runs = g_build_filename(op->home, "runs", NULL);
    g_autofree char *parent = g_path_get_dirname(run_dir(run));
    g_autofree char *a = fs_realpath(runs);
    g_autofree char *b = fs_realpath(parent);
    return strcmp(a, b) == 0;
}
