/* SPDX-License-Identifier: Apache-2.0 */
/* Columns as `guild compare` and `guild select --min` name them (reference: guild/query): `loss`,
 * `min loss`, `loss step`, `PREFIX#loss`, `.status` or `attr:status`, `=lr` or `flag:lr`, each
 * with `as NAME`; several are separated by commas. */
#pragma once

#include "engine/run/index.h"

typedef enum { COLSPEC_SCALAR, COLSPEC_ATTR, COLSPEC_FLAG } ColSpecKind;

typedef struct ColSpec {
    ColSpecKind kind;
    char *name;      /* of a scalar "[PREFIX#]TAG" */
    char *qualifier; /* "min", "max", "first", "last", "avg", "total", "count" or NULL */
    gboolean step;
    char *named_as; /* NULL if not named */
} ColSpec;

#define COLSPEC_ERROR colspec_error_quark()
GQuark colspec_error_quark(void);

void colspec_free(ColSpec *spec);
/* Array of ColSpec*, at least one. */
GPtrArray *colspec_parse(const char *text, GError **error);
/* The heading of the column. Newly allocated. */
char *colspec_header(const ColSpec *spec);
/* What the run has there; a new reference or NULL. */
Value *colspec_value(const ColSpec *spec, Run *run, RunIndex *index);
/* Order of column values: none, then numbers, then text with its digits by number. */
int colspec_compare(const Value *a, const Value *b);
