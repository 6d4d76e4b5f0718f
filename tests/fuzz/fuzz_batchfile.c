/* SPDX-License-Identifier: Apache-2.0 */
/* Batch files. The first byte chooses the format. What is read is a list of maps. */
#include "engine/batch/batchfile.h"
#include "tests/fuzz/fuzz.h"

static const char *const formats[] = {".csv", ".json", ".yaml"};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;

    g_autofree char *text = fuzz_text(data + 1, size - 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) trials = batchfile_parse(
            text, size - 1, formats[data[0] % G_N_ELEMENTS(formats)], "trials", &error);

    fuzz_check_result(trials, error);
    if (trials) {
        g_assert_true(value_is_list(trials));
        for (gsize i = 0; i < value_list_size(trials); i++)
            g_assert_true(value_is_map(value_list_at(trials, i)));
    }
    return 0;
}
