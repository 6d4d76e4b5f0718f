/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": the word that looks most like a mistyped one, by the measure of Python's difflib,
 * which the reference asks. */
#pragma once

#include <glib.h>

/* 2 * (characters that match in order) / (characters of both): 1 for equal words, 0 for strangers.
 * Not symmetric: `known` is searched for the pieces of `word`. */
double cli_likeness(const char *known, const char *word);

/* The most alike of `n` words, if it is alike enough (0.6); NULL if none is. Borrowed from `known`. */
const char *cli_closest(const char *word, const char *const *known, gsize n);
