/* SPDX-License-Identifier: Apache-2.0 */
/* Optimizers by name, how they are asked, and those whose trials depend on no result: the grid and
 * random search. */
#include "engine/batch/optimizer.h"

#include <string.h>

#include "engine/batch/smbo.h"
#include "engine/batch/thinker.h"
#include "engine/batch/trials.h"

/* A result that came while the class was thinking. */
typedef struct {
    Value *flags;
    TrialResult result;
    char *run;
} Late;

struct Optimizer {
    const OptimizerClass *klass;
    gpointer state;
    Thinker *thinker; /* NULL: thinking is done in optimizer_ask() */
    void (*wake)(gpointer data);
    gpointer wake_data;
    gboolean has_thought; /* for the next answer */
    GQueue late;
};

/* The grid, `+` */

static gpointer grid_new_state(const OptimizerSpec *spec, GError **error)
{
    TrialSpec trials = {spec->flags, spec->user_flags, spec->rows, spec->seed, spec->max_trials};
    return trial_source_new(&trials, error);
}

static Value *grid_ask(gpointer self, OptimizerState *state, GError **error)
{
    Value *flags = trial_source_next(self);
    *state = flags ? OPTIMIZER_READY : OPTIMIZER_DONE;
    return flags;
}

static gint64 grid_count(gpointer self)
{
    return trial_source_count(self);
}
static void grid_seek(gpointer self, gint64 index)
{
    trial_source_seek(self, index);
}
static void grid_free_state(gpointer self)
{
    trial_source_free(self);
}

/* Random search */

typedef struct {
    Value *flags;
    GPtrArray *dims;
    guint64 seed;
    gint64 count, next;
} RandomSearch;

static void random_free_state(gpointer self)
{
    RandomSearch *r = self;
    value_unref(r->flags);
    g_ptr_array_unref(r->dims);
    g_free(r);
}

static gpointer random_new_state(const OptimizerSpec *spec, GError **error)
{
    g_autoptr(GPtrArray) dims = dims_to_search(spec->flags, error);
    if (!dims)
        return NULL;
    RandomSearch *r = g_new0(RandomSearch, 1);
    r->flags = value_copy(spec->flags);
    r->dims = g_steal_pointer(&dims);
    r->seed = spec->seed;
    r->count = spec->max_trials > 0 ? spec->max_trials : OPTIMIZER_DEFAULT_MAX_TRIALS;
    return r;
}

static Value *random_ask(gpointer self, OptimizerState *state, GError **error)
{
    RandomSearch *r = self;
    *state = r->next < r->count ? OPTIMIZER_READY : OPTIMIZER_DONE;
    if (*state == OPTIMIZER_DONE)
        return NULL;
    Value *flags = value_new_map();
    value_map_update(flags, r->flags);
    for (guint i = 0; i < r->dims->len; i++) {
        const Dim *dim = r->dims->pdata[i];
        gboolean initial = r->next == 0 && dim->initial;
        value_map_set(flags, dim->flag,
                initial ? value_ref(dim->initial) : dim_sample(dim, r->seed, (guint64)r->next));
    }
    r->next++;
    return flags;
}

static gint64 random_count(gpointer self)
{
    return ((RandomSearch *)self)->count;
}

static void random_seek(gpointer self, gint64 index)
{
    RandomSearch *r = self;
    r->next = CLAMP(index, 0, r->count);
}

/* The table */

static const char *const random_aliases[] = {"skopt:random", NULL};

static const OptimizerClass grid = {.name = "+",
        .can_list = TRUE,
        .new_state = grid_new_state,
        .ask = grid_ask,
        .count = grid_count,
        .seek = grid_seek,
        .free_state = grid_free_state};
static const OptimizerClass random_search = {.name = "random",
        .aliases = random_aliases,
        .can_list = TRUE,
        .new_state = random_new_state,
        .ask = random_ask,
        .count = random_count,
        .seek = random_seek,
        .free_state = random_free_state};

static const OptimizerClass *const classes[] = {
        &grid, &random_search, &smbo_gp, &smbo_forest, &smbo_gbrt};

const OptimizerClass *optimizer_class_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(classes); i++)
        if (strcmp(classes[i]->name, name) == 0 ||
                (classes[i]->aliases && g_strv_contains(classes[i]->aliases, name)))
            return classes[i];
    return NULL;
}

Optimizer *optimizer_new(const OptimizerClass *klass, const OptimizerSpec *spec, GError **error)
{
    gpointer state = klass->new_state(spec, error);
    if (!state)
        return NULL;
    Optimizer *o = g_new0(Optimizer, 1);
    o->klass = klass;
    o->state = state;
    return o;
}

static void late_free(gpointer data)
{
    Late *late = data;
    value_unref(late->flags);
    g_free(late->run);
    g_free(late);
}

void optimizer_free(Optimizer *o)
{
    if (!o)
        return;
    if (o->klass->cancel)
        o->klass->cancel(o->state);
    thinker_free(o->thinker);
    g_queue_clear_full(&o->late, late_free);
    o->klass->free_state(o->state);
    g_free(o);
}

const OptimizerClass *optimizer_class(const Optimizer *o)
{
    return o->klass;
}

static void on_thought(gpointer data)
{
    Optimizer *o = data;
    o->has_thought = TRUE;
    o->wake(o->wake_data);
}

void optimizer_think_apart(
        Optimizer *o, GMainContext *context, void (*wake)(gpointer data), gpointer data)
{
    if (!o->klass->think)
        return;
    o->wake = wake;
    o->wake_data = data;
    o->thinker = thinker_new(context, on_thought, o);
}

/* FALSE: the answer needs a thought that is not there yet. */
static gboolean think(Optimizer *o)
{
    if (o->has_thought || !o->klass->think)
        return TRUE;
    if (!o->klass->prepare(o->state))
        return TRUE;
    if (o->thinker)
        thinker_start(o->thinker, o->klass->think, o->state);
    else
        o->klass->think(o->state);
    return !o->thinker;
}

static void tell_late(Optimizer *o)
{
    for (Late *late; (late = g_queue_pop_head(&o->late));) {
        o->klass->tell(o->state, late->flags, &late->result);
        late_free(late);
    }
}

Value *optimizer_ask(Optimizer *o, OptimizerState *state, GError **error)
{
    *state = OPTIMIZER_WAIT;
    if (o->thinker && thinker_busy(o->thinker))
        return NULL;
    if (!o->has_thought)
        tell_late(o);
    if (!think(o))
        return NULL;
    o->has_thought = FALSE;
    Value *flags = o->klass->ask(o->state, state, error);
    tell_late(o);
    return flags;
}

const char *optimizer_note(Optimizer *o)
{
    return o->klass->note ? o->klass->note(o->state) : NULL;
}

void optimizer_tell(Optimizer *o, const Value *flags, const TrialResult *result)
{
    if (!o->klass->tell)
        return;
    if (!o->has_thought && !(o->thinker && thinker_busy(o->thinker))) {
        o->klass->tell(o->state, flags, result);
        return;
    }
    Late *late = g_new0(Late, 1);
    late->flags = value_ref((Value *)flags);
    late->result = *result;
    late->result.run = late->run = g_strdup(result->run);
    g_queue_push_tail(&o->late, late);
}

void optimizer_asked(Optimizer *o, const Value *flags)
{
    if (o->klass->asked)
        o->klass->asked(o->state, flags);
}

gint64 optimizer_count(Optimizer *o)
{
    return o->klass->count(o->state);
}

gboolean optimizer_seek(Optimizer *o, gint64 index)
{
    if (o->klass->seek)
        o->klass->seek(o->state, index);
    return o->klass->seek != NULL;
}

/* The built-in optimizer that the run's operation is, or NULL. A user's own operation may be called
 * "random" too. */
static const OptimizerClass *class_for_run(Run *batch_run)
{
    const OpRef *ref = run_peek_opref(batch_run);
    if (!ref || strcmp(ref->pkg_type, "builtin") != 0)
        return NULL;
    g_autofree char *name = *ref->model_name ? g_strconcat(ref->model_name, ":", ref->op_name, NULL)
                                             : g_strdup(ref->op_name);
    return optimizer_class_find(name);
}

Optimizer *optimizer_for_run(Run *batch_run, const char *runs_dir, GError **error)
{
    g_autoptr(Run) proto = run_batch_proto(batch_run);
    if (!proto) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_RUN,
                "%s is no batch run: it has no .guild/proto", run_dir(batch_run));
        return NULL;
    }
    const OptimizerClass *klass = class_for_run(batch_run);
    if (!klass) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_OPTIONS,
                "the operation of batch run %s is no built-in optimizer", run_dir(batch_run));
        return NULL;
    }
    GError *problem = NULL;
    g_autoptr(Value) flags = run_get_attr(proto, "flags", &problem);
    if (problem) {
        g_propagate_error(error, problem);
        return NULL;
    }
    g_autoptr(Value) user_flags = run_try_attr(proto, "user_flags");
    g_autoptr(Value) rows = run_try_attr(proto, "trials");
    g_autoptr(Value) options = run_try_attr(batch_run, "flags");
    g_autofree char *objective = run_attr_text(batch_run, "objective");
    OptimizerSpec spec = {
            .flags = flags,
            .user_flags = user_flags,
            .rows = rows,
            .options = options,
            .seed = (guint64)run_attr_int(batch_run, "random_seed", 0),
            .max_trials = run_attr_int(batch_run, "max_trials", 0),
            .objective = objective,
            .batch_run = batch_run,
            .runs_dir = runs_dir,
    };
    return optimizer_new(klass, &spec, error);
}
