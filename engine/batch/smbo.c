/* SPDX-License-Identifier: Apache-2.0 */
/* See smbo.h: what is known of a batch, as points for suggest(), and its answers as flags. */
#include "engine/batch/smbo.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/flagval.h"
#include "engine/batch/gp.h"
#include "engine/batch/objective.h"
#include "engine/batch/prevtrials.h"
#include "engine/batch/space.h"
#include "engine/batch/suggest.h"

/* Results that a model is fitted to. Of more it gets the best and the newest: a Gaussian process of
 * n results costs n^3. */
enum { MAX_RESULTS = 400 };

typedef struct {
    double *x;
    double y; /* NAN: none */
    double seconds;
    char *run; /* id, or NULL */
} Known;

typedef struct {
    Value *flags;
    Space *space;
    Objective *objective;
    PrevTrials *prev;
    SuggestOptions options;
    guint64 seed;
    gint64 count, next, random_starts;
    GPtrArray *known;   /* Known*, in the order in which they were told */
    GHashTable *runs;   /* ids of those that have one */
    GPtrArray *pending; /* double*: being tried */
    gint64 n_completed;
    gboolean has_objective; /* of any */
    double *thought;        /* the next point; NULL: none */
    SuggestInput input;     /* of the thought */
    GPtrArray *input_arrays;
    gint cancel;
    char *note;
} Smbo;

static void known_free(gpointer data)
{
    Known *k = data;
    g_free(k->x);
    g_free(k->run);
    g_free(k);
}

static void free_state(gpointer self)
{
    Smbo *s = self;
    value_unref(s->flags);
    space_free(s->space);
    objective_free(s->objective);
    prev_trials_free(s->prev);
    g_clear_pointer(&s->known, g_ptr_array_unref);
    g_clear_pointer(&s->runs, g_hash_table_unref);
    g_clear_pointer(&s->pending, g_ptr_array_unref);
    g_clear_pointer(&s->input_arrays, g_ptr_array_unref);
    g_free(s->thought);
    g_free(s->note);
    g_free(s);
}

/* ---- options ---- */

static double option_number(const OptimizerSpec *spec, const char *name, double dflt)
{
    const Value *v = value_map_get(spec->options, name);
    return value_is_number(v) ? value_get_float(v) : dflt;
}

static gboolean bad_option(GError **error, const char *name, const Value *v, const char *what)
{
    g_autofree char *text = flagval_format(v, 0);
    g_set_error(error, BATCH_ERROR, BATCH_ERROR_OPTIONS, "optimizer flag %s is %s: use %s", name,
            text, what);
    return FALSE;
}

static gboolean read_acq(const OptimizerSpec *spec, SuggestOptions *o, GError **error)
{
    static const struct {
        const char *name;
        gboolean any, per_second;
        AcqKind kind;
    } functions[] = {
            {"gp_hedge", TRUE, FALSE, ACQ_EI},
            {"EI", FALSE, FALSE, ACQ_EI},
            {"LCB", FALSE, FALSE, ACQ_LCB},
            {"PI", FALSE, FALSE, ACQ_PI},
            {"EIps", FALSE, TRUE, ACQ_EI},
            {"PIps", FALSE, TRUE, ACQ_PI},
    };
    const Value *v = value_map_get(spec->options, "acq-func");
    const char *name = value_is_string(v) ? value_get_string(v) : "";
    for (gsize i = 0; i < G_N_ELEMENTS(functions); i++) {
        if ((value_is_null(v) && i == 0) || strcmp(functions[i].name, name) == 0) {
            o->any_acq = functions[i].any;
            o->per_second = functions[i].per_second;
            o->acq = functions[i].kind;
            return TRUE;
        }
    }
    return bad_option(error, "acq-func", v, "gp_hedge, EI, LCB, PI, EIps or PIps");
}

static gboolean read_noise(const OptimizerSpec *spec, SuggestOptions *o, GError **error)
{
    const Value *v = value_map_get(spec->options, "noise");
    o->noise = -1;
    if (value_is_null(v) || (value_is_string(v) && strcmp(value_get_string(v), "gaussian") == 0))
        return TRUE;
    o->noise = value_is_number(v) ? value_get_float(v) : -1;
    return (o->noise >= 0 && isfinite(o->noise)) ||
           bad_option(error, "noise", v, "gaussian or the variance to expect");
}

static gboolean read_options(Smbo *s, const OptimizerSpec *spec, GError **error)
{
    s->options.kappa = option_number(spec, "kappa", 1.96);
    s->options.xi = option_number(spec, "xi", 0.05);
    if (isnan(s->options.kappa))
        return bad_option(error, "kappa", value_map_get(spec->options, "kappa"), "a number");
    if (!isfinite(s->options.xi))
        return bad_option(error, "xi", value_map_get(spec->options, "xi"), "a number");
    double starts = option_number(spec, "random-starts", 0);
    s->count = spec->max_trials > 0 ? spec->max_trials : OPTIMIZER_DEFAULT_MAX_TRIALS;
    s->random_starts = (gint64)CLAMP(starts, 0, (double)s->count);
    return TRUE;
}

static Smbo *new_state(const OptimizerSpec *spec, const SurrogateClass *model, GError **error)
{
    g_autoptr(GPtrArray) dims = dims_to_search(spec->flags, error);
    g_autoptr(Objective) objective = dims ? objective_new(spec->objective, error) : NULL;
    if (!objective)
        return NULL;
    Smbo *s = g_new0(Smbo, 1);
    s->flags = value_copy(spec->flags);
    s->space = space_new(dims);
    s->objective = g_steal_pointer(&objective);
    s->seed = spec->seed;
    s->options.model = model;
    s->options.acq = ACQ_EI;
    s->known = g_ptr_array_new_with_free_func(known_free);
    s->runs = g_hash_table_new(g_str_hash, g_str_equal);
    s->pending = g_ptr_array_new_with_free_func(g_free);
    s->input_arrays = g_ptr_array_new_with_free_func(g_free);
    const char *mode = value_map_string(spec->options, "prev-trials", "batch");
    gboolean ok = read_options(s, spec, error);
    if (ok && spec->batch_run)
        ok = (s->prev = prev_trials_new(spec->batch_run, mode, spec->runs_dir, error)) != NULL;
    if (!ok)
        g_clear_pointer(&s, free_state);
    return s;
}

static gpointer gp_new_state(const OptimizerSpec *spec, GError **error)
{
    if (!gp_ready(error))
        return NULL;
    Smbo *s = new_state(spec, &surrogate_gp, error);
    if (s && (!read_acq(spec, &s->options, error) || !read_noise(spec, &s->options, error)))
        g_clear_pointer(&s, free_state);
    return s;
}

static gpointer forest_new_state(const OptimizerSpec *spec, GError **error)
{
    return new_state(spec, &surrogate_forest, error);
}

static gpointer gbrt_new_state(const OptimizerSpec *spec, GError **error)
{
    return new_state(spec, &surrogate_boost, error);
}

/* ---- what is known ---- */

static void learn(Smbo *s, const Value *flags, const TrialResult *r)
{
    if (r->run && g_hash_table_contains(s->runs, r->run))
        return;
    s->n_completed += r->completed;
    s->has_objective |= r->completed && r->has_objective;
    g_autofree double *x = g_new(double, s->space->n);
    if (!space_encode(s->space, flags, x))
        return;
    Known *k = g_new0(Known, 1);
    k->x = g_steal_pointer(&x);
    k->y = r->completed && r->has_objective && isfinite(r->objective) ? r->objective : NAN;
    k->seconds = r->seconds;
    k->run = g_strdup(r->run);
    g_ptr_array_add(s->known, k);
    if (k->run)
        g_hash_table_add(s->runs, k->run);
}

static void learn_from_others(Smbo *s)
{
    g_autoptr(GPtrArray) runs = s->prev ? prev_trials_more(s->prev) : NULL;
    for (guint i = 0; runs && i < runs->len; i++) {
        TrialResult r;
        objective_result(s->objective, runs->pdata[i], TRUE, &r);
        g_autoptr(Value) flags = run_try_attr(runs->pdata[i], "flags");
        learn(s, flags, &r);
    }
}

static void tell(gpointer self, const Value *flags, const TrialResult *result)
{
    Smbo *s = self;
    g_autofree double *x = g_new(double, s->space->n);
    gboolean known = space_encode(s->space, flags, x);
    for (guint i = 0; known && i < s->pending->len; i++) {
        if (space_same(s->space, s->pending->pdata[i], x)) {
            g_ptr_array_remove_index(s->pending, i);
            break;
        }
    }
    learn(s, flags, result);
}

static void asked(gpointer self, const Value *flags)
{
    Smbo *s = self;
    double *x = g_new(double, s->space->n);
    s->next++;
    if (space_encode(s->space, flags, x))
        g_ptr_array_add(s->pending, x);
    else
        g_free(x);
}

static gboolean any_number(const Smbo *s)
{
    for (guint i = 0; i < s->known->len; i++)
        if (isfinite(((Known *)s->known->pdata[i])->y))
            return TRUE;
    return FALSE;
}

static gboolean is_tried(const Smbo *s, const double *x)
{
    for (guint i = 0; i < s->known->len; i++)
        if (space_same(s->space, ((Known *)s->known->pdata[i])->x, x))
            return TRUE;
    for (guint i = 0; i < s->pending->len; i++)
        if (space_same(s->space, s->pending->pdata[i], x))
            return TRUE;
    return FALSE;
}

/* ---- thinking ---- */

static int worse_first(gconstpointer a, gconstpointer b)
{
    double x = (*(const Known *const *)a)->y, y = (*(const Known *const *)b)->y;
    if (isnan(x) || isnan(y))
        return isnan(y) - isnan(x);
    return (x < y) - (x > y);
}

/* What the model gets: everything, or the newest half and the best of the others. */
static GPtrArray *chosen_results(const Smbo *s)
{
    GPtrArray *all = g_ptr_array_sized_new(s->known->len);
    guint n = s->known->len, half = MAX_RESULTS / 2;
    for (guint i = 0; i < n; i++)
        g_ptr_array_add(all, s->known->pdata[i]);
    if (n <= MAX_RESULTS)
        return all;
    qsort(all->pdata, n - half, sizeof *all->pdata, worse_first);
    g_ptr_array_remove_range(all, 0, n - MAX_RESULTS);
    return all;
}

static gpointer input_array(Smbo *s, gsize n)
{
    double *array = g_new0(double, MAX(n, 1));
    g_ptr_array_add(s->input_arrays, array);
    return array;
}

static void collect_input(Smbo *s)
{
    g_autoptr(GPtrArray) results = chosen_results(s);
    gsize n = results->len, dims = s->space->n, all = n + s->pending->len;
    g_ptr_array_set_size(s->input_arrays, 0);
    double *x = input_array(s, all * dims), *y = input_array(s, n), *seconds = input_array(s, n);
    for (gsize i = 0; i < n; i++) {
        const Known *k = results->pdata[i];
        memcpy(x + i * dims, k->x, dims * sizeof *x);
        y[i] = k->y;
        seconds[i] = k->seconds;
    }
    for (gsize i = n; i < all; i++)
        memcpy(x + i * dims, s->pending->pdata[i - n], dims * sizeof *x);
    s->input = (SuggestInput){s->space, x, y, seconds, n, s->pending->len};
}

static gboolean prepare(gpointer self)
{
    Smbo *s = self;
    if (s->next >= s->count)
        return FALSE;
    learn_from_others(s);
    if (s->next < s->random_starts || !any_number(s))
        return FALSE;
    collect_input(s);
    return TRUE;
}

static void think(gpointer self)
{
    Smbo *s = self;
    Rng rng = {batch_random(s->seed, (guint64)s->next, "suggest")};
    s->thought = g_new(double, s->space->n);
    suggest(&s->input, &s->options, rng, &s->cancel, s->thought);
}

static void cancel(gpointer self)
{
    g_atomic_int_set(&((Smbo *)self)->cancel, 1);
}

/* ---- answering ---- */

static void note_random(Smbo *s)
{
    g_free(s->note);
    if (s->next < s->random_starts)
        s->note = g_strdup_printf("Random start for optimization (%" G_GINT64_FORMAT
                                  " of %" G_GINT64_FORMAT ")",
                s->next + 1, s->random_starts);
    else if (!s->n_completed)
        s->note = g_strdup("Random start for optimization (missing previous trials)");
    else
        s->note = g_strdup_printf("Random start for optimization (cannot find objective '%s')",
                objective_name(s->objective));
}

static void note_learned(Smbo *s)
{
    g_free(s->note);
    s->note = g_strdup_printf(
            "Found %" G_GINT64_FORMAT " previous trial(s) for use in optimization", s->n_completed);
}

/* As the optimizer `random` would, but for what was tried already. */
static void set_random(Smbo *s, Value *flags)
{
    enum { TRIES = 20 };
    g_autofree double *x = g_new(double, s->space->n);
    for (guint64 try = 0; try < TRIES; try++) {
        for (gsize i = 0; i < s->space->n; i++) {
            const Dim *dim = s->space->dims[i];
            value_map_set(
                    flags, dim->flag, dim_sample(dim, s->seed, (guint64)s->next + (try << 32)));
        }
        if (!space_encode(s->space, flags, x) || !is_tried(s, x))
            return;
    }
}

static Value *ask(gpointer self, OptimizerState *state, GError **error)
{
    Smbo *s = self;
    *state = s->next < s->count ? OPTIMIZER_READY : OPTIMIZER_DONE;
    if (*state == OPTIMIZER_DONE)
        return NULL;
    Value *flags = value_new_map();
    value_map_update(flags, s->flags);
    if (s->thought) {
        note_learned(s);
        space_decode(s->space, s->thought, flags);
        g_clear_pointer(&s->thought, g_free);
    } else {
        note_random(s);
        set_random(s, flags);
    }
    for (gsize i = 0; s->next == 0 && i < s->space->n; i++)
        if (s->space->dims[i]->initial)
            value_map_set(flags, s->space->dims[i]->flag, value_ref(s->space->dims[i]->initial));
    asked(s, flags);
    return flags;
}

static const char *note(gpointer self)
{
    return ((Smbo *)self)->note;
}

static gint64 count(gpointer self)
{
    return ((Smbo *)self)->count;
}

/* ---- the classes ---- */

#define SMBO_FUNCTIONS                                                                             \
    .tell = tell, .asked = asked, .prepare = prepare, .think = think, .cancel = cancel,            \
    .ask = ask, .note = note, .count = count, .free_state = free_state

static const char *const gp_aliases[] = {"skopt:gp", NULL};
static const char *const forest_aliases[] = {"skopt:forest", NULL};
static const char *const gbrt_aliases[] = {"skopt:gbrt", NULL};

const OptimizerClass smbo_gp = {
        .name = "gp", .aliases = gp_aliases, .new_state = gp_new_state, SMBO_FUNCTIONS};
const OptimizerClass smbo_forest = {
        .name = "forest", .aliases = forest_aliases, .new_state = forest_new_state, SMBO_FUNCTIONS};
const OptimizerClass smbo_gbrt = {
        .name = "gbrt", .aliases = gbrt_aliases, .new_state = gbrt_new_state, SMBO_FUNCTIONS};
