/* SPDX-License-Identifier: Apache-2.0 */
/* The process of a run that is Guild itself; see opmode.h. */
#include "cli/opmode.h"

#include "engine/base/log.h"

void opmode_init_log(void)
{
    const char *text = g_getenv("LOG_LEVEL");
    gint64 level = 0;
    if (!text || !g_ascii_string_to_signed(text, 10, 0, 1000, &level, NULL))
        level = LOG_WARNING;
    log_set_level((LogLevel)level);
    log_set_style(LOG_STYLE_OP);
}

Run *opmode_current_run(GError **error)
{
    const char *dir = g_getenv("RUN_DIR");
    g_autoptr(Run) run = dir && *dir ? run_new(dir, g_getenv("RUN_ID")) : NULL;
    if (run && run_exists(run))
        return g_steal_pointer(&run);
    g_set_error(error, RUN_ERROR_DOMAIN, RUN_ERR_NOT_FOUND,
            "no current run ($RUN_DIR is %s%s); this command is for use by operations",
            dir && *dir ? "not a run: " : "not set", dir ? dir : "");
    return NULL;
}
