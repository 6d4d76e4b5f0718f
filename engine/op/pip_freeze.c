/* SPDX-License-Identifier: Apache-2.0 */
/* What `pip freeze` would say, without pip: it takes longer to start than most tests take to run.
 * The cache file is JSON: {dirs: {FOLDER: mtime in ns}, packages: [...]}. */
#include "engine/op/pip_freeze.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/base/log.h"
#include "engine/project/python_exe.h"

#define MAX_ANSWER (4 << 20)

static const char script[] =
        "import sys, os, json, re\n"
        "from importlib import metadata\n"
        "dirs = [p for p in sys.path[1:] if os.path.isdir(p)]\n"
        "found = {}\n"
        "def line(d, name):\n"
        "    try:\n"
        "        u = json.loads(d.read_text('direct_url.json') or '{}')\n"
        "    except ValueError:\n"
        "        u = {}\n"
        "    url = u.get('url')\n"
        "    if not url:\n"
        "        return '%s==%s' % (name, d.version)\n"
        "    v = u.get('vcs_info')\n"
        "    if v:\n"
        "        return '%s @ %s+%s@%s' % (name, v.get('vcs'), url, v.get('commit_id'))\n"
        "    if (u.get('dir_info') or {}).get('editable'):\n"
        "        return '-e ' + re.sub('^file://', '', url)\n"
        "    return '%s @ %s' % (name, url)\n"
        "for d in metadata.distributions(path=dirs):\n"
        "    name = d.metadata['Name']\n"
        "    key = re.sub('[-_.]+', '-', name or '').lower()\n"
        "    if name and key not in found and \\\n"
        "            key not in ('pip', 'setuptools', 'wheel', 'distribute'):\n"
        "        found[key] = line(d, name)\n"
        "print(json.dumps({\n"
        "    'dirs': {p: str(os.stat(p).st_mtime_ns) for p in dirs},\n"
        "    'packages': [found[k] for k in sorted(found)]}))\n";

static gboolean still_true(const Value *cached)
{
    const Value *dirs = value_map_get(cached, "dirs");
    if (!value_is_map(dirs) || !value_is_list(value_map_get(cached, "packages")))
        return FALSE;
    for (gsize i = 0; i < value_map_size(dirs); i++) {
        struct stat st;
        const Value *then = value_map_at(dirs, i);
        if (!value_is_string(then) || stat(value_map_key_at(dirs, i), &st) < 0)
            return FALSE;
        g_autofree char *now = g_strdup_printf(
                "%lld", (long long)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec);
        if (strcmp(now, value_get_string(then)) != 0)
            return FALSE;
    }
    return TRUE;
}

static Value *ask(const char *exe)
{
    const char *argv[] = {exe, "-c", script, NULL};
    g_autofree char *out = NULL;
    g_autoptr(GError) err = NULL;
    int status = 0;
    if (!g_spawn_sync("/", (char **)argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &out, NULL,
                &status, &err)) {
        log_warning("error reading pip freeze: %s", err->message);
        return NULL;
    }
    Value *answer = status == 0 ? json_parse(out, -1, "pip freeze", &err) : NULL;
    if (!answer)
        log_warning("error reading pip freeze: %s", err ? err->message : "the interpreter failed");
    return answer;
}

Value *pip_freeze(const char *home)
{
    g_autofree char *exe = python_exe(NULL);
    if (!exe)
        return NULL;
    g_autofree char *name = digest_md5(exe, strlen(exe));
    g_autofree char *dir = g_build_filename(home, "cache", "pip-freeze", NULL);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    g_autofree char *text = fs_read(path, MAX_ANSWER, NULL, NULL);
    g_autoptr(Value) cached = text ? json_parse(text, -1, path, NULL) : NULL;
    if (still_true(cached))
        return value_ref(value_map_get(cached, "packages"));
    g_autoptr(Value) answer = ask(exe);
    if (!answer)
        return NULL;
    g_autofree char *dump = json_dump(answer, 0, FALSE);
    if (fs_mkdirs(dir, NULL))
        fs_write_atomic(path, dump, -1, 0644, NULL);
    return value_is_list(value_map_get(answer, "packages"))
                   ? value_ref(value_map_get(answer, "packages"))
                   : NULL;
}
