/* SPDX-License-Identifier: Apache-2.0 */
/* `guild _api`: what our Python package asks the program, for as long as its process lives: one
 * JSON request a line on stdin, {"verb": TEXT, "args": MAP}, and one JSON answer a line on stdout,
 * {"result": ...} or {"error": TEXT}. It is how optimizers written in Python (guild.batch_util)
 * read runs, make trials and get their results without a YAML parser or an event file reader of
 * their own. Each verb is one row of the table at the end. The end of stdin ends it.
 *
 * Why an own optimizer is not asked and told as ours are (engine/batch/optimizer.h): in the
 * reference's contract its process is the batch run's own, and leads. It calls run_trial() where
 * and when it likes, also from several threads, which returns when the trial has ended or raises
 * SystemExit; what it and its trials print is the batch run's output in the order in which it is
 * printed; and it may start other runs than trials. Nobody could ask such a program for "the next
 * trial": between two calls it may be anywhere, and hyperopt's fmin, the reference's example, calls
 * its objective from inside its own loop. So requests go from it to us. A trial is not run in this
 * process but by a `guild run --restart` of its own, which is what the terminal, its signals, `-j`
 * threads and `--remote` need. */
#include "cli/commands.h"
#include "engine/base/flagval.h"
#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/batch/prevtrials.h"
#include "engine/batch/trials.h"
#include "engine/batch/trialstage.h"
#include "engine/batch/trialtable.h"
#include "engine/run/describe.h"
#include "engine/run/scalars.h"
#include "engine/run/store.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#define API_ERROR g_quark_from_static_string("guild-api-error")

enum { MAX_REQUEST = 256 * 1024 * 1024 };

static Value *bad(GError **error, const char *what)
{
    g_set_error(error, API_ERROR, 0, "%s", what);
    return NULL;
}

/* The run of directory `key` in the request. */
static Run *request_run(const Value *request, const char *key, GError **error)
{
    const char *dir = value_map_string(request, key, NULL);
    g_autoptr(Run) run = dir ? run_new(dir, NULL) : NULL;
    if (run && run_exists(run))
        return g_steal_pointer(&run);
    g_set_error(error, API_ERROR, 0, "%s is not a run", dir ? dir : key);
    return NULL;
}

/* ---- runs ---- */

static Value *run_info(Run *run)
{
    Value *info = value_new_map();
    value_map_set_string(info, "id", run_id(run));
    value_map_set_string(info, "dir", run_dir(run));
    value_map_set_string(info, "status", run_status_name(run_status(run)));
    const OpRef *ref = run_peek_opref(run);
    g_autofree char *opspec = ref ? opref_to_opspec(ref, NULL) : NULL;
    value_map_set_string(info, "opspec", opspec);
    g_autofree char *operation = run_format_operation(run);
    value_map_set_string(info, "operation", operation);
    Value *attrs = value_new_map();
    g_auto(GStrv) names = run_attr_names(run);
    for (guint i = 0; names[i]; i++) {
        Value *val = run_try_attr(run, names[i]);
        value_map_set(attrs, names[i], val ? val : value_new_null());
    }
    value_map_set(info, "attrs", attrs);
    return info;
}

static Value *api_run(const Value *request, GError **error)
{
    g_autoptr(Run) run = request_run(request, "dir", error);
    if (!run)
        return NULL;
    Value *info = run_info(run);
    g_autoptr(Run) proto = run_batch_proto(run);
    if (proto)
        value_map_set(info, "proto", run_info(proto));
    return info;
}

static Value *api_write_attr(const Value *request, GError **error)
{
    g_autoptr(Run) run = request_run(request, "dir", error);
    const char *name = value_map_string(request, "name", "");
    if (!run)
        return NULL;
    if (!fs_is_safe_rel(name) || strchr(name, '/'))
        return bad(error, "not a name of an attribute");
    return run_write_attr(run, name, value_map_get(request, "value"), error) ? value_new_map()
                                                                             : NULL;
}

/* ---- trials ---- */

static Value *api_trial(const Value *request, GError **error)
{
    g_autoptr(Run) batch = request_run(request, "batch", error);
    g_autoptr(RunStore) store = batch ? run_store_open(cli_home(), error) : NULL;
    if (!store)
        return NULL;
    if (!value_is_map(value_map_get(request, "flags")))
        return bad(error, "flags of a trial are not a mapping");
    g_autoptr(TrialStager) stager = trial_stager_new(batch, run_store_runs_dir(store), error);
    g_autoptr(Run) trial = stager ? trial_stager_stage(stager, value_map_get(request, "flags"),
                                            value_map_string(request, "dir", NULL), error)
                                  : NULL;
    return trial ? run_info(trial) : NULL;
}

static Value *api_expand(const Value *request, GError **error)
{
    Value *rows = value_map_get(request, "trials");
    TrialSpec spec = {
            .flags = value_map_get(request, "flags"),
            .user_flags = value_map_get(request, "user_flags"),
            .rows = value_truthy(rows) ? rows : NULL,
            .seed = (guint64)value_map_int(request, "seed", 0),
            .max_trials = value_map_int(request, "max", 0),
    };
    if (!value_is_map(spec.flags))
        return bad(error, "flags are not a mapping");
    g_autoptr(TrialSource) source = trial_source_new(&spec, error);
    if (!source)
        return NULL;
    Value *trials = value_new_list();
    for (Value *flags; (flags = trial_source_next(source));)
        value_list_append(trials, flags);
    return trials;
}

static Value *api_trials(const Value *request, GError **error)
{
    g_autoptr(Run) batch = request_run(request, "batch", error);
    g_autoptr(Run) proto = batch ? run_batch_proto(batch) : NULL;
    if (!batch)
        return NULL;
    if (!proto)
        return bad(error, "the run is no batch");
    g_autoptr(RunStore) store = run_store_open(cli_home(), error);
    const char *mode = value_map_string(request, "mode", "batch");
    g_autoptr(PrevTrials) trials =
            store ? prev_trials_new(batch, mode, run_store_runs_dir(store), error) : NULL;
    if (!trials)
        return NULL;
    g_autoptr(GPtrArray) runs = prev_trials_more(trials);
    Value *infos = value_new_list();
    for (guint i = 0; i < runs->len; i++)
        value_list_append(infos, run_info(runs->pdata[i]));
    return infos;
}

static const char *text_at(const Value *list, gsize i)
{
    const Value *v = i < value_list_size(list) ? value_list_at(list, i) : NULL;
    return value_is_string(v) ? value_get_string(v) : NULL;
}

/* The value of a scalar given as [PREFIX, TAG, QUALIFIER]; a null PREFIX is any. */
static Value *scalar_value(const GPtrArray *summaries, const Value *scalar)
{
    const char *tag = value_is_list(scalar) ? text_at(scalar, 1) : NULL;
    const ScalarSummary *s = tag ? scalars_find(summaries, text_at(scalar, 0), tag) : NULL;
    Value *val = s ? scalar_summary_column(s, text_at(scalar, 2), FALSE) : NULL;
    return val ? val : value_new_null();
}

static Value *api_scalars(const Value *request, GError **error)
{
    const Value *dirs = value_map_get(request, "dirs");
    const Value *scalars = value_map_get(request, "scalars");
    if (!value_is_list(dirs) || !value_is_list(scalars))
        return bad(error, "dirs and scalars must be lists");
    Value *rows = value_new_list();
    for (gsize i = 0; i < value_list_size(dirs); i++) {
        const Value *dir = value_list_at(dirs, i);
        g_autoptr(GPtrArray) summaries =
                scalars_read(value_is_string(dir) ? value_get_string(dir) : "");
        Value *row = value_new_list();
        for (gsize j = 0; j < value_list_size(scalars); j++)
            value_list_append(row, scalar_value(summaries, value_list_at(scalars, j)));
        value_list_append(rows, row);
    }
    return rows;
}

/* ---- text ---- */

static Value *take_string(char *text)
{
    Value *v = text ? value_new_string(text) : NULL;
    g_free(text);
    return v;
}

static Value *api_trials_table(const Value *request, GError **error)
{
    const Value *trials = value_map_get(request, "trials");
    const char *path = value_map_string(request, "path", NULL);
    if (!value_is_list(trials))
        return bad(error, "trials are not a list");
    return take_string(path ? trial_table_for_path(trials, path, error) : trial_table_text(trials));
}

static Value *api_flag_assigns(const Value *request, GError **error)
{
    Value *texts = value_new_list();
    g_autoptr(Value) sorted = value_new_map();
    if (value_is_map(value_map_get(request, "flags")))
        value_map_update(sorted, value_map_get(request, "flags"));
    value_map_sort(sorted);
    for (gsize i = 0; i < value_map_size(sorted); i++) {
        g_autofree char *val = flagval_format(value_map_at(sorted, i), 0);
        value_list_append(
                texts, take_string(g_strdup_printf("%s=%s", value_map_key_at(sorted, i), val)));
    }
    return texts;
}

static Value *api_decode_flag(const Value *request, GError **error)
{
    return flagval_decode(value_map_string(request, "text", ""),
            value_map_string(request, "type", NULL), NULL, error);
}

static Value *api_decode_function(const Value *request, GError **error)
{
    g_autofree char *name = NULL;
    Value *args = NULL;
    if (!flagval_decode_function(value_map_string(request, "text", ""), &name, &args))
        return bad(error, "not a function");
    Value *pair = value_new_list();
    value_list_append(pair, name && *name ? value_new_string(name) : value_new_null());
    value_list_append(pair, args ? args : value_new_list());
    return pair;
}

/* ---- the command ---- */

static const struct {
    const char *name;
    Value *(*fn)(const Value *request, GError **error);
} verbs[] = {
        {"run", api_run},
        {"write-attr", api_write_attr},
        {"trial", api_trial},
        {"expand", api_expand},
        {"trials", api_trials},
        {"scalars", api_scalars},
        {"trials-table", api_trials_table},
        {"flag-assigns", api_flag_assigns},
        {"decode-flag", api_decode_flag},
        {"decode-function", api_decode_function},
};

static Value *answer(const char *verb, const Value *request, GError **error)
{
    for (gsize i = 0; i < G_N_ELEMENTS(verbs); i++)
        if (!strcmp(verbs[i].name, verb))
            return verbs[i].fn(request, error);
    return bad(error, "no such request");
}

/* The next line, without its end, or NULL at the end or where it is too long to be a request. */
static char *read_line(void)
{
    g_autoptr(GString) text = g_string_new(NULL);
    int c;
    while ((c = getc_unlocked(stdin)) != EOF && c != '\n' && text->len < MAX_REQUEST)
        g_string_append_c(text, (char)c);
    return c == '\n' ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

static char *reply_to(const char *line)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) request = json_parse(line, -1, "request", &error);
    const Value *args = value_map_get(request, "args");
    g_autoptr(Value) result = NULL;
    if (request && value_is_map(args))
        result = answer(value_map_string(request, "verb", ""), args, &error);
    g_autoptr(Value) reply = value_new_map();
    if (result)
        value_map_set(reply, "result", g_steal_pointer(&result));
    else
        value_map_set_string(reply, "error", error ? error->message : "no request");
    return json_dump(reply, 0, FALSE);
}

static int api_main(CliArgs *args)
{
    /* Ctrl-C is for the process that asks, and for trials; it may want to know how they ended. */
    signal(SIGINT, SIG_IGN);
    for (char *line; (line = read_line());) {
        g_autofree char *reply = reply_to(line);
        g_free(line);
        puts(reply);
        if (fflush(stdout) != 0)
            break; /* nobody listens */
    }
    return 0;
}

static const CliOption *const no_options[] = {NULL};

const CliCommand cmd_api = {
        .name = "_api",
        .args = "",
        .summary = "Answer requests of the Python package.",
        .help = "Reads JSON requests, one a line, and writes JSON answers.",
        .options = no_options,
        .run = api_main,
        .hidden = TRUE,
};
