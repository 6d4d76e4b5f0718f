/* SPDX-License-Identifier: Apache-2.0 */
/* Expressions over runs, `-F 'operation = train and (acc > 0.9 or loss < 0.3)'`. Grammar, reserved
 * words and meaning are the reference's (guild/filter.py), quirks included: `and` and `or` have
 * one precedence and bind to the right, `not` binds tighter; a comparison of kinds that Python
 * can't order is false. A name is looked up as an attribute, then a flag, then the last value of a
 * scalar, unless it begins with `attr:`, `flag:` or `scalar:`. */
#pragma once

#include "engine/base/value.h"

typedef struct Filter Filter;

/* Errors are RUN_ERR_FILTER with the words that the reference's command prints. */
Filter *filter_parse(const char *text, GError **error);
void filter_free(Filter *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Filter, filter_free)

/* Where names get their values; each gives a new reference or NULL. */
typedef struct FilterSource {
    Value *(*attr)(gpointer run, const char *name);
    Value *(*flag)(gpointer run, const char *name);
    Value *(*scalar)(gpointer run, const char *key); /* "[PREFIX#]TAG" -> last value */
} FilterSource;

/* May be called by several threads at once, for different runs. */
gboolean filter_test(const Filter *f, const FilterSource *src, gpointer run);
