# SPDX-License-Identifier: Apache-2.0
"""Logging as operations find it set up: all messages on stderr with level and name, from LOG_LEVEL on."""

import logging
import os
import sys

COLORS = ((logging.ERROR, "\033[31m"), (logging.WARNING, "\033[33m"))


class Formatter(logging.Formatter):
    def __init__(self, fmt, colors):
        super().__init__(fmt)
        self._colors = colors

    def format(self, record):
        text = super().format(record)
        for level, color in self._colors:
            if record.levelno >= level:
                return color + text + "\033[0m"
        return text


def configure(level):
    on_terminal = sys.stderr.isatty() and os.environ.get("SHELL")
    fmt = os.environ.get("LOG_FORMAT") or "%(levelname)s: [%(name)s] %(message)s"
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(fmt, COLORS if on_terminal else ()))
    logging.root.addHandler(handler)
    logging.root.setLevel(level)
