# SPDX-License-Identifier: Apache-2.0
"""Flag values as text, by the rules of the program."""

from guild import _bridge


def decode_flag_val(s, flag_type=None):
    """The value that the text `s` (str) means as in `NAME=s` on a command line: a bool, int, float, str, list,
    dict or None. `flag_type` (str or None) is a flag type of guild.yml ("int", "string"...), which it must fit.

    Errors: guild._bridge.BridgeError if it does not fit. The rules are those of flag_util.decode_flag_val in
    Guild AI 0.9: YAML 1.1 scalars with exceptions.
    """
    return _bridge.request("decode-flag", text=s, type=flag_type)


def decode_flag_function(s):
    """Name and arguments of a flag function such as `uniform[0:1]`.

    `s` (str) is its text. Gives (name, args): a str or None (of `[a:b]`, which has no name), and a tuple of
    values. Errors: ValueError if `s` is no function.
    """
    try:
        name, args = _bridge.request("decode-function", text=s)
    except _bridge.BridgeError as e:
        raise ValueError(f"{s!r}: {e}") from None
    return name, tuple(args)


def flag_assigns(flags):
    """`flags` (dict of str to value) as the arguments `NAME=VALUE` of a command line: a list of str, sorted by
    name. Each decodes to the value that it came from."""
    return _bridge.request("flag-assigns", flags=flags)


def encode_flag_val(val):
    """The text (str) that decode_flag_val() takes for the value `val`."""
    return flag_assigns({"x": val})[0][2:]
