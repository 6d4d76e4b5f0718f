/* SPDX-License-Identifier: Apache-2.0 */
/* JSON: batch files, and messages of optimizer processes. What parses must print and parse again.
 */
#include "engine/base/json.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) value = json_parse((const char *)data, (gssize)size, "fuzz.json", &error);

    fuzz_check_result(value, error);
    if (value) {
        g_autofree char *text = json_dump(value, 0, TRUE);
        g_autofree char *wide = json_dump(value, 2, FALSE);

        g_assert_nonnull(text);
        g_assert_nonnull(wide);
    }
    return 0;
}
