/* SPDX-License-Identifier: Apache-2.0 */
/* The steps of an operation, as its run keeps them in attribute `steps`: each is a `guild run`
 * command line (a string, or a map with `run`, `name`, `flags`, `expect`, `isolate-runs` and any
 * option of the run command), made concrete with the flags of the run that has the steps. Format
 * and rules: the reference's guild/steps_main.py. */
#pragma once

#include "engine/base/value.h"
#include "engine/run/run.h"

typedef struct Step {
    char *op_spec; /* with the parent's model where it names none */
    char *name;    /* as the user calls it */
    char *link;    /* what the link in the parent run is called: the name, made unique */
    Value *params; /* map: option of the run command -> value, resolved */
    Value *flags;  /* map */
    char **batch_files;
    Value *expect; /* list of checks as written */
    gboolean isolate_runs;
} Step;

/* Array of Step* (with free function) for the run; empty if it has none. Links are made unique
 * ("train", "train_2"). Errors are the whole text for the user. */
GPtrArray *steps_for_run(Run *parent, GError **error);

/* The same for steps that are no run's yet: `data` as the operation has it, with the flags,
 * parameters (may be NULL) and name of what will be their parent. */
GPtrArray *steps_for_data(
        const Value *data, Value *flags, Value *params, const OpRef *opref, GError **error);

/* Arguments after `guild run -y` that run the step into `step_run_dir`: a restart if that exists.
 * NULL-terminated. `*shown` is where the part that is told to the user begins. */
char **step_run_args(const Step *step, Run *parent, const char *step_run_dir, guint *shown);

#define STEPS_ERROR steps_error_quark()
GQuark steps_error_quark(void);
typedef enum { STEPS_ERROR_INVALID } StepsError;
