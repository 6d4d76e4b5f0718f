/* SPDX-License-Identifier: Apache-2.0 */
/* What fuzz targets share: the entry point of libFuzzer, and the check that what was written can be
 * read again as the same value. */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "engine/base/value.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input as a string that ends in NUL; newly allocated. */
static inline char *fuzz_text(const uint8_t *data, size_t size)
{
    return g_strndup((const char *)data, size);
}

/* A parser gave either a value or an error, never both or neither. */
static inline void fuzz_check_result(const void *result, const GError *error)
{
    g_assert_true((result == NULL) == (error != NULL));
    if (error)
        g_assert_true(error->message && *error->message);
}
