/* SPDX-License-Identifier: Apache-2.0 */
/* See remote_runs.h. */
#include "cli/remote_runs.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/remote_client.h"
#include "coordinator/coordinator.h"

#define EXIT_ABORTED 4

static const char *const commands[] = {"runs", "ls", "cat", "select", "compare", "label", "tag",
        "mark", "comment", "delete", "restore", "purge", "stop", "watch", NULL};

gboolean remote_runs_takes(const char *path)
{
    g_auto(GStrv) names = g_strsplit(path, " ", 3);
    static const char *const local_runs[] = {"export", "import", "diff", "open", NULL};
    return names[1] && g_strv_contains(commands, names[1]) &&
           !(names[2] && g_strv_contains(local_runs, names[2]));
}

/* The command for the other side: without its name for the remote. */
static char **remote_argv(const char *path, const char *const *words)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    g_auto(GStrv) names = g_strsplit(path, " ", -1);
    for (char **name = names + 1; *name; name++)
        g_strv_builder_add(b, *name);
    gboolean options = TRUE;
    for (; *words; words++) {
        const char *w = *words;
        options = options && strcmp(w, "--");
        if (options && (!strcmp(w, "-r") || !strcmp(w, "--remote"))) {
            words += words[1] != NULL;
            continue;
        }
        if (options && g_str_has_prefix(w, "--remote="))
            continue;
        g_strv_builder_add(b, w);
    }
    return g_strv_builder_end(b);
}

static char **with_yes(char **argv)
{
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    guint words = argv[1] && !strcmp(argv[0], "runs") && argv[1][0] != '-' ? 2 : 1;
    for (guint i = 0; argv[i]; i++) {
        if (i == words)
            g_strv_builder_add(b, "--yes");
        g_strv_builder_add(b, argv[i]);
    }
    if (!argv[words])
        g_strv_builder_add(b, "--yes");
    return g_strv_builder_end(b);
}

static gboolean answered_yes(gboolean dflt)
{
    char *line = NULL;
    size_t size = 0;
    gboolean got = getline(&line, &size, stdin) >= 0;
    g_autofree char *answer = g_ascii_strdown(got ? line : "n", -1);
    free(line);
    g_strstrip(answer);
    return !strcmp(answer, "y") || !strcmp(answer, "yes") || (dflt && !*answer);
}

static int run_there(RemoteClient *c, char **argv)
{
    GError *error = NULL;
    g_autoptr(RemoteOutput) o = remote_command(c, (const char *const *)argv, &error);
    if (!o)
        return cli_gerror(error);
    fputs(o->out, stdout);
    fflush(stdout);
    /* A command that wants an answer finds nobody there: its question comes last. */
    gsize n = strlen(o->err);
    while (n && o->err[n - 1] == '\n')
        n--;
    gboolean asks =
            o->exit_status == 1 && n > 6 &&
            (!strncmp(o->err + n - 6, "(y/N) ", 6) || !strncmp(o->err + n - 6, "(Y/n) ", 6));
    if (!asks) {
        fputs(o->err, stderr);
        return o->exit_status;
    }
    fprintf(stderr, "%.*s", (int)n, o->err);
    if (!answered_yes(o->err[n - 5] == 'Y'))
        return EXIT_ABORTED;
    g_auto(GStrv) again = with_yes(argv);
    g_autoptr(RemoteOutput) done = remote_command(c, (const char *const *)again, &error);
    if (!done)
        return cli_gerror(error);
    fputs(done->out, stdout);
    fputs(done->err, stderr);
    return done->exit_status;
}

/* The ids that the arguments mean there: what `guild select` prints with the same filters. */
static char **selected(RemoteClient *c, CliArgs *args, const char *status_filter)
{
    GError *error = NULL;
    const char *const *words = cli_positional(args);
    g_autoptr(GStrvBuilder) ids = g_strv_builder_new();
    do {
        const char *argv[] = {"select", *words ? *words : status_filter, NULL};
        g_autoptr(RemoteOutput) o = remote_command(c, argv, &error);
        if (!o) {
            cli_gerror(error);
            return NULL;
        }
        if (o->exit_status) {
            fputs(o->err, stderr);
            return NULL;
        }
        g_auto(GStrv) lines = g_strsplit(g_strstrip(o->out), "\n", -1);
        for (char **line = lines; *line && **line; line++)
            g_strv_builder_add(ids, *line);
    } while (*words && *++words);
    return g_strv_builder_end(ids);
}

static int stop(RemoteClient *c, CliArgs *args)
{
    int status = 0;
    g_auto(GStrv) ids = selected(c, args, "-Sr");
    for (char **id = ids; id && *id; id++) {
        GError *error = NULL;
        g_autoptr(Value) call = value_new_map();
        value_map_set_string(call, "run", *id);
        g_autoptr(Value) ok = remote_call(c, "stop", call, &error);
        if (ok)
            fprintf(stderr, "Stopping %s\n", *id);
        else
            status = cli_gerror(error);
    }
    return ids ? status : 1;
}

static void show(int stream, const void *bytes, gsize len, gpointer data)
{
    fwrite(bytes, 1, len, stream == 0 ? stdout : stderr);
    fflush(stdout);
}

static void show_log(int level, const char *text, gpointer data)
{
    fprintf(stderr, "%s\n", text);
}

static int watch(RemoteClient *c, CliArgs *args)
{
    static const RemoteWatcher watcher = {.output = show, .log = show_log};
    GError *error = NULL;
    g_auto(GStrv) ids = selected(c, args, "-Sr");
    if (!ids)
        return 1;
    if (!ids[0])
        return cli_error("nothing to watch on %s", remote_name(c));
    fprintf(stderr, "Watching run %s on %s\n", ids[0], remote_name(c));
    int status = remote_watch(c, ids[0], 0, &watcher, NULL, &error);
    if (error)
        return cli_gerror(error);
    if (status != -SIGINT)
        fprintf(stderr, "Run %s stopped with a status of '%s'\n", ids[0],
                remote_end_status(c) ? remote_end_status(c)
                : status             ? "error"
                                     : "completed");
    return 0;
}

int remote_runs(CliArgs *args, const char *path, const char *const *words)
{
    GError *error = NULL;
    if (g_getenv(COMMAND_FOR_REMOTE)) /* with the keys of who runs the coordinator */
        return cli_error("runs that are elsewhere can't be used on a remote");
    g_autoptr(RemoteClient) c = remote_open(cli_string(args, "remote"), &error);
    if (!c)
        return cli_gerror(error);
    g_auto(GStrv) argv = remote_argv(path, words);
    const char *last = strrchr(path, ' ') + 1;
    if (!strcmp(last, "stop"))
        return stop(c, args);
    return !strcmp(last, "watch") ? watch(c, args) : run_there(c, argv);
}
