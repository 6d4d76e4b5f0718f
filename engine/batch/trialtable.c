/* SPDX-License-Identifier: Apache-2.0 */
/* Trials as tables, CSV and JSON: see trialtable.h. */
#include "engine/batch/trialtable.h"

#include <string.h>

#include "engine/base/flagval.h"
#include "engine/base/json.h"
#include "engine/batch/batchfile.h"

#define COLUMN_GAP 2

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names of all flags that any trial has, sorted, borrowed from the trials. */
static GPtrArray *flag_names(const Value *trials)
{
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
    GPtrArray *names = g_ptr_array_new();
    for (gsize i = 0; i < value_list_size(trials); i++) {
        const Value *trial = value_list_at(trials, i);
        for (gsize k = 0; k < value_map_size(trial); k++) {
            const char *name = value_map_key_at(trial, k);
            if (g_hash_table_add(seen, (gpointer)name))
                g_ptr_array_add(names, (gpointer)name);
        }
    }
    if (names->len)
        qsort(names->pdata, names->len, sizeof(gpointer), compare_names);
    return names;
}

/* The text of a cell; "" where the trial lacks the flag. */
static char *cell_text(const Value *trial, const char *name)
{
    return value_map_has(trial, name) ? flagval_encode(value_map_get(trial, name)) : g_strdup("");
}

/* Texts of all cells below a heading, row by row; each row is a strv. */
static GPtrArray *table_rows(const Value *trials, const GPtrArray *names, gboolean numbered)
{
    GPtrArray *rows = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
    for (gsize i = 0; i <= value_list_size(trials); i++) {
        const Value *trial = i ? value_list_at(trials, i - 1) : NULL;
        g_autoptr(GStrvBuilder) row = g_strv_builder_new();
        if (numbered) {
            g_autofree char *number = g_strdup_printf("%" G_GSIZE_FORMAT, i);
            g_strv_builder_add(row, trial ? number : "#");
        }
        for (guint k = 0; k < names->len; k++) {
            g_autofree char *text = trial ? cell_text(trial, names->pdata[k]) : NULL;
            g_strv_builder_add(row, trial ? text : names->pdata[k]);
        }
        g_ptr_array_add(rows, g_strv_builder_end(row));
    }
    return rows;
}

char *trial_table_text(const Value *trials)
{
    if (!value_list_size(trials))
        return g_strdup("");
    g_autoptr(GPtrArray) names = flag_names(trials);
    g_autoptr(GPtrArray) rows = table_rows(trials, names, TRUE);
    gsize columns = names->len + 1;
    g_autofree glong *widths = g_new0(glong, columns);
    for (guint i = 0; i < rows->len; i++)
        for (gsize k = 0; k < columns; k++)
            widths[k] = MAX(widths[k], g_utf8_strlen(((char **)rows->pdata[i])[k], -1));
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < rows->len; i++) {
        char **row = rows->pdata[i];
        for (gsize k = 0; k < columns; k++) {
            glong pad = k + 1 < columns ? widths[k] + COLUMN_GAP - g_utf8_strlen(row[k], -1) : 0;
            g_string_append_printf(out, "%s%*s", row[k], (int)pad, "");
        }
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

static void put_csv_cell(GString *out, const char *text)
{
    if (!text[strcspn(text, ",\"\r\n")]) {
        g_string_append(out, text);
        return;
    }
    g_string_append_c(out, '"');
    for (; *text; text++)
        g_string_append_printf(out, *text == '"' ? "\"%c" : "%c", *text);
    g_string_append_c(out, '"');
}

char *trial_table_csv(const Value *trials)
{
    g_autoptr(GPtrArray) names = flag_names(trials);
    g_autoptr(GPtrArray) rows = table_rows(trials, names, FALSE);
    GString *out = g_string_new(NULL);
    for (guint i = 0; i < rows->len; i++) {
        char **row = rows->pdata[i];
        for (gsize k = 0; row[k]; k++) {
            if (k)
                g_string_append_c(out, ',');
            if (!row[k][0] && !row[1])
                g_string_append(out, "\"\""); /* else the line would be empty */
            else
                put_csv_cell(out, row[k]);
        }
        g_string_append_c(out, '\n');
    }
    return g_string_free(out, FALSE);
}

char *trial_table_json(const Value *trials)
{
    return json_dump(trials, 0, TRUE);
}

char *trial_table_for_path(const Value *trials, const char *path, GError **error)
{
    g_autofree char *format = batchfile_format(path);
    if (strcmp(format, ".json") == 0)
        return trial_table_json(trials);
    if (!*format || strcmp(format, ".csv") == 0)
        return trial_table_csv(trials);
    g_set_error(error, BATCH_ERROR, BATCH_ERROR_FILE,
            "Unsupported extension '%s' - use '.csv', '.json', or no extension", format);
    return NULL;
}
