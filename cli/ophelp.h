/* SPDX-License-Identifier: Apache-2.0 */
/* Help about what a project defines: `guild run OP --help-op`, `--help-model`, `guild help`. */
#pragma once

#include "engine/project/guildfile.h"

/* Each gives newly allocated text that ends with a newline. */
char *ophelp_operation(const OpDef *op);
char *ophelp_model(const ModelDef *model);
/* All operations and models; `where`: "the current directory", "'../project'". */
char *ophelp_guildfile(const Guildfile *g, const char *where);
