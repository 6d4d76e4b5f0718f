/* SPDX-License-Identifier: Apache-2.0 */
/* Optimizers by name, and those whose trials depend on no result: the grid and random search. */
#include "engine/batch/optimizer.h"

#include <string.h>

#include "engine/base/flagval.h"
#include "engine/batch/trials.h"

struct Optimizer {
    const OptimizerClass *klass;
    gpointer state;
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

static gpointer random_new_state(const OptimizerSpec *spec, GError **error)
{
    g_autoptr(GPtrArray) dims = dims_for_flags(spec->flags, error);
    if (!dims)
        return NULL;
    if (!dims->len) {
        g_autofree char *desc = list_flags(spec->flags);
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_DIMS,
                "flags for batch (%s) do not contain any search dimensions\n"
                "Try specifying a range for one or more flags as NAME=[MIN:MAX].",
                desc);
        return NULL;
    }
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

static const OptimizerClass classes[] = {
        {.name = "+",
                .can_list = TRUE,
                .new_state = grid_new_state,
                .ask = grid_ask,
                .count = grid_count,
                .seek = grid_seek,
                .free_state = grid_free_state},
        {.name = "random",
                .aliases = random_aliases,
                .can_list = TRUE,
                .new_state = random_new_state,
                .ask = random_ask,
                .count = random_count,
                .seek = random_seek,
                .free_state = random_free_state},
};

const OptimizerClass *optimizer_class_find(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(classes); i++)
        if (strcmp(classes[i].name, name) == 0 ||
                (classes[i].aliases && g_strv_contains(classes[i].aliases, name)))
            return &classes[i];
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

void optimizer_free(Optimizer *o)
{
    if (!o)
        return;
    o->klass->free_state(o->state);
    g_free(o);
}

const OptimizerClass *optimizer_class(const Optimizer *o)
{
    return o->klass;
}

Value *optimizer_ask(Optimizer *o, OptimizerState *state, GError **error)
{
    return o->klass->ask(o->state, state, error);
}

void optimizer_tell(Optimizer *o, const Value *flags, const TrialResult *result)
{
    if (o->klass->tell)
        o->klass->tell(o->state, flags, result);
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

char *optimizer_objective(const char *objective, int *sign)
{
    gboolean negative = objective && *objective == '-';
    *sign = negative ? -1 : 1;
    if (!objective || !*objective)
        objective = OPTIMIZER_DEFAULT_OBJECTIVE;
    return g_strdup(objective + negative);
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

Optimizer *optimizer_for_run(Run *batch_run, GError **error)
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
    };
    return optimizer_new(klass, &spec, error);
}
