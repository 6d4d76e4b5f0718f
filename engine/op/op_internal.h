/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in making an operation (op.c) that are files of their own. */
#pragma once

#include "engine/op/op.h"

/* opattrs.c: fills op->run_attrs, when all else is known. */
void op_init_run_attrs(Op *op, const OpRequest *req);

/* opbatch.c: what only a batch operation has. */
void op_init_batch_config(Op *op, const OpRequest *req);
