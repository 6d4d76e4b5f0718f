# SPDX-License-Identifier: Apache-2.0
"""Helpers that scripts of projects import from the reference's module of this name."""

import os


def ensure_dir(path):
    """Makes a directory and its parents unless it is there."""
    os.makedirs(os.path.realpath(path), exist_ok=True)


def touch(path):
    """Makes an empty file, or sets the times of one that is there to now."""
    with open(path, "a"):
        os.utime(path, None)
