/* SPDX-License-Identifier: Apache-2.0 */
/* Filter expressions (`-F EXPR`): parsed, and tested against a run that has a value of each kind.
 */
#include "engine/base/yaml.h"
#include "engine/run/filter.h"
#include "tests/fuzz/fuzz.h"

static Value *look_up(gpointer run, const char *name)
{
    g_autofree char *first = g_strndup(name, 1);
    return value_ref(value_map_get(run, first));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = fuzz_text(data, size);
    g_autoptr(GError) error = NULL;
    g_autoptr(Filter) filter = filter_parse(text, &error);

    fuzz_check_result(filter, error);
    if (filter) {
        static const FilterSource source = {look_up, look_up, look_up};
        g_autoptr(Value) run = yaml_parse(
                "{a: 1, b: 2.5, c: text, d: [1, x], e: true, f: null, g: {h: 1}}", -1, NULL, NULL);
        filter_test(filter, &source, run);
    }
    return 0;
}
