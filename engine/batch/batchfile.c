/* SPDX-License-Identifier: Apache-2.0 */
/* Reading batch files: see batchfile.h. CSV is libcsv's, JSON is read as YAML like the reference
 * does (its numbers are the same, and a comma too many is no error). */
#include "engine/batch/batchfile.h"

#include <csv.h>
#include <string.h>

#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/base/yaml.h"

/* Rows and cells are counted by libcsv's callbacks. */
typedef struct {
    const char *path;
    Value *trials;
    GPtrArray *names; /* of the first row; NULL before its end */
    GPtrArray *cells; /* of the row being read */
    guint row;
    GError *error;
} CsvReader;

static void set_error(GError **error, const char *path, guint row, const char *problem)
{
    if (row)
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_FILE, "cannot read trials for %s: row %u: %s",
                path, row, problem);
    else
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_FILE, "cannot read trials for %s: %s", path,
                problem);
}

static void on_cell(void *data, size_t len, void *user_data)
{
    CsvReader *r = user_data;
    if (!r->error)
        g_ptr_array_add(r->cells, g_strndup(data ? data : "", len));
}

static void add_trial(CsvReader *r)
{
    if (r->cells->len > r->names->len) {
        g_autofree char *problem = g_strdup_printf(
                "%u cells, but the first row has only %u names", r->cells->len, r->names->len);
        set_error(&r->error, r->path, r->row, problem);
        return;
    }
    Value *trial = value_new_map();
    for (guint i = 0; i < r->cells->len; i++)
        value_map_set(trial, r->names->pdata[i],
                flagval_decode(r->cells->pdata[i], NULL, r->names->pdata[i], NULL));
    value_list_append(r->trials, trial);
}

static void on_row(int terminator, void *user_data)
{
    CsvReader *r = user_data;
    r->row++;
    if (r->error)
        return;
    if (!r->names)
        r->names = g_steal_pointer(&r->cells);
    else
        add_trial(r);
    g_clear_pointer(&r->cells, g_ptr_array_unref);
    r->cells = g_ptr_array_new_with_free_func(g_free);
}

/* Blanks around a cell belong to it. */
static int never_space(unsigned char c)
{
    return 0;
}

static void parse_csv(CsvReader *r, const char *text, gsize len)
{
    struct csv_parser parser;
    if (csv_init(&parser, CSV_APPEND_NULL | CSV_STRICT_FINI) != 0) {
        set_error(&r->error, r->path, 0, "no memory for the reader");
        return;
    }
    csv_set_space_func(&parser, never_space);
    if (csv_parse(&parser, text, len, on_cell, on_row, r) != len ||
            csv_fini(&parser, on_cell, on_row, r) != 0) {
        if (!r->error)
            set_error(&r->error, r->path, r->row + 1, csv_strerror(csv_error(&parser)));
    }
    csv_free(&parser);
}

static Value *read_csv(const char *text, gsize len, const char *path, GError **error)
{
    CsvReader r = {.path = path, .trials = value_new_list()};
    if (g_str_has_prefix(text, "\xef\xbb\xbf")) { /* byte order mark */
        text += 3;
        len -= 3;
    }
    r.cells = g_ptr_array_new_with_free_func(g_free);
    parse_csv(&r, text, len);
    g_ptr_array_unref(r.cells);
    if (r.names)
        g_ptr_array_unref(r.names);
    if (!r.error)
        return r.trials;
    g_propagate_error(error, r.error);
    value_unref(r.trials);
    return NULL;
}

/* A list of maps, or one map. */
static Value *read_maps(const char *text, gsize len, const char *path, GError **error)
{
    g_autoptr(GError) problem = NULL;
    g_autoptr(Value) v = yaml_parse(text, (gssize)len, NULL, &problem);
    if (!v) {
        set_error(error, path, 0, problem->message);
        return NULL;
    }
    g_autoptr(Value) list = value_new_list();
    if (value_is_map(v))
        value_list_append(list, value_ref(v));
    else if (value_is_list(v))
        value_list_extend(list, v);
    else {
        g_autofree char *what =
                g_strconcat("invalid data type for trials: expected list or dict, got ",
                        value_kind_name(value_kind(v)), NULL);
        set_error(error, path, 0, what);
        return NULL;
    }
    for (gsize i = 0; i < value_list_size(list); i++) {
        const Value *item = value_list_at(list, i);
        if (value_is_map(item))
            continue;
        g_autofree char *repr = value_repr(item);
        g_autofree char *what =
                g_strdup_printf("invalid data type for trial %s: expected dict", repr);
        set_error(error, path, 0, what);
        return NULL;
    }
    return g_steal_pointer(&list);
}

Value *batchfile_parse(
        const char *text, gsize len, const char *format, const char *path, GError **error)
{
    static const char *const maps[] = {".json", ".yaml", ".yml", NULL};
    if (!g_utf8_validate_len(text, len, NULL)) {
        set_error(error, path, 0, "the file is not UTF-8 text");
        return NULL;
    }
    if (g_strv_contains(maps, format))
        return read_maps(text, len, path, error);
    if (!*format || strcmp(format, ".csv") == 0)
        return read_csv(text, len, path, error);
    set_error(error, path, 0, "unsupported extension");
    return NULL;
}

char *batchfile_format(const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    const char *dot = strrchr(name, '.');
    return g_ascii_strdown(dot && dot != name ? dot : "", -1);
}

Value *batchfile_read(const char *path, GError **error)
{
    gsize len;
    g_autoptr(GError) io = NULL;
    g_autofree char *format = batchfile_format(path);
    g_autofree char *text = fs_read(path, 0, &len, &io);
    if (!text) {
        set_error(error, path, 0, io->message);
        return NULL;
    }
    return batchfile_parse(text, len, format, path, error);
}

Value *batchfile_read_all(const char *const *paths, GError **error)
{
    g_autoptr(Value) all = value_new_list();
    for (; paths && *paths; paths++) {
        g_autoptr(Value) trials = batchfile_read(*paths, error);
        if (!trials)
            return NULL;
        value_list_extend(all, trials);
    }
    return g_steal_pointer(&all);
}
