/* SPDX-License-Identifier: Apache-2.0 */
/* `guild _steps`: what a run of an operation with `steps` executes, by way of the Python module
 * guild.steps_main. Runs the steps one after the other, each as a run of its own with a link to it
 * in this run, and checks what they made. */
#include "cli/child.h"
#include "cli/commands.h"
#include "cli/opmode.h"
#include "cli/run_check.h"
#include "cli/steps.h"
#include "cli/steps_project.h"
#include "engine/base/fs.h"
#include "engine/base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { EXIT_CHECK_FAILED = 3 };

/* Directory of the step's run: where the link in the parent points, or a new id beside the parent,
 * to which the link is made. */
static char *step_run_dir(Run *parent, const char *link_name, GError **error)
{
    g_autofree char *link = fs_join(run_dir(parent), link_name);
    if (fs_is_link(link) && fs_is_dir(link))
        return fs_realpath(link);
    if (fs_lexists(link) && !fs_is_link(link)) {
        g_set_error(error, STEPS_ERROR, STEPS_ERROR_INVALID,
                "unexpected step run link %s: expected symlink", link);
        return NULL;
    }
    g_autofree char *parent_of = g_path_get_dirname(link);
    g_autofree char *runs = g_path_get_dirname(run_dir(parent));
    g_autofree char *id = run_new_id();
    g_autofree char *dir = g_build_filename(runs, id, NULL);
    g_autofree char *rel = fs_relpath(dir, parent_of);
    if (!fs_remove(link, error) || !fs_mkdirs(parent_of, error) || !fs_symlink(rel, link, error))
        return NULL;
    return g_steal_pointer(&dir);
}

static char **step_env(const Step *step, Run *parent)
{
    char **env = g_environ_setenv(g_get_environ(), "NO_WARN_RUNDIR", "1", TRUE);
    if (step->isolate_runs)
        env = g_environ_setenv(env, "GUILD_RUNS_PARENT", run_id(parent), TRUE);
    return env;
}

/* Where the steps' operations are: what the run brought along, or the project that it is of. */
static char *project_dir(Run *parent)
{
    g_autofree char *own = steps_project_dir(parent);
    if (fs_is_dir(own))
        return g_steal_pointer(&own);
    const char *dir = g_getenv("PROJECT_DIR");
    return g_strdup(dir && *dir ? dir : g_getenv("CMD_DIR"));
}

static int run_step(const Step *step, Run *parent, const char *dir)
{
    guint shown = 0;
    g_auto(GStrv) args = step_run_args(step, parent, dir, &shown);
    g_autofree char *desc = g_strjoinv(" ", args + shown);
    log_info("%s %s: %s", fs_exists(dir) ? "restarting" : "running", step->name, desc);
    g_autoptr(GPtrArray) argv = g_ptr_array_new();
    g_ptr_array_add(argv, (gpointer)child_guild_exe());
    g_ptr_array_add(argv, "run");
    g_ptr_array_add(argv, "-y");
    for (guint i = 0; args[i]; i++)
        g_ptr_array_add(argv, args[i]);
    g_ptr_array_add(argv, NULL);
    g_autofree char *cwd = project_dir(parent);
    g_auto(GStrv) env = step_env(step, parent);
    GError *error = NULL;
    int sig = 0;
    int status = child_run((const char *const *)argv->pdata, env, cwd, &sig, &error);
    if (error)
        return cli_gerror(error);
    if (sig)
        child_end_by_signal(sig);
    return child_exit_code(status);
}

/* 0, or what to exit with. */
static int check_step(const Step *step, const char *dir)
{
    g_autoptr(Run) run = run_new(dir, NULL);
    guint total = 0, passed = 0;
    for (gsize i = 0; i < value_list_size(step->expect); i++) {
        const Value *check = value_list_at(step->expect, i);
        g_autoptr(GError) error = NULL;
        if (!run_check_is_valid(check, &error)) {
            g_autofree char *repr = value_repr(check);
            log_warning("invalid check %s: %s", repr, error->message);
            continue;
        }
        total++;
        if (run_check(check, run, &error))
            passed++;
        else
            log_error("check failed: %s", error->message);
    }
    if (!total)
        return 0;
    log_info("%u of %u checks passed", passed, total);
    if (passed == total)
        return 0;
    cli_error("stopping because a check failed - see above for details");
    return EXIT_CHECK_FAILED;
}

static int steps_main(CliArgs *args)
{
    opmode_init_log();
    GError *error = NULL;
    g_autoptr(Run) parent = opmode_current_run(&error);
    g_autoptr(GPtrArray) steps = parent ? steps_for_run(parent, &error) : NULL;
    if (!steps)
        return cli_gerror(error);
    if (!steps->len)
        log_warning("no steps defined for run %s", run_id(parent));
    int status = 0;
    for (guint i = 0; !status && i < steps->len; i++) {
        const Step *step = steps->pdata[i];
        g_autofree char *dir = step_run_dir(parent, step->link, &error);
        if (!dir)
            return cli_gerror(error);
        status = run_step(step, parent, dir);
        if (!status)
            status = check_step(step, dir);
    }
    return status;
}

static const CliOption *const no_options[] = {NULL};

const CliCommand cmd_steps = {
        .name = "_steps",
        .args = "",
        .summary = "Run the steps of the current run.",
        .help = "Runs the steps of the run in $RUN_DIR. Started by operations that have steps.",
        .options = no_options,
        .run = steps_main,
        .hidden = TRUE,
};
