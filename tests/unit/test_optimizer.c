/* SPDX-License-Identifier: Apache-2.0 */
/* Optimizers that learn: their models beside scikit-learn's, derivatives beside differences, and
 * what they do with odd results and odd spaces. */
#include <math.h>
#include <string.h>

#include "engine/base/json.h"
#include "engine/base/yaml.h"
#include "engine/batch/acquisition.h"
#include "engine/batch/gp.h"
#include "engine/batch/minimize.h"
#include "engine/batch/optimizer.h"
#include "engine/batch/space.h"
#include "engine/batch/suggest.h"
#include "engine/batch/trees.h"

#define assert_near(a, b, eps) g_assert_cmpfloat_with_epsilon(a, b, (eps)*MAX(1, fabs(b)))

static const gboolean no_choices[32];

/* ---- scikit-learn's numbers ---- */

static Value *expected(const char *key)
{
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data", "optimizer.json", NULL);
    g_autofree char *text = NULL;
    GError *error = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, &error));
    g_autoptr(Value) all = json_parse(text, -1, path, &error);
    g_assert_no_error(error);
    return value_ref(value_map_get(all, key));
}

/* Numbers of a list, or of a list of lists, one after the other. */
static double *numbers(const Value *map, const char *key)
{
    const Value *list = value_map_get(map, key);
    GArray *out = g_array_new(FALSE, FALSE, sizeof(double));
    for (gsize i = 0; i < value_list_size(list); i++) {
        const Value *item = value_list_at(list, i);
        for (gsize j = 0; j < (value_is_list(item) ? value_list_size(item) : 1); j++) {
            double d = value_get_float(value_is_list(item) ? value_list_at(item, j) : item);
            g_array_append_val(out, d);
        }
    }
    return (double *)g_array_free(out, FALSE);
}

static gsize size_of(const Value *map, const char *key)
{
    return value_list_size(value_map_get(map, key));
}

static void check_gp(const Value *c)
{
    g_autofree double *x = numbers(c, "x"), *y = numbers(c, "y"), *theta = numbers(c, "theta");
    g_autofree double *at = numbers(c, "at"), *mean = numbers(c, "mean"), *std = numbers(c, "std");
    g_autofree double *gradient = numbers(c, "gradient");
    gsize n_theta = size_of(c, "theta"), m = size_of(c, "at");
    GpData data = {x, y, size_of(c, "y"), n_theta - 2, no_choices};
    GpParams p = {data.dims, theta};
    double grad[8], our_mean[8], our_std[8];
    assert_near(gp_log_likelihood(&data, &p, grad), value_get_float(value_map_get(c, "lml")), 1e-7);
    for (gsize i = 0; i < n_theta; i++)
        assert_near(grad[i], gradient[i], 1e-6);
    g_autoptr(Gp) gp = gp_new(&data, &p);
    gp_predict(gp, at, m, our_mean, our_std);
    for (gsize i = 0; i < m; i++) {
        assert_near(our_mean[i], mean[i], 1e-7);
        assert_near(our_std[i], std[i], 1e-6);
    }
}

static void test_gp(void)
{
    g_autoptr(Value) cases = expected("gp");
    for (gsize i = 0; i < value_list_size(cases); i++)
        check_gp(value_list_at(cases, i));
}

static void test_boost(void)
{
    g_autoptr(Value) cases = expected("boost");
    for (gsize i = 0; i < value_list_size(cases); i++) {
        const Value *c = value_list_at(cases, i);
        g_autofree double *x = numbers(c, "x"), *y = numbers(c, "y"), *at = numbers(c, "at");
        g_autofree double *values = numbers(c, "value");
        TreeData data = {x, y, size_of(c, "y"), 1, no_choices};
        g_autoptr(Boost) b = boost_fit(&data, value_get_float(value_map_get(c, "q")), 30, 0.1, 3);
        for (gsize j = 0; j < size_of(c, "at"); j++)
            assert_near(boost_predict(b, &at[j]), values[j], 1e-9);
    }
}

/* ---- derivatives ---- */

static void test_gp_gradient(void)
{
    enum { N = 15, D = 3 };
    double x[N * D], y[N];
    gboolean is_choice[D] = {FALSE, TRUE, FALSE};
    Rng rng = {7};
    for (int i = 0; i < N; i++) {
        for (int k = 0; k < D; k++)
            x[i * D + k] = is_choice[k] ? (double)rng_below(&rng, 3) : rng_unit(&rng);
        y[i] = sin(5 * x[i * D]) + x[i * D + 1] - x[i * D + 2];
    }
    GpData data = {x, y, N, D, is_choice};
    g_autoptr(GpParams) p = gp_learn(&data, -1, NULL);
    g_autoptr(Gp) gp = gp_new(&data, p);
    double at[D] = {0.3, 1, 0.6}, mean, std, dmean[D], dstd[D], m[2], s[2];
    gp_predict_grad(gp, at, &mean, &std, dmean, dstd);
    gp_predict(gp, at, 1, m, s);
    assert_near(mean, m[0], 1e-9);
    assert_near(std, s[0], 1e-6);
    g_assert_cmpfloat(dmean[1], ==, 0);
    for (int k = 0; k < D; k += 2) {
        double h = 1e-5, two[2 * D];
        memcpy(two, at, sizeof at);
        memcpy(two + D, at, sizeof at);
        two[k] -= h;
        two[D + k] += h;
        gp_predict(gp, two, 2, m, s);
        assert_near(dmean[k], (m[1] - m[0]) / (2 * h), 1e-4);
        assert_near(dstd[k], (s[1] - s[0]) / (2 * h), 1e-3);
    }
}

static void check_acq(const Acq *a, double mean, double std)
{
    double dm, ds, h = 1e-6 * std;
    double value = acq_value(a, mean, std, &dm, &ds);
    g_assert_true(isfinite(value));
    double by_mean =
            acq_value(a, mean + h, std, NULL, NULL) - acq_value(a, mean - h, std, NULL, NULL);
    double by_std =
            acq_value(a, mean, std + h, NULL, NULL) - acq_value(a, mean, std - h, NULL, NULL);
    assert_near(dm * std, by_mean / (2 * h) * std, 2e-3);
    assert_near(ds * std, by_std / (2 * h) * std, 2e-3);
}

static void test_acquisition(void)
{
    static const double means[] = {-2, 0, 0.5, 1.9, 2.5, 4, 11, 13, 80};
    for (int kind = 0; kind < N_ACQ; kind++)
        for (guint i = 0; i < G_N_ELEMENTS(means); i++) {
            Acq a = {(AcqKind)kind, 1.96, 0.05, 0.3};
            check_acq(&a, means[i], 1);
            check_acq(&a, means[i], 0.37);
        }
    /* Published values of the closed form: EI at mean 0, std 1, best 0 is 1 / sqrt(2 pi). */
    Acq ei = {ACQ_EI, 1.96, 0, 0}, pi = {ACQ_PI, 1.96, 0, 0};
    assert_near(acq_value(&ei, 0, 1, NULL, NULL), 0.5 * log(2 * G_PI), 1e-12);
    assert_near(acq_value(&pi, 0, 1, NULL, NULL), log(2), 1e-12);
    /* No uncertainty, no improvement: bad, but a number. */
    g_assert_true(isfinite(acq_value(&ei, 1, 0, NULL, NULL)));
    Acq wide = {ACQ_LCB, HUGE_VAL, 0, 0};
    g_assert_cmpfloat(acq_value(&wide, 5, 2, NULL, NULL), ==, -2);
}

static double valley(unsigned n, const double *x, double *grad, gpointer data)
{
    if (grad) {
        grad[0] = 2 * (x[0] - 3);
        grad[1] = 2 * (x[1] - 0.25);
    }
    return (x[0] - 3) * (x[0] - 3) + (x[1] - 0.25) * (x[1] - 0.25);
}

static void test_minimize(void)
{
    double low[] = {0, 0}, high[] = {1, 1}, x[] = {0.5, 0.9};
    g_assert_cmpfloat_with_epsilon(
            minimize(valley, NULL, 2, low, high, 50, NULL, x), 4, 1e-6); /* at the border */
    g_assert_cmpfloat_with_epsilon(x[0], 1, 1e-6);
    g_assert_cmpfloat_with_epsilon(x[1], 0.25, 1e-4);
}

/* ---- trees ---- */

static void test_forest(void)
{
    double x[40 * 2], y[40];
    gboolean is_choice[2] = {FALSE, TRUE};
    for (int i = 0; i < 40; i++) {
        x[2 * i] = i / 40.0;
        x[2 * i + 1] = i % 3;
        y[i] = (i < 20 ? 0 : 10) + (i % 3 == 1 ? 5 : 0);
    }
    TreeData data = {x, y, 40, 2, is_choice};
    Rng rng = {1}, same = {1};
    g_autoptr(Forest) f = forest_fit(&data, 100, 3, &rng);
    g_autoptr(Forest) again = forest_fit(&data, 100, 3, &same);
    double low, high, odd, std, mean_again;
    double at[] = {0.1, 0}, far[] = {0.9, 0}, one[] = {0.1, 1};
    forest_predict(f, at, &low, &std);
    forest_predict(again, at, &mean_again, &std);
    g_assert_cmpfloat(low, ==, mean_again);
    forest_predict(f, far, &high, &std);
    forest_predict(f, one, &odd, &std);
    g_assert_cmpfloat(low, <, 2);
    g_assert_cmpfloat(high, >, 8);
    g_assert_cmpfloat(odd - low, >, 2);
    double same_y[40] = {0};
    data.y = same_y;
    g_autoptr(Forest) flat = forest_fit(&data, 10, 3, &rng);
    forest_predict(flat, at, &low, &std);
    g_assert_cmpfloat(low, ==, 0);
    g_assert_cmpfloat(std, ==, 0);
}

/* ---- spaces ---- */

static Value *parse(const char *text)
{
    GError *error = NULL;
    Value *v = yaml_parse(text, -1, NULL, &error);
    g_assert_no_error(error);
    return v;
}

static Space *space_of(const char *text)
{
    g_autoptr(Value) flags = parse(text);
    g_autoptr(GPtrArray) dims = dims_for_flags(flags, NULL);
    return space_new(dims);
}

static void test_space(void)
{
    g_autoptr(Space) s =
            space_of("{a: [x, y, 1], b: '[1:5]', c: 'loguniform[0.01:1]', d: '[0.0:2.0]'}");
    g_autoptr(Value) flags = parse("{a: 1, b: 3, c: 0.1, d: 0.5}"), back = value_new_map();
    double x[4];
    g_assert_true(space_encode(s, flags, x));
    g_assert_cmpfloat(x[0], ==, 2);
    g_assert_cmpfloat(x[1], ==, 0.5);
    g_assert_cmpfloat_with_epsilon(x[2], 0.5, 1e-12);
    g_assert_cmpfloat(x[3], ==, 0.25);
    space_decode(s, x, back);
    g_assert_true(value_equal(value_map_get(back, "b"), value_map_get(flags, "b")));
    g_assert_true(value_equal(value_map_get(back, "a"), value_map_get(flags, "a")));
    g_assert_cmpint(s->size, ==, G_MAXINT64);
    static const char *const strangers[] = {"{a: z, b: 3, c: 0.1, d: 0.5}",
            "{a: x, b: 3, c: -1, d: 1}", "{a: x, b: many, c: 0.1, d: 1}", "{a: x, b: 3, c: 0.1}"};
    for (guint i = 0; i < G_N_ELEMENTS(strangers); i++) {
        g_autoptr(Value) odd = parse(strangers[i]);
        g_assert_false(space_encode(s, odd, x));
    }
    g_autoptr(Space) small = space_of("{a: [x, y], b: '[1:3]'}");
    g_assert_cmpint(small->size, ==, 6);
    Rng rng = {3};
    for (int i = 0; i < 200; i++) { /* what is sampled and moved is on the grid */
        double at[2], moved[2], snapped[2];
        space_sample(small, &rng, at);
        space_perturb(small, at, 0.01, &rng, moved);
        memcpy(snapped, moved, sizeof moved);
        space_snap(small, snapped);
        g_assert_true(space_same(small, moved, snapped));
        g_assert_true(moved[1] >= 0 && moved[1] <= 1);
    }
    g_autoptr(Space) huge = space_of("{a: '[-9223372036854775807:9223372036854775807]'}");
    for (double u = 0; u <= 1; u += 0.25)
        space_decode(huge, &u, back); /* no undefined conversion (UBSan) */
}

/* ---- whole searches ---- */

typedef struct {
    const char *name, *flags, *options;
    double (*f)(const Value *flags);
    gint64 trials;
    guint pending;
    guint64 seed;
} SearchCase;

static double number(const Value *flags, const char *name)
{
    return value_get_float(value_map_get(flags, name));
}

static double bowl(const Value *flags)
{
    double x = number(flags, "x") - 0.3, y = number(flags, "y") + 0.6;
    return x * x + y * y;
}

static Optimizer *new_search(const SearchCase *c)
{
    g_autoptr(Value) flags = parse(c->flags),
                     options = parse(c->options ? c->options : "{random-starts: 3}");
    OptimizerSpec spec = {
            .flags = flags, .options = options, .seed = c->seed, .max_trials = c->trials};
    GError *error = NULL;
    Optimizer *o = optimizer_new(optimizer_class_find(c->name), &spec, &error);
    g_assert_no_error(error);
    return o;
}

/* f gives HUGE_VAL for a trial that fails, and NaN as any other result. */
static void tell(Optimizer *o, const SearchCase *c, const Value *flags)
{
    TrialResult r = {.objective = c->f ? c->f(flags) : 0, .has_objective = c->f != NULL};
    r.completed = r.objective != HUGE_VAL;
    r.seconds = 1 + fabs(r.objective);
    optimizer_tell(o, flags, &r);
}

/* All trials, in the order in which they were asked for; no two that are out are the same unless
 * the space is too small. */
static Value *search(const SearchCase *c)
{
    Optimizer *o = new_search(c);
    Value *all = value_new_list();
    for (gsize told = 0; told < (gsize)c->trials; told++) {
        OptimizerState state = OPTIMIZER_READY;
        while (value_list_size(all) < told + MAX(c->pending, 1) && state == OPTIMIZER_READY) {
            Value *flags = optimizer_ask(o, &state, NULL);
            if (flags)
                value_list_append(all, flags);
        }
        tell(o, c, value_list_at(all, told));
    }
    g_assert_cmpuint(value_list_size(all), ==, c->trials);
    optimizer_free(o);
    return all;
}

static double best_of(const Value *all, double (*f)(const Value *flags))
{
    double best = HUGE_VAL;
    for (gsize i = 0; i < value_list_size(all); i++)
        best = fmin(best, f(value_list_at(all, i))); /* a NaN is no result */
    return best;
}

static const char *const names[] = {"gp", "forest", "gbrt"};
#define BOWL "{x: '[-2.0:2.0]', y: '[-2.0:2.0]', z: hello}"

static void test_search(void)
{
    static const double good[] = {1e-3, 0.3, 1.5};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        SearchCase c = {names[i], BOWL, NULL, bowl, 25, 1, 4};
        g_autoptr(Value) all = search(&c), again = search(&c);
        g_assert_true(value_equal(all, again));
        g_assert_cmpfloat(best_of(all, bowl), <, good[i]);
        g_assert_cmpstr(value_map_string(value_list_at(all, 7), "z", ""), ==, "hello");
        c.pending = 4;
        g_autoptr(Value) parallel = search(&c);
        for (gsize a = 0; a < 25; a++)
            for (gsize b = 0; b < a; b++)
                g_assert_false(value_equal(value_list_at(parallel, a), value_list_at(parallel, b)));
        c.seed = 5;
        g_autoptr(Value) other = search(&c);
        g_assert_false(value_equal(all, other));
    }
}

static double always_one(const Value *flags)
{
    return 1;
}
static double never_good(const Value *flags)
{
    return HUGE_VAL;
}
static double not_a_number(const Value *flags)
{
    return NAN;
}
static double huge(const Value *flags)
{
    return 1e308 * number(flags, "x");
}
static double tiny(const Value *flags)
{
    return 1e-308 * number(flags, "x");
}
static double minus_infinite(const Value *flags)
{
    return number(flags, "x") < 0 ? -HUGE_VAL : 1;
}
static double sometimes_bad(const Value *flags)
{
    double x = number(flags, "x");
    return x < -1 ? HUGE_VAL : x < 0 ? NAN : bowl(flags);
}
static double diverges(const Value *flags)
{
    return number(flags, "x") > 1 ? 1e30 : bowl(flags);
}

/* Whatever the results are, the trials are asked for to the end, inside the space. */
static void test_odd_results(void)
{
    static double (*const functions[])(const Value *) = {always_one, never_good, not_a_number, huge,
            tiny, minus_infinite, sometimes_bad, diverges, NULL};
    for (guint i = 0; i < G_N_ELEMENTS(names); i++)
        for (guint f = 0; f < G_N_ELEMENTS(functions); f++) {
            SearchCase c = {names[i], BOWL, NULL, functions[f], 7, 1 + f % 3, f};
            g_autoptr(Value) all = search(&c);
            for (gsize t = 0; t < 7; t++)
                g_assert_cmpfloat(fabs(number(value_list_at(all, t), "x")), <=, 2);
        }
    SearchCase c = {"gp", BOWL, NULL, sometimes_bad, 25, 1, 1};
    g_autoptr(Value) all = search(&c);
    g_assert_cmpfloat(best_of(all, sometimes_bad), <, 0.05);
    c.f = diverges;
    g_autoptr(Value) rest = search(&c);
    g_assert_cmpfloat(best_of(rest, diverges), <, 0.01);
}

static double first_letter(const Value *flags)
{
    return value_map_string(flags, "a", "")[0] - 'a' + 0.1 * number(flags, "b");
}

static gsize count_different(const Value *all)
{
    gsize n = 0;
    for (gsize a = 0; a < value_list_size(all); a++) {
        gsize b = 0;
        while (b < a && !value_equal(value_list_at(all, a), value_list_at(all, b)))
            b++;
        n += b == a;
    }
    return n;
}

/* A small space is tried out before anything is tried again. */
static void test_small_spaces(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        SearchCase c = {names[i], "{a: [d, b, a, c], b: '[0:2]'}", NULL, first_letter, 12, 1, 1};
        g_autoptr(Value) all = search(&c);
        g_assert_cmpuint(count_different(all), ==, 12);
        c.trials = 15;
        c.pending = 4;
        g_autoptr(Value) more = search(&c);
        g_assert_cmpuint(count_different(more), ==, 12);
        SearchCase one = {names[i], "{a: [d], b: 1}", NULL, first_letter, 5, 2, 1};
        g_autoptr(Value) same = search(&one);
        g_assert_cmpuint(count_different(same), ==, 1);
        c.f = first_letter;
        SearchCase single = {names[i], BOWL, "{random-starts: 0}", bowl, 1, 1, 1};
        g_autoptr(Value) only = search(&single);
        g_assert_cmpuint(value_list_size(only), ==, 1);
    }
}

static double distance_20(const Value *flags)
{
    double sum = 0;
    for (gsize i = 0; i < value_map_size(flags); i++) {
        double off = value_get_float(value_map_at(flags, i)) - 0.4;
        sum += off * off;
    }
    return sum;
}

static void test_twenty_dims(void)
{
    g_autoptr(GString) flags = g_string_new("{");
    for (int i = 0; i < 20; i++)
        g_string_append_printf(flags, "%sx%d: '[0.0:1.0]'", i ? ", " : "", i);
    g_string_append_c(flags, '}');
    SearchCase c = {"gp", flags->str, NULL, distance_20, 50, 1, 1};
    SearchCase r = {"random", flags->str, NULL, distance_20, 50, 1, 1};
    g_autoptr(Value) all = search(&c), random = search(&r);
    g_assert_cmpfloat(best_of(all, distance_20), <, 0.85 * best_of(random, distance_20));
}

/* Hundreds of results: more than a model is fitted to. */
static void test_many_results(void)
{
    SearchCase c = {"gp", BOWL, NULL, bowl, 1001, 1, 1};
    Optimizer *o = new_search(&c);
    SearchCase r = {"random", BOWL, NULL, bowl, 1000, 1, 2};
    g_autoptr(Value) random = search(&r);
    for (gsize i = 0; i < 1000; i++) {
        optimizer_asked(o, value_list_at(random, i));
        tell(o, &c, value_list_at(random, i));
    }
    OptimizerState state;
    g_autoptr(Value) next = optimizer_ask(o, &state, NULL);
    g_assert_cmpfloat(bowl(next), <, 0.05);
    g_assert_cmpstr(optimizer_note(o), ==, "Found 1000 previous trial(s) for use in optimization");
    g_assert_null(optimizer_ask(o, &state, NULL));
    g_assert_cmpint(state, ==, OPTIMIZER_DONE);
    optimizer_free(o);
}

/* A coordinator that starts again gives the trials that the first would have given. */
static void test_restart(void)
{
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        SearchCase c = {names[i], BOWL, NULL, bowl, 10, 1, 9};
        g_autoptr(Value) all = search(&c);
        Optimizer *o = new_search(&c);
        for (gsize t = 0; t < 6; t++)
            optimizer_asked(o, value_list_at(all, t));
        for (gsize t = 0; t < 6; t++)
            tell(o, &c, value_list_at(all, t));
        for (gsize t = 6; t < 10; t++) {
            OptimizerState state;
            g_autoptr(Value) flags = optimizer_ask(o, &state, NULL);
            g_assert_true(value_equal(flags, value_list_at(all, t)));
            tell(o, &c, flags);
        }
        optimizer_free(o);
    }
}

static void test_notes(void)
{
    static const char *const random_notes[] = {"Random start for optimization (1 of 2)",
            "Random start for optimization (2 of 2)",
            "Random start for optimization (missing previous trials)",
            "Random start for optimization (cannot find objective 'loss')",
            "Found 2 previous trial(s) for use in optimization"};
    SearchCase c = {"gp", "{x: '[1:10:5]', y: [1, 2]}", "{random-starts: 2}", NULL, 5, 1, 1};
    Optimizer *o = new_search(&c);
    for (guint i = 0; i < G_N_ELEMENTS(random_notes); i++) {
        OptimizerState state;
        g_autoptr(Value) flags = optimizer_ask(o, &state, NULL);
        g_assert_cmpstr(optimizer_note(o), ==, random_notes[i]);
        if (i == 0)
            g_assert_cmpint(value_map_int(flags, "x", 0), ==, 5);
        TrialResult r = {.completed = i >= 2, .has_objective = i == 3, .objective = 1};
        optimizer_tell(o, flags, &r);
    }
    optimizer_free(o);
}

static void test_acq_options(void)
{
    static const char *const acqs[] = {"EI", "LCB", "PI", "gp_hedge", "EIps", "PIps"};
    for (guint i = 0; i < G_N_ELEMENTS(acqs); i++) {
        g_autofree char *options =
                g_strdup_printf("{random-starts: 3, acq-func: %s, noise: 0.0001}", acqs[i]);
        SearchCase c = {"gp", BOWL, options, bowl, 20, 1, 3};
        g_autoptr(Value) all = search(&c);
        g_assert_cmpfloat(best_of(all, bowl), <, 0.05);
    }
}

static void test_bad_options(void)
{
    static const struct {
        const char *options, *message;
    } bad[] = {{"{noise: loud}",
                       "optimizer flag noise is loud: use gaussian or the variance to expect"},
            {"{noise: -1}", "optimizer flag noise is -1: use gaussian or the variance to expect"},
            {"{acq-func: UCB}",
                    "optimizer flag acq-func is UCB: use gp_hedge, EI, LCB, PI, EIps or PIps"},
            {"{xi: .inf}", "optimizer flag xi is .inf: use a number"}};
    g_autoptr(Value) flags = parse(BOWL);
    for (guint i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Value) options = parse(bad[i].options);
        g_autoptr(GError) error = NULL;
        OptimizerSpec spec = {.flags = flags, .options = options};
        g_assert_null(optimizer_new(optimizer_class_find("gp"), &spec, &error));
        g_assert_error(error, BATCH_ERROR, BATCH_ERROR_OPTIONS);
        g_assert_cmpstr(error->message, ==, bad[i].message);
    }
}

/* ---- thinking apart ---- */

static void on_wake(gpointer data)
{
    g_main_loop_quit(data);
}

static void test_thread(void)
{
    SearchCase c = {"gp", BOWL, "{random-starts: 2}", bowl, 12, 1, 2};
    g_autoptr(Value) all = search(&c);
    g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
    Optimizer *o = new_search(&c);
    optimizer_think_apart(o, NULL, on_wake, loop);
    for (gsize i = 0; i < 12; i++) {
        OptimizerState state;
        Value *flags = optimizer_ask(o, &state, NULL);
        g_assert_cmpint(state, ==, i < 2 ? OPTIMIZER_READY : OPTIMIZER_WAIT);
        if (!flags) {
            g_assert_null(optimizer_ask(o, &state, NULL)); /* it is at it */
            g_main_loop_run(loop);
            flags = optimizer_ask(o, &state, NULL);
        }
        g_assert_true(value_equal(flags, value_list_at(all, i)));
        tell(o, &c, flags);
        value_unref(flags);
    }
    optimizer_free(o);
    /* A result that comes meanwhile waits; freeing in mid-thought is fine. */
    o = new_search(&c);
    optimizer_think_apart(o, NULL, on_wake, loop);
    OptimizerState state;
    g_autoptr(Value) a = optimizer_ask(o, &state, NULL), b = optimizer_ask(o, &state, NULL);
    tell(o, &c, a);
    g_assert_null(optimizer_ask(o, &state, NULL));
    tell(o, &c, b);
    g_main_loop_run(loop);
    g_autoptr(Value) third = optimizer_ask(o, &state, NULL);
    g_assert_cmpstr(optimizer_note(o), ==, "Found 1 previous trial(s) for use in optimization");
    g_assert_null(optimizer_ask(o, &state, NULL));
    optimizer_free(o);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    GError *error = NULL;
    g_assert_true(gp_ready(&error));
    g_test_add_func("/optimizer/gp-as-scikit-learn", test_gp);
    g_test_add_func("/optimizer/boost-as-scikit-learn", test_boost);
    g_test_add_func("/optimizer/gp-gradient", test_gp_gradient);
    g_test_add_func("/optimizer/acquisition", test_acquisition);
    g_test_add_func("/optimizer/minimize", test_minimize);
    g_test_add_func("/optimizer/forest", test_forest);
    g_test_add_func("/optimizer/space", test_space);
    g_test_add_func("/optimizer/search", test_search);
    g_test_add_func("/optimizer/odd-results", test_odd_results);
    g_test_add_func("/optimizer/small-spaces", test_small_spaces);
    g_test_add_func("/optimizer/twenty-dims", test_twenty_dims);
    g_test_add_func("/optimizer/many-results", test_many_results);
    g_test_add_func("/optimizer/restart", test_restart);
    g_test_add_func("/optimizer/notes", test_notes);
    g_test_add_func("/optimizer/acq-options", test_acq_options);
    g_test_add_func("/optimizer/bad-options", test_bad_options);
    g_test_add_func("/optimizer/thread", test_thread);
    return g_test_run();
}
