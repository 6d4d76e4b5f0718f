/* SPDX-License-Identifier: Apache-2.0 */
/* See run_waits.h. */
#include "cli/run_waits.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/remote_client.h"

/* A coordinator holds this lock as long as it lives; the endpoint that it wrote stays behind. */
static gboolean is_served(void)
{
    g_autofree char *path = g_build_filename(cli_home(), "coordinator", "lock", NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    gboolean held = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0;
    if (fd >= 0)
        close(fd);
    return held;
}

/* A batch that a coordinator drives counts as running, whatever its trials wait for. */
static gboolean may_wait(Run *run)
{
    RunStatus status = run_status(run);
    g_autofree char *remote = status == RUN_RUNNING ? run_remote(run) : NULL;
    return status == RUN_PENDING || status == RUN_STAGED || remote;
}

char *run_waits_for(Run *run)
{
    g_autoptr(RemoteClient) c = may_wait(run) && is_served() ? remote_open(NULL, NULL) : NULL;
    g_autoptr(Value) args = value_new_map();
    value_map_set_string(args, "run", run_id(run));
    g_autoptr(Value) answer = c ? remote_call(c, "waits", args, NULL) : NULL;
    return g_strdup(value_map_string(answer, "waits_for", NULL));
}
