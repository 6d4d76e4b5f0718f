/* SPDX-License-Identifier: Apache-2.0 */
/* What an optimizer makes small: a scalar of a run, as the batch's attribute `objective` names it
 * ("loss", "-accuracy" to make it large, "min loss", "eval#loss"; a column as colspec.h has it). */
#pragma once

#include "engine/run/run.h"

#define OBJECTIVE_DEFAULT "loss"

typedef struct Objective Objective;

/* NULL or "" is the default. BATCH_ERROR_DIMS: "invalid objective 'a b': unexpected token ...". */
Objective *objective_new(const char *text, GError **error);
void objective_free(Objective *o);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Objective, objective_free)

/* How a trial ended, in an optimizer's terms. */
typedef struct TrialResult {
    gboolean completed;     /* FALSE: it failed or was stopped */
    gboolean has_objective; /* FALSE: it gave no such scalar */
    double objective;       /* less is better; may be no number */
    double seconds;         /* that it took; 0: not known */
    const char *run;        /* id; a run that has been told is not counted again. May be NULL */
} TrialResult;

/* The scalar's name, without its sign and qualifier. */
const char *objective_name(const Objective *o);
/* The result of a run that has ended. `run` in it is that of the Run. */
void objective_result(const Objective *o, Run *run, gboolean completed, TrialResult *result);
