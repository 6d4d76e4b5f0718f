/* SPDX-License-Identifier: Apache-2.0 */
/* Inside engine/project only: the parts of a guildfile's making that opdef.c and guildfile.c share.
 */
#pragma once

#include "engine/project/guildfile.h"

/* `search`: array of Guildfile* where $include looks, the file itself first. */
OpDef *opdef_new(const char *name, const Value *data, ModelDef *model, const Value *defaults,
        GPtrArray *search, GError **error);
void opdef_free(OpDef *op); /* ignores references: only the guildfile's end calls it */
/* Parts of an operation that opdef_new() has made elsewhere. */
gboolean opdef_read_dependencies(OpDef *op, const Value *data, GError **error);
gboolean opdef_read_optimizers(OpDef *op, const Value *data, const char *path, GError **error);
gboolean opdef_add_dependency(OpDef *op, const Value *data, GError **error);

FileSelectDef *file_select_new(const Value *data, const char *path, GError **error);
void file_select_free(FileSelectDef *d);

/* `plugins`: *out NULL for the defaults (absent, yes), empty for none (no), else names. */
gboolean gf_plugins(const Value *data, const char *path, char ***out, GError **error);
/* resdef_new() with errors that name the file and line. */
ResourceDef *gf_resource(
        const char *name, const Value *data, const ModelDef *model, GError **error);

/* Flags found elsewhere (map name -> attributes) go into the operation as flags-import and
 * flags-import-skip say. */
void pyflags_merge(OpDef *op, const Value *flags);
/* `flags-import: no`, or an empty list. */
gboolean pyflags_import_disabled(const OpDef *op);
/* A line of what `--test-flags` shows; nothing elsewhere. */
void pyflags_note(const char *fmt, ...) G_GNUC_PRINTF(1, 2);
