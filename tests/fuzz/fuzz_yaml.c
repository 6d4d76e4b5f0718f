/* SPDX-License-Identifier: Apache-2.0 */
/* YAML: guild.yml, batch files and attributes come from anywhere. What parses must survive being
 * dumped and parsed again. */
#include <string.h>

#include "engine/base/yaml.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) value = yaml_parse((const char *)data, (gssize)size, "fuzz.yml", &error);

    fuzz_check_result(value, error);
    if (value) {
        g_autofree char *text = yaml_dump(value);
        g_autofree char *flow = yaml_dump_flow(value);
        g_autoptr(Value) again = yaml_parse(text, -1, "dumped.yml", NULL);

        g_assert_nonnull(flow);
        g_assert_nonnull(again);
        g_autofree char *text_again = yaml_dump(again);
        g_assert_cmpstr(text, ==, text_again);
    }
    return 0;
}
