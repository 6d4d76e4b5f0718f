/* SPDX-License-Identifier: Apache-2.0 */
/* See alloc.h. */
#include "coordinator/alloc.h"

#include <string.h>
#include <unistd.h>

#include "coordinator/internal.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"

#define LOOK_US (2 * G_USEC_PER_SEC)
#define POLL_US (10 * G_USEC_PER_SEC)
#define AFTER_ERROR_US (60 * G_USEC_PER_SEC)
#define DEFAULT_IDLE_US (60 * G_USEC_PER_SEC)
#define MAX_WORKERS 10000

/* One command of Slurm's, on its way. */
typedef struct Command {
    Alloc *alloc; /* NULL once that is gone */
    GMainContext *context;
    char **argv;
    char *out, *err;
    int status;
    void (*done)(Alloc *a, const struct Command *command);
} Command;

struct Alloc {
    Coordinator *c;
    Value *settings; /* NULL: never asked for */
    Value *jobs;     /* map: Slurm's id → state */
    char *error;     /* of the last command that failed */
    Command *busy;
    gint64 next_look_us, next_poll_us;
};

static char *alloc_path(const Alloc *a, const char *name)
{
    return g_build_filename(a->c->home, "coordinator", name, NULL);
}

static void save(Alloc *a)
{
    g_autoptr(Value) map = value_new_map();
    g_autoptr(GError) error = NULL;
    g_autofree char *path = alloc_path(a, "slurm.yml");
    value_map_set(map, "settings", value_ref(a->settings));
    value_map_set(map, "jobs", value_ref(a->jobs));
    g_autofree char *text = yaml_dump(map);
    if (!fs_write_atomic(path, text, -1, 0600, &error))
        log_warning("%s", error->message);
}

Alloc *alloc_new(Coordinator *c)
{
    Alloc *a = g_new0(Alloc, 1);
    a->c = c;
    g_autofree char *path = alloc_path(a, "slurm.yml");
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) map = fs_exists(path) ? yaml_parse_file(path, &error) : NULL;
    if (error)
        log_warning("%s", error->message);
    if (value_is_map(value_map_get(map, "settings")))
        a->settings = value_ref(value_map_get(map, "settings"));
    a->jobs = value_is_map(value_map_get(map, "jobs")) ? value_ref(value_map_get(map, "jobs"))
                                                       : value_new_map();
    return a;
}

void alloc_free(Alloc *a)
{
    if (!a)
        return;
    if (a->busy)
        a->busy->alloc = NULL;
    value_unref(a->settings);
    value_unref(a->jobs);
    g_free(a->error);
    g_free(a);
}

/* ---- commands ---- */

static void set_error(Alloc *a, const char *error)
{
    if (error && g_strcmp0(a->error, error))
        log_warning("slurm: %s", error);
    g_free(a->error);
    a->error = g_strdup(error);
}

static gboolean on_done(gpointer data)
{
    Command *command = data;
    Alloc *a = command->alloc;
    if (a) {
        a->busy = NULL;
        g_strstrip(command->err);
        if (command->status != 0) {
            g_autofree char *why = g_strdup_printf(
                    "%s: %s", command->argv[0], *command->err ? command->err : "failed");
            set_error(a, why);
            a->next_look_us += AFTER_ERROR_US;
        } else {
            set_error(a, NULL);
        }
        command->done(a, command);
    }
    g_strfreev(command->argv);
    g_main_context_unref(command->context);
    g_free(command->out);
    g_free(command->err);
    g_free(command);
    return G_SOURCE_REMOVE;
}

static gpointer run_command(gpointer data)
{
    Command *command = data;
    g_autoptr(GError) error = NULL;
    command->status = -1;
    if (!g_spawn_sync("/", command->argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &command->out,
                &command->err, &command->status, &error))
        command->err = g_strdup(error->message);
    g_main_context_invoke(command->context, on_done, command);
    return NULL;
}

/* `argv` is taken over. */
static void start_command(Alloc *a, char **argv, void (*done)(Alloc *, const Command *))
{
    Command *command = g_new0(Command, 1);
    command->alloc = a;
    command->context = g_main_context_ref(a->c->context);
    command->argv = argv;
    command->done = done;
    a->busy = command;
    g_thread_unref(g_thread_new("slurm", run_command, command));
}

/* ---- jobs ---- */

static AccessKey *worker_key(Alloc *a, const char *host, GError **error)
{
    g_autofree char *path = alloc_path(a, "slurm.key");
    g_autoptr(AccessKey) key = NULL;
    if (fs_exists(path))
        return access_key_load(path, error);
    key = keyring_authorize(a->c->keys, ROLE_WORKER, "slurm", error);
    if (!key)
        return NULL;
    key->host = g_strdup(host);
    return access_key_save(key, path, error) ? g_steal_pointer(&key) : NULL;
}

/* Where workers find us: the host that was given, else what we are bound to, else our name. */
static char *worker_url(const Alloc *a, const char *host)
{
    const char *port = strrchr(a->c->endpoint, ':');
    gboolean any = strstr(a->c->endpoint, "0.0.0.0") || strstr(a->c->endpoint, "[::]") ||
                   strstr(a->c->endpoint, "*");
    if (!host && !any)
        return g_strdup(a->c->endpoint);
    return g_strdup_printf("tcp://%s%s", host ? host : g_get_host_name(), port ? port : "");
}

/* The worker has a home of its own that goes with the job. SIGTERM, which Slurm sends before it
 * ends a job, makes it hand everything back. */
static gboolean write_script(Alloc *a, GError **error)
{
    const char *host = value_map_string(a->settings, "host", NULL);
    g_autoptr(AccessKey) key = worker_key(a, host, error);
    g_autofree char *key_path = alloc_path(a, "slurm.key");
    g_autofree char *key_text = key ? fs_read(key_path, 1 << 16, NULL, error) : NULL;
    g_autofree char *exe = g_file_read_link("/proc/self/exe", NULL);
    g_autofree char *path = alloc_path(a, "slurm.sh");
    if (!key_text)
        return FALSE;
    g_autofree char *url = worker_url(a, host);
    g_autofree char *url_quoted = text_shell_quote(url);
    g_autofree char *exe_quoted = text_shell_quote(exe ? exe : "guild");
    double minutes = (double)value_map_int(a->settings, "time_us", 0) / 60e6;
    g_autofree char *time = minutes > 0 ? g_strdup_printf(" --time %.2f", minutes) : g_strdup("");
    g_autofree char *script = g_strdup_printf(
            "#!/bin/sh\n"
            "umask 077\n"
            "dir=$(mktemp -d \"${TMPDIR:-/tmp}/guild-worker-XXXXXX\") || exit 1\n"
            "trap 'rm -rf \"$dir\"' EXIT\n"
            "trap 'kill \"$worker\"; wait \"$worker\"; exit 143' TERM INT\n"
            "cat > \"$dir/access.key\" <<'END_OF_KEY'\n%s\nEND_OF_KEY\n"
            "mkdir \"$dir/home\"\n"
            "guild=%s\n"
            "[ -x \"$guild\" ] || guild=guild\n"
            "\"$guild\" -H \"$dir/home\" worker --key \"$dir/access.key\" --name "
            "\"slurm-$SLURM_JOB_ID\" --slots \"${SLURM_CPUS_ON_NODE:-1}\" --idle-exit %.1f%s %s &\n"
            "worker=$!\n"
            "wait \"$worker\"\n",
            key_text, exe_quoted,
            (double)value_map_int(a->settings, "idle_us", DEFAULT_IDLE_US) / 1e6, time, url_quoted);
    return fs_write_atomic(path, script, -1, 0700, error);
}

static void submitted(Alloc *a, const Command *command)
{
    if (command->status != 0)
        return;
    /* --parsable: "JOBID" or "JOBID;CLUSTER" */
    g_auto(GStrv) parts = g_strsplit_set(g_strstrip(command->out), ";\n", 2);
    if (parts[0] && *parts[0]) {
        log_info("slurm: submitted job %s", parts[0]);
        value_map_set_string(a->jobs, parts[0], "PENDING");
        save(a);
    }
    a->next_look_us = 0;
}

static void submit(Alloc *a)
{
    g_autoptr(GError) error = NULL;
    if (!write_script(a, &error)) {
        set_error(a, error->message);
        a->next_look_us += AFTER_ERROR_US;
        return;
    }
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    g_strv_builder_add_many(b, "sbatch", "--parsable", "--job-name=guild-worker",
            "--output=/dev/null", "--signal=B:TERM@30", NULL);
    gint64 seconds = value_map_int(a->settings, "time_us", 0) / G_USEC_PER_SEC;
    if (seconds > 0) {
        g_autofree char *time =
                g_strdup_printf("--time=%d:%02d", (int)(seconds / 60), (int)(seconds % 60));
        g_strv_builder_add(b, time);
    }
    const Value *args = value_map_get(a->settings, "args");
    for (gsize i = 0; value_is_list(args) && i < value_list_size(args); i++) {
        g_autofree char *arg = value_str(value_list_at(args, i));
        g_strv_builder_add(b, arg);
    }
    g_autofree char *path = alloc_path(a, "slurm.sh");
    g_strv_builder_add(b, path);
    start_command(a, g_strv_builder_end(b), submitted);
}

/* squeue lists what is waiting and running; what it does not list is over. */
static void polled(Alloc *a, const Command *command)
{
    if (command->status != 0)
        return;
    g_autoptr(Value) now = value_new_map();
    g_auto(GStrv) lines = g_strsplit(command->out, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) parts = g_strsplit(g_strstrip(*line), " ", 2);
        if (g_strv_length(parts) == 2 && value_map_has(a->jobs, parts[0]))
            value_map_set_string(now, parts[0], parts[1]);
    }
    gboolean changed = !value_equal(now, a->jobs);
    value_unref(a->jobs);
    a->jobs = g_steal_pointer(&now);
    if (changed)
        save(a);
}

static void poll_jobs(Alloc *a)
{
    static const char *const argv[] = {
            "squeue", "--me", "--noheader", "--format=%i %T", "--name=guild-worker", NULL};
    start_command(a, g_strdupv((char **)argv), polled);
}

static void cancelled(Alloc *a, const Command *command)
{
    a->next_poll_us = 0;
}

static void cancel_pending(Alloc *a)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    g_strv_builder_add_many(b, "scancel", "--state=PENDING", NULL);
    for (gsize i = 0; i < value_map_size(a->jobs); i++)
        g_strv_builder_add(b, value_map_key_at(a->jobs, i));
    if (value_map_size(a->jobs) > 0 && !a->busy)
        start_command(a, g_strv_builder_end(b), cancelled);
}

/* Jobs whose worker has not come yet: they will take waiting tasks when it does. */
static guint unconnected(const Alloc *a)
{
    guint n = (guint)value_map_size(a->jobs);
    GHashTableIter it;
    gpointer m;
    g_hash_table_iter_init(&it, a->c->members);
    while (g_hash_table_iter_next(&it, NULL, &m)) {
        const char *name = ((Member *)m)->name;
        if (g_str_has_prefix(name, "slurm-") && value_map_has(a->jobs, name + strlen("slurm-")))
            n--;
    }
    return n;
}

/* Waiting tasks that would be begun in an allocation of the time asked for. */
static guint waiting(const Alloc *a)
{
    gint64 time_us = value_map_int(a->settings, "time_us", 0);
    guint n = 0;
    GHashTableIter it;
    gpointer data;
    g_hash_table_iter_init(&it, a->c->jobs);
    while (g_hash_table_iter_next(&it, NULL, &data)) {
        const Job *j = data;
        if (time_us == 0 || j->needs.time_us <= time_us)
            n += sched_group_waiting(a->c->sched, j->group);
    }
    return n;
}

void alloc_tick(Alloc *a, gint64 now_us)
{
    if (!a->settings || a->busy || now_us < a->next_look_us)
        return;
    a->next_look_us = now_us + LOOK_US;
    if (value_map_size(a->jobs) > 0 && now_us >= a->next_poll_us) {
        a->next_poll_us = now_us + POLL_US;
        poll_jobs(a);
        return;
    }
    gint64 max = value_map_int(a->settings, "max_workers", 0);
    if ((gint64)value_map_size(a->jobs) < max && waiting(a) > unconnected(a))
        submit(a);
}

gboolean alloc_set(Alloc *a, const Value *settings, GError **error)
{
    gint64 max = value_map_int(settings, "max_workers", -1);
    if (max < 0 || max > MAX_WORKERS) {
        g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_RUN,
                "the number of workers must be from 0 to %d", MAX_WORKERS);
        return FALSE;
    }
    g_autofree char *sbatch = g_find_program_in_path("sbatch");
    if (max > 0 && !sbatch) {
        g_set_error(error, COORDINATOR_ERROR, COORDINATOR_ERROR_RUN,
                "cannot ask Slurm for workers: 'sbatch' is not on the PATH of the coordinator");
        return FALSE;
    }
    value_unref(a->settings);
    a->settings = value_copy(settings);
    a->next_look_us = 0;
    save(a);
    if (max == 0)
        cancel_pending(a);
    return TRUE;
}

Value *alloc_status(Alloc *a)
{
    Value *v = value_new_map();
    value_map_set_int(v, "max_workers", value_map_int(a->settings, "max_workers", 0));
    value_map_set(v, "jobs", value_copy(a->jobs));
    value_map_set_string(v, "error", a->error);
    return v;
}
