/* SPDX-License-Identifier: Apache-2.0 */
/* A client's command run on this home: see command.h. */
#include "coordinator/command.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* For deleting very many runs, on a disk that is busy. */
#define MAX_SECONDS 600
/* One that says nothing lets its asker know that it goes on. */
#define SIGN_SECONDS 10
/* Processes at a time, for all peers and for those of one key: it leaves room for others. */
#define MAX_COMMANDS 64
#define MAX_KEY_COMMANDS 32

/* What may be run, and by whom. Options that name files or folders of this machine, edit, or start
 * something are refused for all. */
static const struct {
    const char *name;
    gboolean writes;
} allowed[] = {
        {"runs", FALSE},
        {"ls", FALSE},
        {"cat", FALSE},
        {"select", FALSE},
        {"info", FALSE},
        {"compare", FALSE},
        {"label", TRUE},
        {"tag", TRUE},
        {"mark", TRUE},
        {"comment", TRUE},
        {"delete", TRUE},
        {"restore", TRUE},
        {"purge", TRUE},
};
static const char *const refused_options[] = {"--archive", "-A", "--edit", "-e", "--cmd", "--table",
        "--csv", "-g", "--working", "--path-to", "-H", "--home", "-C", "--cwd", "--remote", "-r",
        NULL};
static const char *const writing_runs[] = {"label", "tag", "mark", "comment", "delete", "rm",
        "restore", "purge", "stop", "import", "export", "open", "diff", NULL};
static const char *const local_runs[] = {"import", "export", "open", "diff", "stop", NULL};

typedef struct {
    Coordinator *c;
    GBytes *peer;
    KeyUse *use;
    guint64 id;
    GString *text[2];
    int fd[2];
    guint open;
    gboolean exited, late; /* late: it was ended for its time was over */
    int status;
    GPid pid;
    GSource *child, *timeout, *sign, *in[2];
} Command;

static void reply_error(Peer *p, guint64 id, const char *error)
{
    MsgReply m = {.id = id, .error = (char *)error};
    peer_send(p, MSG_REPLY, &m);
}

static gboolean may_run(Peer *p, const char *const *argv, char **why)
{
    gboolean writes = TRUE, known = FALSE;
    for (guint i = 0; i < G_N_ELEMENTS(allowed) && !known; i++) {
        known = !strcmp(argv[0], allowed[i].name);
        writes = allowed[i].writes;
    }
    if (!known) {
        *why = g_strdup_printf("'%s' can't be run on a remote", argv[0]);
        return FALSE;
    }
    if (!strcmp(argv[0], "runs") && argv[1]) {
        writes = g_strv_contains(writing_runs, argv[1]);
        /* Behind "--" any of them would follow. */
        known = !g_strv_contains(local_runs, argv[1]) && strcmp(argv[1], "--");
    }
    gboolean paths = !strcmp(argv[0], "ls") || !strcmp(argv[0], "cat");
    for (const char *const *a = argv + 1; known && *a; a++) {
        if (paths && (strstr(*a, "..") || strstr(*a, "=/") || **a == '/')) {
            *why = g_strdup_printf("'%s' leads out of a run", *a);
            return FALSE;
        }
        g_autofree char *name = g_strndup(*a, strcspn(*a, "="));
        known = !g_strv_contains(refused_options, name);
        /* "--ar" stands for "--archive": no abbreviation of a refused one */
        for (const char *const *r = refused_options; known && *r && g_str_has_prefix(name, "--");
                r++)
            known = !name[2] || !g_str_has_prefix(*r, name);
    }
    if (!known) {
        *why = g_strdup("an option or command here can't be used on a remote");
        return FALSE;
    }
    if (writes && !(p->role & ROLE_CLIENT)) {
        *why = g_strdup_printf("the role '%s' may only read", key_role_name(p->role));
        return FALSE;
    }
    return TRUE;
}

static void command_free(Command *cmd)
{
    GSource *sources[] = {cmd->child, cmd->timeout, cmd->sign, cmd->in[0], cmd->in[1]};
    for (guint i = 0; i < G_N_ELEMENTS(sources); i++)
        if (sources[i]) {
            g_source_destroy(sources[i]);
            g_source_unref(sources[i]);
        }
    for (int i = 0; i < 2; i++) {
        close(cmd->fd[i]);
        g_string_free(cmd->text[i], TRUE);
    }
    cmd->c->n_commands--;
    cmd->use->n_commands--;
    g_bytes_unref(cmd->peer);
    g_free(cmd);
}

static Peer *asker(Command *cmd)
{
    return cmd->c->peers ? g_hash_table_lookup(cmd->c->peers, cmd->peer) : NULL;
}

static gboolean send_piece(Command *cmd, int index, const char *text)
{
    Peer *p = asker(cmd);
    g_autoptr(Value) v = value_new_map();
    value_map_set_string(v, index ? "err" : "out", text);
    MsgReply m = {.id = cmd->id, .result = v, .more = TRUE};
    return p && peer_send(p, MSG_REPLY, &m);
}

/* Sends what has been read, whole characters only unless it is the end. An asker that is gone, or
 * does not read, ends the command: nothing is piled up for it. */
static void pass_on(Command *cmd, int index, gboolean at_end)
{
    GString *text = cmd->text[index];
    const char *good;
    gsize n = text->len;
    if (!at_end && !g_utf8_validate(text->str, (gssize)text->len, &good) &&
            text->len - (gsize)(good - text->str) < 4)
        n = (gsize)(good - text->str); /* the beginning of a character: the rest will come */
    if (!n)
        return;
    g_autofree char *piece = g_utf8_make_valid(text->str, (gssize)n);
    g_string_erase(text, 0, (gssize)n);
    if (!send_piece(cmd, index, piece) && !cmd->exited)
        kill(cmd->pid, SIGKILL);
}

static void maybe_done(Command *cmd)
{
    if (cmd->open || !cmd->exited)
        return;
    Peer *p = asker(cmd);
    if (p && cmd->late) {
        g_autofree char *why = g_strdup_printf("the command was ended there after %d s: what it "
                                               "has done is done, the rest is not",
                MAX_SECONDS);
        reply_error(p, cmd->id, why);
    } else if (p) {
        g_autoptr(Value) v = value_new_map();
        value_map_set_int(v, "exit_status", cmd->status);
        MsgReply m = {.id = cmd->id, .result = v};
        peer_send(p, MSG_REPLY, &m);
    }
    command_free(cmd);
}

typedef struct {
    GSource source;
    gpointer tag;
    Command *cmd;
    int index;
} PipeSource;

static gboolean pipe_check(GSource *s)
{
    return g_source_query_unix_fd(s, ((PipeSource *)s)->tag) != 0;
}

static gboolean pipe_dispatch(GSource *s, GSourceFunc callback, gpointer data)
{
    PipeSource *ps = (PipeSource *)s;
    Command *cmd = ps->cmd;
    char buf[65536];
    gssize n = read(cmd->fd[ps->index], buf, sizeof buf);
    if (n > 0) {
        g_string_append_len(cmd->text[ps->index], buf, n);
        pass_on(cmd, ps->index, FALSE);
        return G_SOURCE_CONTINUE;
    }
    pass_on(cmd, ps->index, TRUE);
    cmd->open--;
    cmd->in[ps->index] = NULL;
    g_source_unref(s);
    maybe_done(cmd);
    return G_SOURCE_REMOVE;
}

static GSourceFuncs pipe_funcs = {NULL, pipe_check, pipe_dispatch, NULL, NULL, NULL};

static GSource *watch_pipe(Command *cmd, int index)
{
    GSource *s = g_source_new(&pipe_funcs, sizeof(PipeSource));
    PipeSource *ps = (PipeSource *)s;
    ps->cmd = cmd;
    ps->index = index;
    ps->tag = g_source_add_unix_fd(s, cmd->fd[index], G_IO_IN | G_IO_HUP | G_IO_ERR);
    g_source_attach(s, cmd->c->context);
    return s;
}

static void on_child_exit(GPid pid, gint status, gpointer data)
{
    Command *cmd = data;
    cmd->exited = TRUE;
    cmd->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    g_spawn_close_pid(pid);
    g_clear_pointer(&cmd->child, g_source_unref);
    maybe_done(cmd);
}

static gboolean on_timeout(gpointer data)
{
    Command *cmd = data;
    cmd->late = !cmd->exited;
    if (cmd->late)
        kill(cmd->pid, SIGKILL);
    g_clear_pointer(&cmd->timeout, g_source_unref);
    return G_SOURCE_REMOVE;
}

/* Nobody wants it any more: it is ended as when it could not pass on what it says. */
static gboolean on_sign(gpointer data)
{
    Command *cmd = data;
    if (!send_piece(cmd, 0, "") && !cmd->exited)
        kill(cmd->pid, SIGKILL);
    return G_SOURCE_CONTINUE;
}

static gboolean spawn(Command *cmd, Value *argv, GError **error)
{
    g_autoptr(GPtrArray) full = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *self = g_file_read_link("/proc/self/exe", error);
    if (!self)
        return FALSE;
    g_ptr_array_add(full, g_strdup(self));
    g_ptr_array_add(full, g_strdup("-H"));
    g_ptr_array_add(full, g_strdup(cmd->c->home));
    for (gsize i = 0; i < value_list_size(argv); i++)
        g_ptr_array_add(full, value_str(value_list_at(argv, i)));
    g_ptr_array_add(full, NULL);
    g_auto(GStrv) env = g_environ_setenv(g_get_environ(), COMMAND_FOR_REMOTE, "1", TRUE);
    return g_spawn_async_with_pipes(cmd->c->home, (char **)full->pdata, env,
            G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_CLOEXEC_PIPES, NULL, NULL, &cmd->pid, NULL,
            &cmd->fd[0], &cmd->fd[1], error);
}

void command_call(Peer *p, guint64 id, const Value *args)
{
    Value *argv = value_map_get(args, "argv");
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (gsize i = 0; value_is_list(argv) && i < value_list_size(argv); i++)
        if (value_is_string(value_list_at(argv, i)))
            g_ptr_array_add(names, (gpointer)value_get_string(value_list_at(argv, i)));
    g_ptr_array_add(names, NULL);
    g_autofree char *why = NULL;
    if (names->len < 2 || names->len != value_list_size(argv) + 1) {
        reply_error(p, id, "a command is a list of texts");
        return;
    }
    gboolean own = p->use->n_commands >= MAX_KEY_COMMANDS;
    if (own || p->c->n_commands >= MAX_COMMANDS) {
        reply_error(p, id,
                own ? "the coordinator is busy with other commands of this key - try again"
                    : "the coordinator is busy with other commands - try again");
        return;
    }
    if (!may_run(p, (const char *const *)names->pdata, &why)) {
        reply_error(p, id, why);
        return;
    }
    g_autoptr(GError) error = NULL;
    Command *cmd = g_new0(Command, 1);
    cmd->c = p->c;
    cmd->peer = g_bytes_ref(p->id);
    cmd->use = p->use;
    cmd->id = id;
    if (!spawn(cmd, argv, &error)) {
        reply_error(p, id, error->message);
        g_bytes_unref(cmd->peer);
        g_free(cmd);
        return;
    }
    cmd->c->n_commands++;
    cmd->use->n_commands++;
    cmd->open = 2;
    for (int i = 0; i < 2; i++) {
        cmd->text[i] = g_string_new(NULL);
        cmd->in[i] = watch_pipe(cmd, i);
    }
    cmd->child = g_child_watch_source_new(cmd->pid);
    g_source_set_callback(cmd->child, G_SOURCE_FUNC(on_child_exit), cmd, NULL);
    g_source_attach(cmd->child, cmd->c->context);
    cmd->timeout = g_timeout_source_new_seconds(MAX_SECONDS);
    g_source_set_callback(cmd->timeout, on_timeout, cmd, NULL);
    g_source_attach(cmd->timeout, cmd->c->context);
    cmd->sign = g_timeout_source_new_seconds(SIGN_SECONDS);
    g_source_set_callback(cmd->sign, on_sign, cmd, NULL);
    g_source_attach(cmd->sign, cmd->c->context);
}
