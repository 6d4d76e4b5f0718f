/* SPDX-License-Identifier: Apache-2.0 */
/* Output rules: the first line of the input is a pattern, the rest lines of output that it and the
 * default rules are matched against. The hand-written default rules find what their patterns find. */
#include <string.h>

#include "engine/base/log.h"
#include "engine/exec/output_rules.h"
#include "tests/fuzz/fuzz.h"

static OutputRules *defaults, *default_patterns;

static void set_up(void)
{
    log_set_level(LOG_ERROR + 1);
    defaults = output_rules_new(OUTPUT_RULES_SCALARS, NULL);
    g_autoptr(Value) texts = value_new_strv(output_rules_patterns(defaults));
    default_patterns = output_rules_new(OUTPUT_RULES_SCALARS, texts);
}

/* White space for Python, but not for PCRE. */
static gboolean has_separators(const char *line, gsize len)
{
    for (gsize i = 0; i < len; i++)
        if (line[i] >= 0x1c && line[i] <= 0x1f)
            return TRUE;
    return FALSE;
}

static void match_line(OutputRules *rules, const char *line, gsize len)
{
    value_unref(output_rules_match(rules, line, len));
    if (has_separators(line, len))
        return;
    g_autoptr(Value) fast = output_rules_match(defaults, line, len);
    g_autoptr(Value) slow = output_rules_match(default_patterns, line, len);
    g_autofree char *a = value_repr(fast), *b = value_repr(slow);
    if (strcmp(a, b) != 0)
        g_error("default rules find %s, their patterns %s", a, b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!defaults)
        set_up();
    const char *text = (const char *)data, *end = text + size;
    const char *line = memchr(text, '\n', size);
    if (!line)
        return 0;
    g_autofree char *pattern = g_strndup(text, (gsize)(line - text));
    g_autofree char *valid = g_utf8_make_valid(pattern, -1);
    g_autoptr(Value) config = value_new_string(valid);
    g_autoptr(OutputRules) rules = output_rules_new(OUTPUT_RULES_SCALARS, config);
    for (line++; line < end;) {
        const char *eol = memchr(line, '\n', (gsize)(end - line));
        gsize len = (gsize)((eol ? eol : end) - line);
        match_line(rules, line, len);
        line += len + 1;
    }
    return 0;
}
