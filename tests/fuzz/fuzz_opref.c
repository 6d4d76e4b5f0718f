/* SPDX-License-Identifier: Apache-2.0 */
/* Operation references, as a run keeps them and as a user writes them. */
#include "engine/run/opref.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = fuzz_text(data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(OpRef) ref = opref_parse(text, &error);

    fuzz_check_result(ref, error);
    if (ref) {
        g_autofree char *written = opref_to_string(ref);
        g_autoptr(OpRef) again = opref_parse(written, NULL);
        g_autofree char *written_again = again ? opref_to_string(again) : NULL;
        g_assert_cmpstr(written, ==, written_again);
    }

    g_autoptr(OpRef) pattern = opref_for_string(text, NULL);
    if (ref && pattern) {
        opref_matches(ref, pattern, FALSE);
        opref_matches(ref, pattern, TRUE);
    }
    return 0;
}
