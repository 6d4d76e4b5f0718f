/* SPDX-License-Identifier: Apache-2.0 */
/* LAPACKE's functions that we use, loaded on demand: see lazylib.h. LAPACK and BLAS below it are
 * whichever the machine has chosen (OpenBLAS where it is installed). */
#pragma once

#include <lapacke.h>

#include "engine/base/lazylib.h"

#define LAPACKE_SONAME "liblapacke.so.3"
#define LAZY_LAPACKE(fn) LAZY(LAPACKE_SONAME, fn)

#define LAPACKE_dpotrf LAZY_LAPACKE(LAPACKE_dpotrf)
#define LAPACKE_dpotri LAZY_LAPACKE(LAPACKE_dpotri)
#define LAPACKE_dpotrs LAZY_LAPACKE(LAPACKE_dpotrs)
#define LAPACKE_dtrtrs LAZY_LAPACKE(LAPACKE_dtrtrs)
