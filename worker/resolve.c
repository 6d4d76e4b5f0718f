/* SPDX-License-Identifier: Apache-2.0 */
/* See resolve.h. */
#include "worker/resolve.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib-unix.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/deps/archive.h"
#include "engine/deps/dep.h"

#define MAX_MESSAGE 4096

struct Resolve {
    WTask *t;
    ResolveDone done;
    GPid pid;
    int fd; /* its standard output: what went wrong */
    GSource *exited;
    int log_fd; /* its standard error, where that is our log; else -1 */
    GSource *logged;
    GString *log;
};

static gboolean is_small_file(const Dep *dep, const ResSource *s)
{
    struct stat st;
    g_autofree char *path = fs_join(dep->location ? dep->location : ".", s->path ? s->path : "");
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && st.st_size <= FILELIST_SHORT_BYTES;
}

static gboolean is_link(const Dep *dep, const ResSource *s)
{
    const char *type =
            s->target_type && *s->target_type ? s->target_type : dep->resdef->target_type;
    return type && *type ? !strcmp(type, "link") : ressource_is_operation(s);
}

/* However small it is, it may have very many files. */
static gboolean is_unpacked(const ResSource *s)
{
    return s->unpack && ((s->type && *s->type) || (s->path && archive_type(s->path)));
}

/* Copying and unpacking take as long as the content is large. Of a run that is not in place the
 * coordinator, or who submitted it, has done that. In one process with the coordinator there is no
 * lease to lose, but a Ctrl-C to be heard, and other trials to begin; files that are linked there
 * are not worth a process. */
static gboolean may_take_long(const WTask *t, const Dep *dep, const ResSource *s)
{
    const char *scheme = s->scheme ? s->scheme : "";
    if (g_str_has_prefix(scheme, "http") || s->post_process)
        return TRUE;
    if (!t->in_place)
        return FALSE;
    if (!strcmp(scheme, "operation"))
        return !t->w->inproc || !is_link(dep, s);
    if (strcmp(scheme, "file"))
        return FALSE;
    return is_unpacked(s) || (!is_link(dep, s) && !is_small_file(dep, s));
}

gboolean resolve_takes_long(const WTask *t, const Op *op)
{
    for (guint i = 0; op->deps && i < op->deps->len; i++) {
        const Dep *dep = op->deps->pdata[i];
        const GPtrArray *sources = dep->resdef->sources;
        for (guint k = 0; k < sources->len; k++)
            if (may_take_long(t, dep, sources->pdata[k]))
                return TRUE;
    }
    return FALSE;
}

/* A Ctrl-C at the terminal is for us to judge. */
static void own_group(gpointer data)
{
    setpgid(0, 0);
}

static char **environment(WTask *t)
{
    g_autofree char *level = g_strdup_printf("%d", log_level());
    char **env = g_get_environ();
    env = g_environ_setenv(env, "GUILD_HOME", t->in_place ? t->w->home : t->home, TRUE);
    env = g_environ_setenv(env, "RUN_DIR", t->dir, TRUE);
    env = g_environ_setenv(env, "RUN_ID", t->run_id, TRUE);
    return g_environ_setenv(env, "LOG_LEVEL", level, TRUE);
}

static char *message(Resolve *r, int status)
{
    char text[MAX_MESSAGE];
    gsize n = 0;
    ssize_t got;
    while (n < sizeof text - 1 && (got = read(r->fd, text + n, sizeof text - 1 - n)) != 0) {
        if (got < 0 && errno != EINTR)
            break;
        n += got > 0 ? (gsize)got : 0;
    }
    text[n] = 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return NULL;
    return n ? g_utf8_make_valid(text, (gssize)n)
             : g_strdup_printf("resolving dependencies ended with status %d",
                       WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status));
}

/* In one process with a batch what is logged is in the batch's output too. Lines as they come. */
static void read_log(Resolve *r)
{
    char buf[4096];
    ssize_t n;
    while ((n = read(r->log_fd, buf, sizeof buf)) > 0)
        g_string_append_len(r->log, buf, n);
    for (char *end; (end = memchr(r->log->str, '\n', r->log->len));) {
        *end = 0;
        log_line(r->log->str);
        g_string_erase(r->log, 0, end + 1 - r->log->str);
    }
}

static gboolean on_log(gint fd, GIOCondition condition, gpointer resolve)
{
    read_log(resolve);
    return !(condition & (G_IO_HUP | G_IO_ERR));
}

static void watch_log(Resolve *r, int fd)
{
    r->log_fd = fd;
    r->log = g_string_new(NULL);
    if (fd < 0)
        return;
    g_unix_set_fd_nonblocking(fd, TRUE, NULL);
    r->logged = g_unix_fd_source_new(fd, G_IO_IN | G_IO_HUP);
    g_source_set_callback(r->logged, G_SOURCE_FUNC(on_log), r, NULL);
    g_source_attach(r->logged, r->t->w->context);
}

static void end_log(Resolve *r)
{
    if (r->log_fd >= 0) {
        read_log(r);
        if (r->log->len)
            log_line(r->log->str);
        g_source_destroy(r->logged);
        g_source_unref(r->logged);
        close(r->log_fd);
    }
    g_string_free(r->log, TRUE);
}

static void on_exited(GPid pid, gint status, gpointer resolve)
{
    Resolve *r = resolve;
    WTask *t = r->t;
    ResolveDone done = r->done;
    g_autofree char *error = message(r, status);
    g_spawn_close_pid(pid);
    r->pid = 0;
    resolve_free(t);
    done(t, error);
}

gboolean resolve_start(WTask *t, ResolveDone done, GError **error)
{
    g_autofree char *self = g_file_read_link("/proc/self/exe", error);
    char *argv[] = {self, "_resolve", NULL};
    g_auto(GStrv) env = environment(t);
    GPid pid;
    int fd, log_fd = -1;
    if (!self || !g_spawn_async_with_pipes(t->dir, argv, env,
                         G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES, own_group, NULL, &pid,
                         NULL, &fd, t->w->inproc ? &log_fd : NULL, error))
        return FALSE;
    Resolve *r = g_new0(Resolve, 1);
    *r = (Resolve){
            .t = t, .done = done, .pid = pid, .fd = fd, .exited = g_child_watch_source_new(pid)};
    watch_log(r, log_fd);
    g_source_set_callback(r->exited, G_SOURCE_FUNC(on_exited), r, NULL);
    g_source_attach(r->exited, t->w->context);
    t->resolve = r;
    return TRUE;
}

void resolve_stop(WTask *t)
{
    if (t->resolve && t->resolve->pid)
        kill(-t->resolve->pid, SIGKILL);
}

void resolve_free(WTask *t)
{
    Resolve *r = g_steal_pointer(&t->resolve);
    if (!r)
        return;
    if (r->pid) {
        kill(-r->pid, SIGKILL);
        while (waitpid(r->pid, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    end_log(r);
    g_source_destroy(r->exited);
    g_source_unref(r->exited);
    close(r->fd);
    g_free(r);
}
