/* SPDX-License-Identifier: Apache-2.0 */
/* A single run in the foreground that asks something of its machine (`request:`, `--request`). No
 * worker executes it, but it gets the same: devices, cores and a memory limit. What this machine
 * has not got is refused. */
#pragma once

#include "engine/exec/exec.h"
#include "engine/wire/resources.h"

typedef struct Alone Alone;

/* `request`: a map as in guild.yml. NULL with an error if it is none, or nothing here has it; the
 * error begins with what is asked. */
Alone *alone_new(const Value *request, GError **error);
void alone_free(Alone *alone);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Alone, alone_free)

/* NAME=VALUE entries for the process. */
const char *const *alone_env(const Alone *alone);
/* exec_run_foreground() within the limits. A run that was ended for its memory has the attribute
 * `error`. `spec` is taken over. */
gboolean alone_run(Alone *alone, ExecSpec *spec, int *exit_status, GError **error);
