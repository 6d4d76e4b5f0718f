/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of a finished run, `expect` of a step: its output or its files hold what they should
 * (reference: guild/run_check.py). A check is a map with `output: REGEX`, or with `file: GLOB` and
 * optionally `contains: REGEX` and `compare-to: PATH` (relative to the run; ${NAME} from the
 * environment). */
#pragma once

#include "engine/run/run.h"

/* Is `data` a check at all, with patterns that compile? */
gboolean run_check_is_valid(const Value *data, GError **error);
/* TRUE if it holds. What is looked at is logged; the error says what doesn't hold. */
gboolean run_check(const Value *data, Run *run, GError **error);

/* A unified diff of two texts with three lines around, names in its head; "" if they are equal.
 * Texts of more than some thousand different lines are only said to differ. Newly allocated. */
char *run_check_diff(const char *a, const char *b, const char *a_name, const char *b_name);

#define RUN_CHECK_ERROR run_check_error_quark()
GQuark run_check_error_quark(void);
typedef enum { RUN_CHECK_INVALID, RUN_CHECK_FAILED } RunCheckError;
