/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only: how guildfile data is put together before models are made of it:
 * `$include` of sections, `extends` of models and configs, `params` references. Rules of the
 * reference's guild/guildfile.py. */
#pragma once

#include "engine/project/guildfile.h"

/* data[section] with its $include references replaced by what they name, looked for in `search`
 * (array of Guildfile*, the first is the file itself). New map, or NULL with an error. */
Value *gf_resolve_includes(
        const Value *data, const char *section, GPtrArray *search, GError **error);
/* A model item with what it extends filled in and {{params}} replaced. Packages that it extends are
 * appended to `parents` (Guildfile*, referenced) once each. */
Value *gf_extended_data(const Value *item, Guildfile *g, GPtrArray *parents, GError **error);

/* guild.yml of a package, by its folder's path ("a/b"): beside the guildfile, else on the
 * interpreter's module path. Newly allocated; NULL if there is none. */
char *gf_find_package_file(const Guildfile *g, const char *rel);
