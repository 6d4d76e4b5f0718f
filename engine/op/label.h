/* SPDX-License-Identifier: Apache-2.0 */
/* The label of a run: its flags as "a=1 b=2", or a template with ${flag} references and filters
 * (`${lr|default:0.1}`, `${x|%.2f}`, basename, unquote) rendered with them. As op_util.run_label
 * of the reference. */
#pragma once

#include "engine/base/value.h"

/* `label_template` NULL: the default label. Newly allocated, "" for none. */
char *run_label(const char *label_template, const Value *flag_vals);
/* "a=1 b=2", names sorted, nulls left out, floats and paths shortened. */
char *run_label_default(const Value *flag_vals);
/* "a=1, b=2" with full values: how a trial is announced. */
char *run_flags_desc(const Value *flag_vals);
