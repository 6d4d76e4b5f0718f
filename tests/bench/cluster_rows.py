# SPDX-License-Identifier: Apache-2.0
"""Rows for many machines: trials over tcp, files, the scheduler, idle workers."""

ROWS = []
