/* SPDX-License-Identifier: Apache-2.0 */
/* See runs_stop.h. Waiting is on pidfds, so nothing is looked at twice and no pid is mistaken for one
 * that was given out again. */
#include "cli/runs_stop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/base/clock.h"
#include "engine/exec/proctree.h"

/* Half of what the reference gives them, so that all is over within five seconds. */
#define CHILDREN_GRACE_S 2
#define KILL_TIMEOUT_S 5
/* For the end of a run to be recorded by the guild that ran it, if that is still there. */
#define RECORD_TIMEOUT_US (3 * G_USEC_PER_SEC)
#define RECORD_POLL_US 5000

/* Waits until `pid` has ended or the time is up. */
static void wait_for(pid_t pid, gint64 until_us)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return;
    gint64 left_ms;
    do {
        left_ms = MAX(0, (until_us - clock_monotonic_us()) / 1000);
        struct pollfd pfd = {.fd = fd, .events = POLLIN};
        if (poll(&pfd, 1, (int)MIN(left_ms, G_MAXINT)) > 0)
            break;
    } while (left_ms > 0);
    close(fd);
}

/* Members of the tree (the root too, or only what it started) that are still there when they have
 * ended or the time is up. */
static GArray *wait_for_tree(const ProcTree *tree, gboolean with_root, gint64 timeout_s)
{
    gint64 until_us = clock_monotonic_us() + timeout_s * G_USEC_PER_SEC;
    for (;;) {
        GArray *alive = proctree_find(tree);
        for (guint i = alive->len; !with_root && i > 0; i--)
            if (g_array_index(alive, ProcId, i - 1).pid == tree->root)
                g_array_remove_index_fast(alive, i - 1);
        if (alive->len == 0 || clock_monotonic_us() >= until_us)
            return alive;
        wait_for(g_array_index(alive, ProcId, 0).pid, until_us);
        g_array_unref(alive);
    }
}

/* The run's process is told first, so that it can end what it started; what is left after
 * CHILDREN_GRACE_S is told as well. */
static int stop_tree(ProcTree *tree, gboolean force, gint64 timeout_s)
{
    tree->known = proctree_find(tree);
    kill(tree->root, SIGTERM);
    GArray *alive = wait_for_tree(tree, FALSE, CHILDREN_GRACE_S);
    proctree_signal(alive, 0, SIGTERM);
    g_array_unref(alive);
    alive = wait_for_tree(tree, TRUE, timeout_s);
    if (alive->len > 0 && force) {
        proctree_signal(alive, 0, SIGKILL);
        g_array_unref(alive);
        alive = wait_for_tree(tree, TRUE, KILL_TIMEOUT_S);
    }
    g_array_unref(tree->known);
    int status = alive->len > 0;
    if (status)
        printf("The following processes did not stop as expected: ");
    for (guint i = 0; i < alive->len; i++)
        printf("%s%d%s", i ? ", " : "", (int)g_array_index(alive, ProcId, i).pid,
                i + 1 == alive->len ? "\n" : "");
    g_array_unref(alive);
    return status;
}

/* Until then the run looks as if it had failed: its process is gone and nobody says how it ended. Who
 * is to say so is not known, so the run is looked at. */
static void wait_for_record(Run *listed)
{
    g_autoptr(Run) run =
            run_new(run_dir(listed), run_id(listed)); /* as it is, not as it was listed */
    gint64 until_us = clock_monotonic_us() + RECORD_TIMEOUT_US;
    while (run_pid(run) > 0 && !run_has_attr(run, "exit_status") && clock_monotonic_us() < until_us)
        g_usleep(RECORD_POLL_US);
}

int runs_stop_one(Run *run, gboolean force, gint64 timeout_s)
{
    pid_t pid = run_pid(run);
    if (pid <= 0 || (kill(pid, 0) != 0 && errno != EPERM)) {
        printf("Run %s is not running\n", run_id(run));
        return 0;
    }
    fprintf(stderr, "Stopping %s (pid %d)\n", run_id(run), (int)pid);
    if (kill(pid, 0) != 0)
        return cli_error(
                "cannot stop run %s (pid %d): %s", run_id(run), (int)pid, g_strerror(errno));
    ProcTree tree = {.root = pid, .run_dir = run_dir(run)};
    int status = stop_tree(&tree, force, timeout_s);
    if (!status)
        wait_for_record(run);
    return status;
}
