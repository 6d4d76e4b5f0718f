/* SPDX-License-Identifier: Apache-2.0 */
/* A batch's optimizer and stager together: see feed.h. */
#include "coordinator/feed.h"

#include <string.h>

#include "coordinator/queue.h"
#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/batch/trialstage.h"

struct Feed {
    Optimizer *optimizer;
    TrialStager *stager;
    char *runs_dir;
    Objective *objective; /* NULL: it does not learn */
};

Feed *feed_new(Run *batch_run, const char *runs_dir, GError **error)
{
    Feed *f = g_new0(Feed, 1);
    f->runs_dir = g_strdup(runs_dir);
    g_autofree char *objective = run_attr_text(batch_run, "objective");
    f->optimizer = optimizer_for_run(batch_run, runs_dir, error);
    if (f->optimizer && feed_learns(f))
        f->objective = objective_new(objective, error);
    if (f->optimizer && (f->objective || !feed_learns(f)))
        f->stager = trial_stager_new(batch_run, runs_dir, error);
    if (!f->stager) {
        feed_free(f);
        return NULL;
    }
    return f;
}

void feed_free(Feed *f)
{
    if (!f)
        return;
    optimizer_free(f->optimizer);
    trial_stager_free(f->stager);
    objective_free(f->objective);
    g_free(f->runs_dir);
    g_free(f);
}

void feed_think_apart(Feed *f, GMainContext *context, void (*wake)(gpointer data), gpointer data)
{
    optimizer_think_apart(f->optimizer, context, wake, data);
}

Value *feed_ask(Feed *f, OptimizerState *state, GError **error)
{
    return optimizer_ask(f->optimizer, state, error);
}

const char *feed_note(Feed *f)
{
    return optimizer_note(f->optimizer);
}

Run *feed_stage(Feed *f, const Value *flags, GError **error)
{
    return trial_stager_stage(f->stager, flags, NULL, error);
}

gboolean feed_stages_long(Feed *f)
{
    return trial_stager_is_long(f->stager);
}

gboolean feed_learns(Feed *f)
{
    return optimizer_class(f->optimizer)->tell != NULL;
}
gint64 feed_count(Feed *f)
{
    return optimizer_count(f->optimizer);
}

void feed_tell(Feed *f, Run *trial, gboolean completed)
{
    if (!feed_learns(f))
        return;
    TrialResult r;
    objective_result(f->objective, trial, completed, &r);
    g_autoptr(Value) flags = run_try_attr(trial, "flags");
    optimizer_tell(f->optimizer, flags, &r);
}

void feed_restore(Feed *f, GPtrArray *tasks)
{
    if (!feed_learns(f)) {
        optimizer_seek(f->optimizer, tasks->len);
        return;
    }
    for (guint i = 0; i < tasks->len; i++) {
        const QueueTask *q = tasks->pdata[i];
        g_autofree char *dir = g_build_filename(f->runs_dir, q->run, NULL);
        g_autoptr(Run) trial = run_new(dir, q->run);
        g_autoptr(Value) flags = run_try_attr(trial, "flags");
        optimizer_asked(f->optimizer, flags);
    }
}

/* A link that leads to the run of its own name beside the batch, or would if that were there. Any
 * other (a submitter may have put there what it likes) is none of ours. */
static gboolean is_trial_link(Run *batch_run, const char *name, const char *dir)
{
    g_autofree char *link = g_build_filename(run_dir(batch_run), name, NULL);
    g_autofree char *target = fs_is_link(link) ? fs_read_link(link, NULL) : NULL;
    if (!target || strlen(name) != 32 || !text_is_hex(name))
        return FALSE;
    g_autofree char *path = fs_join(run_dir(batch_run), target);
    g_autofree char *normal = fs_normpath(path);
    g_autofree char *expected = fs_normpath(dir);
    return !strcmp(normal, expected) && !fs_is_link(dir);
}

static gboolean was_being_made(Run *trial, gboolean staged)
{
    RunStatus status = run_status(trial);
    return status == RUN_PENDING || (staged && status == RUN_STAGED);
}

void feed_sweep(Feed *f, Run *batch_run, GPtrArray *tasks, gboolean staged)
{
    g_autoptr(GHashTable) known = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < tasks->len; i++)
        g_hash_table_add(known, ((QueueTask *)tasks->pdata[i])->run);
    g_auto(GStrv) names = fs_list(run_dir(batch_run), NULL);
    for (char **name = names; name && *name; name++) {
        g_autofree char *link = g_build_filename(run_dir(batch_run), *name, NULL);
        g_autofree char *runs = g_path_get_dirname(run_dir(batch_run));
        g_autofree char *dir = g_build_filename(runs, *name, NULL);
        if (g_hash_table_contains(known, *name) || !is_trial_link(batch_run, *name, dir))
            continue;
        g_autoptr(Run) trial = run_new(dir, *name);
        if (fs_exists(dir) && run_exists(trial) && !was_being_made(trial, staged))
            continue;
        fs_remove_tree(dir, NULL);
        fs_remove(link, NULL);
    }
}
