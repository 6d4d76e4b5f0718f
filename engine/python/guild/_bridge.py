# SPDX-License-Identifier: Apache-2.0
"""Requests to the `guild` program, one JSON message a line over a pipe to a process that lives as long as
this one (cli/cmd_api.c)."""

import atexit
import json
import os
import subprocess
import threading

from guild._handover import find_guild


class BridgeError(RuntimeError):
    """The program could not do what it was asked; its reason is the text."""


_lock = threading.Lock()
_process = None


def _start():
    global _process
    exe = find_guild()
    if not exe:
        raise BridgeError("cannot find the guild program (set GUILD_EXE or add it to PATH)")
    _process = subprocess.Popen([exe, "_api"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _stop():
    global _process
    process, _process = _process, None
    if process:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def _forget():
    """In a forked child: the pipe is its parent's, and stays open for that alone."""
    global _process, _lock
    process, _process, _lock = _process, None, threading.Lock()
    if process:
        process.stdin.raw.close()  # without what another thread may have been writing
        process.stdout.raw.close()
        process.returncode = 0  # not a child of this one: nothing to wait for


atexit.register(_stop)
os.register_at_fork(after_in_child=_forget)


def request(verb, **args):
    """The answer (what JSON can say) of the program to `verb` (str) with the named arguments (values as of JSON;
    others by str()). Errors: BridgeError, also if there is no program or no answer."""
    line = json.dumps({"verb": verb, "args": args}, default=str) + "\n"
    with _lock:
        if not _process or _process.poll() is not None:
            _start()
        try:
            _process.stdin.write(line.encode())
            _process.stdin.flush()
            reply = json.loads(_process.stdout.readline())
        except BaseException as e:
            # Half a request or an answer that nobody took (an interrupt): the next gets a new pipe.
            _process.kill()
            _process.wait()
            if isinstance(e, (OSError, ValueError)):
                raise BridgeError(f"no answer to '{verb}': the guild program has ended") from None
            raise
    if "error" in reply:
        raise BridgeError(reply["error"])
    return reply["result"]
