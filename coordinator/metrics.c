/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers for Prometheus (/metrics, text format 0.0.4) and a health check (/health) over HTTP, off
 * by default. libmicrohttpd is driven from our loop by its epoll descriptor; it has no thread. */
#include <string.h>
#include <netinet/in.h>
#include <arpa/inet.h>

#include "coordinator/internal.h"
#include "coordinator/lazy_mhd.h"

struct Metrics {
    Coordinator *c;
    struct MHD_Daemon *daemon;
    guint watch;
    GSource *source, *timer;
};

static void put(GString *s, const char *name, const char *type, const char *help, guint64 value)
{
    g_string_append_printf(s,
            "# HELP guild_%s %s\n# TYPE guild_%s %s\nguild_%s %" G_GUINT64_FORMAT "\n", name, help,
            name, type, name, value);
}

static GString *render(Coordinator *c)
{
    GString *s = g_string_new(NULL);
    SchedCounts n = sched_counts(c->sched);
    put(s, "workers", "gauge", "Workers that are connected or may come back.", n.workers);
    put(s, "tasks_waiting", "gauge", "Trials that wait for a worker.", n.waiting);
    put(s, "tasks_running", "gauge", "Trials that workers run.", n.running);
    put(s, "tasks_prefetched", "gauge", "Trials that workers hold for later.", n.prefetched);
    put(s, "jobs", "gauge", "Batches and runs that are not ended.", g_hash_table_size(c->jobs));
    put(s, "connections", "gauge", "Connections of workers and clients.",
            g_hash_table_size(c->peers));
    put(s, "tasks_finished_total", "counter", "Results taken.", c->n_finished);
    put(s, "tasks_failed_total", "counter", "Results that were failures.", c->n_failed);
    put(s, "attempts_lost_total", "counter", "Attempts lost with their workers.", c->n_lost);
    put(s, "frames_dropped_total", "counter", "Frames that were no messages.", c->n_dropped);
    return s;
}

static enum MHD_Result respond(
        struct MHD_Connection *conn, unsigned code, const char *type, const char *text)
{
    struct MHD_Response *r =
            MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(r, "Content-Type", type);
    enum MHD_Result result = MHD_queue_response(conn, code, r);
    MHD_destroy_response(r);
    return result;
}

static enum MHD_Result on_request(void *data, struct MHD_Connection *conn, const char *url,
        const char *method, const char *version, const char *upload, size_t *upload_size,
        void **state)
{
    Metrics *m = data;
    if (strcmp(method, "GET") && strcmp(method, "HEAD"))
        return respond(conn, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "GET only\n");
    if (!strcmp(url, "/health"))
        return respond(conn, MHD_HTTP_OK, "text/plain", "ok\n");
    if (strcmp(url, "/metrics"))
        return respond(conn, MHD_HTTP_NOT_FOUND, "text/plain", "/metrics or /health\n");
    GString *s = render(m->c);
    enum MHD_Result result = respond(conn, MHD_HTTP_OK, "text/plain; version=0.0.4", s->str);
    g_string_free(s, TRUE);
    return result;
}

static gboolean on_ready(gint fd, GIOCondition condition, gpointer data)
{
    MHD_run(((Metrics *)data)->daemon);
    return G_SOURCE_CONTINUE;
}

/* Connections that time out have no descriptor event. */
static gboolean on_timer(gpointer data)
{
    MHD_run(((Metrics *)data)->daemon);
    return G_SOURCE_CONTINUE;
}

static GSource *watch_fd(int fd, Coordinator *c, Metrics *m);

Metrics *metrics_new(Coordinator *c, const char *bind, int port, GError **error)
{
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons((guint16)port)};
    Metrics *m = g_new0(Metrics, 1);
    m->c = c;
    if (inet_pton(AF_INET, bind ? bind : "127.0.0.1", &addr.sin_addr) == 1)
        m->daemon = MHD_start_daemon(MHD_USE_EPOLL, (guint16)port, NULL, NULL, on_request, m,
                MHD_OPTION_SOCK_ADDR, &addr, MHD_OPTION_CONNECTION_LIMIT, 64u,
                MHD_OPTION_CONNECTION_TIMEOUT, 10u, MHD_OPTION_END);
    const union MHD_DaemonInfo *info =
            m->daemon ? MHD_get_daemon_info(m->daemon, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info) {
        g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_BIND,
                "cannot serve metrics on %s:%d", bind ? bind : "127.0.0.1", port);
        metrics_free(m);
        return NULL;
    }
    m->source = watch_fd(info->epoll_fd, c, m);
    m->timer = g_timeout_source_new(2000);
    g_source_set_callback(m->timer, on_timer, m, NULL);
    g_source_attach(m->timer, c->context);
    return m;
}

typedef struct {
    GSource source;
    gpointer tag;
    Metrics *m;
} FdSource;

static gboolean fd_check(GSource *s)
{
    return (g_source_query_unix_fd(s, ((FdSource *)s)->tag) & G_IO_IN) != 0;
}

static gboolean fd_dispatch(GSource *s, GSourceFunc callback, gpointer data)
{
    return on_ready(-1, G_IO_IN, ((FdSource *)s)->m);
}

static GSourceFuncs fd_funcs = {NULL, fd_check, fd_dispatch, NULL, NULL, NULL};

static GSource *watch_fd(int fd, Coordinator *c, Metrics *m)
{
    GSource *s = g_source_new(&fd_funcs, sizeof(FdSource));
    ((FdSource *)s)->m = m;
    ((FdSource *)s)->tag = g_source_add_unix_fd(s, fd, G_IO_IN);
    g_source_attach(s, c->context);
    return s;
}

void metrics_free(Metrics *m)
{
    if (!m)
        return;
    for (int i = 0; i < 2; i++) {
        GSource *s = i ? m->timer : m->source;
        if (s) {
            g_source_destroy(s);
            g_source_unref(s);
        }
    }
    if (m->daemon)
        MHD_stop_daemon(m->daemon);
    g_free(m);
}
