#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes yaml_dump.jsonl, yaml_parse.jsonl and floats.jsonl: what PyYAML itself (5.4 to 6.0) answers.

Run it where PyYAML is installed: python3 gen_yaml.py, in this folder. The resolver gets the one
addition that Guild AI makes to it: floats without a point or without a sign in the exponent. The
cases are a fixed list and some hundred that a seeded generator makes up of awkward pieces.
"""

import json
import random
import re

import yaml

FLOAT = re.compile(
    r"""^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
    |[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+
    |\.[0-9_]+(?:[eE][-+][0-9]+)?
    |[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*
    |[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$""",
    re.X,
)
yaml.resolver.Resolver.add_implicit_resolver(
    "tag:yaml.org,2002:float", FLOAT, list("-+0123456789.")
)



class StrictDumper(yaml.SafeDumper):
    """How Guild AI writes run attributes."""


StrictDumper.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile("^(?:y|Y|n|N)$"), list("yYnN")
)

PIECES = [
    "a", "foo", "yes", "No", "1", "1.5", "-", "?", ":", "#", "%", "@", "`", '"', "'", "\n", " ",
    "  ", "\t", "\u00e9", "\u2028", "\x85", "\U0001f600", "{", "}", "[", "]", ",", "&x", "*x",
    "!", "|", ">", "---", "...", "null", "~", "1e5", ".5", "1:30", "0x1f", "012", "0b1",
    "2020-01-01", "on", "y", "N", "<<", "=", "\\", "long" * 8, "\x1b", "\xa0", "\ufeff", ": ",
    " #", "lorem ipsum dolor sit amet", "\r", "-.inf", ".nan", "1_000", "+1", "\x7f",
]

SCALARS = PIECES + [
    "", "y", "Y", "n", "N", "yes", "off", "True", "FALSE", "nUll", "1.", "1.e5", "1e-05", "._",
    "0o17", "08", "0_", "0b", "0x", "1:60", "190:20:30", "1:2.5", "2001-12-14t21:59:43.10-05:00",
    "2001-12-14 21:59:43", "2001-1-1", "2001-1-1 0:00:00", "a b", " a", "a ", "a\nb", "a\n b",
    "a \nb", "\na", "a\n", "a\n\n\nb", "it's", '"', "'", "''", "'a'", "a: b", "a:b", "a #b",
    "a#b", "- a", "-a", "? a", "?a", ": a", ":a", "--- a", "...", "x" * 79, "x" * 200,
    " ".join(["word"] * 40), "  ".join(["word"] * 40), "it's " * 40, "\t".join(["word"] * 40),
    "caf\u00e9 " * 30, "1 " * 80, "a\n" + "b " * 60 + "c", "/usr/local/bin", "C:\\x", "a=b",
    "${x}", "100%", "%s", "@file", "[1, 2]", "{a: 1}", "!!str", "&a", "*a", "|", ">-", "\\n",
    "\0x"[1:], "\x01", "\u200b", "\ud7ff", "\ue000", "\ufffd", "\U0010fffd",
]

TEXTS = [
    "", "# nothing", "---", "--- a", "a\n...\n", "a\n---\nb", "[1, [2, {a: b}]]", "{a: , b}",
    "a: 1\nb:\n- 1\n- 2\nc:\n  d: e\n", "a: |\n  x\n  y\n\nb: >\n  x\n  y\n", "a: |-\n  x\n",
    "a: |+\n  x\n\n", "a: &x [1]\nb: *x", "a: *x", "base: &b {a: 1, b: 2}\nc:\n  <<: *b\n  b: 3\n",
    "c:\n  <<: [{a: 1, b: 1}, {b: 2, c: 2}]\n", "<<: 1", "a: <<", "a: =", "=: 1",
    "!!str 1", "!!int '0x10'", "!!float 1", "!!bool yes", "!!null ''", "!!foo 1", "!x 1", "! 12",
    "!!str [1]", "!!seq [1]", "!!map {a: 1}", "a: b: c", "a\nb: c", "- a\n b", "[a", "{a", "'a",
    '"a', '"\\x41\\u00e9\\U0001F600\\n\\/"', "'it''s'", '"a\n  b\n\n  c"', "'a\n  b'", "a\n  b",
    "? a\n: b\n", "? [a]\n: b\n", "7: a\n2.5: b\nyes: c\n~: d\n", "a: 1\na: 2\nb: 3\na: 4",
    "a:\n  - b\n  -\n  - c: d\n    e: f\n", "%YAML 1.1\n---\na", "a: 'b' c", "@a", "`a", "%a",
    "-012", "- -1\n- +1\n- -0\n- 0\n- 00\n", "99999999999999999999999", "-9223372036854775808",
    "0xffffffffffffffffffff", "9223372036854775808", "1_2.3_4", "-1:30", "+190:20:30.15",
    "2020-13-01", "2020-02-30", "2020-01-01 10:20:30Z", "2020-01-01T10:20:30.123456789+01:30",
    "1e400", "-1e400", "1e-400", "1.7976931348623157e308", "5e-324", "[1,2", "]", "}", "a]",
]

FLOATS = [
    0.0, -0.0, 1.0, -1.5, 0.1, 0.2 + 0.1, 1e-4, 1e-5, 1.5e-5, 123456789.125, 1e15, 1e16, 1e17,
    1.2345678901234567e16, 1e22, 1e23, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308,
    2.0**-44, 2.0**-1074, 2.0**60, 2.0**-20, 9007199254740993.0, 1 / 3, 2 / 3, 100.0, 1e100,
    4.35, 0.000123456789, 123456.7, float("inf"), float("-inf"), float("nan"),
]


def dump(v, flow=False, strict=False):
    dumper = StrictDumper if strict else yaml.SafeDumper
    text = yaml.dump(v, Dumper=dumper, default_flow_style=flow, indent=2).strip()
    return text[:-4] if text.endswith("\n...") else text


def make_string(rnd):
    kind = rnd.random()
    if kind < 0.4:
        return "".join(rnd.choice(PIECES) for _ in range(rnd.randint(0, 6)))
    if kind < 0.7:
        return " ".join(rnd.choice(PIECES) for _ in range(rnd.randint(0, 12)))
    if kind < 0.8:
        return "\n".join(rnd.choice(PIECES) for _ in range(rnd.randint(0, 8)))
    return "".join(rnd.choice("ab \n:#-'\"1.,[\u00e9") for _ in range(rnd.randint(0, 100)))


def make_value(rnd, depth=0):
    kind = rnd.random()
    if depth < 4 and (kind < 0.25 or depth == 0):
        return [make_value(rnd, depth + 1) for _ in range(rnd.randint(0, 3))]
    if depth < 4 and kind < 0.55:
        return {make_string(rnd): make_value(rnd, depth + 1) for _ in range(rnd.randint(0, 3))}
    if kind < 0.7:
        return rnd.choice([None, True, False, 0, -7, 10**17, 1.5, 1e-5, 1e16, 0.1])
    return make_string(rnd)


def plain(v):
    """Dates as text."""
    if isinstance(v, dict):
        return {k if k is None or isinstance(k, (str, int, float)) else str(k): plain(x) for k, x in v.items()}
    if isinstance(v, list):
        return [plain(x) for x in v]
    return v if v is None or isinstance(v, (str, int, float)) else str(v)


def is_valid(text, loader):
    try:
        yaml.load(text, loader)
    except (yaml.YAMLError, ValueError):
        return False
    return True


def is_disputed(text):
    """Whether libyaml and PyYAML's own scanner disagree about the syntax ("[a?]", tabs)."""
    return is_valid(text, yaml.CBaseLoader) != is_valid(text, yaml.BaseLoader)


def write(path, rows):
    with open(path, "w") as f:
        for row in rows:
            f.write(json.dumps(row) + "\n")


def main():
    rnd = random.Random(20)
    values = SCALARS + [[s] for s in SCALARS] + [{s: s} for s in SCALARS]
    values += [{}, [], [[]], [{}], {"a": {}}, {"a": []}, [[1, [2]], {"b": [{"c": None}]}]]
    values += [{"k" * n: "v" for n in (121, 122, 123, 130)}]
    values += [make_value(rnd) for _ in range(150)]
    write("yaml_dump.jsonl", [
        {"v": v, "block": dump(v), "flow": dump(v, True), "attr": dump(v, strict=True)}
        for v in values
    ])
    texts = [t for t in TEXTS + SCALARS if "\t" not in t and "\ufeff" not in t]
    texts += ["k: " + t for t in texts if "\n" not in t]
    texts += [dump(v, flow) for v in values[-150:] for flow in (False, True)]
    rows = []
    for text in texts:
        if is_disputed(text):
            continue
        try:
            rows.append({"text": text, "repr": repr(plain(yaml.safe_load(text)))})
        except (yaml.YAMLError, ValueError):
            rows.append({"text": text, "error": True})
    write("yaml_parse.jsonl", rows)
    floats = FLOATS + [rnd.uniform(-1, 1) * 10 ** rnd.randint(-30, 30) for _ in range(200)]
    floats += [2.0 ** rnd.randint(-1000, 1000) for _ in range(100)]
    write("floats.jsonl", [
        {"hex": f.hex(), "repr": repr(f), "yaml": dump(f)} for f in floats
    ])


if __name__ == "__main__":
    main()
