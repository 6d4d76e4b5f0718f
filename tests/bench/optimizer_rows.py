# SPDX-License-Identifier: Apache-2.0
"""Rows for optimizers: how far from the optimum they end, beside random search with as many trials, and how long
they think (processor time)."""
import os
import subprocess

from measure import Sample

SEEDS = range(1, 12)
FUNCTIONS = (("branin", 30), ("hartmann6", 40), ("mixed", 30), ("noisy", 30))
OPTIMIZERS = {"gp": 0.5, "forest": None, "gbrt": None}  # bar: this share of what random leaves


def _search(b, optimizer, function, trials, seed, pending=1, options="{random-starts: 3}"):
    """Distance from the optimum, milliseconds an answer."""
    out = subprocess.run([os.path.join(b.tools, "bench_optimizer"), optimizer, function, str(trials), str(seed),
                          str(pending), options], check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    return float(out[0]), float(out[1])


def _searches(b, optimizer, function, trials, pending=1):
    found = [_search(b, optimizer, function, trials, seed, pending) for seed in SEEDS]
    return Sample(distance for distance, _ in found), Sample(ms for _, ms in found)


def optimizers(b, table):
    for function, trials in FUNCTIONS:
        random, _ = _searches(b, "random", function, trials)
        for name, bar in OPTIMIZERS.items():
            ours, ms = _searches(b, name, function, trials)
            share = ours.median / random.median
            table.row(f"{name}, {function}, {trials} trials: distance", ours.show(""), f"random {random.show('')}",
                      f"{share:.2f}", f"<= {bar}" if bar else "", share <= bar if bar else None)
            if function == "hartmann6":
                table.row(f"{name}, {function}: an answer, on average", ms.show("ms"))


def optimizers_in_parallel(b, table):
    for function, trials in FUNCTIONS[:3]:
        alone, _ = _searches(b, "gp", function, trials)
        four, _ = _searches(b, "gp", function, trials, pending=4)
        random, _ = _searches(b, "random", function, trials)
        share = four.median / random.median
        table.row(f"gp, {function}, {trials} trials, 4 at a time", four.show(""), f"one at a time {alone.show('')}",
                  f"{share:.2f} of random", "<= 0.5", share <= 0.5)


def optimizer_thought(b, table):
    """The last of many trials, when all before were random."""
    for name in ("gp", "forest", "gbrt"):
        for trials in (100, 400):
            took = Sample(_search(b, name, "hartmann6", trials, seed, options=f"{{random-starts: {trials - 1}}}")[1] *
                          trials / 1000 for seed in (1, 2, 3))
            table.row(f"{name}, 6 dimensions: an answer after {trials - 1}", took.show("s"), "", "", "< 5 s",
                      took.median < 5)


ROWS = [optimizers, optimizers_in_parallel, optimizer_thought]
