# SPDX-License-Identifier: Apache-2.0
"""Requests to the `guild` program: one process and one JSON message each (cli/cmd_api.c)."""

import json
import subprocess

from guild._handover import find_guild


class BridgeError(RuntimeError):
    """The program could not do what it was asked; its reason is the text."""


def request(verb, **args):
    """The answer (what JSON can say) of the program to `verb` (str) with the named arguments (values as of JSON;
    others by str()). Errors: BridgeError, also if there is no program or no answer."""
    exe = find_guild()
    if not exe:
        raise BridgeError("cannot find the guild program (set GUILD_EXE or add it to PATH)")
    p = subprocess.run(
        [exe, "_api", verb],
        input=json.dumps(args, default=str).encode(),
        stdout=subprocess.PIPE,
    )
    try:
        reply = json.loads(p.stdout)
    except ValueError:
        raise BridgeError(f"no answer to '{verb}' from {exe} (exit {p.returncode})") from None
    if "error" in reply:
        raise BridgeError(reply["error"])
    return reply["result"]
