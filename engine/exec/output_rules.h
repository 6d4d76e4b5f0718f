/* SPDX-License-Identifier: Apache-2.0 */
/* Rules that find values in lines of output: the `output-scalars` and `output-attrs` of an
 * operation. Semantics are the reference's (guild/summary.py). A rule set comes from a list whose
 * items are patterns or maps of key to pattern; a pattern is a regular expression in Python's
 * syntax in which \key, \value and \step stand for prepared parts. A pattern with named groups
 * sets a key per group (or one pair, from groups _key and _val); with two groups it sets key and
 * value; with one group it sets the map's key.
 *
 * The default rules are matched without a regular expression engine; others by GRegex with a limit
 * on backtracking, so that no line can hold up a run. */
#pragma once

#include "engine/base/value.h"

typedef enum { OUTPUT_RULES_SCALARS, OUTPUT_RULES_ATTRS } OutputRulesKind;

typedef struct OutputRules OutputRules;

/* `config` as in guild.yml: NULL (or null) for the default rules, a string, a map or a list. An
 * item that is no pattern or does not compile is warned of and left out, as in the reference.
 * Never NULL. Compiled sets are shared: the same config gives the same set. */
OutputRules *output_rules_new(OutputRulesKind kind, const Value *config);
OutputRules *output_rules_ref(OutputRules *rules);
void output_rules_unref(OutputRules *rules);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OutputRules, output_rules_unref)

/* TRUE for a config that switches capturing off: false, an empty list, an empty map. */
gboolean output_rules_disabled(const Value *config);

/* Finds the values in a line (bytes of any kind; trailing white space does not count). A map of key
 * to float or string, keys sorted, or NULL if nothing matched. `step` is one of the keys. */
Value *output_rules_match(OutputRules *rules, const char *line, gsize len);

/* `guild run --test-output-scalars`: each line of `in` followed by one line per pattern, in the
 * words of the reference:
 *   loss: 0.1
 *     '^(..)$': [('loss', '0.1')] (loss=0.1)
 *     'other': <no matches>
 * emit gets lines without newline and whether it is a result (styled on a terminal). */
typedef void (*OutputRulesEmitFn)(const char *text, gboolean is_result, gpointer data);
void output_rules_test(
        OutputRules *rules, const char *line, gsize len, OutputRulesEmitFn emit, gpointer data);

/* The patterns after the replacement of aliases, for messages. Borrowed, NULL-terminated. */
const char *const *output_rules_patterns(const OutputRules *rules);

/* Python's float(): surrounding space, underscores between digits, inf, nan. */
gboolean output_rules_parse_float(const char *s, double *value);
