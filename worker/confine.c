/* SPDX-License-Identifier: Apache-2.0 */
/* See confine.h. */
#include "worker/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/exec/proctree.h"

#define WATCH_MS 200
#define REMOVE_TRIES 10
#define REMOVE_WAIT_MS 100 /* each */
/* Below our group: guild-PID/self for us (v2), guild-PID/trial-ID for each trial. */
#define BASE_PREFIX "guild-"
#define OWN_GROUP "self"
#define TRIAL_PREFIX "trial-"
#define PROCS "cgroup.procs"

typedef enum { MEANS_TREE, MEANS_V1, MEANS_V2 } Means;

struct ConfineHost {
    gboolean own_process, probed;
    Means means;
    char *base;       /* the folder that trials' groups are made in; NULL for MEANS_TREE */
    char *moved_from; /* the group that we were in, if we moved into one of our own (v2) */
    cpu_set_t all, taken;
    guint serial; /* of groups: the next attempt at a trial enters none that is being removed */
    GThreadPool *broom; /* removes groups that were busy; NULL: none was yet */
};

struct Confine {
    ConfineHost *host;
    char *group; /* its folder, or NULL */
    gint64 mem_bytes;
    cpu_set_t cores;
    gboolean exceeded;
    gint64 peak_bytes;
    GSource *timer;
    const Exec *exec;
    ConfineExceeded fn;
    gpointer data;
};

/* Pseudo files: one write, no temporary file, no creation. */
static gboolean put(const char *folder, const char *name, const char *text)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return FALSE;
    ssize_t n = write(fd, text, strlen(text));
    close(fd);
    return n == (ssize_t)strlen(text);
}

static char *get(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL);
    return fs_read(path, 1 << 16, NULL, NULL);
}

/* A number in a pseudo file, or behind `key` on one of its lines; -1: none. */
static gint64 get_number(const char *folder, const char *name, const char *key)
{
    g_autofree char *text = get(folder, name);
    if (!text)
        return -1;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        if (!key)
            return g_ascii_strtoll(*line, NULL, 10);
        if (g_str_has_prefix(*line, key) && (*line)[strlen(key)] == ' ')
            return g_ascii_strtoll(*line + strlen(key) + 1, NULL, 10);
    }
    return -1;
}

/* Our own group in the hierarchy whose line in /proc/self/cgroup has `controller` ("" for v2). */
static char *own_group(const char *controller)
{
    g_autofree char *text = fs_read("/proc/self/cgroup", 1 << 16, NULL, NULL);
    g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) parts = g_strsplit(*line, ":", 3);
        if (g_strv_length(parts) != 3)
            continue;
        g_auto(GStrv) names = g_strsplit(parts[1], ",", -1);
        gboolean v2 = *parts[1] == '\0';
        if (*controller ? g_strv_contains((const char *const *)names, controller) : v2)
            return g_strdup(parts[2]);
    }
    return NULL;
}

/* The mounted folder of a group. In a container the path in /proc may not be what is mounted: then
 * the mount's root is our group. */
static char *group_folder(const char *mount, const char *group)
{
    g_autofree char *full = g_build_filename(mount, group, NULL);
    return g_strdup(fs_is_dir(full) ? full : mount);
}

/* Groups go with rmdir(2) alone, the innermost first; those that are in use stay. */
static void remove_groups(const char *base)
{
    g_auto(GStrv) names = fs_list(base, NULL);
    for (char **name = names; name && *name; name++) {
        g_autofree char *path = g_build_filename(base, *name, NULL);
        if (g_str_has_prefix(*name, TRIAL_PREFIX) || !strcmp(*name, OWN_GROUP))
            rmdir(path);
    }
    rmdir(base);
}

void confine_remove_stale(const char *folder)
{
    g_auto(GStrv) names = fs_list(folder, NULL);
    for (char **name = names; name && *name; name++) {
        gint64 pid = g_str_has_prefix(*name, BASE_PREFIX)
                             ? g_ascii_strtoll(*name + strlen(BASE_PREFIX), NULL, 10)
                             : 0;
        if (pid <= 0 || pid > G_MAXINT || pid == getpid() || kill((pid_t)pid, 0) == 0 ||
                errno != ESRCH)
            continue;
        g_autofree char *base = g_build_filename(folder, *name, NULL);
        remove_groups(base);
    }
}

static char *new_base(const char *folder)
{
    char *base = g_strdup_printf("%s/" BASE_PREFIX "%d", folder, (int)getpid());
    if (mkdir(base, 0755) == 0 || errno == EEXIST)
        return base;
    g_free(base);
    return NULL;
}

static gboolean try_v1(ConfineHost *host)
{
    g_autofree char *group = own_group("memory");
    if (!group || !fs_is_dir("/sys/fs/cgroup/memory"))
        return FALSE;
    g_autofree char *folder = group_folder("/sys/fs/cgroup/memory", group);
    confine_remove_stale(folder);
    if (!(host->base = new_base(folder)))
        return FALSE;
    put(host->base, "memory.use_hierarchy", "1");
    host->means = MEANS_V1;
    return TRUE;
}

static void move_processes(const char *from, const char *to)
{
    g_autofree char *text = get(from, PROCS);
    g_auto(GStrv) pids = g_strsplit(text ? text : "", "\n", -1);
    for (char **pid = pids; *pid; pid++)
        if (**pid)
            put(to, PROCS, *pid);
}

/* What we changed in `folder`, our group at first, is as it was. */
static void leave_v2(ConfineHost *host)
{
    if (host->moved_from) {
        g_autofree char *self = g_build_filename(host->base, OWN_GROUP, NULL);
        put(host->base, "cgroup.subtree_control", "-memory");
        put(host->moved_from, "cgroup.subtree_control", "-memory");
        move_processes(self, host->moved_from);
        rmdir(self);
        g_clear_pointer(&host->moved_from, g_free);
    }
    rmdir(host->base);
    g_clear_pointer(&host->base, g_free);
}

/* A group with processes of its own can't limit groups below it, so we move into one of ours first:
 * all of us, which is why workers do it before they start anything. The root of all groups has no
 * type and may do both. */
static gboolean enter_v2(ConfineHost *host, const char *folder)
{
    g_autofree char *type = g_build_filename(folder, "cgroup.type", NULL);
    if (fs_exists(type)) {
        g_autofree char *self = g_build_filename(host->base, OWN_GROUP, NULL);
        g_autofree char *pid = g_strdup_printf("%d", (int)getpid());
        if (!host->own_process || (mkdir(self, 0755) < 0 && errno != EEXIST))
            return FALSE;
        host->moved_from = g_strdup(folder);
        if (!put(self, PROCS, pid))
            return FALSE;
    }
    return put(folder, "cgroup.subtree_control", "+memory") &&
           put(host->base, "cgroup.subtree_control", "+memory");
}

static gboolean try_v2(ConfineHost *host)
{
    g_autofree char *group = own_group("");
    if (!group || !fs_exists("/sys/fs/cgroup/cgroup.controllers"))
        return FALSE;
    g_autofree char *folder = group_folder("/sys/fs/cgroup", group);
    confine_remove_stale(folder);
    if (!(host->base = new_base(folder)))
        return FALSE;
    if (!enter_v2(host, folder)) {
        leave_v2(host);
        return FALSE;
    }
    host->means = MEANS_V2;
    return TRUE;
}

/* Of a process that is not a worker only when its first trial asks for memory: most never do. */
static void probe(ConfineHost *host)
{
    if (host->probed)
        return;
    host->probed = TRUE;
    if (!try_v2(host))
        try_v1(host);
    log_debug("memory of trials is limited by %s", confine_host_means(host));
}

ConfineHost *confine_host_new(gboolean own_process)
{
    ConfineHost *host = g_new0(ConfineHost, 1);
    if (sched_getaffinity(0, sizeof host->all, &host->all) != 0)
        CPU_ZERO(&host->all);
    host->own_process = own_process;
    if (own_process)
        probe(host);
    return host;
}

void confine_host_free(ConfineHost *host)
{
    if (!host)
        return;
    if (host->broom)
        g_thread_pool_free(host->broom, FALSE, TRUE);
    if (host->means == MEANS_V2)
        leave_v2(host);
    else if (host->means == MEANS_V1)
        rmdir(host->base);
    g_free(host->base);
    g_free(host);
}

const char *confine_host_means(const ConfineHost *host)
{
    static const char *const names[] = {"process tree", "cgroup v1", "cgroup v2"};
    return names[host->means];
}

static char *make_group(Confine *l, const char *name)
{
    static const char *const limit_file[] = {NULL, "memory.limit_in_bytes", "memory.max"};
    ConfineHost *host = l->host;
    probe(host);
    if (host->means == MEANS_TREE)
        return NULL;
    g_autofree char *group =
            g_strdup_printf("%s/" TRIAL_PREFIX "%s-%u", host->base, name, ++host->serial);
    g_autofree char *limit = g_strdup_printf("%" G_GINT64_FORMAT, l->mem_bytes);
    if (mkdir(group, 0755) < 0 && errno != EEXIST)
        return NULL;
    if (!put(group, limit_file[host->means], limit)) {
        rmdir(group);
        return NULL;
    }
    /* Swapping instead of ending is no limit. Kernels without swap accounting have no such file. */
    put(group, host->means == MEANS_V1 ? "memory.memsw.limit_in_bytes" : "memory.swap.max",
            host->means == MEANS_V1 ? limit : "0");
    if (host->means == MEANS_V2)
        put(group, "memory.oom.group", "1");
    return g_steal_pointer(&group);
}

static void take_cores(Confine *l, guint n, ExecSpec *spec)
{
    cpu_set_t free_cores;
    CPU_XOR(&free_cores, &l->host->all, &l->host->taken); /* taken is a part of all */
    if (n == 0 || (guint)CPU_COUNT(&free_cores) < n)
        return;
    for (int i = 0; i < CPU_SETSIZE && (guint)CPU_COUNT(&l->cores) < n; i++)
        if (CPU_ISSET(i, &free_cores))
            CPU_SET(i, &l->cores);
    CPU_OR(&l->host->taken, &l->host->taken, &l->cores);
    spec->cores = g_memdup2(&l->cores, sizeof l->cores);
}

Confine *confine_new(
        ConfineHost *host, const char *name, const Request *request, gboolean pin, ExecSpec *spec)
{
    Confine *l = g_new0(Confine, 1);
    l->host = host;
    l->mem_bytes = request->mem_bytes;
    if (pin)
        take_cores(l, (guint)(request->cpus / AMOUNT_ONE), spec);
    if (l->mem_bytes > 0) {
        l->group = make_group(l, name);
        if (l->group)
            spec->cgroup_procs = g_build_filename(l->group, PROCS, NULL);
    }
    return l;
}

/* Resident bytes of one process; shared pages count as parts of a page each where the kernel says
 * so. */
static gint64 process_bytes(pid_t pid)
{
    char folder[64];
    snprintf(folder, sizeof folder, "/proc/%d", (int)pid);
    gint64 kib = get_number(folder, "smaps_rollup", "Pss:");
    if (kib >= 0)
        return kib * 1024;
    g_autofree char *statm = get(folder, "statm");
    const char *resident = statm ? strchr(statm, ' ') : NULL;
    return resident ? g_ascii_strtoll(resident, NULL, 10) * sysconf(_SC_PAGESIZE) : 0;
}

static gint64 tree_bytes(const Confine *l)
{
    pid_t pid = exec_pid(l->exec);
    ProcTree tree = {.root = pid, .group = pid};
    if (pid <= 0)
        return 0;
    g_autoptr(GArray) procs = proctree_find(&tree);
    gint64 sum = 0;
    for (guint i = 0; i < procs->len; i++)
        sum += process_bytes(g_array_index(procs, ProcId, i).pid);
    return sum;
}

static gboolean killed_by_kernel(const Confine *l)
{
    if (!l->group)
        return FALSE;
    return l->host->means == MEANS_V1 ? get_number(l->group, "memory.oom_control", "oom_kill") > 0
                                      : get_number(l->group, "memory.events", "oom_kill") > 0;
}

static gboolean on_watch(gpointer data)
{
    Confine *l = data;
    gint64 bytes = tree_bytes(l);
    l->peak_bytes = MAX(l->peak_bytes, bytes);
    if (bytes <= l->mem_bytes && !killed_by_kernel(l))
        return G_SOURCE_CONTINUE;
    l->exceeded = TRUE;
    l->fn(l->data);
    return G_SOURCE_REMOVE;
}

void confine_watch(Confine *l, GMainContext *context, const Exec *exec, ConfineExceeded exceeded,
        gpointer data)
{
    if (l->mem_bytes <= 0 || l->timer)
        return;
    l->exec = exec;
    l->fn = exceeded;
    l->data = data;
    l->timer = g_timeout_source_new(WATCH_MS);
    g_source_set_callback(l->timer, on_watch, l, NULL);
    g_source_attach(l->timer, context);
}

gboolean confine_exceeded(const Confine *l)
{
    return l->exceeded || killed_by_kernel(l);
}

gint64 confine_mem_peak_bytes(const Confine *l)
{
    static const char *const peak_file[] = {NULL, "memory.max_usage_in_bytes", "memory.peak"};
    gint64 peak = l->group ? get_number(l->group, peak_file[l->host->means], NULL) : 0;
    return MAX(peak, l->peak_bytes);
}

static char **processes(const char *group)
{
    g_autofree char *text = get(group, PROCS);
    return g_strsplit(text ? text : "", "\n", -1);
}

static void kill_group(const char *group)
{
    g_auto(GStrv) pids = processes(group);
    if (put(group, "cgroup.kill", "1"))
        return;
    for (char **pid = pids; *pid; pid++) {
        pid_t id = (pid_t)g_ascii_strtoll(*pid, NULL, 10);
        if (id > 0)
            kill(id, SIGKILL);
    }
}

/* Waits a little for the ends of its processes: what ended, but was not reaped, is in nobody's way.
 */
static void wait_for_group(const char *group)
{
    g_auto(GStrv) pids = processes(group);
    gint64 until_us = g_get_monotonic_time() + REMOVE_WAIT_MS * 1000;
    for (char **pid = pids; *pid; pid++) {
        pid_t id = (pid_t)g_ascii_strtoll(*pid, NULL, 10);
        struct pollfd ended = {.fd = id > 0 ? pidfd_open(id, 0) : -1, .events = POLLIN};
        gint64 left_us = until_us - g_get_monotonic_time();
        if (ended.fd < 0)
            continue;
        poll(&ended, 1, (int)(MAX(left_us, 0) / 1000));
        close(ended.fd);
    }
}

static void sweep_out(gpointer group, gpointer unused)
{
    for (int i = 0; i < REMOVE_TRIES && rmdir(group) < 0 && errno == EBUSY; i++) {
        kill_group(group);
        wait_for_group(group);
    }
    g_free(group);
}

/* A group is busy until the last of its processes has ended. They are told to at once. */
static void remove_group(ConfineHost *host, char *group /* taken */)
{
    if (rmdir(group) == 0 || errno != EBUSY) {
        g_free(group);
        return;
    }
    kill_group(group);
    if (!host->broom)
        host->broom = g_thread_pool_new(sweep_out, NULL, 1, FALSE, NULL);
    g_thread_pool_push(host->broom, group, NULL);
}

void confine_free(Confine *l)
{
    if (!l)
        return;
    if (l->timer) {
        g_source_destroy(l->timer);
        g_source_unref(l->timer);
    }
    CPU_XOR(&l->host->taken, &l->host->taken, &l->cores);
    if (l->group)
        remove_group(l->host, l->group);
    g_free(l);
}

char *confine_exceeded_text(const Request *request)
{
    g_autofree char *size = text_format_bytes((guint64)request->mem_bytes);
    return g_strdup_printf("ended because it used more memory than the %s it asked for", size);
}

char **confine_env(
        const Request *request, gboolean asks_cpus, const Taken *taken, char *const *gpus)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    if (request->gpus) {
        g_autoptr(GString) s = g_string_new("CUDA_VISIBLE_DEVICES=");
        gsize head = s->len;
        for (guint i = 0; gpus[i] && i < RES_MAX_GPUS; i++)
            if (taken->gpu_mask & (G_GUINT64_CONSTANT(1) << i))
                g_string_append_printf(s, "%s%s", s->len > head ? "," : "", gpus[i]);
        g_strv_builder_add(b, s->str);
    }
    if (asks_cpus) {
        g_autofree char *s =
                g_strdup_printf("OMP_NUM_THREADS=%d", (int)MAX(1, request->cpus / AMOUNT_ONE));
        g_strv_builder_add(b, s);
    }
    return g_strv_builder_end(b);
}
