/* SPDX-License-Identifier: Apache-2.0 */
/* Optimizers that learn ("sequential model-based optimization"): `gp`, `forest` and `gbrt`, as the
 * reference has them (guild/plugins/skopt_*.py), with a model of ours below (suggest.h).
 *
 * Which trials are random and which learned: the first `random-starts` are drawn as the optimizer
 * `random` draws them, the first of all with the initial values of the flags; so is any other while
 * no result is known that has the objective. What a trial is learned from: every completed run of
 * the mode `prev-trials` that has the objective. Those that failed, were stopped or gave no number
 * count as bad as the worst result, so that a model leaves their neighbourhood; the reference
 * forgets them, and may try the same again.
 *
 * In parallel: points that are being tried are known to the model (surrogate.h says how), and are
 * not given a second time. With -j 1 the same seed and results give the same trials, whether or not
 * the coordinator was restarted in between. */
#pragma once

#include "engine/batch/optimizer.h"

extern const OptimizerClass smbo_gp, smbo_forest, smbo_gbrt;
