# SPDX-License-Identifier: Apache-2.0
"""The `guild` program as a Python module, as in `main: guild.main runs list`; see guild._handover."""

import sys

from guild._handover import hand_over

if __name__ == "__main__":
    hand_over(*sys.argv[1:])
