/* SPDX-License-Identifier: Apache-2.0 */
/* The search space of a batch as numbers, for models that know no flags. A point has one coordinate
 * a dimension: of a range from 0 (its lower bound) to 1 (the upper), in the logarithm for
 * loguniform; of a choice the index in its list. A point "on the grid" has whole numbers behind its
 * integers and an index behind its choices. Points from other batches may lie outside. */
#pragma once

#include "engine/batch/dims.h"
#include "engine/batch/rng.h"

typedef struct Space {
    gsize n;
    const Dim *const *dims; /* in the order of coordinates */
    gboolean *is_choice;    /* the coordinate is an index: values are the same or not */
    gint64 size;            /* points on the grid; G_MAXINT64: no end of them */
    GPtrArray *owner;
} Space;

/* Takes a reference to an array of Dim* (dims_for_flags()). */
Space *space_new(GPtrArray *dims);
void space_free(Space *s);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Space, space_free)

/* FALSE if a flag is missing or its value can't be in the space (a text for a range, a number that
 * has no logarithm, none of the choices). */
gboolean space_encode(const Space *s, const Value *flags, double *x);
/* Sets the flags that the point says, into a map. Points outside are brought to the border. */
void space_decode(const Space *s, const double *x, Value *flags);
/* Moves the point to the nearest of the grid. */
void space_snap(const Space *s, double *x);
void space_sample(const Space *s, Rng *rng, double *x);
/* Point number `index` of a space that has an end. */
void space_at(const Space *s, gint64 index, double *x);
/* Somewhere near: a coordinate or a few moved by about `width`, on the grid. */
void space_perturb(const Space *s, const double *x, double width, Rng *rng, double *out);
/* The steps between two neighbours along a coordinate of integers; 0 for a real one. */
double space_step(const Space *s, gsize dim);
gboolean space_same(const Space *s, const double *a, const double *b);
