/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of output into event files of the run. */
#include "engine/exec/scalars_out.h"

#include <math.h>

#include "engine/base/log.h"
#include "engine/run/tfevents.h"

#define STEP_KEY "step"

struct ScalarsOut {
    Run *run;
    OutputRules *scalars, *attrs;
    GHashTable *ignore_scalars, *ignore_attrs;
    TfEventWriter *scalars_file, *attrs_file; /* made with the first value */
    gboolean broken;
    GError *problem; /* why it is */
    gboolean has_step, has_implied_step;
    gint64 step, implied_step;
    GHashTable *implied_keys;
};

static GHashTable *string_set(const char *const *strings)
{
    GHashTable *set = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (; strings && *strings; strings++)
        g_hash_table_add(set, g_strdup(*strings));
    return set;
}

ScalarsOut *scalars_out_new(Run *run, OutputRules *scalars, const char *const *ignore_scalars,
        OutputRules *attrs, const char *const *ignore_attrs)
{
    ScalarsOut *s = g_new0(ScalarsOut, 1);
    s->run = run_ref(run);
    s->scalars = output_rules_ref(scalars);
    s->attrs = output_rules_ref(attrs);
    s->ignore_scalars = string_set(ignore_scalars);
    s->ignore_attrs = string_set(ignore_attrs);
    s->implied_keys = string_set(NULL);
    return s;
}

void scalars_out_free(ScalarsOut *s)
{
    if (!s)
        return;
    tfevent_writer_free(s->scalars_file);
    tfevent_writer_free(s->attrs_file);
    g_hash_table_unref(s->ignore_scalars);
    g_hash_table_unref(s->ignore_attrs);
    g_hash_table_unref(s->implied_keys);
    output_rules_unref(s->scalars);
    output_rules_unref(s->attrs);
    g_clear_error(&s->problem);
    run_unref(s->run);
    g_free(s);
}

const GError *scalars_out_problem(const ScalarsOut *s)
{
    return s->problem;
}

/* Takes the error. */
static void check_written(ScalarsOut *s, GError *error)
{
    if (!error)
        return;
    s->broken = TRUE;
    log_warning("scalars of this run are not kept: %s", error->message);
    g_clear_error(&s->problem);
    s->problem = error;
}

/* The file, made now if it isn't yet; NULL after a warning. */
static TfEventWriter *event_file(ScalarsOut *s, TfEventWriter **file, const char *suffix)
{
    if (!*file && !s->broken) {
        GError *error = NULL;
        g_autofree char *dir = run_guild_path(s->run, NULL);
        *file = tfevent_writer_new(dir, suffix, &error);
        check_written(s, error);
    }
    return *file;
}

static gboolean any_implied(ScalarsOut *s, const Value *vals)
{
    for (gsize i = 0; i < value_map_size(vals); i++)
        if (g_hash_table_contains(s->implied_keys, value_map_key_at(vals, i)))
            return TRUE;
    return FALSE;
}

/* The step of a line that states none. */
static gint64 step_for_line(ScalarsOut *s, const Value *vals)
{
    if (s->has_step)
        return s->step;
    if (any_implied(s, vals)) {
        s->implied_step++;
        g_hash_table_remove_all(s->implied_keys);
    } else if (!s->has_implied_step) {
        s->has_implied_step = TRUE;
        s->implied_step = 0;
    }
    for (gsize i = 0; i < value_map_size(vals); i++)
        g_hash_table_add(s->implied_keys, g_strdup(value_map_key_at(vals, i)));
    return s->implied_step;
}

/* Writes what the scalar rules find. Gives all keys found, for the attribute rules to pass over. */
static Value *scalars_line(ScalarsOut *s, const char *line, gsize len)
{
    Value *found = output_rules_match(s->scalars, line, len);
    if (!found)
        return NULL;
    g_autoptr(Value) vals = value_new_map();
    value_map_update(vals, found);
    value_map_remove(vals, STEP_KEY);
    const Value *step = value_map_get(found, STEP_KEY);
    if (step) {
        double d = value_get_float(step);
        if (isfinite(d) && fabs(d) < 9.0e18) {
            s->step = (gint64)d;
            s->has_step = TRUE;
        }
    }
    if (!value_map_size(vals))
        return found;
    gint64 n = step_for_line(s, vals);
    for (gsize i = 0; i < value_map_size(vals) && !s->broken; i++) {
        const char *key = value_map_key_at(vals, i);
        if (g_hash_table_contains(s->ignore_scalars, key))
            continue;
        TfEventWriter *file = event_file(s, &s->scalars_file, "");
        GError *error = NULL;
        if (file)
            tfevent_writer_scalar(
                    file, key, (float)value_get_float(value_map_at(vals, i)), n, &error);
        check_written(s, error);
    }
    if (!step)
        value_map_set_int(found, STEP_KEY, n);
    return found;
}

static void attrs_line(ScalarsOut *s, const char *line, gsize len, const Value *taken)
{
    g_autoptr(Value) vals = output_rules_match(s->attrs, line, len);
    for (gsize i = 0; vals && i < value_map_size(vals) && !s->broken; i++) {
        const char *key = value_map_key_at(vals, i);
        if (g_hash_table_contains(s->ignore_attrs, key) || value_map_has(taken, key))
            continue;
        TfEventWriter *file = event_file(s, &s->attrs_file, ".attrs");
        GError *error = NULL;
        if (file)
            tfevent_writer_text(file, key, value_get_string(value_map_at(vals, i)), &error);
        check_written(s, error);
    }
}

void scalars_out_line(ScalarsOut *s, const char *line, gsize len)
{
    if (s->broken)
        return;
    g_autoptr(Value) taken = s->scalars ? scalars_line(s, line, len) : NULL;
    if (s->attrs)
        attrs_line(s, line, len, taken);
}
