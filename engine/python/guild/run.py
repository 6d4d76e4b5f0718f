# SPDX-License-Identifier: Apache-2.0
"""A run as Python code sees it: a directory with attributes."""

import os

from guild import _bridge


class Run:
    def __init__(self, info):
        self.id = info["id"]
        self.dir = self.path = info["dir"]
        self.operation = info.get("operation")
        self._attrs = info.get("attrs") or {}
        self._opspec = info.get("opspec")
        proto = info.get("proto")
        self._proto = Run(proto) if proto else None

    @property
    def short_id(self):
        return self.id[:8]

    @property
    def status(self):
        return _bridge.request("run", dir=self.dir)["status"]

    @property
    def opspec(self):
        return self._opspec

    @property
    def batch_proto(self):
        """The run that a batch makes its trials from; None for other runs."""
        return self._proto

    def get(self, name, default=None):
        val = self._attrs.get(name)
        return default if val is None else val

    def __getitem__(self, name):
        return self._attrs[name]

    def __contains__(self, name):
        return name in self._attrs

    has_attr = __contains__

    def attr_names(self):
        return sorted(self._attrs)

    def guild_path(self, *parts):
        return os.path.join(self.dir, ".guild", *parts)

    def write_attr(self, name, val):
        _bridge.request("write-attr", dir=self.dir, name=name, value=val)
        self._attrs[name] = val

    def __repr__(self):
        return f"<guild.run.Run '{self.id}'>"


def for_dir(path):
    return Run(_bridge.request("run", dir=os.path.abspath(path)))


def current_run():
    """The run that this process is of, or None."""
    path = os.environ.get("RUN_DIR")
    if not path or not os.path.isdir(os.path.join(path, ".guild")):
        return None
    return for_dir(path)
