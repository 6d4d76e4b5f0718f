# SPDX-License-Identifier: Apache-2.0
"""Helpers that scripts of projects import from the reference's module of this name."""

import os


def ensure_dir(path):
    """Makes the directory `path` (str) and its parents unless it is there. OSError where it can't."""
    os.makedirs(os.path.realpath(path), exist_ok=True)


def touch(path):
    """Makes the empty file `path` (str), or sets the times of one that is there to now. OSError where it can't."""
    with open(path, "a"):
        os.utime(path, None)
