/* SPDX-License-Identifier: Apache-2.0 */
/* Copying or moving runs out of and into a home, as run_util.export_runs and import_runs of the
 * reference do. */
#pragma once

#include "engine/run/store.h"

/* To a folder (made if needed), or into a zip file if `location` ends in ".zip"; it is relative to
 * cli_cwd(), and messages show it as it is. Runs that are there
 * already are passed over with a warning. `copy_resources` follows links. Gives the number of
 * exported runs, -1 on error. */
int runs_export(GPtrArray *runs, const char *location, gboolean move, gboolean copy_resources,
        GError **error);
/* Into the store. The same. */
int runs_import(
        GPtrArray *runs, RunStore *store, gboolean move, gboolean copy_resources, GError **error);
