/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes `host` and `platform`: what the reference learns from Python's platform module. Most
 * of it the kernel tells; the interpreter's own version text needs the interpreter, which is asked
 * once and remembered below HOME/cache by its path, size and time. */
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/op/op.h"
#include "engine/project/python_exe.h"

const char *op_host_name(void)
{
    static char name[256];
    static gsize once;
    const char *host = g_getenv("HOST");
    if (host && *host)
        return host;
    if (g_once_init_enter(&once)) {
        if (gethostname(name, sizeof name - 1) < 0)
            name[0] = 0;
        g_once_init_leave(&once, 1);
    }
    return name;
}

static char *cache_path(const char *home, const char *exe)
{
    struct stat st;
    if (stat(exe, &st) < 0)
        return NULL;
    g_autofree char *key =
            g_strdup_printf("%s %lld %lld", exe, (long long)st.st_size, (long long)st.st_mtime);
    g_autofree char *name = digest_md5(key, strlen(key));
    return g_build_filename(home, "cache", "python-version", name, NULL);
}

static char *ask_version(const char *exe)
{
    const char *argv[] = {
            exe, "-c", "import sys; print(sys.version.replace('\\n', ''), end='')", NULL};
    g_autofree char *out = NULL;
    int status;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL,
                &status, NULL) ||
            status != 0)
        return NULL;
    return g_steal_pointer(&out);
}

/* "" where there is no interpreter. */
static char *python_version(const char *home)
{
    g_autofree char *exe = python_exe(NULL);
    g_autofree char *path = exe ? cache_path(home, exe) : NULL;
    if (!path)
        return g_strdup("");
    char *version = fs_read(path, 4096, NULL, NULL);
    if (version)
        return version;
    version = ask_version(exe);
    if (!version)
        return g_strdup("");
    g_autofree char *dir = g_path_get_dirname(path);
    if (fs_mkdirs(dir, NULL))
        fs_write_atomic(path, version, -1, 0644, NULL);
    return version;
}

Value *op_platform_info(const char *home)
{
    Value *info = value_new_map();
    struct utsname u;
    g_autofree char *uname_text = NULL;
    if (uname(&u) == 0)
        uname_text = g_strdup_printf(
                "%s %s %s %s %s ", u.sysname, u.nodename, u.release, u.version, u.machine);
    g_autofree char *architecture = g_strdup_printf("%dbit ELF", (int)(8 * sizeof(void *)));
    g_autofree char *version = python_version(home);
    value_map_set_string(info, "architecture", architecture);
    value_map_set_int(info, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    value_map_set_string(info, "processor", "");
    value_map_set_string(info, "python_version", version);
    value_map_set_string(info, "uname", uname_text ? uname_text : "");
    return info;
}
