/* SPDX-License-Identifier: Apache-2.0 */
/* Search dimensions and the random numbers of a batch: see dims.h. */
#include "engine/batch/dims.h"

#include <math.h>
#include <string.h>

#include "engine/base/flagval.h"

G_DEFINE_QUARK(guild - batch - error, batch_error)

void dim_free(Dim *dim)
{
    if (!dim)
        return;
    g_free(dim->flag);
    value_unref(dim->choices);
    value_unref(dim->initial);
    g_free(dim);
}

/* "(1, 2)" and "(1,)", as Python prints a tuple. */
static char *tuple_repr(const Value *args)
{
    g_autofree char *list = value_repr(args);
    list[strlen(list) - 1] = 0;
    return g_strdup_printf("(%s%s)", list + 1, value_list_size(args) == 1 ? "," : "");
}

static void set_args_error(GError **error, const char *flag, const char *function,
        const Value *args, const char *problem)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (gsize i = 0; i < value_list_size(args); i++) {
        g_autofree char *arg = value_str(value_list_at(args, i));
        g_string_append_printf(text, "%s%s", i ? ":" : "", arg);
    }
    g_set_error(error, BATCH_ERROR, BATCH_ERROR_ARGS, "invalid function args in '%s=%s[%s]': %s",
            flag, function, text->str, problem);
}

static gboolean is_text(const Value *v)
{
    return value_is_string(v) || value_kind(v) == VALUE_BOOL;
}

/* Fills the bounds of a range from the first two arguments; NULL or what is wrong with them (new).
 */
static char *set_bounds(Dim *dim, const Value *low, const Value *high)
{
    if (!value_is_number(low) || !value_is_number(high))
        return g_strdup("expected numbers as bounds");
    dim->low = value_get_float(low);
    dim->high = value_get_float(high);
    if (dim->kind == DIM_INT) {
        dim->int_low = value_get_int(low);
        dim->int_high = value_get_int(high);
    }
    if (value_compare(high, low) <= 0) {
        g_autofree char *a = value_str(low), *b = value_str(high);
        return g_strdup_printf("the lower bound %s has to be less than the upper bound %s", a, b);
    }
    if (!isfinite(dim->low) || !isfinite(dim->high))
        return g_strdup("the bounds have to be finite");
    if (dim->log && dim->low <= 0)
        return g_strdup("the lower bound has to be greater than 0");
    return NULL;
}

/* uniform[a:b] and loguniform[a:b]. */
static gboolean set_range(Dim *dim, const char *function, const Value *args, GError **error)
{
    const Value *low = value_list_at(args, 0), *high = value_list_at(args, 1);
    dim->log = strcmp(function, "loguniform") == 0;
    if (!dim->log && (is_text(low) || is_text(high))) {
        dim->kind = DIM_CHOICE;
        dim->choices = value_new_list();
        value_list_append(dim->choices, value_ref((Value *)low));
        value_list_append(dim->choices, value_ref((Value *)high));
        return TRUE;
    }
    gboolean ints = value_kind(low) == VALUE_INT && value_kind(high) == VALUE_INT;
    dim->kind = ints && !dim->log ? DIM_INT : DIM_REAL;
    g_autofree char *problem = set_bounds(dim, low, high);
    if (problem)
        set_args_error(error, dim->flag, function, args, problem);
    return problem == NULL;
}

static gboolean set_function(Dim *dim, const char *name, const Value *args, GError **error)
{
    const char *function = *name ? name : "uniform";
    gsize n = value_list_size(args);
    if (strcmp(function, "uniform") != 0 && strcmp(function, "loguniform") != 0) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_DIMS, "unknown function '%s' used for flag %s",
                function, dim->flag);
        return FALSE;
    }
    if (n != 2 && n != 3) {
        g_autofree char *got = tuple_repr(args);
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_DIMS,
                "%s requires 2 or 3 args, got %s for flag %s", function, got, dim->flag);
        return FALSE;
    }
    if (n == 3 && !value_is_null(value_list_at(args, 2)))
        dim->initial = value_ref(value_list_at(args, 2));
    return set_range(dim, function, args, error);
}

Dim *dim_for_value(const char *flag, const Value *v, gboolean lists, GError **error)
{
    g_autofree char *name = NULL;
    g_autoptr(Value) args = NULL;
    gboolean is_choice = lists && value_is_list(v);
    if (!is_choice &&
            (!value_is_string(v) || !flagval_decode_function(value_get_string(v), &name, &args)))
        return NULL;
    g_autoptr(Dim) dim = g_new0(Dim, 1);
    dim->flag = g_strdup(flag);
    if (!is_choice)
        return set_function(dim, name, args, error) ? g_steal_pointer(&dim) : NULL;
    if (!value_list_size(v)) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_ARGS,
                "flag %s has an empty list to choose from", flag);
        return NULL;
    }
    dim->choices = value_ref((Value *)v);
    return g_steal_pointer(&dim);
}

static gint compare_dims(gconstpointer a, gconstpointer b)
{
    return strcmp((*(Dim *const *)a)->flag, (*(Dim *const *)b)->flag);
}

GPtrArray *dims_for_flags(const Value *flags, GError **error)
{
    g_autoptr(GPtrArray) dims = g_ptr_array_new_with_free_func((GDestroyNotify)dim_free);
    for (gsize i = 0; i < value_map_size(flags); i++) {
        GError *problem = NULL;
        Dim *dim =
                dim_for_value(value_map_key_at(flags, i), value_map_at(flags, i), TRUE, &problem);
        if (problem) {
            g_propagate_error(error, problem);
            return NULL;
        }
        if (dim)
            g_ptr_array_add(dims, dim);
    }
    g_ptr_array_sort(dims, compare_dims);
    return g_steal_pointer(&dims);
}

/* "a=1, b=null": all flags, as the message about them lists them. */
static char *list_flags(const Value *flags)
{
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, flags);
    value_map_sort(sorted);
    GString *out = g_string_new(NULL);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_autofree char *text = flagval_format(value_map_at(sorted, i), 0);
        g_string_append_printf(out, "%s%s=%s", i ? ", " : "", value_map_key_at(sorted, i), text);
    }
    return g_string_free(out, FALSE);
}

GPtrArray *dims_to_search(const Value *flags, GError **error)
{
    g_autoptr(GPtrArray) dims = dims_for_flags(flags, error);
    if (!dims || dims->len)
        return g_steal_pointer(&dims);
    g_autofree char *desc = list_flags(flags);
    g_set_error(error, BATCH_ERROR, BATCH_ERROR_DIMS,
            "flags for batch (%s) do not contain any search dimensions\n"
            "Try specifying a range for one or more flags as NAME=[MIN:MAX].",
            desc);
    return NULL;
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014). */
static guint64 mix(guint64 x)
{
    x += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

guint64 batch_random(guint64 seed, guint64 trial, const char *stream)
{
    guint64 name = G_GUINT64_CONSTANT(0xcbf29ce484222325); /* FNV-1a */
    for (const guchar *p = (const guchar *)stream; *p; p++)
        name = (name ^ *p) * G_GUINT64_CONSTANT(0x100000001b3);
    return mix(mix(mix(seed) ^ trial) ^ name);
}

double batch_random_unit(guint64 seed, guint64 trial, const char *stream)
{
    return (double)(batch_random(seed, trial, stream) >> 11) * 0x1p-53;
}

guint64 batch_random_below(guint64 seed, guint64 trial, const char *stream, guint64 n)
{
    guint64 bits = batch_random(seed, trial, stream);
    return n ? (guint64)(((unsigned __int128)bits * n) >> 64) : bits;
}

Value *dim_sample(const Dim *dim, guint64 seed, guint64 trial)
{
    if (dim->kind == DIM_CHOICE) {
        gsize n = value_list_size(dim->choices);
        return value_ref(
                value_list_at(dim->choices, batch_random_below(seed, trial, dim->flag, n)));
    }
    if (dim->kind == DIM_INT) {
        guint64 span = (guint64)dim->int_high - (guint64)dim->int_low + 1; /* 0: all 64 bits */
        guint64 at = batch_random_below(seed, trial, dim->flag, span);
        return value_new_int((gint64)((guint64)dim->int_low + at));
    }
    double u = batch_random_unit(seed, trial, dim->flag);
    double d = dim->log ? exp(log(dim->low) + u * (log(dim->high) - log(dim->low)))
                        : dim->low * (1 - u) + dim->high * u;
    return value_new_float(CLAMP(d, dim->low, dim->high));
}
