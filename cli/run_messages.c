/* SPDX-License-Identifier: Apache-2.0 */
/* How errors of `guild run` are shown; see run.h. Most carry their words already; some are shown in
 * another shape, or mean something else because of what was being done. */
#include "cli/run.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/batch/dims.h"
#include "engine/op/flags.h"
#include "engine/project/opspec.h"

/* "the current directory" or the folder in quotes. */
static char *cwd_desc(void)
{
    g_autofree char *here = fs_cwd();
    g_autofree char *cwd = fs_abspath(cli_cwd(), NULL);
    return strcmp(here, cwd) == 0 ? g_strdup("the current directory")
                                  : g_strdup_printf("'%s'", cwd);
}

static int guildfile_error(const GError *error)
{
    g_autofree char *where = cwd_desc();
    log_error("%s", error->message);
    return cli_error("guildfile in %s contains an error (see above for details)", where);
}

static int opspec_error(const GError *error, const char *opspec, Run *for_run)
{
    gboolean missing =
            error->code == OPSPEC_ERROR_NO_MODEL || error->code == OPSPEC_ERROR_NO_DEFAULT;
    if (missing && for_run)
        return cli_error("cannot find definition for operation '%s' in run %s\n"
                         "This is required when setting flags or using '--force-sourcecode' "
                         "for restart or a new run.",
                opspec, run_id(for_run));
    if (error->code == OPSPEC_ERROR_GUILDFILE)
        return guildfile_error(error);
    return cli_error("%s", error->message);
}

static int ambiguous_run(const char *prefix)
{
    g_autoptr(RunStore) store = run_store_open(cli_home(), NULL);
    g_autoptr(GPtrArray) runs = run_store_list(store, RUN_STORE_RUNS);
    fprintf(stderr, "'%s' matches multiple runs:\n", prefix);
    for (guint i = 0; i < runs->len; i++) {
        Run *run = g_ptr_array_index(runs, i);
        g_autofree char *short_id = run_short_id(run);
        if (g_str_has_prefix(run_id(run), prefix))
            fprintf(stderr, "  %s\n", short_id);
    }
    return 1;
}

static int run_lookup_error(const GError *error, const char *spec)
{
    if (error->code == RUN_ERR_NOT_FOUND)
        return cli_error("could not find a run matching '%s'\n"
                         "Try 'guild runs list' for a list.",
                spec);
    if (error->code == RUN_ERR_AMBIGUOUS)
        return ambiguous_run(spec);
    return cli_error("%s", error->message);
}

/* What makes trials speaks as the process of a batch does. */
static int batch_error(const GError *error)
{
    LogStyle style = log_style();
    log_set_style(LOG_STYLE_OP);
    log_error("%s", error->message);
    log_set_style(style);
    return 1;
}

int run_print_error(GError *err, const char *opspec, Run *for_run)
{
    g_autoptr(GError) error = err;
    fflush(stdout);
    gboolean is_text = g_error_matches(error, FLAGS_ERROR, FLAGS_ERROR_MISSING) ||
                       g_error_matches(error, FLAGS_ERROR, FLAGS_ERROR_CHOICE);
    if (is_text) {
        fprintf(stderr, "%s\n", error->message);
        return 1;
    }
    if (g_error_matches(error, OP_ERROR, OP_ERROR_ABORT))
        return 1;
    if (g_error_matches(error, BATCH_ERROR, BATCH_ERROR_DIMS))
        return batch_error(error);
    if (error->domain == OPSPEC_ERROR)
        return opspec_error(error, opspec, for_run);
    if (error->domain == RUN_ERROR_DOMAIN && opspec)
        return run_lookup_error(error, opspec);
    return cli_error("%s", error->message);
}
