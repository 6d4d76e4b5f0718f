# SPDX-License-Identifier: Apache-2.0
"""The YAML that flag values are written in: scalars as YAML 1.1 resolves them, quoted strings, lists and
maps in brackets. It gives what PyYAML's safe_load gives for these, without it, and takes 1e5 for a number
as Guild AI does; text that is none of these is a string."""

import re

BOOLS = {}
for _val, _names in ((True, ("yes", "true", "on")), (False, ("no", "false", "off"))):
    for _name in _names:
        BOOLS[_name] = BOOLS[_name.capitalize()] = BOOLS[_name.upper()] = _val

INT = re.compile(
    r"(?P<sign>[-+]?)(?:0b(?P<bin>[01_]+)|0x(?P<hex>[0-9a-fA-F_]+)|0(?P<oct>[0-7_]+)"
    r"|(?P<dec>0|[1-9][0-9_]*)|(?P<sexa>[1-9][0-9_]*(?::[0-5]?[0-9])+))$"
)
FLOAT = re.compile(
    r"(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?|[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+"
    r"|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?)$"
)
SEXAGESIMAL = re.compile(r"[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*$")
SPECIAL = re.compile(r"([-+]?)\.(inf|Inf|INF)$|\.(nan|NaN|NAN)$")
DATE = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})$")

ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f",
    "r": "\r", "e": "\x1b", " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0",
    "L": "\u2028", "P": "\u2029",
}  # fmt: skip
HEX_ESCAPES = {"x": 2, "u": 4, "U": 8}
LINE_BREAKS = re.compile(r"[ \t]*\r?\n(?:[ \t]*\r?\n)*[ \t]*")


def fold(text):
    """Lines of a plain or quoted scalar become one: a line break is a space, further ones stay."""
    return LINE_BREAKS.sub(lambda m: "\n" * (m.group().count("\n") - 1) or " ", text)


def scalar(text):
    """A plain scalar."""
    if text in ("", "~", "null", "Null", "NULL"):
        return None
    if text in BOOLS:
        return BOOLS[text]
    m = INT.match(text)
    if m:
        return int_of(m)
    if FLOAT.match(text):
        return float(text.replace("_", ""))
    if SEXAGESIMAL.match(text):
        val = 0.0
        for part in text.lstrip("+-").replace("_", "").split(":"):
            val = val * 60 + float(part)
        return -val if text[0] == "-" else val
    m = SPECIAL.match(text)
    if m:
        return float("nan") if m.group(3) else float(m.group(1) + "inf")
    m = DATE.match(text)
    if m:
        import datetime

        try:
            return datetime.date(*[int(part) for part in m.groups()])
        except ValueError:
            return text
    return text


def int_of(m):
    digits = {kind: (m.group(kind) or "").replace("_", "") for kind in ("bin", "hex", "oct", "dec")}
    if m.group("sexa"):
        val = 0
        for part in m.group("sexa").replace("_", "").split(":"):
            val = val * 60 + int(part)
    elif digits["bin"]:
        val = int(digits["bin"], 2)
    elif digits["hex"]:
        val = int(digits["hex"], 16)
    elif digits["oct"]:
        val = int(digits["oct"], 8)
    else:
        val = int(digits["dec"] or "0")
    return -val if m.group("sign") == "-" else val


class NotYaml(ValueError):
    pass


class Reader:
    def __init__(self, text):
        self.text = text
        self.pos = 0

    def space(self):
        while self.pos < len(self.text) and self.text[self.pos] in " \t\r\n":
            self.pos += 1

    def peek(self):
        return self.text[self.pos : self.pos + 1]

    def expect(self, char):
        if self.peek() != char:
            raise NotYaml(self.text)
        self.pos += 1

    def value(self, stops):
        self.space()
        char = self.peek()
        if char == "[":
            return self.list()
        if char == "{":
            return self.map()
        if char == "'":
            return self.single_quoted()
        if char == '"':
            return self.double_quoted()
        if char and char in "&*!|>%@`":
            raise NotYaml(self.text)
        return scalar(self.plain(stops))

    def plain(self, stops):
        start = self.pos
        text = self.text
        while self.pos < len(text):
            char = text[self.pos]
            after = text[self.pos + 1 : self.pos + 2]
            if char in stops:
                break
            if char == ":" and (after in ("", " ", "\t", "\n") or (stops and after in stops)):
                break
            if char == "#" and self.pos > start and text[self.pos - 1] in " \t":
                break
            self.pos += 1
        return fold(text[start : self.pos].strip())

    def list(self):
        self.expect("[")
        items = []
        while True:
            self.space()
            if self.peek() == "]":
                self.pos += 1
                return items
            item = self.value(",[]{}")
            self.space()
            if self.peek() == ":":
                self.pos += 1
                item = {item: self.value(",[]{}")}
                self.space()
            items.append(item)
            if self.peek() != "]":
                self.expect(",")

    def map(self):
        self.expect("{")
        items = {}
        while True:
            self.space()
            if self.peek() == "}":
                self.pos += 1
                return items
            key = self.value(",[]{}")
            self.space()
            val = None
            if self.peek() == ":":
                self.pos += 1
                val = self.value(",[]{}")
                self.space()
            try:
                items[key] = val
            except TypeError:
                raise NotYaml(self.text) from None
            if self.peek() != "}":
                self.expect(",")

    def single_quoted(self):
        self.expect("'")
        parts = []
        while True:
            end = self.text.find("'", self.pos)
            if end < 0:
                raise NotYaml(self.text)
            parts.append(self.text[self.pos : end])
            self.pos = end + 1
            if self.peek() != "'":
                return fold("'".join(parts))
            self.pos += 1

    def double_quoted(self):
        self.expect('"')
        out = []
        while True:
            char = self.peek()
            self.pos += 1
            if not char:
                raise NotYaml(self.text)
            if char == '"':
                return "".join(out)
            breaks = LINE_BREAKS.match(self.text, self.pos - 1)
            if breaks:
                self.pos = breaks.end()
                out.append(fold(breaks.group()))
            else:
                out.append(self.escape() if char == "\\" else char)

    def escape(self):
        char = self.peek()
        self.pos += 1
        if char in HEX_ESCAPES:
            digits = self.text[self.pos : self.pos + HEX_ESCAPES[char]]
            self.pos += HEX_ESCAPES[char]
            try:
                return chr(int(digits, 16))
            except (ValueError, OverflowError):
                raise NotYaml(self.text) from None
        if char == "\n":
            start = self.pos
            self.space()
            return "\n" * self.text.count("\n", start, self.pos)
        if char not in ESCAPES:
            raise NotYaml(self.text)
        return ESCAPES[char]


def load(text):
    reader = Reader(text)
    try:
        val = reader.value("")
        reader.space()
        if reader.peek() == ":" and not isinstance(val, (list, dict)):
            reader.pos += 1
            val = {val: reader.value("")}
            reader.space()
    except (NotYaml, RecursionError):
        return text
    if reader.peek() and reader.peek() != "#":
        return text
    return val
