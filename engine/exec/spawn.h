/* SPDX-License-Identifier: Apache-2.0 */
/* Starting the child of a run: posix_spawn with descriptors, folder, group and signals set up. */
#pragma once

#include "engine/exec/exec.h"

typedef struct SpawnedChild {
    pid_t pid;
    int out[2]; /* read ends of its stdout and stderr by RunStream, non-blocking; -1: none */
} SpawnedChild;

/* EXEC_ERROR_SPAWN in Python's words, "[Errno 2] No such file or directory: 'x'". */
gboolean spawn_child(const ExecSpec *spec, SpawnedChild *child, GError **error);
