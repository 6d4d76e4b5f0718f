/* SPDX-License-Identifier: Apache-2.0 */
/* The operations that come with the program, defined as a user would define them: the batch
 * processor of grids `+`, the optimizers and the queue. Names, commands, flags and defaults are the
 * reference's (model_proxy.py, plugins/skopt.py, plugins/queue.py), so that runs of either are
 * taken for each other's. */
#include "engine/project/builtins.h"

#include <string.h>

#include "engine/base/yaml.h"

/* The version that runs of built-in operations refer to: that of the reference whose formats these
 * are. */
#define REFERENCE_VERSION "0.9.1"

static const char batch_yaml[] =
        "+:\n"
        "  description: Runs a trial for each combination of flag values.\n"
        "  exec: ${guild_python_exe} -um guild.batch_main\n"
        "  env: {NO_OP_INTERRUPTED_MSG: '1'}\n"
        "  delete-on-success: yes\n"
        "  can-stage-trials: yes\n"
        "  pip-freeze: no\n";

static const char queue_yaml[] =
        "queue:\n"
        "  description: |\n"
        "    Starts staged runs\n"
        "\n"
        "    A queue looks for staged runs and starts them, the one staged first first. Other runs "
        "may be running meanwhile unless `wait-for-running` is true. With `run-once` it stops "
        "when no staged run is left. With `gpus` the runs it starts see only these devices, so "
        "one queue per GPU keeps all of them busy.\n"
        "  exec: ${guild_python_exe} -um guild.plugins.queue_main ${flag_args}\n"
        "  delete-on-success: yes\n"
        "  flags:\n"
        "    poll-interval:\n"
        "      description: Seconds between two looks for staged runs\n"
        "      default: 10\n"
        "      type: int\n"
        "    run-once:\n"
        "      description: Stop when there is no staged run left\n"
        "      default: no\n"
        "      arg-switch: yes\n"
        "      type: boolean\n"
        "    wait-for-running:\n"
        "      description: Start a run only when no other run is running\n"
        "      default: no\n"
        "      arg-switch: yes\n"
        "      type: boolean\n"
        "    gpus:\n"
        "      description: |\n"
        "        Devices that the started runs see\n"
        "\n"
        "        Staged runs that name other devices are left alone.\n"
        "      null-label: unspecified\n";

#define OPTIMIZER_ATTRS                                                                            \
    "  flag-encoder: guild.plugins.skopt:encode_flag_for_optimizer\n"                              \
    "  default-max-trials: 20\n"                                                                   \
    "  env: {NO_OP_INTERRUPTED_MSG: '1'}\n"

#define RANDOM_STARTS_FLAG                                                                         \
    "    random-starts:\n"                                                                         \
    "      description: Trials with random values before the search begins\n"                      \
    "      default: 3\n"                                                                           \
    "      type: int\n"

#define COMMON_FLAGS                                                                               \
    "    kappa:\n"                                                                                 \
    "      description: How much the variance of predicted values counts\n"                        \
    "      default: 1.96\n"                                                                        \
    "      type: float\n"                                                                          \
    "    xi:\n"                                                                                    \
    "      description: Improvement to look for over the best value so far\n"                      \
    "      default: 0.05\n"                                                                        \
    "      type: float\n"                                                                          \
    "    prev-trials:\n"                                                                           \
    "      description: Which earlier trials are learned from\n"                                   \
    "      default: sourcecode\n"                                                                  \
    "      choices:\n"                                                                             \
    "        - value: batch\n"                                                                     \
    "          description: Those of this batch\n"                                                 \
    "        - value: sourcecode\n"                                                                \
    "          description: Those with the same source code\n"                                     \
    "        - value: operation\n"                                                                 \
    "          description: Those of the same operation\n"

static const char skopt_yaml[] =
        "random:\n"
        "  description: Runs trials with random flag values.\n"
        "  exec: ${guild_python_exe} -um guild.plugins.random_main\n"
        "  delete-on-success: yes\n"
        "  can-stage-trials: yes\n" OPTIMIZER_ATTRS "gp:\n"
        "  description: Bayesian optimizer using Gaussian processes.\n"
        "  exec: ${guild_python_exe} -um guild.plugins.skopt_gp_main\n" OPTIMIZER_ATTRS
        "  flags:\n" RANDOM_STARTS_FLAG "    acq-func:\n"
        "      description: What is minimized over the model\n"
        "      default: gp_hedge\n"
        "      choices:\n"
        "        - {value: LCB, description: Lower confidence bound}\n"
        "        - {value: EI, description: Negative expected improvement}\n"
        "        - {value: PI, description: Negative probability of improvement}\n"
        "        - {value: gp_hedge, description: 'One of LCB, EI and PI, chosen anew each time'}\n"
        "        - {value: EIps, description: Negative expected improvement per second}\n"
        "        - {value: PIps, description: Negative probability of improvement per second}\n"
        "    noise:\n"
        "      description: |\n"
        "        Noise of the objective\n"
        "\n"
        "        'gaussian' if results are noisy, otherwise the variance to expect.\n"
        "      default: gaussian\n" COMMON_FLAGS "forest:\n"
        "  description: Sequential optimization using decision trees.\n"
        "  exec: ${guild_python_exe} -um guild.plugins.skopt_forest_main\n" OPTIMIZER_ATTRS
        "  flags:\n" RANDOM_STARTS_FLAG COMMON_FLAGS "gbrt:\n"
        "  description: Sequential optimization using gradient boosted trees.\n"
        "  exec: ${guild_python_exe} -um guild.plugins.skopt_gbrt_main\n" OPTIMIZER_ATTRS
        "  flags:\n" RANDOM_STARTS_FLAG COMMON_FLAGS;

typedef struct {
    const char *opspec;
    const char *model;
    const char *op;
    const char *yaml;
} Builtin;

static const Builtin builtins[] = {
        {"+", "", "+", batch_yaml},
        {"queue", "", "queue", queue_yaml},
        {"random", "skopt", "random", skopt_yaml},
        {"skopt:random", "skopt", "random", skopt_yaml},
        {"gp", "skopt", "gp", skopt_yaml},
        {"skopt:gp", "skopt", "gp", skopt_yaml},
        {"bayesian", "skopt", "gp", skopt_yaml},
        {"gaussian", "skopt", "gp", skopt_yaml},
        {"forest", "skopt", "forest", skopt_yaml},
        {"skopt:forest", "skopt", "forest", skopt_yaml},
        {"gbrt", "skopt", "gbrt", skopt_yaml},
        {"skopt:gbrt", "skopt", "gbrt", skopt_yaml},
};

static OpDef *load_builtin(const Builtin *b)
{
    g_autoptr(Value) ops = yaml_parse(b->yaml, -1, NULL, NULL);
    g_autoptr(Value) doc = value_new_list();
    Value *item = value_new_map();
    value_map_set_string(item, "model", b->model);
    value_map_set(item, "operations", g_steal_pointer(&ops));
    value_list_append(doc, item);
    g_autoptr(Guildfile) g = guildfile_for_data(doc, NULL, NULL, NULL);
    g_assert(g != NULL);
    OpDef *op = modeldef_operation(guildfile_model(g, b->model), b->op);
    op->opref = opref_new("builtin", "guildai", REFERENCE_VERSION, b->model, b->op);
    return opdef_ref(op);
}

OpDef *builtin_opdef(const char *opspec)
{
    for (gsize i = 0; i < G_N_ELEMENTS(builtins); i++)
        if (g_str_equal(builtins[i].opspec, opspec))
            return load_builtin(&builtins[i]);
    return NULL;
}
