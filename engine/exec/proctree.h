/* SPDX-License-Identifier: Apache-2.0 */
/* The processes that belong to a run, found in /proc: the child, its process group, all
 * descendants, and whoever carries the run's RUN_DIR in the environment it was started with (a
 * descendant whose parents are gone). Zombies and our own process are never among them. */
#pragma once

#include <glib.h>
#include <sys/types.h>

typedef struct ProcId {
    pid_t pid, group;
    guint64 start; /* clock ticks since boot; with pid it names one process for good */
} ProcId;

typedef struct ProcTree {
    pid_t root;          /* 0: none */
    pid_t group;         /* 0: none */
    const char *run_dir; /* NULL: don't look at environments */
    GArray *known;       /* ProcId found before, still members if alive; may be NULL */
} ProcTree;

/* A new array of ProcId of those that are alive now. */
GArray *proctree_find(const ProcTree *tree);
/* Signals the group at once (if `group` is set), then members outside of it. */
void proctree_signal(const GArray *procs, pid_t group, int sig);
