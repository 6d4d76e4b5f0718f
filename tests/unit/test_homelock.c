/* SPDX-License-Identifier: Apache-2.0 */
/* The lock of a home whose coordinator was killed, and is not over yet. */
#include "coordinator/homelock.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "coordinator/coordinator.h"
#include "engine/base/log.h"
#include "tests/unit/run_fixture.h"

/* A process that takes the lock of `home`, says "locked" or why not, and lives on if `stays`. */
typedef struct {
    pid_t pid;
    int said; /* what it logs, and its word */
} Taker;

static void say(LogLevel level, const char *line, gpointer fd)
{
    if (write(GPOINTER_TO_INT(fd), line, strlen(line)) < 0)
        _exit(1);
}

static Taker taker(const char *home, gboolean stays)
{
    int fds[2];
    g_assert_cmpint(pipe(fds), ==, 0);
    Taker t = {fork(), fds[0]};
    if (t.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        log_set_hook(say, GINT_TO_POINTER(fds[1]));
        g_autoptr(GError) error = NULL;
        int fd = home_lock(home, &error);
        say(LOG_INFO, fd < 0 ? error->message : "locked", GINT_TO_POINTER(fds[1]));
        while (stays)
            pause();
        _exit(0);
    }
    close(fds[1]);
    return t;
}

/* Its next word, waited for. */
static void hears(const Taker *t, const char *text)
{
    char buf[4096];
    ssize_t n = read(t->said, buf, sizeof buf - 1);
    g_assert_cmpint(n, >, 0);
    buf[n] = '\0';
    g_assert_nonnull(strstr(buf, text));
}

static void over(Taker *t)
{
    int status;
    kill(t->pid, SIGKILL);
    while (waitpid(t->pid, &status, 0) == t->pid && !WIFEXITED(status) && !WIFSIGNALED(status))
        ;
    close(t->said);
}

static void test_one_that_lives_is_not_waited_for(RunFixture *f, gconstpointer data)
{
    Taker holder = taker(f->home, TRUE);
    hears(&holder, "locked");
    Taker next = taker(f->home, FALSE);
    hears(&next, "another coordinator serves");
    over(&next);
    over(&holder);
    Taker last = taker(f->home, FALSE);
    hears(&last, "locked");
    over(&last);
}

/* Its tracer keeps it where it was killed, with all that it had open, as a busy disk would. */
static void test_one_that_was_killed_is_waited_for(RunFixture *f, gconstpointer data)
{
    Taker holder = taker(f->home, TRUE);
    hears(&holder, "locked");
    if (ptrace(PTRACE_SEIZE, holder.pid, NULL, PTRACE_O_TRACEEXIT) != 0) {
        g_test_skip("no process may be traced here");
        over(&holder);
        return;
    }
    int status;
    g_assert_cmpint(kill(holder.pid, SIGKILL), ==, 0);
    g_assert_cmpint(waitpid(holder.pid, &status, 0), ==, holder.pid);
    g_assert_cmpint(status >> 8, ==, SIGTRAP | PTRACE_EVENT_EXIT << 8);
    Taker next = taker(f->home, FALSE);
    g_autofree char *line = g_strdup_printf("waiting for process %d to end", (int)holder.pid);
    hears(&next, line);
    g_assert_cmpint(ptrace(PTRACE_CONT, holder.pid, NULL, NULL), ==, 0);
    hears(&next, "locked");
    over(&next);
    over(&holder);
}

static void test_what_the_file_says_of_others_is_not_waited_for(RunFixture *f, gconstpointer data)
{
    static const char *const texts[] = {"", "0", "-1", "x", "99999999999999999999", "1\n"};
    g_autofree char *path = g_build_filename(f->home, "coordinator", "lock", NULL);
    Taker holder = taker(f->home, TRUE);
    hears(&holder, "locked");
    for (guint i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_assert_true(fs_write(path, texts[i], -1, NULL));
        Taker next = taker(f->home, FALSE);
        hears(&next, "another coordinator serves");
        over(&next);
    }
    /* One that is over, of this number and this machine: whose lock it is now is not known. */
    pid_t gone = fork();
    if (gone == 0)
        _exit(0);
    g_assert_cmpint(waitpid(gone, NULL, 0), ==, gone);
    g_autofree char *text = g_strdup_printf("%d\n", (int)gone);
    g_assert_true(fs_write(path, text, -1, NULL));
    Taker next = taker(f->home, FALSE);
    hears(&next, "another coordinator serves");
    over(&next);
    over(&holder);
}

#define TEST(path, fn) g_test_add(path, RunFixture, NULL, run_fixture_init, fn, run_fixture_clear)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("/homelock/lives", test_one_that_lives_is_not_waited_for);
    TEST("/homelock/killed", test_one_that_was_killed_is_waited_for);
    TEST("/homelock/others", test_what_the_file_says_of_others_is_not_waited_for);
    return g_test_run();
}
