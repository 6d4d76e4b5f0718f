# SPDX-License-Identifier: Apache-2.0
"""Runs the trials of the current batch run, chosen by forest; see guild._handover."""

import sys

from guild._handover import hand_over

if __name__ == "__main__":
    hand_over("_batch", *sys.argv[1:])
