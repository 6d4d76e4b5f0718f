# SPDX-License-Identifier: Apache-2.0
"""An operation's main that does nothing but print its arguments, quoted for a shell."""

import sys


def quoted(arg):
    """`arg` (str) as a shell would need it written (str); one with nothing but quotes to hide gets double quotes."""
    import shlex

    text = shlex.quote(arg)
    if text.startswith("''\"'\"'") and text.endswith("'\"'\"''"):  # 'a' needs no five quotes
        return "\"'" + text[6:-6] + "'\""
    return text


if __name__ == "__main__":
    if sys.argv[1:]:
        print(*[quoted(arg) for arg in sys.argv[1:]])
