/* SPDX-License-Identifier: Apache-2.0 */
/* From what a user types (`train`, `model:train`, `train.py`, `+`) to an operation. The order is
 * the reference's (op_util.opdef_for_opspec): the guild.yml of the folder, built-ins, Python
 * scripts, other executable files. */
#pragma once

#include "engine/project/guildfile.h"

#define OPSPEC_ERROR opspec_error_quark()
GQuark opspec_error_quark(void);
typedef enum {
    OPSPEC_ERROR_INVALID,         /* not of the form [PACKAGE/][MODEL:]OP */
    OPSPEC_ERROR_NO_MODEL,        /* no model of that name, or no guild.yml and no such script */
    OPSPEC_ERROR_NO_DEFAULT,      /* none given and the folder has no guild.yml */
    OPSPEC_ERROR_NO_OPERATION,    /* the model has no such operation (or no default one) */
    OPSPEC_ERROR_MULTIPLE_MODELS, /* several models match */
    OPSPEC_ERROR_GUILDFILE,       /* the folder's guild.yml is broken; message says where */
    OPSPEC_ERROR_NOT_EXECUTABLE,  /* a file, but no operation: "must be an executable file" */
} OpspecError;

/* New reference (opdef_unref). opspec NULL or "": the default operation. cwd: absolute folder or
 * NULL for the process's. opdef->opref is set. The message is the one line that the reference's
 * `guild run` prints after "guild: " for the case. */
OpDef *opdef_for_opspec(const char *opspec, const char *cwd, GError **error);
/* The definition of an existing run's operation, as the reference's run_util/op_util find it for a
 * restart: by the opref's guildfile, script or built-in. NULL with an error if it is gone. */
OpDef *opdef_for_opref(const OpRef *opref, GError **error);

/* "model:op", "op", "pkg/model:op" taken apart; either part may be NULL. FALSE if malformed. */
gboolean opspec_parse(const char *spec, char **model, char **op);
/* TRUE for `+`: the batch processor that grids make. */
gboolean opdef_is_default_batch(const OpDef *op);
