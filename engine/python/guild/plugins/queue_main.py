# SPDX-License-Identifier: Apache-2.0
"""Starts staged runs until it is stopped; see guild._handover."""

import sys

from guild._handover import hand_over

if __name__ == "__main__":
    hand_over("_queue", *sys.argv[1:])
