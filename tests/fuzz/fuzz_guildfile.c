/* SPDX-License-Identifier: Apache-2.0 */
/* guild.yml: whatever YAML parses must load, or be refused with a message that names the file. */
#include <string.h>

#include "engine/base/yaml.h"
#include "engine/project/guildfile.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(Value) value = yaml_parse((const char *)data, (gssize)size, "guild.yml", NULL);
    if (!value)
        return 0;

    g_autoptr(GError) error = NULL;
    g_autoptr(Guildfile) guildfile =
            guildfile_for_data(value, "/nowhere/guild.yml", "/nowhere", &error);

    fuzz_check_result(guildfile, error);
    if (guildfile) {
        guildfile_default_model(guildfile);
        guildfile_default_operation(guildfile);
    } else {
        g_assert_nonnull(strstr(error->message, "guild.yml"));
    }
    return 0;
}
