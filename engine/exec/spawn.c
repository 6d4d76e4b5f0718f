/* SPDX-License-Identifier: Apache-2.0 */
/* posix_spawn of a run's command. */
#include "engine/exec/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

#define DEFAULT_PATH "/bin:/usr/bin" /* Python's os.defpath */

static gboolean fail(GError **error, int code, const char *name)
{
    g_autoptr(Value) v = value_new_string(name);
    g_autofree char *repr = value_repr(v);
    g_set_error(
            error, EXEC_ERROR, EXEC_ERROR_SPAWN, "[Errno %d] %s: %s", code, g_strerror(code), repr);
    return FALSE;
}

/* Where the last program was found: the trials of a batch run the same one. Looked up again after
 * a second, so that a PATH that changes is seen. */
typedef struct LastFound {
    char *name, *path, *file;
    gint64 time_us;
} LastFound;

static GMutex last_lock;
static LastFound last;

static char *last_found(const char *name, const char *path)
{
    char *file = NULL;
    g_mutex_lock(&last_lock);
    if (last.file && clock_monotonic_us() - last.time_us < G_USEC_PER_SEC &&
            !strcmp(last.name, name) && !strcmp(last.path, path))
        file = g_strdup(last.file);
    g_mutex_unlock(&last_lock);
    return file;
}

static void remember_found(const char *name, const char *path, const char *file)
{
    g_mutex_lock(&last_lock);
    g_free(last.name);
    g_free(last.path);
    g_free(last.file);
    last = (LastFound){g_strdup(name), g_strdup(path), g_strdup(file), clock_monotonic_us()};
    g_mutex_unlock(&last_lock);
}

/* The file that `name` means on the PATH of the child's environment; NULL with errno. */
static char *find_program(const ExecSpec *spec, const char *cwd)
{
    const char *name = spec->argv[0];
    if (strchr(name, '/'))
        return g_strdup(name);
    const char *path = g_environ_getenv(spec->env, "PATH");
    if (!path)
        path = DEFAULT_PATH;
    char *known = last_found(name, path);
    if (known)
        return known;
    g_auto(GStrv) dirs = g_strsplit(path, ":", -1);
    int code = ENOENT;
    for (char **dir = dirs; *name && *dir; dir++) {
        g_autofree char *base = fs_join(cwd, *dir);
        g_autofree char *file = g_build_filename(base, name, NULL);
        struct stat st;
        if (stat(file, &st) || !S_ISREG(st.st_mode))
            continue;
        if (!access(file, X_OK)) {
            if (**dir == '/') /* else it depends on the folder */
                remember_found(name, path, file);
            return g_steal_pointer(&file);
        }
        code = EACCES;
    }
    errno = code;
    return NULL;
}

static gboolean open_pipe(int ends[2], GError **error)
{
    if (pipe2(ends, O_CLOEXEC)) {
        g_set_error(error, EXEC_ERROR, EXEC_ERROR_IO, "cannot make a pipe: %s", g_strerror(errno));
        ends[0] = ends[1] = -1;
        return FALSE;
    }
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return TRUE;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void setup_files(
        const ExecSpec *spec, int pipes[2][2], const char *cwd, posix_spawn_file_actions_t *files)
{
    if (!spec->own_stdin)
        posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (spec->output == EXEC_OUTPUT_NONE) {
        posix_spawn_file_actions_addopen(files, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
        posix_spawn_file_actions_addopen(files, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    } else if (spec->output == EXEC_OUTPUT_CAPTURE || spec->output == EXEC_OUTPUT_MERGED) {
        int err = spec->output == EXEC_OUTPUT_MERGED ? pipes[0][1] : pipes[1][1];
        posix_spawn_file_actions_adddup2(files, pipes[0][1], STDOUT_FILENO);
        posix_spawn_file_actions_adddup2(files, err, STDERR_FILENO);
    }
    posix_spawn_file_actions_addchdir_np(files, cwd);
}

static void setup_attributes(const ExecSpec *spec, posix_spawnattr_t *attr)
{
    short flags = POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    sigset_t set;
    sigemptyset(&set);
    posix_spawnattr_setsigmask(attr, &set);
    sigaddset(&set, SIGPIPE);
    sigaddset(&set, SIGXFSZ);
    posix_spawnattr_setsigdefault(attr, &set);
    if (!spec->same_group) {
        flags |= POSIX_SPAWN_SETPGROUP;
        posix_spawnattr_setpgroup(attr, 0);
    }
    posix_spawnattr_setflags(attr, flags);
}

/* Descriptors 0 to 2 of ours may be closed (a service): a pipe that took their place would be
 * overwritten by the child's dup2 of another one. */
static gboolean move_up(int *fd)
{
    if (*fd > STDERR_FILENO)
        return TRUE;
    int moved = fcntl(*fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    close(*fd);
    *fd = moved;
    return moved >= 0;
}

static void enter_group(const char *cgroup_procs, pid_t pid)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%d", (int)pid);
    int fd = open(cgroup_procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, text, (size_t)n) != n)
        log_warning("cannot put process %d into %s: %s", (int)pid, cgroup_procs, g_strerror(errno));
    close_fd(&fd);
}

/* posix_spawn on the cores of the spec: the child inherits what this thread may use meanwhile. */
static int spawn_confined(pid_t *pid, const char *program, posix_spawn_file_actions_t *files,
        posix_spawnattr_t *attr, const ExecSpec *spec)
{
    cpu_set_t ours;
    gboolean pinned = spec->cores && sched_getaffinity(0, sizeof ours, &ours) == 0 &&
                      sched_setaffinity(0, sizeof(cpu_set_t), spec->cores) == 0;
    int code = posix_spawn(pid, program, files, attr, spec->argv, spec->env);
    if (pinned)
        sched_setaffinity(0, sizeof ours, &ours);
    if (code == 0 && spec->cgroup_procs)
        enter_group(spec->cgroup_procs, *pid);
    return code;
}

static struct rlimit file_limit; /* that we had; rlim_max 0: not changed */

void exec_raise_file_limit(void)
{
    struct rlimit now;
    if (getrlimit(RLIMIT_NOFILE, &now) || now.rlim_cur >= now.rlim_max)
        return;
    struct rlimit raised = {now.rlim_max, now.rlim_max};
    if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
        file_limit = now;
}

gboolean spawn_child(const ExecSpec *spec, SpawnedChild *child, GError **error)
{
    const char *cwd = spec->cwd ? spec->cwd : run_dir(spec->run);
    if (!spec->argv || !spec->argv[0])
        return fail(error, ENOENT, "");
    if (!fs_is_dir(cwd))
        return fail(error, ENOENT, cwd);
    g_autofree char *program = find_program(spec, cwd);
    if (!program)
        return fail(error, errno, spec->argv[0]);
    gboolean capture = spec->output == EXEC_OUTPUT_CAPTURE;
    int pipes[2][2] = {{-1, -1}, {-1, -1}};
    gboolean good = TRUE;
    if (capture || spec->output == EXEC_OUTPUT_MERGED)
        good = open_pipe(pipes[0], error) && move_up(&pipes[0][1]) && move_up(&pipes[0][0]);
    if (good && capture)
        good = open_pipe(pipes[1], error) && move_up(&pipes[1][1]) && move_up(&pipes[1][0]);
    if (good) {
        posix_spawn_file_actions_t files;
        posix_spawnattr_t attr;
        posix_spawn_file_actions_init(&files);
        posix_spawnattr_init(&attr);
        setup_files(spec, pipes, cwd, &files);
        setup_attributes(spec, &attr);
        int code = spawn_confined(&child->pid, program, &files, &attr, spec);
        posix_spawn_file_actions_destroy(&files);
        posix_spawnattr_destroy(&attr);
        good = code == 0 || fail(error, code, spec->argv[0]);
        if (good && file_limit.rlim_max)
            prlimit(child->pid, RLIMIT_NOFILE, &file_limit, NULL);
    } else if (error && !*error) {
        g_set_error(error, EXEC_ERROR, EXEC_ERROR_IO, "cannot make a pipe: %s", g_strerror(errno));
    }
    close_fd(&pipes[0][1]);
    close_fd(&pipes[1][1]);
    if (!good) {
        close_fd(&pipes[0][0]);
        close_fd(&pipes[1][0]);
    }
    child->out[RUN_STDOUT] = pipes[0][0];
    child->out[RUN_STDERR] = pipes[1][0];
    return good;
}
