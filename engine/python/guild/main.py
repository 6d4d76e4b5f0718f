# SPDX-License-Identifier: Apache-2.0
"""A main module that does nothing, whatever its arguments: for an operation of which only the run is
wanted. The program itself is `guild`, not a module."""
