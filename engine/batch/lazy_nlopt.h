/* SPDX-License-Identifier: Apache-2.0 */
/* NLopt's functions that we use, loaded on demand: see lazylib.h. Its L-BFGS (Luksan's) is LGPL,
 * the rest is MIT. */
#pragma once

#include <nlopt.h>

#include "engine/base/lazylib.h"

#define NLOPT_SONAME "libnlopt.so.0"
#define LAZY_NLOPT(fn) LAZY(NLOPT_SONAME, fn)

#define nlopt_create LAZY_NLOPT(nlopt_create)
#define nlopt_destroy LAZY_NLOPT(nlopt_destroy)
#define nlopt_optimize LAZY_NLOPT(nlopt_optimize)
#define nlopt_set_ftol_rel LAZY_NLOPT(nlopt_set_ftol_rel)
#define nlopt_set_lower_bounds LAZY_NLOPT(nlopt_set_lower_bounds)
#define nlopt_set_maxeval LAZY_NLOPT(nlopt_set_maxeval)
#define nlopt_set_min_objective LAZY_NLOPT(nlopt_set_min_objective)
#define nlopt_set_upper_bounds LAZY_NLOPT(nlopt_set_upper_bounds)
