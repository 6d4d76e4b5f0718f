/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of sources: file, url, operation, module, config (guild/resolver.py). */
#include "engine/deps/source.h"

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/deps/archive.h"
#include "engine/deps/fetch.h"
#include "engine/project/python_exe.h"
#include "engine/run/lock.h"

#include <string.h>

static const char module_check[] = "import importlib, sys\n"
                                   "try:\n"
                                   "    importlib.import_module(sys.argv[1])\n"
                                   "except BaseException as e:\n"
                                   "    known = isinstance(e, ImportError)\n"
                                   "    sys.stderr.write('\\1' + (str(e) if known else repr(e)))\n"
                                   "    sys.exit(3)\n";

static void unresolved(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void unresolved(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, DEP_ERROR, DEP_ERROR_UNRESOLVED, msg);
}

static GPtrArray *one_path(char *path)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    if (path)
        g_ptr_array_add(paths, path);
    return paths;
}

char *source_resolve_refs(const SourceJob *job, const char *text, const char *what, GError **error)
{
    GError *ref_error = NULL;
    g_autoptr(Value) resolved = text_resolve_refs(text, job->flags, NULL, &ref_error);
    if (resolved)
        return value_str(resolved);
    unresolved(error, "cannot resolve '%s'%s%s: undefined reference '%s'", text, what ? " in " : "",
            what ? what : "", ref_error->message);
    g_error_free(ref_error);
    return NULL;
}

static gboolean check_empty(GPtrArray *paths, const ResSource *source, GError **error)
{
    if (paths->len)
        return TRUE;
    if (source->fail_if_empty) {
        unresolved(error, "nothing resolved for %s", ressource_resolving_name(source));
        return FALSE;
    }
    if (source->warn_if_empty)
        log_warning("nothing resolved for %s", ressource_resolving_name(source));
    return TRUE;
}

/* A file that the user named by a flag in place of the source. */
static GPtrArray *path_from_flag(const SourceJob *job, GError **error)
{
    g_autofree char *given = value_str(job->set);
    g_autofree char *packed = source_packed(job->run, given);
    g_autofree char *path = packed ? g_strdup(packed) : fs_abspath(given, job->ctx->cwd);
    if (!fs_exists(path)) {
        unresolved(error, "%s does not exist", path);
        return NULL;
    }
    g_autofree char *cwd = job->ctx->cwd ? g_strdup(job->ctx->cwd) : fs_cwd();
    g_autofree char *rel = packed ? g_strdup(given) : fs_relpath(path, cwd);
    log_info("Using %s for %s", rel, ressource_resolving_name(job->source));
    return one_path(g_steal_pointer(&path));
}

/* ---- files and archives ---- */

/* HOME/cache/resources/SHA224 of the parts joined by newlines. */
static char *resource_cache_dir(RunStore *store, const char *key)
{
    g_autofree char *digest = digest_sha224(key, strlen(key));
    return g_build_filename(run_store_cache_dir(store), "resources", digest, NULL);
}

/* One process at a time fills a cache folder. */
static HomeLock *lock_cache_dir(RunStore *store, const char *dir, GError **error)
{
    g_autofree char *base = g_path_get_basename(dir);
    g_autofree char *name = g_strconcat("resource-", base, NULL);
    return home_lock_acquire(run_store_home(store), name, -1, error);
}

static gboolean verify(const char *path, const char *sha256, GError **error)
{
    if (!fs_exists(path)) {
        unresolved(error, "'%s' does not exist", path);
        return FALSE;
    }
    if (!sha256 || !*sha256)
        return TRUE;
    if (fs_is_dir(path)) {
        log_warning("cannot verify '%s' because it's a directory", path);
        return TRUE;
    }
    g_autofree char *actual = NULL;
    GError *read_error = NULL;
    if (fetch_check_sha256(path, sha256, &actual, &read_error))
        return TRUE;
    if (read_error)
        g_propagate_error(error, read_error);
    else
        unresolved(error, "'%s' has an unexpected sha256 (expected %s but got %s)", path, sha256,
                actual);
    return FALSE;
}

static GPtrArray *archive_paths(const SourceJob *job, const char *path, const char *type,
        const char *unpack_dir, GError **error)
{
    g_autoptr(HomeLock) lock = lock_cache_dir(job->ctx->store, unpack_dir, error);
    g_auto(GStrv) names = lock ? archive_unpack(path, type, unpack_dir, error) : NULL;
    if (!names)
        return NULL;
    g_autoptr(GPtrArray) members = g_ptr_array_new();
    for (guint i = 0; names[i]; i++)
        g_ptr_array_add(members, names[i]);
    return job->source->select->len ? source_select(job->source, unpack_dir, members)
                                    : source_top_paths(unpack_dir, members);
}

/* A file's own path, or what is in it if it is an archive. */
static GPtrArray *file_or_archive_paths(
        const SourceJob *job, const char *path, const char *unpack_dir, GError **error)
{
    const ResSource *source = job->source;
    if (!verify(path, source->sha256, error))
        return NULL;
    const char *type = source->type && *source->type ? source->type : archive_type(path);
    if (source->unpack && type)
        return archive_paths(job, path, type, unpack_dir, error);
    return one_path(g_strdup(path));
}

static GPtrArray *dir_paths(const SourceJob *job, const char *path, GError **error)
{
    if (!job->source->select->len)
        return one_path(g_strdup(path));
    g_autoptr(GPtrArray) all = source_all_paths(path, error);
    return all ? source_select(job->source, path, all) : NULL;
}

static GPtrArray *resolve_file(const SourceJob *job, GError **error)
{
    if (value_truthy(job->set))
        return path_from_flag(job, error);
    g_autofree char *rel = source_resolve_refs(
            job, job->source->path, ressource_resolving_name(job->source), error);
    if (!rel)
        return NULL;
    g_autofree char *root = fs_abspath(job->location, job->ctx->cwd);
    char *packed = source_packed(job->run, rel);
    g_autofree char *path = packed ? packed : fs_abspath(rel, root);
    if (!fs_exists(path)) {
        unresolved(error, "cannot find source file '%s'", rel);
        return NULL;
    }
    g_autofree char *key = g_strconcat("file\n", path, NULL);
    g_autofree char *unpack_dir = resource_cache_dir(job->ctx->store, key);
    g_autoptr(GPtrArray) paths = fs_is_dir(path)
                                         ? dir_paths(job, path, error)
                                         : file_or_archive_paths(job, path, unpack_dir, error);
    if (!paths || !check_empty(paths, job->source, error) ||
            !source_post_process(job, unpack_dir, error))
        return NULL;
    return g_steal_pointer(&paths);
}

/* ---- urls ---- */

/* The six parts of a url joined by newlines, as Python's urlparse() splits it: what the reference
 * names a download's cache folder after. */
static char *url_cache_key(const char *url)
{
    g_autofree char *rest = g_strdup(url);
    const char *scheme = "", *netloc = "", *params = "", *query = "", *fragment = "";
    char *p = strstr(rest, "://");
    char *path = rest;
    if (p) {
        *p = '\0';
        scheme = rest;
        path = p + 3;
    }
    if ((p = strchr(path, '#'))) {
        *p = '\0';
        fragment = p + 1;
    }
    if ((p = strchr(path, '?'))) {
        *p = '\0';
        query = p + 1;
    }
    g_autofree char *host = g_strndup(path, *scheme ? strcspn(path, "/") : 0);
    netloc = host;
    path += strlen(host);
    char *last = strrchr(path, '/');
    if ((p = strchr(last ? last : path, ';'))) {
        *p = '\0';
        params = p + 1;
    }
    g_autofree char *lower = g_ascii_strdown(scheme, -1);
    return g_strjoin("\n", lower, netloc, path, params, query, fragment, NULL);
}

static GPtrArray *resolve_url(const SourceJob *job, GError **error)
{
    if (value_truthy(job->set))
        return path_from_flag(job, error);
    const ResSource *source = job->source;
    g_autofree char *url =
            source_resolve_refs(job, source->uri, ressource_resolving_name(source), error);
    if (!url)
        return NULL;
    g_autofree char *key = url_cache_key(source->uri);
    g_autofree char *dir = resource_cache_dir(job->ctx->store, key);
    g_autofree char *path = NULL;
    {
        g_autoptr(HomeLock) lock = lock_cache_dir(job->ctx->store, dir, error);
        path = lock ? fetch_url(url, dir, source->sha256, error) : NULL;
    }
    g_autoptr(GPtrArray) paths = path ? file_or_archive_paths(job, path, dir, error) : NULL;
    if (!paths || !check_empty(paths, source, error) || !source_post_process(job, dir, error))
        return NULL;
    return g_steal_pointer(&paths);
}

/* ---- operations ---- */

/* "prepare, other:prepare" as patterns. */
static GPtrArray *source_oprefs(const ResSource *source, GError **error)
{
    g_autoptr(GPtrArray) oprefs = g_ptr_array_new_with_free_func((GDestroyNotify)opref_free);
    g_auto(GStrv) specs = g_strsplit(source->path, ",", -1);
    for (guint i = 0; specs[i]; i++) {
        OpRef *opref = opref_for_string(g_strstrip(specs[i]), NULL);
        if (!opref) {
            unresolved(error, "invalid operation reference '%s'", specs[i]);
            return NULL;
        }
        if (opref->pkg_name && !opref->pkg_type)
            opref->pkg_type = g_strdup("package");
        g_ptr_array_add(oprefs, opref);
    }
    return g_steal_pointer(&oprefs);
}

static char *oprefs_desc(const GPtrArray *oprefs)
{
    GString *desc = g_string_new(NULL);
    for (guint i = 0; i < oprefs->len; i++) {
        const OpRef *ref = oprefs->pdata[i];
        const char *model = ref->model_name ? ref->model_name : "";
        const char *pkg = ref->pkg_name ? ref->pkg_name : "";
        g_string_append_printf(desc, "%s%s%s%s%s%s", i ? "," : "", pkg, *pkg ? "/" : "", model,
                *pkg || *model ? ":" : "", ref->op_name);
    }
    return g_string_free(desc, FALSE);
}

static gboolean run_fits(
        Run *run, const GPtrArray *oprefs, const char *id_prefix, gboolean include_staged)
{
    if (id_prefix && strlen(id_prefix) == 32)
        return !strcmp(run_id(run), id_prefix);
    if (id_prefix && !g_str_has_prefix(run_id(run), id_prefix))
        return FALSE;
    const OpRef *ref = run_peek_opref(run);
    gboolean match = FALSE;
    for (guint i = 0; ref && !match && i < oprefs->len; i++)
        match = opref_matches(ref, oprefs->pdata[i], TRUE);
    if (!match)
        return FALSE;
    RunStatus status = run_status(run);
    return status == RUN_COMPLETED || status == RUN_RUNNING || status == RUN_TERMINATED ||
           (include_staged && status == RUN_STAGED);
}

/* Marked ones first, then by `started`, latest first; runs without it last. */
static gboolean run_is_better(Run *a, Run *b)
{
    g_autoptr(Value) am = run_try_attr(a, "marked");
    g_autoptr(Value) bm = run_try_attr(b, "marked");
    if (value_truthy(am) != value_truthy(bm))
        return value_truthy(am);
    gint64 as = run_attr_int(a, "started", 0);
    gint64 bs = run_attr_int(b, "started", 0);
    return as != bs ? as > bs : run_timestamp_us(a) > run_timestamp_us(b);
}

Run *deps_find_run(const ResSource *source, const char *id_prefix, gboolean include_staged,
        RunStore *store, GError **error)
{
    g_autoptr(GPtrArray) oprefs = source_oprefs(source, error);
    if (!oprefs)
        return NULL;
    if (id_prefix && !*id_prefix)
        id_prefix = NULL;
    g_autoptr(GPtrArray) runs = run_store_scan(store, RUN_STORE_RUNS);
    Run *best = NULL;
    for (guint i = 0; i < runs->len; i++)
        if (run_fits(runs->pdata[i], oprefs, id_prefix, include_staged) &&
                (!best || run_is_better(runs->pdata[i], best)))
            best = runs->pdata[i];
    if (!best) {
        g_autofree char *desc = oprefs_desc(oprefs);
        unresolved(error, "no suitable run for %s", desc);
    }
    return best ? run_ref(best) : NULL;
}

/* The run for an `operation:` source: a directory or an id from the flags, else the default one. */
static Run *upstream_run(const SourceJob *job, GError **error)
{
    const char *name = ressource_resolving_name(job->source);
    g_autofree char *given = value_truthy(job->set) ? value_str(job->set) : g_strdup("");
    g_autofree char *spec = source_resolve_refs(job, given, name, error);
    if (!spec)
        return NULL;
    g_autofree char *dir = fs_abspath(spec, job->ctx->cwd);
    g_autoptr(Run) at_dir = *spec && strchr(spec, '/') ? run_new(dir, NULL) : NULL;
    if (at_dir && run_exists(at_dir)) {
        log_info("Using run %s for %s", spec, name);
        return g_steal_pointer(&at_dir);
    }
    Run *run = deps_find_run(job->source, spec, FALSE, job->ctx->store, error);
    if (run)
        log_info("Using run %s for %s", run_id(run), name);
    return run;
}

static GPtrArray *resolve_operation(const SourceJob *job, GError **error)
{
    g_autoptr(Run) run = upstream_run(job, error);
    if (!run)
        return NULL;
    g_autoptr(GPtrArray) paths = job->source->select->len ? dir_paths(job, run_dir(run), error)
                                                          : source_generated_paths(run, error);
    return paths && check_empty(paths, job->source, error) ? g_steal_pointer(&paths) : NULL;
}

/* ---- modules ---- */

static GPtrArray *resolve_module(const SourceJob *job, GError **error)
{
    g_autofree char *found =
            job->ctx->python_exe ? g_strdup(job->ctx->python_exe) : python_exe(error);
    if (!found)
        return NULL;
    const char *argv[] = {found, "-c", module_check, job->source->path, NULL};
    g_autofree char *err = NULL;
    int status = 0;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDOUT_TO_DEV_NULL,
                NULL, NULL, NULL, &err, &status, error))
        return NULL;
    if (g_spawn_check_wait_status(status, NULL))
        return one_path(NULL);
    const char *why = err ? strrchr(err, '\1') : NULL;
    unresolved(error, "%s", why ? why + 1 : "the interpreter ended while importing it");
    return NULL;
}

/* ---- configuration ---- */

static GPtrArray *resolve_config(const SourceJob *job, GError **error)
{
    g_autoptr(GPtrArray) paths = resolve_file(job, error);
    if (!paths)
        return NULL;
    g_autoptr(GPtrArray) made = one_path(NULL);
    for (guint i = 0; i < paths->len; i++) {
        char *path = source_generate_config(job, paths->pdata[i], error);
        if (!path)
            return NULL;
        g_ptr_array_add(made, path);
    }
    return g_steal_pointer(&made);
}

GPtrArray *source_resolve(const SourceJob *job, GError **error)
{
    const char *scheme = job->source->scheme ? job->source->scheme : "";
    if (!strcmp(scheme, "file"))
        return resolve_file(job, error);
    if (!strcmp(scheme, "http") || !strcmp(scheme, "https"))
        return resolve_url(job, error);
    if (!strcmp(scheme, "operation"))
        return resolve_operation(job, error);
    if (!strcmp(scheme, "module"))
        return resolve_module(job, error);
    if (!strcmp(scheme, "config"))
        return resolve_config(job, error);
    g_autofree char *resource = resdef_resolving_name(job->dep->resdef);
    unresolved(error, "unsupported source '%s' in %s resource", job->source->uri, resource);
    return NULL;
}
