/* SPDX-License-Identifier: Apache-2.0 */
/* Operations for tests, from a piece of guild.yml. */
#pragma once

#include "engine/base/yaml.h"
#include "engine/project/guildfile.h"

typedef struct OpFixture {
    Guildfile *gf;
    OpDef *op;
} OpFixture;

/* `yaml`: a guild.yml with operation `op`. dir NULL: no project folder. */
static inline OpFixture op_fixture(const char *yaml, const char *dir)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) data = yaml_parse(yaml, -1, "guild.yml", &error);
    g_assert_no_error(error);
    OpFixture f = {.gf = guildfile_for_data(data, NULL, dir, &error)};
    g_assert_no_error(error);
    f.op = modeldef_operation(guildfile_default_model(f.gf), "op");
    g_assert_nonnull(f.op);
    return f;
}

static inline void op_fixture_clear(OpFixture *f)
{
    guildfile_unref(f->gf);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OpFixture, op_fixture_clear)
