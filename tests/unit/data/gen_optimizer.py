#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes optimizer.json beside this file: what scikit-learn says of small data sets, for test_optimizer.c.

Gaussian processes: log marginal likelihood and its gradient, mean and standard deviation. Boosted quantiles:
predictions; of quantiles whose sums are exact, since others leave it to rounding which of two equally good splits is
taken. Made with scikit-learn 1.2.1.
"""
import json
import os

import numpy as np
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel


def gp_case(rng, n, dims, theta, repeat=False):
    x = rng.uniform(0, 1, (n, dims))
    if repeat:
        x[n // 2:] = x[:n - n // 2]
    y = np.sin(4 * x.sum(axis=1)) + 0.1 * rng.standard_normal(n)
    amplitude, lengths, noise = np.exp(theta[0]), np.exp(theta[1:-1]), np.exp(theta[-1])
    prior = ConstantKernel(amplitude) * Matern(lengths, nu=2.5)
    model = GaussianProcessRegressor(prior + WhiteKernel(noise), alpha=1e-10 * amplitude, optimizer=None).fit(x, y)
    value, gradient = model.log_marginal_likelihood(model.kernel_.theta, eval_gradient=True)
    at = rng.uniform(-0.2, 1.2, (5, dims))
    mean, std = model.predict(at, return_std=True)
    return {"x": x.tolist(), "y": y.tolist(), "theta": list(theta), "lml": value, "gradient": gradient.tolist(),
            "at": at.tolist(), "mean": mean.tolist(), "std": np.sqrt(std ** 2 - noise).tolist()}


def boost_case(rng, n, q):
    x = rng.uniform(0, 1, (n, 1))
    y = np.sin(6 * x[:, 0]) + 0.3 * rng.standard_normal(n)
    model = GradientBoostingRegressor(loss="quantile", alpha=q, n_estimators=30).fit(x, y)
    at = rng.uniform(0, 1, (8, 1))
    return {"x": x.tolist(), "y": y.tolist(), "q": q, "at": at.tolist(), "value": model.predict(at).tolist()}


def main():
    rng = np.random.default_rng(1)
    gps = [gp_case(rng, 1, 1, [0, 0, -4.6]),
           gp_case(rng, 3, 1, [0.5, -1, -7]),
           gp_case(rng, 12, 2, [-0.7, -0.5, 0.3, -3]),
           gp_case(rng, 30, 5, [1, 0, 0.5, -0.5, 1, 2, -9]),
           gp_case(rng, 10, 2, [0, -1, -1, -2], repeat=True)]
    boosts = [boost_case(rng, n, q) for n, q in ((3, 0.5), (10, 0.25), (25, 0.75), (40, 0.5))]
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "optimizer.json")
    with open(path, "w", encoding="ascii") as f:
        json.dump({"gp": gps, "boost": boosts}, f, indent=0)
        f.write("\n")


if __name__ == "__main__":
    main()
