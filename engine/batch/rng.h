/* SPDX-License-Identifier: Apache-2.0 */
/* A stream of random numbers for inner loops (SplitMix64; Steele, Lea, Flood 2014). Begin one with
 * batch_random() (dims.h), so that it too depends on nothing but seed, trial and name. */
#pragma once

#include <glib.h>
#include <math.h>

typedef struct Rng {
    guint64 state;
} Rng;

static inline guint64 rng_bits(Rng *r)
{
    guint64 x = r->state += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* In [0, 1). */
static inline double rng_unit(Rng *r)
{
    return (double)(rng_bits(r) >> 11) * 0x1p-53;
}

/* In [0, n), n > 0. */
static inline guint64 rng_below(Rng *r, guint64 n)
{
    return (guint64)(((unsigned __int128)rng_bits(r) * n) >> 64);
}

/* Standard normal (Box and Muller). */
static inline double rng_normal(Rng *r)
{
    double radius = sqrt(-2 * log(1 - rng_unit(r)));
    return radius * cos(2 * G_PI * rng_unit(r));
}
