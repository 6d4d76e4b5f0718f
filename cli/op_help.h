/* SPDX-License-Identifier: Apache-2.0 */
/* Help on a project's own operations and models: `guild run OP --help-op`, `--help-model`, and the
 * flags in `guild help`. As guild/help.py of the reference. */
#pragma once

#include "cli/help_writer.h"
#include "engine/project/guildfile.h"

/* The flags with their descriptions, defaults and choices. */
void op_help_write_flags(HelpWriter *w, const OpDef *opdef);
/* Whole texts; newly allocated. */
char *op_help_text(const OpDef *opdef);
char *op_help_model_text(const ModelDef *model);
/* "1, 2, x": choices as a user types them. Newly allocated. */
char *op_help_choices(const FlagDef *flag);
