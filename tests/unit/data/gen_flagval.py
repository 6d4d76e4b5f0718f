#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes flagval.jsonl: what Guild AI 0.9 itself makes of the text of flag values.

Run it in this folder with guildai, PyYAML and numpy importable: python3 gen_flagval.py. Each row has
the text, the flag's type, Python's repr() of the value, and the value's text, plain and
shortened to 5 digits. Texts that only libyaml accepts are left out as in gen_yaml.py; so are keys that
are no strings, which a Value keeps as text.
"""

import itertools
import json
import logging
import random

import yaml

from guild import flag_util

TEXTS = """
1|-1|+1|007|1.|.5|-.5|+.5|1e5|1e-05|1E+5|1.0e-05|1_000|1__0|_1|1:30|0x10|0o17|0b11|12_3.4|1e|e5
inf|-inf|+Infinity|nan|-NaN|.inf|.nan|1e400|99999999999999999999|-0|-0.0|0.1000|1e16|123456789.123456789
yes|no|Yes|true|FALSE|on|off|y|n|null|~|None|Null
a|a b| a |a,b|a: b|a:b|a #b|#a|'a'|"a"|'a|"a|'it''s'|it's|a=b|-a|--a|- a|?|? a|!!str 1|!!int 1_0|!!float 1|!x
[]|[1]|[1,2]|[1, 2.0, a, null, yes]|[a b, 'c, d', "e"]|[[1,2],[3]]|{a: 1}|{}|{b: 2, a: [1]}|[1|1]|[1,]|[a,b|{a
[1]*3|[1,2] * 2|[1]*0|[a]*x|[1]*2 | [1]*2|[1]*-1|[[1]*2]|[1:2]*2|a*3
[1:2]|[1:2:3]|[1]|[:]|[a:b]|[1.0:2]|[1e-5:1e-1]|[1:2,3]|[-1:1]|[1:]|[0.1:0.2:0.15]|[a: b]|[1:60]
uniform[1:2]|uniform[1:2:1.5]|loguniform[1e-5:1e-1]|foo[1]|foo[]|foo|foo[1|a.b-c_d[1]|f[1]x|f [1]|[f[1]]
range[1:4]|range[4]|range[1:4:2]|range[1:4:0.5]|range[5:1:-1]|range[1:2:0.1]|range[a:b]|range[]|range[1:4:1:9]
range[0.1:0.5:0.1]|range[1.5]|range[-3:3:2]|range[0:0]|range[1:4:0]|range[0:1e-9:1e-10]|range[10:1]
linspace[0:1]|linspace[0:1:3]|linspace[1:10:4]|linspace[0:1:1]|linspace[0:1:0]|linspace[1]|linspace[0:1:2.5]
linspace[0:1:-1]|linspace[0.1:0.3:3]|linspace[5:1:3]|linspace[a:1]|linspace[1:1:3]
logspace[0:2]|logspace[0:2:3]|logspace[-5:-1:5]|logspace[0:4:5:2]|logspace[0:2:3:4:5]|logspace[-3:0:4]
geomspace[1:4:3]|geomspace|/a/b|./a|~/a|C:\\x|http://x.y/z?a=1|a,b,c|1,2|1 2|2020-01-01|2020-01-01 10:00:00
${a}|$a|%s|@x|`x|&a|*a|a\\nb|caf\u00e9|\u2028|long text that is more than eighty characters wide so that it is folded when it is written out
"""
TYPES = [None, "auto", "string", "path", "existing-path", "int", "float", "number", "boolean"]
PIECES = ["1", "2.5", "a", "b c", "'", '"', "[", "]", ":", ",", "*2", " ", "-", "e5", "_", "{", "}",
          "yes", "null", "range[", "uniform[", "0x1", ".", "#", "!", "1:30"]


def texts():
    rows = [t for line in TEXTS.strip().split("\n") for t in line.split("|")]
    rnd = random.Random(3)
    rows += ["".join(rnd.choice(PIECES) for _ in range(rnd.randint(1, 7))) for _ in range(400)]
    return [""] + list(dict.fromkeys(rows))


def is_valid(text, loader):
    try:
        yaml.load(text, loader)
    except (yaml.YAMLError, ValueError):
        return False
    return True


def is_plain(v):
    if isinstance(v, dict):
        return all(isinstance(k, str) and is_plain(x) for k, x in v.items())
    if isinstance(v, list):
        return all(is_plain(x) for x in v)
    return v is None or isinstance(v, (str, int, float))


def rows():
    for text, flag_type in itertools.product(texts(), TYPES):
        if is_valid(text, yaml.CBaseLoader) != is_valid(text, yaml.BaseLoader):
            continue
        value = flag_util.decode_flag_val(text, flag_type)
        if not is_plain(value):
            continue
        if flag_type and repr(value) == repr(flag_util.decode_flag_val(text)):
            continue  # the type makes no difference
        yield {
            "text": text,
            "type": flag_type,
            "repr": repr(value),
            "encoded": flag_util.encode_flag_val(value),
            "format": flag_util.format_flag(value, truncate_floats=5) if value != "" else None,
            "function": flag_util.is_flag_function(value),
        }


def main():
    logging.getLogger("guild").setLevel(logging.CRITICAL)
    with open("flagval.jsonl", "w") as f:
        for row in rows():
            f.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
