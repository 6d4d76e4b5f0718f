/* SPDX-License-Identifier: Apache-2.0 */
/* The part of the index that holds what a run measured and logged. `run_dir` is the run's
 * directory as an absolute path. */
#pragma once

#include "engine/run/index_parts.h"

/* Reads the part if the cache has it not, or not any more. The others do so too. */
void index_scalars_look(RunParts *p, const char *run_dir);
/* As run_index_scalars(). */
Value *index_scalars_list(RunParts *p, const char *run_dir);
/* The last value of "[PREFIX#]TAG", new; NULL if there is none. */
Value *index_scalars_last(RunParts *p, const char *run_dir, const char *key);
/* Logged attributes, a new map; or only the one of a name, new or NULL. */
Value *index_scalars_attrs(RunParts *p, const char *run_dir);
Value *index_scalars_attr(RunParts *p, const char *run_dir, const char *name);
