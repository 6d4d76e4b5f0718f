# SPDX-License-Identifier: Apache-2.0
"""A run as Python code sees it: a directory with attributes."""

import os

from guild import _bridge


class Run:
    """A run, as its directory was when this object was made.

    `id` (str: 32 hexadecimal digits, or what --run-id said), `dir` and `path` (str, the same absolute path),
    `operation` (str or None: its name for people). Attributes are values as of YAML: see get().
    """

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
        """The first 8 characters of the id (str), as listings show it."""
        return self.id[:8]

    @property
    def status(self):
        """How the run stands now (str): "completed", "error", "pending", "running", "staged" or "terminated".
        Asks the directory each time. Errors: guild._bridge.BridgeError if it can't be read."""
        return _bridge.request("run", dir=self.dir)["status"]

    @property
    def opspec(self):
        """What `guild run` would be given to run its operation again (str), or None."""
        return self._opspec

    @property
    def batch_proto(self):
        """The run (Run) that a batch makes its trials from; None for other runs."""
        return self._proto

    def get(self, name, default=None):
        """The value of the attribute `name` (str), such as "flags" (dict) or "exit_status" (int); `default` if
        there is none, or if it is null."""
        val = self._attrs.get(name)
        return default if val is None else val

    def __getitem__(self, name):
        return self._attrs[name]

    def __contains__(self, name):
        return name in self._attrs

    has_attr = __contains__

    def attr_names(self):
        """Names of the attributes there are: a sorted list of str."""
        return sorted(self._attrs)

    def guild_path(self, *parts):
        """The path (str) of what guild keeps of the run under the names `parts` (str each); it need not exist."""
        return os.path.join(self.dir, ".guild", *parts)

    def write_attr(self, name, val):
        """Sets the attribute `name` (str) to `val` (None, bool, int, float, str, list or dict) in the run directory,
        in one step. Errors: guild._bridge.BridgeError if it can't be written."""
        _bridge.request("write-attr", dir=self.dir, name=name, value=val)
        self._attrs[name] = val

    def __repr__(self):
        return f"<guild.run.Run '{self.id}'>"


def for_dir(path):
    """The run (Run) whose directory is `path` (str). Errors: guild._bridge.BridgeError if it is none."""
    return Run(_bridge.request("run", dir=os.path.abspath(path)))


def current_run():
    """The run (Run) that this process is of, by $RUN_DIR; None outside a run."""
    path = os.environ.get("RUN_DIR")
    if not path or not os.path.isdir(os.path.join(path, ".guild")):
        return None
    return for_dir(path)
