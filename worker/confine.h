/* SPDX-License-Identifier: Apache-2.0 */
/* Keeping a trial to what it asked for: its cores (affinity) and its memory. Memory is limited by
 * a control group where one may be made (v2 with the memory controller delegated to us, or v1),
 * and watched by walking the process tree in any case, since a group that was entered a moment
 * late, or none, must not let a trial take the machine down. Formats: cgroups(7), and the kernel's
 * admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst. */
#pragma once

#include "engine/exec/exec.h"
#include "engine/wire/resources.h"

/* Of a worker: which cores are taken, where groups can be made. */
typedef struct ConfineHost ConfineHost;
/* `own_process`: the process is a worker and nothing else, so it may move itself into a group of
 * its own, which v2 demands before it lets us limit others. It does so here, before it has children
 * that would keep the group that it leaves busy. */
ConfineHost *confine_host_new(gboolean own_process);
void confine_host_free(ConfineHost *host); /* removes its groups; NULL is ignored */
/* Removes the groups in the group `folder` that processes made which are gone, but none in use. */
void confine_remove_stale(const char *folder);
/* "cgroup v2", "cgroup v1" or "process tree": how memory is limited, for the log. */
const char *confine_host_means(const ConfineHost *host);

typedef struct Confine Confine;
/* Called once when the trial uses more memory than it asked for; it is then to be stopped. */
typedef void (*ConfineExceeded)(gpointer data);

/* Reserves cores if `pin` (whole ones; none if fewer are free) and prepares the memory limit of
 * `request`, and enters both in `spec`. Never fails: what can't be had is not limited, or is
 * watched. `name` is unique among the host's limits. */
Confine *confine_new(
        ConfineHost *host, const char *name, const Request *request, gboolean pin, ExecSpec *spec);
/* Begins to watch the process of `exec`, which may be about to start, on `context`. */
void confine_watch(Confine *l, GMainContext *context, const Exec *exec, ConfineExceeded exceeded,
        gpointer data);
/* After its end: TRUE if the kernel ended something of it for memory, or the watch saw too much. */
gboolean confine_exceeded(const Confine *l);
gint64 confine_mem_peak_bytes(const Confine *l); /* 0: not known */
/* What the run's attribute `error` says then. */
char *confine_exceeded_text(const Request *request);
/* What the request means inside the process, NAME=VALUE: CUDA_VISIBLE_DEVICES from what was taken
 * of the machine's devices `gpus`, OMP_NUM_THREADS where it asks for cores. */
char **confine_env(
        const Request *request, gboolean asks_cpus, const Taken *taken, char *const *gpus);
/* Gives the cores back and removes the group, killing what is left in it: until that has ended it
 * is waited for on a thread, at the latest by confine_host_free(). NULL is ignored. */
void confine_free(Confine *l);
