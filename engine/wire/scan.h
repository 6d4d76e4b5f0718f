/* SPDX-License-Identifier: Apache-2.0 */
/* A first look at msgpack bytes from a stranger, before a library that believes its lengths. */
#pragma once

#include <glib.h>

/* Nesting that we accept: a message, a file list in it, a Value below. */
#define WIRE_MAX_DEPTH 24

/* TRUE if `data` is exactly one complete msgpack object, nested at most WIRE_MAX_DEPTH deep, with
 * no more items than it has bytes. Allocates nothing. */
gboolean wire_scan(const void *data, gsize len);
