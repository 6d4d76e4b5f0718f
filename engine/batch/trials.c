/* SPDX-License-Identifier: Apache-2.0 */
/* Grids: see trials.h. A trial's number is read as digits, one per flag, in the mixed base of the
 * lists' lengths. */
#include "engine/batch/trials.h"

#include <stdlib.h>
#include <string.h>

/* One flag of a grid. */
typedef struct {
    char *name;
    Value *items; /* list */
    Dim **dims;   /* as many; not NULL where the item is a function */
    gsize n;
    gint64 stride; /* trials from one item to the next */
} Axis;

typedef struct {
    GArray *axes; /* sorted by name */
    gint64 count;
} Grid;

struct TrialSource {
    Value *flags, *user_flags, *rows;
    guint64 seed;
    gint64 *row_ends; /* with rows: number of trials up to and with each */
    gint64 total;     /* before sampling */
    gint64 *sample;   /* sorted numbers of trials, or NULL for all */
    gint64 count;
    gint64 next;
    Grid *grid; /* of row `grid_row` */
    gsize grid_row;
};

static void axis_clear(gpointer data)
{
    Axis *axis = data;
    for (gsize i = 0; i < axis->n; i++)
        dim_free(axis->dims[i]);
    g_free(axis->dims);
    g_free(axis->name);
    value_unref(axis->items);
}

static void grid_free(Grid *grid)
{
    if (!grid)
        return;
    g_array_unref(grid->axes);
    g_free(grid);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Grid, grid_free)

static gint64 saturating_product(gint64 a, gint64 b)
{
    gint64 product;
    return __builtin_mul_overflow(a, b, &product) ? G_MAXINT64 : product;
}

static gboolean axis_init(Axis *axis, const char *name, const Value *v, GError **error)
{
    axis->name = g_strdup(name);
    if (value_is_list(v)) {
        axis->items = value_ref((Value *)v);
    } else {
        axis->items = value_new_list();
        value_list_append(axis->items, value_ref((Value *)v));
    }
    axis->n = value_list_size(axis->items);
    axis->dims = g_new0(Dim *, axis->n + 1);
    for (gsize i = 0; i < axis->n; i++) {
        GError *problem = NULL;
        axis->dims[i] = dim_for_value(name, value_list_at(axis->items, i), FALSE, &problem);
        if (problem) {
            g_propagate_error(error, problem);
            return FALSE;
        }
    }
    return TRUE;
}

static Grid *grid_new(const Value *flags, GError **error)
{
    g_autoptr(Value) sorted = value_new_map();
    value_map_update(sorted, flags);
    value_map_sort(sorted);
    g_autoptr(Grid) grid = g_new0(Grid, 1);
    grid->axes = g_array_new(FALSE, TRUE, sizeof(Axis));
    g_array_set_clear_func(grid->axes, axis_clear);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_array_set_size(grid->axes, (guint)i + 1);
        Axis *axis = &g_array_index(grid->axes, Axis, i);
        if (!axis_init(axis, value_map_key_at(sorted, i), value_map_at(sorted, i), error))
            return NULL;
    }
    grid->count = 1;
    for (guint i = grid->axes->len; i > 0; i--) {
        Axis *axis = &g_array_index(grid->axes, Axis, i - 1);
        axis->stride = grid->count;
        grid->count = saturating_product(grid->count, (gint64)axis->n);
    }
    return g_steal_pointer(&grid);
}

/* Flags of the grid's trial `local`, which is trial `number` of the batch. */
static Value *grid_trial(const Grid *grid, gint64 local, gint64 number, guint64 seed)
{
    Value *flags = value_new_map();
    gint64 rest = local;
    for (guint i = 0; i < grid->axes->len; i++) {
        const Axis *axis = &g_array_index(grid->axes, Axis, i);
        gsize at = (gsize)(rest / axis->stride);
        rest %= axis->stride;
        const Dim *dim = axis->dims[at];
        Value *v;
        if (!dim)
            v = value_ref(value_list_at(axis->items, at));
        else if (dim->initial && local == (gint64)at * axis->stride) /* the function's first use */
            v = value_ref(dim->initial);
        else
            v = dim_sample(dim, seed, (guint64)number);
        value_map_set(flags, axis->name, v);
    }
    return flags;
}

static Value *merged_flags(const TrialSource *src, gsize row)
{
    Value *merged = value_new_map();
    value_map_update(merged, src->flags);
    value_map_update(merged, value_list_at(src->rows, row));
    value_map_update(merged, src->user_flags);
    return merged;
}

static gboolean load_grid(TrialSource *src, gsize row, GError **error)
{
    if (src->grid && src->grid_row == row)
        return TRUE;
    g_clear_pointer(&src->grid, grid_free);
    g_autoptr(Value) merged = src->row_ends ? merged_flags(src, row) : value_ref(src->flags);
    src->grid = grid_new(merged, error);
    src->grid_row = row;
    return src->grid != NULL;
}

static int compare_numbers(const void *a, const void *b)
{
    gint64 x = *(const gint64 *)a, y = *(const gint64 *)b;
    return (x > y) - (x < y);
}

/* A random subset of 0..total-1, sorted (Floyd's algorithm). */
static gint64 *take_sample(gint64 total, gint64 size, guint64 seed)
{
    g_autoptr(GHashTable) taken = g_hash_table_new(g_int64_hash, g_int64_equal);
    gint64 *sample = g_new(gint64, size);
    for (gint64 i = 0; i < size; i++) {
        gint64 last = total - size + i;
        sample[i] = (gint64)batch_random_below(seed, (guint64)i, "sample", (guint64)last + 1);
        if (g_hash_table_contains(taken, &sample[i]))
            sample[i] = last;
        g_hash_table_add(taken, &sample[i]);
    }
    qsort(sample, (gsize)size, sizeof *sample, compare_numbers);
    return sample;
}

/* Counts the trials; looks at every row, so that errors show before the first trial. */
static gboolean count_trials(TrialSource *src, GError **error)
{
    gsize rows = value_list_size(src->rows);
    if (!rows)
        return load_grid(src, 0, error) && (src->total = src->grid->count, TRUE);
    src->row_ends = g_new(gint64, rows);
    for (gsize row = 0; row < rows; row++) {
        if (!load_grid(src, row, error))
            return FALSE;
        gint64 sum;
        src->total = __builtin_add_overflow(src->total, src->grid->count, &sum) ? G_MAXINT64 : sum;
        src->row_ends[row] = src->total;
    }
    return TRUE;
}

TrialSource *trial_source_new(const TrialSpec *spec, GError **error)
{
    g_autoptr(TrialSource) src = g_new0(TrialSource, 1);
    src->flags = spec->flags ? value_ref((Value *)spec->flags) : value_new_map();
    src->user_flags = value_ref((Value *)spec->user_flags);
    src->rows = value_ref((Value *)spec->rows);
    src->seed = spec->seed;
    if (!count_trials(src, error))
        return NULL;
    src->count = src->total;
    if (spec->max_trials > 0 && spec->max_trials < src->total) {
        src->sample = take_sample(src->total, spec->max_trials, spec->seed);
        src->count = spec->max_trials;
    }
    return g_steal_pointer(&src);
}

void trial_source_free(TrialSource *src)
{
    if (!src)
        return;
    value_unref(src->flags);
    value_unref(src->user_flags);
    value_unref(src->rows);
    grid_free(src->grid);
    g_free(src->row_ends);
    g_free(src->sample);
    g_free(src);
}

gint64 trial_source_count(const TrialSource *src)
{
    return src->count;
}

void trial_source_seek(TrialSource *src, gint64 index)
{
    src->next = CLAMP(index, 0, src->count);
}

/* The row that trial `number` comes from. */
static gsize row_of(const TrialSource *src, gint64 number)
{
    gsize low = 0, high = value_list_size(src->rows) - 1;
    while (low < high) {
        gsize middle = low + (high - low) / 2;
        if (number < src->row_ends[middle])
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

Value *trial_source_next(TrialSource *src)
{
    if (src->next >= src->count)
        return NULL;
    gint64 number = src->sample ? src->sample[src->next] : src->next;
    gsize row = src->row_ends ? row_of(src, number) : 0;
    if (!load_grid(src, row, NULL)) /* has been loaded before, so it can be */
        return NULL;
    src->next++;
    gint64 first = src->row_ends && row ? src->row_ends[row - 1] : 0;
    return grid_trial(src->grid, number - first, number, src->seed);
}
