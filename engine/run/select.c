/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of listings and RUN arguments. See select.h. */
#include "engine/run/select.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/text.h"
#include "engine/run/describe.h"
#include "engine/run/filter.h"
#include "engine/run/index.h"
#include "engine/run/timerange.h"

void run_query_init(RunQuery *q)
{
    *q = (RunQuery){0};
    memset(q->status, -1, sizeof(q->status));
}

/* --- operations --- */

typedef struct {
    char *pkg, *model, *op;
} OpSpec;

static void op_spec_clear(OpSpec *spec)
{
    g_free(spec->pkg);
    g_free(spec->model);
    g_free(spec->op);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(OpSpec, op_spec_clear)

/* "[PKG/][MODEL:]OP" by the reference's patterns; what fits none of them has no parts. */
static void op_spec_parse(const char *text, OpSpec *spec)
{
    static const char *const patterns[] = {
            "^([^/:]*):([^/:]+)$",
            "^([^/:]*/[^/:?]*):([^/:]+)$",
            "^([^/:]+/):?([^/:]+)$",
    };
    *spec = (OpSpec){NULL, NULL, NULL};
    if (!*text)
        return;
    if (!strpbrk(text, "/:")) {
        spec->op = g_strdup(text);
        return;
    }
    for (gsize i = 0; i < G_N_ELEMENTS(patterns); i++) {
        g_autoptr(GRegex) regex = g_regex_new(patterns[i], 0, 0, NULL);
        g_autoptr(GMatchInfo) match = NULL;
        if (!g_regex_match(regex, text, 0, &match))
            continue;
        char *model = g_match_info_fetch(match, 1);
        char *slash = strchr(model, '/');
        spec->op = g_match_info_fetch(match, 2);
        if (slash) {
            spec->pkg = g_strndup(model, (gsize)(slash - model));
            spec->model = g_strdup(slash + 1);
            g_free(model);
        } else {
            spec->model = model;
        }
        return;
    }
}

static gboolean op_part_matches(const char *ref, const char *part)
{
    if (!ref || !*ref)
        return TRUE;
    if (!part || !*part)
        return FALSE;
    return strchr(ref, '*') ? text_fnmatch(ref, part) : strcmp(ref, part) == 0;
}

gboolean run_match_operation(const char *ref, const char *operation)
{
    if (ref[0] == '^' || g_str_has_suffix(ref, "$"))
        return g_regex_match_simple(ref, operation, 0, 0);
    g_auto(OpSpec) wanted, have;
    op_spec_parse(ref, &wanted);
    op_spec_parse(operation, &have);
    return op_part_matches(wanted.pkg, have.pkg) && op_part_matches(wanted.model, have.model) &&
           op_part_matches(wanted.op, have.op);
}

/* --- one test a filter --- */

#define MAX_TESTS 16

typedef struct Tests Tests;
typedef gboolean (*TestFn)(Run *run, const Tests *t);

/* Read by several threads. */
struct Tests {
    const RunQuery *query;
    gint64 start_s, end_s;
    Filter *filter;
    RunIndex *index;
    TestFn chosen[MAX_TESTS]; /* ended by NULL */
};

static gboolean asks_status(const RunQuery *q)
{
    for (gsize i = 0; i < G_N_ELEMENTS(q->status); i++)
        if (q->status[i] >= 0)
            return TRUE;
    return FALSE;
}

static gboolean test_status(Run *run, const Tests *t)
{
    gboolean wants = FALSE, asked = FALSE;
    RunStatus status = RUN_ERROR;
    for (int i = 0; i < (int)G_N_ELEMENTS(t->query->status); i++) {
        RunTri tri = t->query->status[i];
        if (tri < 0)
            continue;
        if (!asked)
            status = run_status(run);
        asked = TRUE;
        if (tri == 0 && (int)status == i)
            return FALSE;
        wants = wants || tri == 1;
    }
    return !wants || t->query->status[status] == 1;
}

static gboolean test_ops(Run *run, const Tests *t)
{
    g_autofree char *operation = run_format_operation(run);
    for (const char *const *ref = t->query->ops; *ref; ref++)
        if (run_match_operation(*ref, operation))
            return TRUE;
    return FALSE;
}

static char *stripped_label(Run *run)
{
    char *label = run_attr_text(run, "label");
    return label ? g_strstrip(label) : g_strdup("");
}

static gboolean test_labels(Run *run, const Tests *t)
{
    g_autofree char *label = stripped_label(run);
    for (const char *const *s = t->query->labels; *s; s++)
        if (strcmp(*s, "-") == 0 ? !*label : strstr(label, *s) != NULL)
            return TRUE;
    return FALSE;
}

static gboolean test_unlabeled(Run *run, const Tests *t)
{
    (void)t;
    g_autofree char *label = stripped_label(run);
    return !*label;
}

static gboolean test_tags(Run *run, const Tests *t)
{
    g_autoptr(Value) tags = run_try_attr(run, "tags");
    if (!tags || !value_is_list(tags))
        return FALSE;
    for (gsize i = 0; i < value_list_size(tags); i++) {
        const Value *tag = value_list_at(tags, i);
        if (value_is_string(tag) && g_strv_contains(t->query->tags, value_get_string(tag)))
            return TRUE;
    }
    return FALSE;
}

static char *comments_text(Run *run)
{
    static const char *const keys[] = {"user", "host", "body"};
    g_autoptr(Value) comments = run_try_attr(run, "comments");
    GString *text = g_string_new(NULL);
    for (gsize i = 0; comments && value_is_list(comments) && i < value_list_size(comments); i++) {
        for (gsize k = 0; k < G_N_ELEMENTS(keys); k++) {
            const char *part = value_map_string(value_list_at(comments, i), keys[k], "");
            g_autofree char *lower = g_utf8_strdown(part, -1);
            if (i || k)
                g_string_append_c(text, '\n');
            g_string_append(text, lower);
        }
    }
    return g_string_free(text, FALSE);
}

static gboolean test_comments(Run *run, const Tests *t)
{
    g_autofree char *text = comments_text(run);
    for (const char *const *s = t->query->comments; *s; s++) {
        g_autofree char *lower = g_utf8_strdown(*s, -1);
        if (strcmp(*s, "-") == 0 ? !*text : strstr(text, lower) != NULL)
            return TRUE;
    }
    return FALSE;
}

static gboolean is_marked(Run *run)
{
    g_autoptr(Value) marked = run_try_attr(run, "marked");
    return marked && value_truthy(marked);
}

static gboolean test_marked(Run *run, const Tests *t)
{
    (void)t;
    return is_marked(run);
}

static gboolean test_unmarked(Run *run, const Tests *t)
{
    (void)t;
    return !is_marked(run);
}

static gboolean test_started(Run *run, const Tests *t)
{
    gint64 us = run_timestamp_us(run);
    gint64 s = us / G_USEC_PER_SEC;
    return us && s >= t->start_s && s < t->end_s;
}

static gboolean test_digest(Run *run, const Tests *t)
{
    g_autofree char *digest = run_attr_text(run, "sourcecode_digest");
    return g_str_has_prefix(digest ? digest : "", t->query->digest);
}

typedef struct {
    Run *run;
    RunIndex *index;
} FilteredRun;

static Value *source_flag(gpointer data, const char *name)
{
    const FilteredRun *fr = data;
    return run_attr_item(fr->run, "flags", name);
}

static Value *source_attr(gpointer data, const char *name)
{
    const FilteredRun *fr = data;
    Value *v = run_index_named_attr(fr->index, fr->run, name);
    if (v || strcmp(name, "model") != 0)
        return v;
    /* `model` is what runs may say about themselves, and else the model of the operation. */
    g_autoptr(Value) flag = source_flag(data, name);
    return flag ? NULL : run_index_named_attr(fr->index, fr->run, "op_model");
}

static Value *source_scalar(gpointer data, const char *key)
{
    const FilteredRun *fr = data;
    g_autoptr(Value) v = run_index_last_scalar(fr->index, fr->run, key);
    return value_is_nan(v) ? NULL : g_steal_pointer(&v); /* as colspec_value() */
}

static gboolean test_filter(Run *run, const Tests *t)
{
    static const FilterSource source = {source_attr, source_flag, source_scalar};
    return filter_test(t->filter, &source, &(FilteredRun){run, t->index});
}

/* The tests that the query asks for, cheap ones first; ended by NULL. */
static void choose_tests(const RunQuery *q, TestFn out[MAX_TESTS])
{
    const struct {
        TestFn fn;
        gboolean asked;
    } all[] = {
            {test_started, q->started != NULL},
            {test_marked, q->marked},
            {test_unmarked, q->unmarked},
            {test_labels, q->labels && *q->labels},
            {test_unlabeled, q->unlabeled},
            {test_tags, q->tags && *q->tags},
            {test_comments, q->comments && *q->comments},
            {test_digest, q->digest && *q->digest},
            {test_status, asks_status(q)},
            {test_ops, q->ops && *q->ops},
            {test_filter, q->filter && *q->filter},
    };
    G_STATIC_ASSERT(G_N_ELEMENTS(all) < MAX_TESTS);
    gsize n = 0;
    for (gsize i = 0; i < G_N_ELEMENTS(all); i++)
        if (all[i].asked)
            out[n++] = all[i].fn;
    out[n] = NULL;
}

static gboolean passes(Run *run, gpointer data)
{
    const Tests *tests = data;
    if (!run_exists(run)) {
        run_warn_unreadable(run);
        return FALSE;
    }
    for (const TestFn *test = tests->chosen; *test; test++)
        if (!(*test)(run, tests))
            return FALSE;
    run_timestamp_us(run); /* what is kept is sorted, and here it is looked at by many threads */
    return TRUE;
}

static GPtrArray *filter_runs(GPtrArray *runs, const RunQuery *q, RunIndex *index, GError **error)
{
    Tests tests = {.query = q, .index = index};
    if (q->started && !timerange_parse(q->started, 0, &tests.start_s, &tests.end_s, error)) {
        g_prefix_error(error, "invalid RANGE: ");
        return NULL;
    }
    if (q->filter && *q->filter && !(tests.filter = filter_parse(q->filter, error)))
        return NULL;
    choose_tests(q, tests.chosen);
    run_index_load(index, runs);
    GPtrArray *kept = run_index_filter(runs, passes, &tests);
    g_clear_pointer(&tests.filter, filter_free);
    return kept;
}

GPtrArray *run_query_list(RunStore *store, const RunQuery *q, GError **error)
{
    g_autoptr(RunIndex) index = run_index_open(store);
    g_autoptr(GPtrArray) folders = run_store_scan_folders(store, q->where);
    g_autoptr(GPtrArray) kept = filter_runs(folders, q, index, error);
    if (!kept)
        return NULL;
    run_store_sort(kept);
    return g_steal_pointer(&kept);
}

/* --- RUN arguments --- */

/* An index or START:END into 0-based [from, to); FALSE if the argument is neither. */
static gboolean parse_slice(const char *arg, guint len, gint64 *from, gint64 *to)
{
    char *end;
    gint64 n = g_ascii_strtoll(arg, &end, 10);
    if (end != arg && *end == '\0') {
        *from = n - 1;
        *to = n;
        return TRUE;
    }
    /* The reference's pattern is anchored at the start only: "1:x" reads as "1:". */
    const char *p = arg;
    *from = 0;
    *to = len;
    if (g_ascii_isdigit(*p)) {
        *from = g_ascii_strtoll(p, &end, 10) - 1;
        p = end;
    }
    if (*p++ != ':')
        return FALSE;
    if (g_ascii_isdigit(*p))
        *to = g_ascii_strtoll(p, NULL, 10);
    return TRUE;
}

static Run *find_by_prefix(GPtrArray *runs, const char *arg, GError **error)
{
    GString *matches = g_string_new(NULL);
    Run *found = NULL;
    guint n = 0;
    for (guint i = 0; i < runs->len; i++) {
        if (!g_str_has_prefix(run_id(runs->pdata[i]), arg))
            continue;
        found = runs->pdata[i];
        g_string_append_printf(matches, "\n  %.8s", run_id(found));
        n++;
    }
    if (n == 0)
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_NOT_FOUND,
                "could not find a run matching '%s'", arg);
    else if (n > 1)
        g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_AMBIGUOUS, "'%s' matches multiple runs:%s",
                arg, matches->str);
    g_string_free(matches, TRUE);
    return n == 1 ? found : NULL;
}

static gboolean seen_before(const char *const *args, gsize i)
{
    for (gsize j = 0; j < i; j++)
        if (strcmp(args[j], args[i]) == 0)
            return TRUE;
    return FALSE;
}

GPtrArray *run_select(GPtrArray *runs, const char *const *args, GError **error)
{
    g_autoptr(GPtrArray) selected = run_array_new();
    static const char *const all[] = {":", NULL};
    if (!args || !*args)
        args = all;
    for (gsize i = 0; args[i]; i++) {
        gint64 from, to;
        if (seen_before(args, i))
            continue;
        if (parse_slice(args[i], runs->len, &from, &to) && from >= 0 && to <= (gint64)runs->len) {
            for (gint64 k = from; k < to; k++)
                g_ptr_array_add(selected, run_ref(runs->pdata[k]));
            continue;
        }
        Run *run = find_by_prefix(runs, args[i], error);
        if (!run)
            return NULL;
        g_ptr_array_add(selected, run_ref(run));
    }
    return g_steal_pointer(&selected);
}
