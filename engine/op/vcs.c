/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to git; see vcs.h. No process is started for a directory that has no `.git` above it:
 * most runs of most tests are outside of repositories, and a `git` costs more than all else. */
#include "engine/op/vcs.h"

#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/yaml.h"
#include "engine/project/userconfig.h"

#define GIT_NOT_A_REPOSITORY 128
#define NOTE ".guild/vcs"

/* The folder at or above `dir` that decides: with a note (see vcs_write_note) or with `.git`. NULL
 * if there is none. */
static char *find_repository(const char *dir, gboolean *noted)
{
    char *cur = fs_abspath(dir, NULL);
    *noted = FALSE;
    while (TRUE) {
        g_autofree char *note = g_build_filename(cur, NOTE, NULL);
        g_autofree char *git = g_build_filename(cur, ".git", NULL);
        *noted = fs_lexists(note);
        if (*noted || fs_lexists(git))
            return cur;
        char *parent = g_path_get_dirname(cur);
        gboolean top = strcmp(parent, cur) == 0;
        g_free(cur);
        cur = parent;
        if (top)
            break;
    }
    g_free(cur);
    return NULL;
}

/* TRUE if git itself could find a repository for `dir`. Else *note is what was noted of it, and
 * *note_dir where; or NULL. */
static gboolean may_be_repository(const char *dir, Value **note, char **note_dir)
{
    gboolean noted;
    g_autofree char *found = find_repository(dir, &noted);
    *note = NULL;
    *note_dir = NULL;
    if (!noted)
        return found || g_getenv("GIT_DIR");
    g_autofree char *path = g_build_filename(found, NOTE, NULL);
    *note = yaml_parse_file(path, NULL);
    *note_dir = g_steal_pointer(&found);
    return FALSE;
}

static char *git_executable(void)
{
    g_autoptr(Value) config = userconfig_load(NULL, NULL);
    const char *exe = value_map_string(value_map_get(config, "git"), "executable", NULL);
    return g_strdup(exe ? exe : "git");
}

typedef enum { GIT_OK, GIT_MISSING, GIT_FAILED } GitResult;

/* Runs git in `dir`; `args` without the program's name. stdout and stderr come in one text. */
static GitResult run_git(const char *dir, const char *const *args, char **output, int *exit_status)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, git_executable());
    for (; *args; args++)
        g_ptr_array_add(argv, g_strdup(*args));
    g_ptr_array_add(argv, NULL);
    g_autofree char *out = NULL;
    g_autofree char *err = NULL;
    int status;
    *output = NULL;
    *exit_status = -1;
    if (!g_spawn_sync(dir, (char **)argv->pdata, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, &err,
                &status, NULL))
        return GIT_MISSING;
    *exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    *output = g_strconcat(err ? err : "", out ? out : "", NULL);
    return *exit_status == 0 ? GIT_OK : GIT_FAILED;
}

static void warn_unreadable(int status, const char *output)
{
    g_autofree char *text = g_strchomp(g_strdup(output ? output : ""));
    log_warning("error reading VCS commit: git exited with %d: %s", status, text);
}

char *vcs_commit(const char *dir)
{
    static const char *const log_args[] = {"log", "-1", ".", NULL};
    static const char *const status_args[] = {"status", "-s", NULL};
    g_autofree char *log = NULL;
    g_autofree char *changes = NULL;
    int status;
    g_autoptr(Value) note = NULL;
    g_autofree char *note_dir = NULL;
    if (!may_be_repository(dir, &note, &note_dir))
        return g_strdup(value_map_string(note, "commit", NULL));
    GitResult r = run_git(dir, log_args, &log, &status);
    if (r == GIT_FAILED && status != GIT_NOT_A_REPOSITORY)
        warn_unreadable(status, log);
    if (r != GIT_OK || !g_str_has_prefix(log, "commit "))
        return NULL;
    gsize n = strspn(log + 7, "0123456789abcdef");
    if (!n)
        return NULL;
    g_autofree char *hash = g_strndup(log + 7, n);
    r = run_git(dir, status_args, &changes, &status);
    if (r == GIT_FAILED) {
        warn_unreadable(status, changes);
        return NULL;
    }
    gboolean dirty = r == GIT_OK && *changes && *changes != '\n';
    return g_strconcat("git:", hash, dirty ? "*" : "", NULL);
}

/* The lines of `.guildignore` as `-x PATTERN` arguments. */
static void add_guildignore(GPtrArray *args, const char *dir)
{
    g_autofree char *path = g_build_filename(dir, ".guildignore", NULL);
    g_autofree char *text = fs_read(path, 0, NULL, NULL);
    if (!text && !(text = fs_read(".guildignore", 0, NULL, NULL)))
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **l = lines; *l; l++) {
        g_strstrip(*l);
        if (!**l || **l == '#')
            continue;
        g_ptr_array_add(args, "-x");
        g_ptr_array_add(args, g_ref_string_new_intern(*l));
    }
}

static void warn_git_missing(void)
{
    if (g_strcmp0(g_getenv("NO_WARN_GIT_MISSING"), "1") == 0)
        return;
    log_warning("The current project appears to use Git for version control\n"
                "but git is not available on the system path. To apply Git's source\n"
                "code rules to this run, install Git [1] or specify the Git executable\n"
                "in Guild user config [2].\n"
                "\n"
                "[1] https://git-scm.com/book/en/v2/Getting-Started-Installing-Git)\n"
                "[2] https://guildai.org/t/user-config-reference\n"
                "\n"
                "To disable this warning, set 'NO_WARN_GIT_MISSING=1'\n");
}

/* The noted paths as seen from `dir`; NULL if the project is in no repository. */
static char **noted_ignored(const Value *note, const char *note_dir, const char *dir)
{
    const Value *paths = value_map_get(note, "ignored");
    if (!value_is_list(paths))
        return NULL;
    g_autofree char *full = fs_abspath(dir, NULL);
    g_autofree char *below = fs_relpath(full, note_dir);
    g_autofree char *prefix = strcmp(below, ".") ? g_strconcat(below, "/", NULL) : g_strdup("");
    g_autoptr(GStrvBuilder) seen = g_strv_builder_new();
    for (gsize i = 0; i < value_list_size(paths); i++) {
        g_autofree char *path = value_str(value_list_at(paths, i));
        if (g_str_has_prefix(path, prefix) && path[strlen(prefix)])
            g_strv_builder_add(seen, path + strlen(prefix));
    }
    return g_strv_builder_end(seen);
}

gboolean vcs_write_note(const char *copy, const char *dir, GError **error)
{
    g_autoptr(Value) note = value_new_map();
    g_autofree char *commit = vcs_commit(dir);
    g_auto(GStrv) ignored = vcs_ignored(dir);
    value_map_set_string(note, "commit", commit);
    Value *paths = ignored ? value_new_list() : value_new_null();
    for (char **path = ignored; path && *path; path++) {
        g_autofree char *full = g_build_filename(copy, *path, NULL);
        if (fs_exists(full))
            value_list_append(paths, value_new_string(*path));
    }
    value_map_set(note, "ignored", paths);
    g_autofree char *text = yaml_dump(note);
    g_autofree char *path = g_build_filename(copy, NOTE, NULL);
    g_autofree char *folder = g_path_get_dirname(path);
    return fs_mkdirs(folder, error) && fs_write(path, text, -1, error);
}

char **vcs_ignored(const char *dir)
{
    g_autoptr(Value) note = NULL;
    g_autofree char *note_dir = NULL;
    if (!may_be_repository(dir, &note, &note_dir))
        return noted_ignored(note, note_dir, dir);
    g_autoptr(GPtrArray) args = g_ptr_array_new();
    g_ptr_array_add(args, "ls-files");
    g_ptr_array_add(args, "-ioc");
    g_ptr_array_add(args, "--exclude-standard");
    g_ptr_array_add(args, "--directory");
    add_guildignore(args, dir);
    g_ptr_array_add(args, NULL);
    g_autofree char *out = NULL;
    int status;
    GitResult r = run_git(dir, (const char *const *)args->pdata, &out, &status);
    if (r == GIT_MISSING)
        warn_git_missing();
    else if (r == GIT_FAILED && status != GIT_NOT_A_REPOSITORY)
        log_warning("error listing ignored files (%d): %s", status, out);
    if (r != GIT_OK)
        return NULL;
    g_auto(GStrv) lines = g_strsplit(out, "\n", -1);
    g_autoptr(GStrvBuilder) paths = g_strv_builder_new();
    for (char **l = lines; *l; l++) {
        gsize n = strlen(*l);
        if (n && (*l)[n - 1] == '\r')
            (*l)[n - 1] = '\0';
        if (**l)
            g_strv_builder_add(paths, *l);
    }
    return g_strv_builder_end(paths);
}
