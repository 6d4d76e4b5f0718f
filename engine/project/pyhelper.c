/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the Python helper. See pyhelper.h. */
#include "engine/project/pyhelper.h"

#include <string.h>
#include <unistd.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/project/home.h"
#include "engine/project/python_exe.h"

static char *write_requests(const Value *requests, GError **error)
{
    char *path = NULL;
    int fd = g_file_open_tmp("guild-request-XXXXXX", &path, error);
    if (fd < 0)
        return NULL;
    close(fd);
    g_autofree char *text = json_dump(requests, 0, FALSE);
    if (fs_write(path, text, -1, error))
        return path;
    unlink(path);
    g_free(path);
    return NULL;
}

static char **helper_env(void)
{
    char **env = g_environ_setenv(g_get_environ(), "PYTHONDONTWRITEBYTECODE", "1", TRUE);
    return g_environ_setenv(env, "PYTHONIOENCODING", "utf-8", TRUE);
}

static char *run_helper(const char *request_path, GError **error)
{
    g_autofree char *python = python_exe(error);
    if (!python)
        return NULL;
    if (!python_package_dir()) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                "Guild's Python package is not installed beside the program");
        return NULL;
    }
    g_autofree char *script =
            g_build_filename(python_package_dir(), "guild", "import_flags.py", NULL);
    g_auto(GStrv) env = helper_env();
    char *argv[] = {python, script, (char *)request_path, NULL};
    g_autofree char *out = NULL;
    int status;
    if (!g_spawn_sync(
                NULL, argv, env, G_SPAWN_SEARCH_PATH, NULL, NULL, &out, NULL, &status, error) ||
            !g_spawn_check_wait_status(status, error)) {
        g_prefix_error(error, "cannot run Python (%s): ", python);
        return NULL;
    }
    return g_steal_pointer(&out);
}

Value *pyhelper_ask(const Value *requests, GError **error)
{
    g_autofree char *path = write_requests(requests, error);
    if (!path)
        return NULL;
    g_autofree char *out = run_helper(path, error);
    unlink(path);
    if (!out)
        return NULL;
    g_autoptr(Value) answers = json_parse(out, -1, "answer of import_flags.py", error);
    if (!answers)
        return NULL;
    if (!value_is_list(answers) || value_list_size(answers) != value_list_size(requests)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_FAILED, "Python gave no usable answer");
        return NULL;
    }
    return g_steal_pointer(&answers);
}

static char *cache_path(const char *key)
{
    g_autofree char *python = python_exe_or_name();
    g_autofree char *full = g_strdup_printf("guild\n%s\n%s", python, key);
    g_autofree char *digest = digest_md5(full, strlen(full));
    return g_build_filename(home_current(), "cache", "import-flags", digest, NULL);
}

Value *pyhelper_cache_get(const char *key, const char *stamp)
{
    if (g_strcmp0(g_getenv("NO_IMPORT_FLAGS_CACHE"), "1") == 0)
        return NULL;
    g_autofree char *path = cache_path(key);
    if (!fs_is_file(path))
        return NULL;
    g_autoptr(Value) entry = json_parse_file(path, NULL);
    if (g_strcmp0(value_map_string(entry, "stamp", NULL), stamp) != 0)
        return NULL;
    return value_ref(value_map_get(entry, "answer"));
}

void pyhelper_cache_put(const char *key, const char *stamp, const Value *answer)
{
    g_autofree char *path = cache_path(key);
    g_autofree char *dir = g_path_get_dirname(path);
    g_autoptr(Value) entry = value_new_map();
    value_map_set_string(entry, "stamp", stamp);
    value_map_set(entry, "answer", value_ref((Value *)answer));
    g_autofree char *text = json_dump(entry, 0, FALSE);
    g_autoptr(GError) err = NULL;
    if (!fs_mkdirs(dir, &err) || !fs_write_atomic(path, text, -1, 0644, &err))
        log_debug("cannot keep imported flags: %s", err->message);
}
