/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only: our Python helper (engine/python/guild/import_flags.py) and the cache
 * of what it said, HOME/cache/import-flags. */
#pragma once

#include "engine/base/value.h"

/* Answers to a list of requests (see import_flags.py), one a request, by one process of the
 * interpreter. NULL and an error if there is no interpreter or it failed. */
Value *pyhelper_ask(const Value *requests, GError **error);

/* A cache file for `key` (any text). pyhelper_cache_get() gives what was put if `stamp` is still
 * the same; NULL otherwise, or with NO_IMPORT_FLAGS_CACHE=1. Putting never fails aloud. */
Value *pyhelper_cache_get(const char *key, const char *stamp);
void pyhelper_cache_put(const char *key, const char *stamp, const Value *answer);
