/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of runs; see run_check.h. */
#include "cli/run_check.h"

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/base/text.h"

#include <glob.h>
#include <string.h>

G_DEFINE_QUARK(guild - run - check - error, run_check_error)

enum { DIFF_CONTEXT = 3, DIFF_MAX_CELLS = 16 * 1000 * 1000 };

static gboolean failed(GError **error, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static gboolean failed(GError **error, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    g_autofree char *msg = g_strdup_vprintf(fmt, args);
    va_end(args);
    g_set_error_literal(error, RUN_CHECK_ERROR, RUN_CHECK_FAILED, msg);
    return FALSE;
}

static char *repr_of(const char *text)
{
    g_autoptr(Value) v = value_new_string(text);
    return value_repr(v);
}

static GRegex *compile(const char *pattern, GError **error)
{
    GRegex *re = g_regex_new(pattern, G_REGEX_NEWLINE_LF, 0, NULL);
    if (!re) {
        g_autofree char *repr = repr_of(pattern);
        g_set_error(
                error, RUN_CHECK_ERROR, RUN_CHECK_INVALID, "invalid regular expression: %s", repr);
    }
    return re;
}

gboolean run_check_is_valid(const Value *data, GError **error)
{
    const char *file = value_map_string(data, "file", NULL);
    const char *pattern = file ? value_map_string(data, "contains", NULL)
                               : value_map_string(data, "output", NULL);
    if (!file && !pattern) {
        g_set_error(error, RUN_CHECK_ERROR, RUN_CHECK_INVALID,
                "invalid check config - expected one of: file, output");
        return FALSE;
    }
    g_autoptr(GRegex) re = pattern ? compile(pattern, error) : NULL;
    return !pattern || re;
}

/* ---- differences ---- */

/* Lengths of the longest common subsequences of what follows each pair of lines, row by row. */
static guint32 *lcs_table(char **a, gsize n, char **b, gsize m)
{
    guint32 *t = g_new0(guint32, (n + 1) * (m + 1));
    for (gsize i = n; i-- > 0;)
        for (gsize j = m; j-- > 0;)
            t[i * (m + 1) + j] = strcmp(a[i], b[j]) == 0
                                         ? t[(i + 1) * (m + 1) + j + 1] + 1
                                         : MAX(t[(i + 1) * (m + 1) + j], t[i * (m + 1) + j + 1]);
    return t;
}

typedef struct DiffLine {
    char mark; /* ' ', '-', '+' */
    const char *text;
    gsize a, b; /* how many lines of each side come before */
} DiffLine;

static GArray *diff_lines(char **a, gsize n, char **b, gsize m)
{
    g_autofree guint32 *t = lcs_table(a, n, b, m);
    GArray *lines = g_array_new(FALSE, FALSE, sizeof(DiffLine));
    gsize i = 0, j = 0;
    while (i < n || j < m) {
        DiffLine line = {' ', NULL, i, j};
        if (i < n && j < m && !strcmp(a[i], b[j])) {
            line.text = a[i++];
            j++;
        } else if (i < n && (j == m || t[(i + 1) * (m + 1) + j] >= t[i * (m + 1) + j + 1])) {
            line.mark = '-';
            line.text = a[i++];
        } else {
            line.mark = '+';
            line.text = b[j++];
        }
        g_array_append_val(lines, line);
    }
    return lines;
}

static void append_range(GString *out, char mark, gsize start, gsize count)
{
    g_string_append_printf(out, "%c%" G_GSIZE_FORMAT, mark, count ? start + 1 : start);
    if (count != 1)
        g_string_append_printf(out, ",%" G_GSIZE_FORMAT, count);
}

static void append_hunk(GString *out, const GArray *lines, guint from, guint to)
{
    const DiffLine *first = &g_array_index(lines, DiffLine, from);
    gsize a = 0, b = 0;
    for (guint i = from; i < to; i++) {
        a += g_array_index(lines, DiffLine, i).mark != '+';
        b += g_array_index(lines, DiffLine, i).mark != '-';
    }
    g_string_append(out, "@@ ");
    append_range(out, '-', first->a, a);
    g_string_append_c(out, ' ');
    append_range(out, '+', first->b, b);
    g_string_append(out, " @@\n");
    for (guint i = from; i < to; i++)
        g_string_append_printf(out, "\n%c%s", g_array_index(lines, DiffLine, i).mark,
                g_array_index(lines, DiffLine, i).text);
}

char *run_check_diff(const char *a, const char *b, const char *a_name, const char *b_name)
{
    if (!strcmp(a, b))
        return g_strdup("");
    g_auto(GStrv) al = g_strsplit(a, "\n", -1);
    g_auto(GStrv) bl = g_strsplit(b, "\n", -1);
    gsize n = g_strv_length(al), m = g_strv_length(bl);
    GString *out = g_string_new(NULL);
    g_string_append_printf(out, "--- %s\n\n+++ %s\n", a_name, b_name);
    if ((n + 1) > DIFF_MAX_CELLS / (m + 1))
        return g_string_free(out, FALSE);
    g_autoptr(GArray) lines = diff_lines(al, n, bl, m);
    for (guint i = 0; i < lines->len; i++) {
        if (g_array_index(lines, DiffLine, i).mark == ' ')
            continue;
        guint from = i > DIFF_CONTEXT ? i - DIFF_CONTEXT : 0, last = i, to;
        for (to = i + 1; to < lines->len && to <= last + 2 * DIFF_CONTEXT; to++)
            if (g_array_index(lines, DiffLine, to).mark != ' ')
                last = to;
        to = MIN(last + DIFF_CONTEXT + 1, lines->len);
        g_string_append_c(out, '\n');
        append_hunk(out, lines, from, to);
        i = to - 1;
    }
    return g_string_free(out, FALSE);
}

/* ---- checks ---- */

static char *read_text(const char *path, GError **error)
{
    char *text = fs_read(path, 0, NULL, NULL);
    if (!text)
        failed(error, "error reading run output from %s", path);
    return text;
}

static gboolean compare_files(const char *path, const char *other, GError **error)
{
    g_autofree char *actual = read_text(path, error);
    g_autofree char *expected = actual ? read_text(other, error) : NULL;
    if (!expected)
        return FALSE;
    g_autofree char *diff = run_check_diff(expected, actual, other, path);
    if (!*diff)
        return TRUE;
    log_error("%s", diff);
    return failed(error, "unexpected file contents - see above for details");
}

/* `compare-to` with ${NAME} from the environment. */
static char *other_path(const char *compare_to, Run *run, GError **error)
{
    g_autoptr(Value) env = value_new_map();
    g_auto(GStrv) names = g_listenv();
    for (guint i = 0; names[i]; i++)
        value_map_set_string(env, names[i], g_getenv(names[i]));
    GError *cause = NULL;
    g_autoptr(Value) resolved = text_resolve_refs(compare_to, env, NULL, &cause);
    if (!resolved) {
        failed(error, "undefined variable '%s' in '%s'", cause->message, compare_to);
        g_error_free(cause);
        return NULL;
    }
    g_autofree char *path = value_str(resolved);
    return fs_join(run_dir(run), path);
}

static gboolean check_file(const Value *data, Run *run, const char *path, GError **error)
{
    g_autofree char *rel = fs_relpath(path, run_dir(run));
    const char *compare_to = value_map_string(data, "compare-to", NULL);
    if (compare_to && *compare_to) {
        g_autofree char *other = other_path(compare_to, run, error);
        if (!other)
            return FALSE;
        log_info("comparing run %s file %s to %s", run_id(run), rel, other);
        if (!compare_files(path, other, error))
            return FALSE;
    }
    const char *pattern = value_map_string(data, "contains", NULL);
    if (!pattern)
        return TRUE;
    g_autofree char *repr = repr_of(pattern);
    log_info("checking run %s file %s for %s", run_id(run), rel, repr);
    g_autofree char *text = read_text(path, error);
    g_autoptr(GRegex) re = text ? compile(pattern, error) : NULL;
    if (!re)
        return FALSE;
    g_autofree char *valid = text_to_utf8(text, -1);
    return g_regex_match(re, valid, 0, NULL) ||
           failed(error, "could not find pattern %s in run %s file %s", repr, run_id(run), rel);
}

static gboolean check_files(const Value *data, Run *run, const char *pattern, GError **error)
{
    g_autofree char *repr = repr_of(pattern);
    log_info("checking run %s files %s", run_id(run), repr);
    g_autofree char *full = fs_join(run_dir(run), pattern);
    glob_t found = {0};
    gboolean ok = glob(full, 0, NULL, &found) == 0 && found.gl_pathc > 0;
    if (!ok)
        failed(error, "no files matching %s in run %s", pattern, run_id(run));
    for (gsize i = 0; ok && i < found.gl_pathc; i++)
        ok = check_file(data, run, found.gl_pathv[i], error);
    globfree(&found);
    return ok;
}

gboolean run_check(const Value *data, Run *run, GError **error)
{
    const char *file = value_map_string(data, "file", NULL);
    if (file)
        return check_files(data, run, file, error);
    const char *pattern = value_map_string(data, "output", "");
    g_autofree char *repr = repr_of(pattern);
    log_info("checking run %s output for %s", run_id(run), repr);
    g_autofree char *path = run_guild_path(run, "output");
    g_autofree char *text = read_text(path, error);
    g_autoptr(GRegex) re = text ? compile(pattern, error) : NULL;
    if (!re)
        return FALSE;
    g_autofree char *valid = text_to_utf8(text, -1);
    return g_regex_match(re, valid, 0, NULL) ||
           failed(error, "could not find pattern %s in run %s output", repr, run_id(run));
}
