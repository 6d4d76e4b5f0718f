/* SPDX-License-Identifier: Apache-2.0 */
/* See compare_data.h. Each run first gets its own cells, by heading, in three sections (core, of
 * the operation, of the user); the headings of all runs then make the table. */
#include "cli/compare_data.h"

#include <string.h>

#include "engine/run/colspec.h"
#include "engine/base/flagval.h"
#include "engine/base/log.h"
#include "engine/base/text.h"
#include "engine/project/guildfile.h"
#include "engine/run/describe.h"
#include "engine/run/scalars.h"

#define BASE_COLS ".run, .operation, .started, .time, .status, .label"
#define MIN_COLS ".run"
#define N_SECTIONS 3

typedef struct {
    char *heading;
    Value *value; /* may be NULL */
} Cell;

typedef struct {
    Run *run;
    GPtrArray *sections[N_SECTIONS]; /* of Cell* */
} RunCells;

typedef struct {
    const CompareOptions *options;
    RunIndex *index;
    GHashTable *specs;    /* column spec text -> array of ColSpec* */
    GHashTable *compares; /* opref text -> `compare` of its guildfile, or NULL */
} Builder;

static void cell_free(gpointer data)
{
    Cell *cell = data;
    g_free(cell->heading);
    value_unref(cell->value);
    g_free(cell);
}

static void run_cells_free(gpointer data)
{
    RunCells *cells = data;
    for (int i = 0; i < N_SECTIONS; i++)
        g_ptr_array_unref(cells->sections[i]);
    g_free(cells);
}

/* --- columns of a run --- */

static GPtrArray *parsed(Builder *b, const char *text)
{
    GPtrArray *specs = g_hash_table_lookup(b->specs, text);
    if (specs)
        return specs;
    g_autoptr(GError) error = NULL;
    specs = colspec_parse(text, &error);
    if (!specs) {
        log_warning("error parsing '%s': %s", text, error->message);
        specs = g_ptr_array_new();
    }
    g_hash_table_insert(b->specs, g_strdup(text), specs);
    return specs;
}

static void add_cells(Builder *b, RunCells *cells, int section, const char *text)
{
    GPtrArray *specs = parsed(b, text);
    for (guint i = 0; i < specs->len; i++) {
        Cell *cell = g_new0(Cell, 1);
        cell->heading = colspec_header(specs->pdata[i]);
        cell->value = colspec_value(specs->pdata[i], cells->run, b->index);
        g_ptr_array_add(cells->sections[section], cell);
    }
}

/* `compare` of the operation as its guildfile has it now; NULL without one. */
static Value *guildfile_compare(const OpRef *ref)
{
    g_autoptr(GError) error = NULL;
    if (strcmp(ref->pkg_type, "guildfile") != 0)
        return NULL;
    g_autoptr(Guildfile) gf = guildfile_load_plain(ref->pkg_name, &error);
    if (!gf) {
        log_debug("getting opdef for run: %s", error->message);
        return NULL;
    }
    const ModelDef *model = guildfile_model(gf, ref->model_name);
    const OpDef *opdef = model ? modeldef_operation(model, ref->op_name) : NULL;
    return opdef && opdef->compare ? value_ref(opdef->compare) : NULL;
}

static Value *latest_compare(Builder *b, Run *run)
{
    const OpRef *ref = run_peek_opref(run);
    if (!ref)
        return NULL;
    g_autofree char *key = opref_to_string(ref);
    gpointer known;
    if (!g_hash_table_lookup_extended(b->compares, key, NULL, &known)) {
        known = guildfile_compare(ref);
        g_hash_table_insert(b->compares, g_steal_pointer(&key), known);
    }
    return known && value_truthy(known) ? value_ref(known) : run_try_attr(run, "compare");
}

static int natural(gconstpointer a, gconstpointer b)
{
    return text_natural_compare(*(const char *const *)a, *(const char *const *)b);
}

static GPtrArray *sorted_keys(const Value *map)
{
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; map && value_is_map(map) && i < value_map_size(map); i++)
        g_ptr_array_add(keys, g_strdup(value_map_key_at(map, i)));
    g_ptr_array_sort(keys, natural);
    return keys;
}

static GPtrArray *scalar_tags(Builder *b, Run *run)
{
    g_autoptr(Value) scalars = run_index_scalars(b->index, run);
    GPtrArray *tags = g_ptr_array_new_with_free_func(g_free);
    for (gsize i = 0; i < value_list_size(scalars); i++) {
        const char *tag = value_map_string(value_list_at(scalars, i), "tag", "");
        if ((b->options->all_scalars || !g_str_has_prefix(tag, "sys/")) &&
                !g_ptr_array_find_with_equal_func(tags, tag, g_str_equal, NULL))
            g_ptr_array_add(tags, g_strdup(tag));
    }
    g_ptr_array_sort(tags, natural);
    return tags;
}

/* Names are read as column specs, as the reference reads them. */
static void add_named_cells(Builder *b, RunCells *cells, const char *prefix, GPtrArray *names)
{
    for (guint i = 0; i < names->len; i++) {
        g_autofree char *text = g_strconcat(prefix, names->pdata[i], NULL);
        add_cells(b, cells, 1, text);
    }
}

/* The step of `loss` if there is one, else of the first scalar, then all of them. */
static void add_scalar_cells(Builder *b, RunCells *cells)
{
    g_autoptr(GPtrArray) tags = scalar_tags(b, cells->run);
    if (tags->len == 0)
        return;
    gboolean loss = g_ptr_array_find_with_equal_func(tags, "loss", g_str_equal, NULL);
    const char *tag = loss ? "loss" : tags->pdata[0];
    g_autofree char *step = g_strconcat(tag, " step as step", NULL);
    add_cells(b, cells, 1, step);
    add_named_cells(b, cells, "", tags);
}

static void add_op_cells(Builder *b, RunCells *cells)
{
    g_autoptr(Value) compare = latest_compare(b, cells->run);
    if (compare && value_is_list(compare)) {
        for (gsize i = 0; i < value_list_size(compare); i++) {
            g_autofree char *text = value_str(value_list_at(compare, i));
            add_cells(b, cells, 1, text);
        }
        return;
    }
    g_autoptr(Value) flags = run_try_attr(cells->run, "flags");
    g_autoptr(GPtrArray) names = sorted_keys(flags);
    add_named_cells(b, cells, "=", names);
    g_autoptr(Value) attrs = run_index_attrs(b->index, cells->run);
    g_autoptr(GPtrArray) attr_names = sorted_keys(attrs);
    add_named_cells(b, cells, ".", attr_names);
    add_scalar_cells(b, cells);
}

static RunCells *run_cells(Builder *b, Run *run)
{
    RunCells *cells = g_new0(RunCells, 1);
    cells->run = run;
    for (int i = 0; i < N_SECTIONS; i++)
        cells->sections[i] = g_ptr_array_new_with_free_func(cell_free);
    add_cells(b, cells, 0, b->options->skip_core ? MIN_COLS : BASE_COLS);
    if (b->options->extra_cols)
        add_cells(b, cells, 0, ".sourcecode");
    if (!b->options->skip_op_cols)
        add_op_cells(b, cells);
    if (b->options->cols)
        add_cells(b, cells, 2, b->options->cols);
    return cells;
}

/* --- sorting --- */

typedef struct {
    const char *heading;
    gboolean highest_first;
} SortBy;

static const Value *first_cell(const RunCells *cells, const char *heading)
{
    for (int s = 0; s < N_SECTIONS; s++) {
        for (guint i = 0; i < cells->sections[s]->len; i++) {
            const Cell *cell = cells->sections[s]->pdata[i];
            if (strcmp(cell->heading, heading) == 0)
                return cell->value && !value_is_null(cell->value) ? cell->value : NULL;
        }
    }
    return NULL;
}

/* Numbers by value, other kinds among themselves, mixed ones as text. */
static int compare_values(const Value *a, const Value *b)
{
    gboolean numbers = (value_is_number(a) || value_kind(a) == VALUE_BOOL) &&
                       (value_is_number(b) || value_kind(b) == VALUE_BOOL);
    if (numbers || value_kind(a) == value_kind(b))
        return value_compare(a, b);
    g_autofree char *x = value_str(a), *y = value_str(b);
    return strcmp(x, y);
}

/* Runs without a value come last either way. */
static int compare_rows(gconstpointer a, gconstpointer b, gpointer data)
{
    const SortBy *by = data;
    const Value *x = first_cell(*(RunCells *const *)a, by->heading);
    const Value *y = first_cell(*(RunCells *const *)b, by->heading);
    if (!x || !y)
        return (x == NULL) - (y == NULL);
    int c = compare_values(x, y);
    return by->highest_first ? -c : c;
}

/* --- the table --- */

static GPtrArray *headings(GPtrArray *all)
{
    GPtrArray *header = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    for (int s = 0; s < N_SECTIONS; s++) {
        for (guint r = 0; r < all->len; r++) {
            GPtrArray *section = ((RunCells *)all->pdata[r])->sections[s];
            for (guint i = 0; i < section->len; i++) {
                char *heading = ((Cell *)section->pdata[i])->heading;
                if (g_hash_table_add(seen, heading))
                    g_ptr_array_add(header, g_strdup(heading));
            }
        }
    }
    return header;
}

/* Cells of one heading are merged: the last section with a value wins, in it the first cell. */
static Value *merged_value(const RunCells *cells, const char *heading)
{
    Value *value = NULL;
    for (int s = 0; s < N_SECTIONS; s++) {
        for (guint i = cells->sections[s]->len; i-- > 0;) {
            const Cell *cell = cells->sections[s]->pdata[i];
            if (strcmp(cell->heading, heading) == 0 && cell->value && !value_is_null(cell->value))
                value = cell->value;
        }
    }
    return value_ref(value);
}

static char *format_cell(Run *run, const char *heading, const Value *v)
{
    if (strcmp(heading, "operation") == 0) {
        g_autoptr(Value) marked = run_try_attr(run, "marked");
        g_autofree char *text = v ? value_str(v) : g_strdup("");
        return g_strconcat(text, marked && value_truthy(marked) ? " [marked]" : "", NULL);
    }
    switch (value_kind(v)) {
    case VALUE_NULL:
        return g_strdup("");
    case VALUE_FLOAT:
        return flagval_format(v, 6);
    case VALUE_BOOL:
        return g_strdup(value_get_bool(v) ? "yes" : "no");
    default:
        return value_str(v);
    }
}

static GPtrArray *table_row(const RunCells *cells, GPtrArray *header, gboolean format)
{
    GPtrArray *row = g_ptr_array_new_with_free_func((GDestroyNotify)value_unref);
    for (guint i = 0; i < header->len; i++) {
        Value *v = merged_value(cells, header->pdata[i]);
        if (format) {
            g_autofree char *text = format_cell(cells->run, header->pdata[i], v);
            value_unref(v);
            v = value_new_string(text);
        }
        g_ptr_array_add(row, v);
    }
    return row;
}

static gboolean column_is_same(const CompareTable *table, guint column)
{
    GPtrArray *first = table->rows->pdata[0];
    for (guint r = 1; r < table->rows->len; r++) {
        GPtrArray *row = table->rows->pdata[r];
        if (!value_equal(first->pdata[column], row->pdata[column]))
            return FALSE;
    }
    return TRUE;
}

static void drop_unchanged(CompareTable *table)
{
    for (guint c = table->header->len; c-- > 0;) {
        if (!column_is_same(table, c))
            continue;
        g_ptr_array_remove_index(table->header, c);
        for (guint r = 0; r < table->rows->len; r++)
            g_ptr_array_remove_index(table->rows->pdata[r], c);
    }
}

static CompareTable *make_table(GPtrArray *all, const CompareOptions *options)
{
    CompareTable *table = g_new0(CompareTable, 1);
    table->header = headings(all);
    table->rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_ptr_array_unref);
    const char *sort_col = options->min_col ? options->min_col : options->max_col;
    SortBy by = {sort_col, !options->min_col};
    if (sort_col)
        g_ptr_array_sort_with_data(all, compare_rows, &by);
    for (guint i = 0; i < all->len && (!options->limit || i < options->limit); i++)
        g_ptr_array_add(table->rows, table_row(all->pdata[i], table->header, options->format));
    if (options->skip_unchanged && table->rows->len > 1)
        drop_unchanged(table);
    return table;
}

CompareTable *compare_table_new(GPtrArray *runs, RunIndex *index, const CompareOptions *options)
{
    Builder b = {
            .options = options,
            .index = index,
            .specs = g_hash_table_new_full(
                    g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_ptr_array_unref),
            .compares = g_hash_table_new_full(
                    g_str_hash, g_str_equal, g_free, (GDestroyNotify)value_unref),
    };
    g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(run_cells_free);
    for (guint i = 0; i < runs->len; i++)
        if (run_peek_opref(runs->pdata[i]))
            g_ptr_array_add(all, run_cells(&b, runs->pdata[i]));
    CompareTable *table = make_table(all, options);
    g_hash_table_unref(b.specs);
    g_hash_table_unref(b.compares);
    return table;
}

void compare_table_free(CompareTable *table)
{
    g_ptr_array_unref(table->header);
    g_ptr_array_unref(table->rows);
    g_free(table);
}
