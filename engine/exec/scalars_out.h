/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of output become event files in the run: scalars in `.guild/events.out.tfevents.*`, other
 * captured values in a file of that kind with the suffix `.attrs`. A run that prints no such line
 * gets no such file. Steps: a line's own \step, else the last one seen, else a count that goes up
 * whenever a key comes again (guild/summary.py OutputScalars). */
#pragma once

#include "engine/exec/output_rules.h"
#include "engine/run/run.h"

typedef struct ScalarsOut ScalarsOut;

/* `scalars` or `attrs` may be NULL: not captured. `ignore` (NULL-terminated or NULL for each) are
 * keys that the default rules pass over: the names of flags, which scripts like to echo. */
ScalarsOut *scalars_out_new(Run *run, OutputRules *scalars, const char *const *ignore_scalars,
        OutputRules *attrs, const char *const *ignore_attrs);
/* One line. A failure to write is warned of once and ends the capture, not the run. */
void scalars_out_line(ScalarsOut *s, const char *line, gsize len);
/* Why it ended early; NULL: it did not. */
const GError *scalars_out_problem(const ScalarsOut *s);
void scalars_out_free(ScalarsOut *s); /* NULL is ignored */
