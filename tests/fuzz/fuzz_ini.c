/* SPDX-License-Identifier: Apache-2.0 */
/* Configuration files of sections: parsed, written, and what was written parsed again
 * does no harm. */
#include "engine/base/ini.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = fuzz_text(data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) sections = ini_parse(text, "c.ini", &error);

    fuzz_check_result(sections, error);
    if (sections) {
        g_autoptr(GError) dump_error = NULL;
        g_autofree char *dumped = ini_dump(sections, &dump_error);
        fuzz_check_result(dumped, dump_error);
        g_autoptr(Value) again = dumped ? ini_parse(dumped, NULL, NULL) : NULL;
    }
    return 0;
}
