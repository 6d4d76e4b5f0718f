/* SPDX-License-Identifier: Apache-2.0 */
/* How good an optimizer is, without trials: it searches known functions through the interface that
 * a batch uses.
 *
 *     bench_optimizer OPTIMIZER FUNCTION TRIALS SEED [PENDING [OPTIONS]]
 *
 * FUNCTION is branin, hartmann6, mixed (a made-up training: a rate on a logarithmic scale, layers,
 * an activation, dropout; best value 0) or noisy (branin with noise of deviation 5). PENDING trials
 * are out at any time (default 1). OPTIONS are the optimizer's own flags, in YAML. Prints one line:
 * how far the best trial is from the optimum (without noise), milliseconds of processor time an
 * answer. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/yaml.h"
#include "engine/batch/optimizer.h"
#include "engine/batch/rng.h"

static double number(const Value *flags, const char *name)
{
    return value_get_float(value_map_get(flags, name));
}

static double branin(const Value *flags)
{
    double x = number(flags, "x"), y = number(flags, "y");
    double a = y - 5.1 / (4 * G_PI * G_PI) * x * x + 5 / G_PI * x - 6;
    return a * a + 10 * (1 - 1 / (8 * G_PI)) * cos(x) + 10;
}

static double hartmann6(const Value *flags)
{
    static const double alpha[] = {1, 1.2, 3, 3.2};
    static const double A[4][6] = {{10, 3, 17, 3.5, 1.7, 8}, {0.05, 10, 17, 0.1, 8, 14},
            {3, 3.5, 1.7, 10, 17, 8}, {17, 8, 0.05, 10, 0.1, 14}};
    static const double P[4][6] = {{1312, 1696, 5569, 124, 8283, 5886},
            {2329, 4135, 8307, 3736, 1004, 9991}, {2348, 1451, 3522, 2883, 3047, 6650},
            {4047, 8828, 8732, 5743, 1091, 381}};
    double sum = 0;
    for (int i = 0; i < 4; i++) {
        double inner = 0;
        for (int j = 0; j < 6; j++) {
            char name[] = {'a', (char)('1' + j), 0};
            double off = number(flags, name) - 1e-4 * P[i][j];
            inner += A[i][j] * off * off;
        }
        sum -= alpha[i] * exp(-inner);
    }
    return sum;
}

static double mixed(const Value *flags)
{
    const char *act = value_map_string(flags, "act", "");
    double rate = log10(number(flags, "rate")) + 2.5, layers = number(flags, "layers") - 5;
    double drop = number(flags, "dropout") - 0.3 - 0.05 * layers;
    double kind = strcmp(act, "relu") == 0 ? 0 : strcmp(act, "gelu") == 0 ? 0.1 : 0.5;
    return 0.3 * (rate + 0.1 * layers) * (rate + 0.1 * layers) + 0.05 * layers * layers +
           4 * drop * drop + kind;
}

static const struct {
    const char *name;
    double (*f)(const Value *flags);
    double best, noise;
    const char *flags;
} functions[] = {
        {"branin", branin, 0.39788735772973816, 0, "{x: '[-5.0:10.0]', y: '[0.0:15.0]'}"},
        {"noisy", branin, 0.39788735772973816, 5, "{x: '[-5.0:10.0]', y: '[0.0:15.0]'}"},
        {"hartmann6", hartmann6, -3.32236801141551, 0,
                "{a1: '[0.0:1.0]', a2: '[0.0:1.0]', a3: '[0.0:1.0]', a4: '[0.0:1.0]', "
                "a5: '[0.0:1.0]', a6: '[0.0:1.0]'}"},
        {"mixed", mixed, 0, 0,
                "{rate: 'loguniform[1e-5:1.0]', layers: '[1:10]', act: [tanh, gelu, relu, "
                "sigmoid], "
                "dropout: '[0.0:0.8]'}"},
};

static int find_function(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(functions); i++)
        if (strcmp(functions[i].name, name) == 0)
            return (int)i;
    fprintf(stderr, "no function %s\n", name);
    exit(1);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc < 5) {
        fprintf(stderr, "usage: %s OPTIMIZER FUNCTION TRIALS SEED [PENDING [OPTIONS]]\n", argv[0]);
        return 1;
    }
    int which = find_function(argv[2]);
    gint64 trials = atoll(argv[3]), pending = argc > 5 ? atoll(argv[5]) : 1;
    g_autoptr(Value) flags = yaml_parse(functions[which].flags, -1, NULL, NULL);
    g_autoptr(Value) options =
            yaml_parse(argc > 6 ? argv[6] : "{random-starts: 3}", -1, NULL, NULL);
    OptimizerSpec spec = {.flags = flags,
            .options = options,
            .seed = (guint64)atoll(argv[4]),
            .max_trials = trials};
    GError *error = NULL;
    const OptimizerClass *klass = optimizer_class_find(argv[1]);
    Optimizer *o = klass ? optimizer_new(klass, &spec, &error) : NULL;
    if (!o) {
        fprintf(stderr, "%s\n", error ? error->message : "no such optimizer");
        return 1;
    }
    Rng noise = {spec.seed};
    GQueue out = G_QUEUE_INIT;
    double best = HUGE_VAL, seconds = 0;
    for (gint64 asked = 0, told = 0; told < trials;) {
        OptimizerState state = OPTIMIZER_DONE;
        double before = cpu_s();
        Value *next = asked - told < pending ? optimizer_ask(o, &state, &error) : NULL;
        seconds += cpu_s() - before;
        asked += next != NULL;
        if (next) {
            g_queue_push_tail(&out, next);
            continue;
        }
        g_autoptr(Value) done = g_queue_pop_head(&out);
        double y = functions[which].f(done);
        TrialResult r = {.completed = TRUE,
                .has_objective = TRUE,
                .objective = y + functions[which].noise * rng_normal(&noise)};
        best = MIN(best, y);
        optimizer_tell(o, done, &r);
        told++;
    }
    printf("%.6g %.3f\n", best - functions[which].best, 1000 * seconds / (double)trials);
    optimizer_free(o);
    return 0;
}
