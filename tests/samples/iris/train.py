# SPDX-License-Identifier: Apache-2.0
"""Trains a softmax classifier on Fisher's iris data by gradient descent.

The module's globals are its flags.  It prints `step`, `loss` and `accuracy` lines,
which become the run's scalars; accuracy is that of the rows held out of training.
"""
import csv
import math
import random

learning_rate = 0.1
epochs = 300
l2 = 0.001
seed = 1


def read(path):
    """Rows as (features with a leading 1, index of the species), and the number of species."""
    with open(path, newline="") as f:
        rows = list(csv.DictReader(f))
    names = sorted({row["species"] for row in rows})
    columns = [name for name in rows[0] if name != "species"]
    return [([1.0] + [float(row[c]) for c in columns], names.index(row["species"]))
            for row in rows], len(names)


def split(rows, held_out=0.2):
    """Shuffles by the seed, holds rows out, and scales by what the training rows say."""
    rows = rows[:]
    random.Random(seed).shuffle(rows)
    cut = int(len(rows) * held_out)
    test, train = rows[:cut], rows[cut:]
    for i in range(1, len(rows[0][0])):
        values = [x[i] for x, _ in train]
        mean = sum(values) / len(values)
        spread = math.sqrt(sum((v - mean) ** 2 for v in values) / len(values))
        for x, _ in rows:
            x[i] = (x[i] - mean) / spread
    return train, test


def probabilities(weights, x):
    scores = [sum(w * v for w, v in zip(row, x)) for row in weights]
    top = max(scores)
    exps = [math.exp(s - top) for s in scores]
    total = sum(exps)
    return [e / total for e in exps]


def descend(weights, rows):
    """One step down the gradient over all rows; gives the loss before it."""
    loss = 0.0
    gradient = [[l2 * w for w in row] for row in weights]
    for x, label in rows:
        p = probabilities(weights, x)
        loss -= math.log(max(p[label], 1e-12)) / len(rows)
        for k, row in enumerate(gradient):
            error = (p[k] - (k == label)) / len(rows)
            for i, v in enumerate(x):
                row[i] += error * v
    for row, slope in zip(weights, gradient):
        for i, g in enumerate(slope):
            row[i] -= learning_rate * g
    return loss


def accuracy(weights, rows):
    def guess(x):
        p = probabilities(weights, x)
        return p.index(max(p))

    return sum(guess(x) == label for x, label in rows) / len(rows)


def main():
    rows, classes = read("iris.csv")
    train, test = split(rows)
    weights = [[0.0] * len(train[0][0]) for _ in range(classes)]
    report = max(1, epochs // 5)
    for step in range(1, epochs + 1):
        loss = descend(weights, train)
        if step % report == 0 or step == epochs:
            print(f"step: {step}")
            print(f"loss: {loss:.6f}")
            print(f"accuracy: {accuracy(weights, test):.6f}")


if __name__ == "__main__":
    main()
