/* SPDX-License-Identifier: Apache-2.0 */
/* See alone.h. */
#include "worker/alone.h"

#include "engine/base/log.h"
#include "worker/confine.h"
#include "worker/internal.h"

struct Alone {
    Request request;
    gboolean asks_cpus;
    char **env;
    ConfineHost *host;
    Confine *confine; /* while it runs */
    Exec *exec;
};

/* Takes what is asked from what the machine has; gives what that means in the environment. */
static char **take(const Alone *a, GError **error)
{
    g_autoptr(Value) have = machine_resources(0, NULL);
    Resources machine;
    Taken taken;
    if (!resources_from_value(have, NULL, &machine, error))
        return NULL;
    if (!resources_fit_ever(&machine, &a->request)) {
        g_autofree char *asked = request_describe(&a->request);
        g_autofree char *why = resources_why_not(&machine, &a->request);
        g_set_error(error, RESOURCES_ERROR, 0,
                "it asks for %s, which this machine has not got (%s)", asked, why);
        return NULL;
    }
    resources_take(&machine, &a->request, &taken);
    g_autoptr(GStrvBuilder) names = g_strv_builder_new();
    const Value *gpus = value_map_get(have, "gpus");
    for (gsize i = 0; i < value_list_size(gpus); i++)
        g_strv_builder_add(names, value_get_string(value_list_at(gpus, i)));
    g_auto(GStrv) devices = g_strv_builder_end(names);
    return confine_env(&a->request, a->asks_cpus, &taken, devices);
}

Alone *alone_new(const Value *request, GError **error)
{
    g_autoptr(Alone) a = g_new0(Alone, 1);
    a->asks_cpus = value_map_has(request, "cpus");
    if (!request_from_value(request, &a->request, error) || !(a->env = take(a, error)))
        return NULL;
    a->host = confine_host_new(FALSE);
    return g_steal_pointer(&a);
}

void alone_free(Alone *a)
{
    if (!a)
        return;
    confine_free(a->confine);
    confine_host_free(a->host);
    g_strfreev(a->env);
    g_free(a);
}

const char *const *alone_env(const Alone *a)
{
    return (const char *const *)a->env;
}

static void on_exceeded(gpointer data)
{
    exec_stop(((Alone *)data)->exec, 0);
}

static void on_started(Exec *exec, GMainContext *context, gpointer data)
{
    Alone *a = data;
    a->exec = exec;
    confine_watch(a->confine, context, exec, on_exceeded, a);
}

gboolean alone_run(Alone *a, ExecSpec *spec, int *exit_status, GError **error)
{
    g_autoptr(Run) run = run_ref(spec->run);
    a->confine = confine_new(a->host, run_id(run), &a->request, a->asks_cpus, spec);
    gboolean good = exec_run_foreground_with(spec, on_started, a, exit_status, error);
    if (good && confine_exceeded(a->confine)) {
        g_autofree char *why = confine_exceeded_text(&a->request);
        log_error("Run %s was %s", run_id(run), why);
        run_write_attr_string(run, "error", why, NULL);
    }
    g_clear_pointer(&a->confine, confine_free);
    return good;
}
