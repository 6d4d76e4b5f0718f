/* SPDX-License-Identifier: Apache-2.0 */
/* Flag values: what a user types behind `=`. The first byte chooses the flag's type. */
#include "engine/base/flagval.h"
#include "tests/fuzz/fuzz.h"

static const char *const types[] = {NULL, "string", "int", "float", "number", "boolean", "auto"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;

    g_autofree char *text = fuzz_text(data + 1, size - 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) value =
            flagval_decode(text, types[data[0] % G_N_ELEMENTS(types)], "flag", &error);

    fuzz_check_result(value, error);
    if (value) {
        g_autofree char *encoded = flagval_encode(value);
        g_autofree char *shortened = flagval_encode_short(value, 5);

        g_assert_nonnull(encoded);
        g_assert_nonnull(shortened);
    }

    g_autofree char *name = NULL;
    g_autoptr(Value) args = NULL;
    if (flagval_decode_function(text, &name, &args))
        g_assert_true(name && args);
    return 0;
}
