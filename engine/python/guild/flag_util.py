# SPDX-License-Identifier: Apache-2.0
"""Flag values as text, by the rules of the program."""

from guild import _bridge


def decode_flag_val(s, flag_type=None):
    return _bridge.request("decode-flag", text=s, type=flag_type)


def decode_flag_function(s):
    """Name and arguments of `name[a:b]`; ValueError if `s` is no function."""
    try:
        name, args = _bridge.request("decode-function", text=s)
    except _bridge.BridgeError as e:
        raise ValueError(f"{s!r}: {e}") from None
    return name, tuple(args)


def flag_assigns(flags):
    """NAME=VALUE texts, sorted by name."""
    return _bridge.request("flag-assigns", flags=flags)


def encode_flag_val(val):
    return flag_assigns({"x": val})[0][2:]
