/* SPDX-License-Identifier: Apache-2.0 */
/* See objective.h. */
#include "engine/batch/objective.h"

#include <string.h>

#include "engine/batch/dims.h"
#include "engine/run/colspec.h"
#include "engine/run/scalars.h"

struct Objective {
    int sign;
    GPtrArray *columns; /* one ColSpec* */
};

Objective *objective_new(const char *text, GError **error)
{
    if (!text || !*text)
        text = OBJECTIVE_DEFAULT;
    gboolean negative = *text == '-';
    text += negative;
    g_autoptr(GError) problem = NULL;
    g_autoptr(GPtrArray) columns = colspec_parse(text, &problem);
    const char *why = problem                                                  ? problem->message
                      : columns->len > 1                                       ? "too many columns"
                      : ((ColSpec *)columns->pdata[0])->kind != COLSPEC_SCALAR ? "not a scalar"
                                                                               : NULL;
    if (why) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_DIMS, "invalid objective '%s': %s", text, why);
        return NULL;
    }
    Objective *o = g_new0(Objective, 1);
    o->sign = negative ? -1 : 1;
    o->columns = g_steal_pointer(&columns);
    return o;
}

void objective_free(Objective *o)
{
    if (!o)
        return;
    g_ptr_array_unref(o->columns);
    g_free(o);
}

static const ColSpec *column(const Objective *o)
{
    return o->columns->pdata[0];
}

const char *objective_name(const Objective *o)
{
    return column(o)->name;
}

/* With the sign that makes less better; FALSE if the run has no such scalar. */
static gboolean read_value(const Objective *o, Run *run, double *value)
{
    const ColSpec *col = column(o);
    const char *hash = strchr(col->name, '#');
    g_autofree char *prefix = hash ? g_strndup(col->name, (gsize)(hash - col->name)) : NULL;
    g_autoptr(GPtrArray) scalars = scalars_read(run_dir(run));
    const ScalarSummary *s = scalars_find(scalars, prefix, hash ? hash + 1 : col->name);
    g_autoptr(Value) v = s ? scalar_summary_column(s, col->qualifier, col->step) : NULL;
    if (!value_is_number(v))
        return FALSE;
    *value = o->sign * value_get_float(v);
    return TRUE;
}

void objective_result(const Objective *o, Run *run, gboolean completed, TrialResult *result)
{
    gint64 started = run_attr_int(run, "started", 0), stopped = run_attr_int(run, "stopped", 0);
    *result = (TrialResult){.completed = completed, .run = run_id(run)};
    result->has_objective = completed && read_value(o, run, &result->objective);
    if (started > 0 && stopped > started)
        result->seconds = (double)(stopped - started) / G_USEC_PER_SEC;
}
