# SPDX-License-Identifier: Apache-2.0
"""Tells the flags of Python modules without running their training code.

Called by the `guild` program (engine/project/pyflags.c) as `python import_flags.py REQUEST`, where
REQUEST is a file of JSON, a list of requests; prints the list of answers as JSON:

    {"do": "sys-path"}                          -> {"sys_path": [...]}
    {"do": "flags", "path": ..., "sys_path": ..., "package": ..., "base_args": [...], "dest": ...}
        -> {"dest": ..., "flags": {...}, "framework": ..., "ok": ..., "warnings": [...],
            "notes": [...], "quiet_warnings": [...]}

Module-level assignments are read from the syntax tree. argparse and click parsers are found by
executing the module, in a process of its own, up to where it parses its arguments.
`quiet_warnings` are those that NO_WARN_FLAGS_IMPORT silences.
"""

import sys

if __name__ == "__main__":
    # Our folder has modules with common names, and the current one may have them too.
    del sys.path[0]

import ast
import json
import os

MAX_INT = 2**63
MAX_DEPTH = 30


class ImportError_(Exception):
    """Flags of a module cannot be had; the message says why."""


# ---- the module's source ----


class Source:
    """What a module imports, calls and assigns, without executing it."""

    def __init__(self, path):
        self.path = path
        self.imports = set()
        self.calls = set()
        self.assigns = {}
        with open(path, "rb") as f:
            tree = ast.parse(f.read(), path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                if node.module:
                    self.imports.add(node.module)
                self.imports.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Import):
                self.imports.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Call):
                self.calls.add(called_name(node.func))
            elif isinstance(node, ast.Assign) and node.col_offset == 0:
                self._assign(node)

    def _assign(self, node):
        try:
            val = literal(node.value)
        except TypeError:
            return
        for target in node.targets:
            if isinstance(target, ast.Name):
                self.assigns.setdefault(target.id, val)


def called_name(func):
    while isinstance(func, ast.Call):
        func = func.func
    if isinstance(func, ast.Name):
        return func.id
    return getattr(func, "attr", None)


class Namespace(dict):
    """A SimpleNamespace(...) call, as the dict of its arguments."""


def literal(node):
    if isinstance(node, ast.Constant):
        if node.value is None or isinstance(node.value, (str, int, float, bool)):
            return node.value
    elif isinstance(node, ast.List):
        return [literal(x) for x in node.elts]
    elif isinstance(node, ast.Dict):
        return {literal(k): literal(v) for k, v in zip(node.keys, node.values)}
    elif isinstance(node, ast.UnaryOp):
        val = literal(node.operand)
        if isinstance(val, (int, float)) and not isinstance(val, bool):
            if isinstance(node.op, ast.USub):
                return -val
            if isinstance(node.op, ast.UAdd):
                return val
    elif (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id.endswith("SimpleNamespace")
    ):
        return Namespace((kw.arg, literal(kw.value)) for kw in node.keywords)
    raise TypeError(node)


# ---- assigned values as flags ----


def is_flag(name, val):
    return name[:1] != "_" and not isinstance(val, dict)


def flag_for_value(val):
    is_list = isinstance(val, list)
    return {
        "default": joined_list(val) if is_list else val,
        "type": type_of(val),
        "arg-split": True if is_list else None,
    }


def type_of(val):
    if isinstance(val, str):
        return "string"
    if isinstance(val, bool):
        return "boolean"
    if isinstance(val, (int, float)):
        return "number"
    return None


def joined_list(vals):
    import shlex

    return " ".join(shlex.quote(encoded(x)) if encoded(x) else "''" for x in vals)


def encoded(val):
    """A value as the text of a flag, as YAML writes it."""
    if val is None:
        return "null"
    if isinstance(val, bool):
        return "true" if val else "false"
    if isinstance(val, str):
        return json.dumps(val) if looks_typed(val) else val
    if isinstance(val, list):
        return "[%s]" % ", ".join(encoded(x) for x in val)
    if isinstance(val, dict):
        return "{%s}" % ", ".join("%s: %s" % (encoded(k), encoded(v)) for k, v in val.items())
    text = repr(val)
    if "e" in text and "." not in text and isinstance(val, float):
        text = text.replace("e", ".0e")
    return text


def looks_typed(s):
    """Would YAML read this text as something else than a string?"""
    if s.lower() in ("", "~", "null", "true", "false", "yes", "no", "on", "off", "y", "n"):
        return True
    try:
        float(s.replace("_", ""))
    except ValueError:
        return s[0] in "[]{}#&*!|>'\"%@`-?:," or ": " in s or " #" in s
    return True


def nested(config, prefix=""):
    """{"a": {"b": 1}} as ("a.b", 1)."""
    for name, val in config.items():
        path = prefix + str(name)
        if isinstance(val, dict) and val:
            yield from nested(val, path + ".")
        else:
            yield path, val


def flags_for_values(items):
    return {str(name): flag_for_value(val) for name, val in items if is_flag(str(name), val)}


def global_param_flags(source, name, answer):
    val = source.assigns.get(name)
    if isinstance(val, dict):
        return flags_for_values(nested(val))
    answer["warnings"].append(
        "cannot import flags for param '%s' in '%s': param must be a dict or SimpleNamespace "
        "(got %s)" % (name, os.path.relpath(source.path), type(val).__name__)
    )
    return {}


# ---- parsers as flags ----


class Found:
    """Flags of the parser that the module used last, and what there is to say about them."""

    def __init__(self, request):
        self.request = request
        self.flags = {}
        self.warnings = []

    def warn(self, fmt, *args):
        self.warnings.append(fmt % args)

    def jsonable(self, val, flag_name):
        try:
            json.dumps(val)
        except (TypeError, ValueError):
            self.warn(
                "cannot serialize value %r for flag %s - coercing to string", val, flag_name
            )
            return str(val)
        return val


SIMPLE_TYPES = ((str, "string"), (float, "float"), (int, "int"), (bool, "boolean"))


def long_option(options):
    for opt in options:
        if opt.startswith("--"):
            return opt[2:]
    return None


def argparse_flag(action, name, found):
    kind = type(action).__name__
    attrs = {}
    if action.help:
        attrs["description"] = str(action.help)
    if action.default is not None:
        attrs["default"] = found.jsonable(action.default, name)
    if action.choices:
        attrs["choices"] = found.jsonable(list(action.choices), name)
    if action.required:
        attrs["required"] = True
    if action.type:
        attrs["type"] = argparse_type(action, name, attrs, found)
    if kind in ("_StoreTrueAction", "_StoreFalseAction"):
        attrs["arg-switch"] = kind == "_StoreTrueAction"
        attrs["choices"] = [True, False]
    elif kind == "BooleanOptionalAction":
        boolean_option(action, attrs)
    nargs = action.nargs
    if nargs in ("+", "*") or (isinstance(nargs, int) and nargs > 1):
        attrs["arg-split"] = True
        if isinstance(attrs.get("default"), list):
            attrs["default"] = joined_list(attrs["default"])
    return attrs


def argparse_type(action, name, attrs, found):
    for cls, type_name in SIMPLE_TYPES:
        if action.type is cls:
            return type_name
    if "pytorch" in (getattr(action.type, "__module__", None) or ""):
        return pytorch_type(getattr(action.type, "__name__", ""), action, attrs)
    found.warn("unsupported flag type %s for flag %s - ignoring type setting", action.type, name)
    return None


def pytorch_type(type_name, action, attrs):
    """PyTorch Lightning parsers convert with functions of these names."""
    if type_name.startswith("str_to_bool"):
        if isinstance(action.default, bool):
            attrs["default"] = "yes" if action.default else "no"
        return None
    if type_name == "_precision_allowed_type":
        attrs["choices"] = [16, 32, 64]
    types = {
        "_int_or_float_type": "number",
        "_gpus_allowed_type": "string",
        "_precision_allowed_type": "int",
    }
    return types.get(type_name)


def boolean_option(action, attrs):
    options = action.option_strings
    if len(options) != 2 or not all(opt.startswith("--") for opt in options):
        return
    attrs["choices"] = [True, False]
    attrs["arg-switch"] = not action.default
    attrs["arg-name"] = options[1 if action.default else 0][2:]


ARGPARSE_ACTIONS = (
    "_StoreAction",
    "_StoreTrueAction",
    "_StoreFalseAction",
    "BooleanOptionalAction",
)


def watch_argparse(found):
    """Notes the flags of each parser that is about to parse. The parse itself goes on and ends the
    module by its --help; one without help options is not the last."""
    import argparse

    parse = argparse.ArgumentParser.parse_known_args

    def noting_parse(self, *args, **kw):
        found.flags = {}
        for action in self._actions:
            name = long_option(action.option_strings)
            if name and type(action).__name__ in ARGPARSE_ACTIONS:
                found.flags[name] = argparse_flag(action, name, found)
        return parse(self, *args, **kw)

    argparse.ArgumentParser.parse_known_args = noting_parse


def click_flag(param, name, click, found):
    attrs = {}
    if getattr(param, "help", None):
        attrs["description"] = param.help
    default = param.default
    if callable(default) or type(default).__name__ == "Sentinel":
        default = None
    if default is not None:
        attrs["default"] = found.jsonable(default, name)
    if isinstance(param.type, click.Choice):
        attrs["choices"] = found.jsonable(list(param.type.choices), name)
    if param.required:
        attrs["required"] = True
    if param.is_flag:
        attrs["arg-switch"] = not default
    types = click.types
    for cls, type_name in (
        (types.BoolParamType, "boolean"),
        (types.IntParamType, "int"),
        (types.FloatParamType, "float"),
        (types.StringParamType, "string"),
    ):
        if isinstance(param.type, cls):
            attrs["type"] = type_name
            break
    return attrs


def watch_click(found):
    import click

    def noting_call(self, *_args, **_kw):
        cmd = self
        for arg in found.request["base_args"]:
            sub = getattr(cmd, "commands", {}).get(arg)
            if sub is None:
                break
            cmd = sub
        found.flags = {}
        for param in cmd.params:
            name = long_option(param.opts)
            if name and isinstance(param, click.Option):
                found.flags[name] = click_flag(param, name, click, found)
        raise SystemExit(0)

    click.Command.__call__ = noting_call


def execute(request, watch):
    """Runs the module as a script with --help. Gives what `watch` noted."""
    found = Found(request)
    path = request["path"]
    for item in (os.path.dirname(os.path.abspath(path)), request["sys_path"], os.getcwd()):
        if item and item not in sys.path:
            sys.path.insert(0, item)
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    watch(found)
    package = request["package"]
    if package:
        __import__(package)
    sys.argv = [path] + request["base_args"] + ["--help"]
    with open(path, "rb") as f:
        code = compile(f.read(), path, "exec", dont_inherit=True)
    namespace = {"__name__": "__main__", "__file__": path, "__package__": package or ""}
    try:
        exec(code, namespace)
    except SystemExit as e:
        if e.code not in (None, 0):
            if isinstance(e.code, str):
                sys.stderr.write(e.code + "\n")
            raise
    return found


def child(request, watch, out_fd):
    """In the forked process: answers on out_fd and ends without clean-up of the parent's state."""
    import traceback

    status = 1
    try:
        found = execute(request, watch)
        answer = json.dumps({"flags": found.flags, "warnings": found.warnings})
        with os.fdopen(out_fd, "w") as f:
            f.write(answer)
        status = 0
    except SystemExit as e:
        status = e.code if isinstance(e.code, int) else 1
    except BaseException:
        sys.stdout.flush()
        traceback.print_exc()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(status & 0xFF or 1 if status else 0)


def parser_flags(request, watch, answer):
    """Executes the module in a child, whose output is kept for the error message."""
    import tempfile

    with tempfile.TemporaryFile() as output:
        read_fd, write_fd = os.pipe()
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            os.close(read_fd)
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
            child(request, watch, write_fd)
        os.close(write_fd)
        with os.fdopen(read_fd) as f:
            text = f.read()
        _pid, status = os.waitpid(pid, 0)
        output.seek(0)
        printed = output.read().decode(errors="replace").strip()
    if status != 0:
        code = os.waitstatus_to_exitcode(status)
        how = "with status %i" % code if code > 0 else "by signal %i" % -code
        raise ImportError_(last_words(printed) or "Python ended " + how)
    if not text:  # the module ended the process by itself
        return {}
    result = json.loads(text)
    answer["warnings"].extend(
        [line[len("WARNING:") :].strip() for line in printed.split("\n") if line.startswith("WARNING:")]
    )
    answer["warnings"].extend(result["warnings"])
    return result["flags"]


def last_words(printed):
    if "Traceback" in printed:
        return printed.split("\n")[-1] + " (run with guild --debug for details)"
    return printed


# ---- requests ----


def resolved_dest(request, source, answer):
    if request["dest"]:
        return request["dest"]
    shown = os.path.relpath(source.path)
    if "argparse" in source.imports:
        answer["notes"].append("%s imports argparse - assuming args" % shown)
        return "args"
    if "click" in source.imports:
        answer["notes"].append("%s imports click - assuming args:click" % shown)
        return "args:click"
    answer["notes"].append("%s does not import argparse - assuming globals" % shown)
    return "globals"


def flags_for_dest(dest, request, source, answer):
    if dest == "args":
        return parser_flags(request, watch_argparse, answer)
    if dest == "args:click":
        return parser_flags(request, watch_click, answer)
    if dest == "globals":
        return flags_for_values(source.assigns.items())
    kind, _, name = dest.partition(":")
    if kind in ("global", "dict", "namespace") and name:
        return global_param_flags(source, name, answer)
    if kind == "args":
        answer["warnings"].append(
            "cannot find flag import support for flag-dest %r - unable to import flags" % name
        )
    return {}


def framework(source):
    imports_keras = any(name.startswith(("keras", "tensorflow")) for name in source.imports)
    return "keras" if imports_keras and source.calls & {"fit", "predict"} else None


def with_abs_paths(flags, script_dir):
    """A default that names a file beside the script is that file, wherever the run is."""
    for attrs in flags.values():
        default = attrs.get("default")
        if isinstance(default, str) and os.path.sep in default:
            path = os.path.join(script_dir, default)
            if os.path.exists(path):
                attrs["default"] = path


def portable(val, depth=0):
    """What any JSON reader takes: numbers within limits, else the text that YAML reads them from;
    strings of characters; not too deep."""
    if isinstance(val, str):
        return val.replace("\0", "\ufffd").encode("utf-8", "replace").decode("utf-8")
    if isinstance(val, float) and (val != val or val in (float("inf"), float("-inf"))):
        return json.dumps(val)
    if isinstance(val, int) and not isinstance(val, bool) and not -MAX_INT <= val < MAX_INT:
        return str(val)
    if isinstance(val, (dict, list, tuple)) and depth > MAX_DEPTH:
        return "..."
    if isinstance(val, dict):
        return {portable(str(k)): portable(v, depth + 1) for k, v in val.items()}
    if isinstance(val, (list, tuple)):
        return [portable(v, depth + 1) for v in val]
    return val


def syntax_warning(path, e):
    text = (e.text or "").rstrip()
    where = "invalid syntax on line %s\n  %s\n  %s^" % (e.lineno, text, " " * ((e.offset or 1) - 1))
    return "cannot import flags from %s: %s" % (path, where if e.lineno else e.msg)


def flags_answer(request):
    answer = {
        "dest": None,
        "flags": {},
        "framework": None,
        "ok": False,
        "warnings": [],
        "quiet_warnings": [],
        "notes": [],
    }
    path = request["path"]
    shown = os.path.relpath(path)
    try:
        source = Source(path)
        answer["framework"] = framework(source)
        dest = resolved_dest(request, source, answer)
        answer["flags"] = flags_for_dest(dest, request, source, answer)
        with_abs_paths(answer["flags"], os.path.dirname(path))
        answer["dest"] = dest
        answer["ok"] = True
    except SyntaxError as e:
        bare = request["sys_path"] == "."  # a script, named as the user did
        answer["quiet_warnings"].append(syntax_warning("./" + shown if bare else path, e))
    except ImportError_ as e:
        answer["quiet_warnings"].append("cannot import flags from %s: %s" % (shown, e))
    except (OSError, ValueError, RecursionError, MemoryError) as e:
        answer["quiet_warnings"].append("cannot import flags from %s: %s" % (shown, e))
    return answer


def main():
    with open(sys.argv[1]) as f:
        requests = json.load(f)
    answers = []
    for request in requests:
        if request["do"] == "sys-path":
            answer = {"sys_path": [path for path in sys.path if path]}
        else:
            answer = flags_answer(request)
        answers.append(portable(answer))
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
