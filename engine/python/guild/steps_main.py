# SPDX-License-Identifier: Apache-2.0
"""Runs the steps of the current run; see guild._handover."""

import sys

from guild._handover import hand_over

if __name__ == "__main__":
    hand_over("_steps", *sys.argv[1:])
