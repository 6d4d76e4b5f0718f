/* SPDX-License-Identifier: Apache-2.0 */
/* Links or copies what sources resolve to into the run and records it (guild/op.py _resolve_deps,
 * guild/op_dep.py resolve_source). */
#include "engine/deps/resolve.h"

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/deps/source.h"
#include "engine/run/manifest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static gboolean fail(GError **error, int code, const char *fmt, ...) G_GNUC_PRINTF(3, 4);
static gboolean fail(GError **error, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, DEP_ERROR, code, msg);
    return FALSE;
}

/* ---- where a path goes ---- */

static gboolean is_link_type(
        const Dep *dep, const ResSource *source, gboolean *link, GError **error)
{
    const char *type = source->target_type && *source->target_type ? source->target_type
                                                                   : dep->resdef->target_type;
    *link = type && *type ? !strcmp(type, "link") : ressource_is_operation(source);
    if (!type || !*type || *link || !strcmp(type, "copy"))
        return TRUE;
    g_autofree char *resource = resdef_resolving_name(dep->resdef);
    gboolean own = type == source->target_type;
    return fail(error, DEP_ERROR_UNRESOLVED,
            "unsupported target-type '%s' in %s %s (expected 'link' or 'copy')", type,
            own ? "source" : "resource", own ? ressource_resolving_name(source) : resource);
}

/* The base name after the first `rename` that changes it. */
static char *renamed(const SourceJob *job, const char *name, GError **error)
{
    const GPtrArray *rules = job->source->rename;
    for (guint i = 0; rules && i < rules->len; i++) {
        const ResRename *rule = rules->pdata[i];
        GError *cause = NULL;
        g_autofree char *pattern = source_resolve_refs(job, rule->pattern, NULL, &cause);
        g_autofree char *repl = pattern ? source_resolve_refs(job, rule->repl, NULL, &cause) : NULL;
        if (!repl) {
            fail(error, DEP_ERROR_UNRESOLVED,
                    "error renaming source %s ('%s' -> '%s'): resolution error: %s", name,
                    rule->pattern, rule->repl, cause->message);
            g_error_free(cause);
            return NULL;
        }
        g_autoptr(GRegex) re = g_regex_new(pattern, 0, 0, &cause);
        g_autoptr(GMatchInfo) match = NULL;
        g_autofree char *text = NULL;
        if (re && g_regex_match(re, name, 0, &match))
            text = g_match_info_expand_references(match, repl, &cause);
        if (cause) {
            fail(error, DEP_ERROR_UNRESOLVED, "error renaming source %s ('%s' -> '%s'): %s", name,
                    pattern, repl, cause->message);
            g_error_free(cause);
            return NULL;
        }
        if (!text)
            continue;
        int start = 0, end = 0;
        g_match_info_fetch_pos(match, 0, &start, &end);
        g_autofree char *result = g_strdup_printf("%.*s%s%s", start, name, text, name + end);
        if (strcmp(result, name))
            return g_steal_pointer(&result);
    }
    return g_strdup(name);
}

/* The folder in the run that `path` goes to, relative to the run; "" is the run's own. */
static char *target_folder(const SourceJob *job, const char *path)
{
    const char *set = job->source->target_path;
    if (!set || !*set)
        set = job->dep->resdef->target_path;
    if (!job->source->preserve_path)
        return g_strdup(set ? set : "");
    if (set && *set)
        log_warning("target-path '%s' specified with preserve-path - ignoring", set);
    g_autofree char *parent = g_path_get_dirname(path);
    g_autofree char *root = fs_abspath(job->location, job->ctx->cwd);
    return fs_relpath(parent, root);
}

/* Is the deepest folder above `target` that exists still inside of the run, links followed? */
static gboolean is_inside(const char *root, const char *target)
{
    g_autofree char *real_root = fs_realpath(root);
    g_autofree char *parent = g_path_get_dirname(target);
    while (!fs_lexists(parent) && strlen(parent) > 1) {
        char *up = g_path_get_dirname(parent);
        g_free(parent);
        parent = up;
    }
    g_autofree char *real = fs_realpath(parent);
    gsize len = strlen(real_root);
    return !strncmp(real, real_root, len) && (real[len] == '/' || !real[len]);
}

/* Where guild keeps what it knows of the run, and writes: `.guild` and what is in it but folders of
 * files. A link there would lead it elsewhere. */
static gboolean is_guilds_own(const char *rel)
{
    return !strcmp(rel, ".guild") || g_str_has_prefix(rel, ".guild/attrs/") ||
           g_str_has_prefix(rel, ".guild/attempts/") ||
           (g_str_has_prefix(rel, ".guild/") && !strchr(rel + strlen(".guild/"), '/'));
}

/* A pattern like '.*' selects it with all else. It is there, so it is passed over as what is there
 * is. */
static gboolean is_passed_over(const SourceJob *job, const char *rel, const char *target)
{
    return !strcmp(rel, ".guild") && job->source->replace_existing <= 0 && fs_is_dir(target);
}

/* Absolute path in the run for `path`, refused if it would be outside. */
static char *target_for(const SourceJob *job, const char *path, GError **error)
{
    g_autofree char *resource = resdef_resolving_name(job->dep->resdef);
    g_autofree char *folder = target_folder(job, path);
    if (g_path_is_absolute(folder)) {
        fail(error, DEP_ERROR_REFUSED, "invalid path '%s' in %s resource (path must be relative)",
                folder, resource);
        return NULL;
    }
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *name = renamed(job, base, error);
    if (!name)
        return NULL;
    g_autofree char *joined = g_build_filename(folder, name, NULL);
    g_autofree char *rel = fs_normpath(joined);
    g_autofree char *target = g_build_filename(run_dir(job->run), rel, NULL);
    if (!fs_is_safe_rel(rel) || !strcmp(rel, ".") ||
            (is_guilds_own(rel) && !is_passed_over(job, rel, target)) ||
            !is_inside(run_dir(job->run), target)) {
        fail(error, DEP_ERROR_REFUSED,
                "invalid path '%s' in %s resource (path must be inside of the "
                "run directory)",
                joined, resource);
        return NULL;
    }
    return g_steal_pointer(&target);
}

/* ---- putting it there ---- */

typedef enum { APPLY_COPY, APPLY_LINK, APPLY_RENAME } ApplyHow;

static gboolean copy_to(const char *path, const char *target, GError **error)
{
    return fs_is_dir(path) ? fs_copy_tree(path, target, error) : fs_copy_file(path, target, error);
}

static gboolean link_to(const char *path, const char *target, GError **error)
{
    g_autofree char *source_dir = g_path_get_dirname(path);
    g_autofree char *base = g_path_get_basename(path);
    g_autofree char *real_target = fs_realpath(target);
    g_autofree char *target_dir = g_path_get_dirname(real_target);
    g_autofree char *rel_dir = fs_relpath(source_dir, target_dir);
    g_autofree char *rel = g_build_filename(rel_dir, base, NULL);
    GError *cause = NULL;
    if (fs_symlink(rel, target, &cause))
        return TRUE;
    fail(error, DEP_ERROR_UNRESOLVED, "unable to link to dependency source: %s", cause->message);
    g_error_free(cause);
    return FALSE;
}

static gboolean apply(ApplyHow how, const char *path, const char *target, GError **error)
{
    if (how == APPLY_COPY)
        return copy_to(path, target, error);
    if (how == APPLY_LINK)
        return link_to(path, target, error);
    return rename(path, target) == 0 ||
           fail(error, DEP_ERROR_UNRESOLVED, "cannot rename %s to %s: %s", path, target,
                   g_strerror(errno));
}

static char *manifest_uri(const SourceJob *job)
{
    return strcmp(job->source->scheme, "file") ? g_strdup(job->source->uri)
                                               : g_strconcat("file:", job->source->path, NULL);
}

/* What the manifest says of where `path` came from (guild/run_manifest.py resolved_source_args). */
static void add_to_manifest(
        const SourceJob *job, RunManifest *manifest, const char *path, const char *target)
{
    g_autofree char *rel = fs_relpath(target, run_dir(job->run));
    g_autofree char *sha1 = fs_is_file(target) ? digest_sha1_file(target, NULL) : NULL;
    if (g_str_has_prefix(path, job->location)) {
        g_autofree char *project_path = fs_relpath(path, job->location);
        g_autofree char *uri = g_strconcat("file:", project_path, NULL);
        run_manifest_add_file(manifest, 'd', rel, sha1, uri, NULL);
        return;
    }
    g_autofree char *uri = manifest_uri(job);
    g_autofree char *cache =
            g_build_filename(run_store_cache_dir(job->ctx->store), "resources", NULL);
    const char *sub = NULL;
    if (g_str_has_prefix(path, cache) && path[strlen(cache)] == '/')
        sub = strchr(path + strlen(cache) + 1, '/'); /* behind the folder of the digest */
    run_manifest_add_file(manifest, 'd', rel, sha1, uri, sub ? sub + 1 : NULL);
}

/* A link to a link is only that; a copy is of what the last of them leads to. */
static gboolean may_bring(const SourceJob *job, const char *path, GError **error)
{
    const char *within = job->ctx->within;
    return !within || fs_is_really_below(path, within) ||
           fail(error, DEP_ERROR_REFUSED, "'%s' is outside of %s", path, within);
}

static gboolean apply_path(
        const SourceJob *job, const char *path, RunManifest *manifest, GError **error)
{
    static const char *const names[] = {"copy", "link", "rename"};
    gboolean link;
    if (!is_link_type(job->dep, job->source, &link, error))
        return FALSE;
    g_autofree char *target = target_for(job, path, error);
    if (!target)
        return FALSE;
    g_autofree char *parent = g_path_get_dirname(path);
    ApplyHow how = link ? APPLY_LINK : APPLY_COPY;
    if (!may_bring(job, link ? parent : path, error))
        return FALSE;
    if (!strcmp(parent, run_dir(job->run)))
        how = APPLY_RENAME; /* it is in the run already */
    if (how != APPLY_RENAME || strcmp(path, target)) {
        if (fs_lexists(target) && job->source->replace_existing <= 0) {
            log_warning("%s already exists, skipping %s", target, names[how]);
            return TRUE;
        }
        g_autofree char *folder = g_path_get_dirname(target);
        if (!fs_remove_tree(target, error) || !fs_mkdirs(folder, error) ||
                !apply(how, path, target, error))
            return FALSE;
    }
    add_to_manifest(job, manifest, path, target);
    return TRUE;
}

/* ---- what was resolved elsewhere ---- */

static char *done_path(Run *run)
{
    return run_guild_path(run, "deps-done");
}

gboolean deps_mark_done(Run *run, GError **error)
{
    g_autoptr(Value) attr = run_try_attr(run, "deps");
    g_autofree char *text = yaml_dump(attr);
    g_autofree char *path = done_path(run);
    return fs_write_own(path, text, -1, error);
}

void deps_forget_done(Run *run)
{
    g_autofree char *path = done_path(run);
    fs_remove(path, NULL);
}

/* The map of resources that deps_mark_done() wrote, or NULL. */
static Value *read_done(Run *run, const DepsContext *ctx)
{
    g_autofree char *path = done_path(run);
    return ctx->filter == DEPS_ALL && fs_exists(path) ? yaml_parse_file(path, NULL) : NULL;
}

/* ---- one source, one dependency ---- */

/* What the user's flags say for a source: the first of its names that config has. */
static const Value *config_for_source(const Dep *dep, const ResSource *source)
{
    const char *const keys[] = {source->flag_name, source->name, source->uri};
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i] && value_map_has(dep->config, keys[i]))
            return value_map_get(dep->config, keys[i]);
    return NULL;
}

/* Calls fn with the resource's folder as location, then with those of the guildfiles that it
 * extends, until it gives something. Words the error. */
static gpointer anywhere(
        SourceJob *job, gpointer (*fn)(const SourceJob *, GError **), GError **error)
{
    GError *cause = NULL;
    job->location = job->dep->location;
    gpointer result = fn(job, &cause);
    for (guint i = 0; !result && job->dep->parents && job->dep->parents[i]; i++) {
        g_clear_error(&cause);
        job->location = job->dep->parents[i];
        result = fn(job, &cause);
    }
    if (result)
        return result;
    const char *name = ressource_resolving_name(job->source);
    g_autofree char *resource = resdef_resolving_name(job->dep->resdef);
    if (g_error_matches(cause, DEP_ERROR, DEP_ERROR_CONFLICT)) { /* in the reference's words */
        g_autoptr(Value) text = value_new_string(cause->message);
        g_autofree char *repr = value_repr(text);
        fail(error, DEP_ERROR_CONFLICT,
                "unexpected error resolving '%s' in %s resource: ValueError(%s)", name, resource,
                repr);
        g_error_free(cause);
        return NULL;
    }
    const char *help = job->source->help;
    fail(error, DEP_ERROR_UNRESOLVED, "could not resolve '%s' in %s resource: %s%s%s", name,
            resource, cause->message, help && *help ? "\n" : "", help ? help : "");
    g_error_free(cause);
    return NULL;
}

static gpointer resolve_here(const SourceJob *job, GError **error)
{
    return source_resolve(job, error);
}

static gpointer pack_here(const SourceJob *job, GError **error)
{
    return GINT_TO_POINTER(source_pack(job, error));
}

static GPtrArray *paths_anywhere(SourceJob *job, GError **error)
{
    return anywhere(job, resolve_here, error);
}

static gboolean pack_anywhere(SourceJob *job, GError **error)
{
    return anywhere(job, pack_here, error) != NULL;
}

static SourceJob job_for(const Dep *dep, const ResSource *source, Run *run, const DepsContext *ctx,
        const Value *flags)
{
    return (SourceJob){.dep = dep,
            .source = source,
            .run = run,
            .ctx = ctx,
            .flags = flags,
            .location = dep->location,
            .set = config_for_source(dep, source)};
}

GPtrArray *deps_source_paths(
        const Dep *dep, ResSource *source, Run *run, const DepsContext *ctx, GError **error)
{
    g_autoptr(Value) flags = run ? run_try_attr(run, "flags") : NULL;
    SourceJob job = job_for(dep, source, run, ctx, flags);
    return paths_anywhere(&job, error);
}

/* What attribute `deps` says of a resolved source. */
static Value *source_info(const SourceJob *job, const GPtrArray *paths)
{
    Value *rel_paths = value_new_list();
    for (guint i = 0; i < paths->len; i++) {
        g_autofree char *rel = fs_relpath(paths->pdata[i], run_dir(job->run));
        value_list_append(rel_paths, value_new_string(rel));
    }
    Value *info = value_new_map();
    value_map_set_string(info, "uri", job->source->uri);
    value_map_set(info, "paths", rel_paths);
    const char *const keys[] = {
            job->source->name, job->source->flag_name, job->source->uri, job->source->path};
    for (gsize i = 0; i < G_N_ELEMENTS(keys); i++) {
        Value *config = keys[i] && *keys[i] ? value_map_get(job->dep->config, keys[i]) : NULL;
        if (config) {
            value_map_set(info, "config", value_ref(config));
            break;
        }
    }
    return info;
}

static gboolean resolve_source(
        SourceJob *job, RunManifest *manifest, const Value *done, Value *resolved, GError **error)
{
    const char *name = ressource_resolving_name(job->source);
    if ((job->source->always_resolve <= 0 || value_map_has(done, name)) &&
            value_map_has(resolved, name)) {
        log_info("Skipping resolution of %s because it's already resolved", name);
        return TRUE;
    }
    if (job->ctx->for_stage && ressource_is_operation(job->source)) {
        log_info("Skipping resolution of %s because it's being staged", name);
        return TRUE;
    }
    GError *cause = NULL;
    if (job->ctx->for_batch && source_differs_by_trial(job)) {
        pack_anywhere(job, &cause);
    } else {
        g_autoptr(GPtrArray) paths = paths_anywhere(job, &cause);
        for (guint i = 0; paths && !cause && i < paths->len; i++)
            apply_path(job, paths->pdata[i], manifest, &cause);
        if (!cause)
            value_map_set(resolved, name, source_info(job, paths));
    }
    if (!cause)
        return TRUE;
    if (!job->source->optional) {
        g_propagate_error(error, cause);
        return FALSE;
    }
    log_debug("%s", cause->message);
    log_info("Could not resolve %s - skipping because dependency is optional", name);
    g_error_free(cause);
    return TRUE;
}

static gboolean filtered_out(const ResSource *source, DepsFilter filter)
{
    if (filter == DEPS_ALL)
        return FALSE;
    return ressource_is_operation(source) != (filter == DEPS_ONLY_OPERATIONS);
}

/* The map under `name`, made if it is not there. */
static Value *ensure_map(Value *map, const char *name)
{
    Value *there = value_map_get(map, name);
    if (value_is_map(there))
        return there;
    there = value_new_map();
    value_map_set(map, name, there);
    return there;
}

static gboolean resolve_dep(const Dep *dep, Run *run, const DepsContext *ctx, const Value *flags,
        RunManifest *manifest, const Value *done, Value *deps_attr, GError **error)
{
    const GPtrArray *sources = dep->resdef->sources;
    guint skipped = 0;
    for (guint i = 0; i < sources->len; i++)
        skipped += filtered_out(sources->pdata[i], ctx->filter);
    if (skipped && skipped == sources->len)
        return TRUE;
    g_autofree char *name = resdef_resolving_name(dep->resdef);
    Value *resolved = ensure_map(deps_attr, name);
    log_info("Resolving %s", name);
    for (guint i = 0; i < sources->len; i++) {
        const ResSource *source = sources->pdata[i];
        if (filtered_out(source, ctx->filter))
            continue;
        SourceJob job = job_for(dep, source, run, ctx, flags);
        if (!resolve_source(&job, manifest, value_map_get(done, name), resolved, error))
            return FALSE;
    }
    return TRUE;
}

gboolean deps_resolve(const GPtrArray *deps, Run *run, const DepsContext *ctx, GError **error)
{
    g_autoptr(Value) old = run_try_attr(run, "deps");
    g_autoptr(Value) attr = value_is_map(old) ? value_copy(old) : value_new_map();
    g_autoptr(Value) flags = deps && deps->len ? run_try_attr(run, "flags") : NULL;
    g_autoptr(Value) done = deps && deps->len ? read_done(run, ctx) : NULL;
    RunManifest *manifest = deps && deps->len ? run_manifest_open(run, error) : NULL;
    if (deps && deps->len && !manifest)
        return FALSE;
    gboolean ok = TRUE;
    for (guint i = 0; ok && deps && i < deps->len; i++) {
        GError *cause = NULL;
        if (resolve_dep(deps->pdata[i], run, ctx, flags, manifest, done, attr, &cause))
            continue;
        if (ctx->continue_on_error) {
            log_warning("a dependency was not met: %s", cause->message);
            g_error_free(cause);
        } else {
            g_propagate_error(error, cause);
            ok = FALSE;
        }
    }
    if (manifest)
        ok = run_manifest_close(manifest, ok ? error : NULL) && ok;
    if (!ok || !run_write_attr(run, "deps", attr, error))
        return FALSE;
    if (ctx->filter != DEPS_ALL)
        return deps_mark_done(run, error);
    if (done && !ctx->for_stage)
        deps_forget_done(run);
    return TRUE;
}
