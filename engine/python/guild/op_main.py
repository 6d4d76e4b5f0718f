# SPDX-License-Identifier: Apache-2.0
"""Runs a module of the project as an operation:

    python -m guild.op_main MODULE [BASE_ARG]... [--] [--FLAG VALUE]...

How flags reach the module is in FLAGS_DEST: as arguments ("args", the default), as the first values of its
globals ("globals"), as items of a dict or attributes of a SimpleNamespace ("global:NAME",
"dict:NAME", "namespace:NAME"), or not at all ("none"). The contract is that of Guild AI's module of
this name.

What is imported here delays every run: nothing but what is always needed.
"""

import os
import sys
import types

INTERNAL_ERROR = 2
ONLY_AST = 0x400  # ast.PyCF_ONLY_AST; the ast module itself is expensive
HERE = os.path.dirname(os.path.abspath(__file__))


def sibling(name):
    """A module beside this one, for what few runs need. By file: the name `guild` may be another
    package's by the time it is wanted."""
    from importlib.machinery import SourceFileLoader

    module = types.ModuleType("guild." + name)
    SourceFileLoader(module.__name__, os.path.join(HERE, name + ".py")).exec_module(module)
    return module


def main():
    init_sys_path()
    init_libraries()
    if len(sys.argv) < 2:
        sys.stderr.write("guild.op_main: missing required arg\n")
        sys.exit(INTERNAL_ERROR)
    package_path, module = split_module_spec(sys.argv[1])
    if package_path:
        sys.path.insert(1, resolve_package_path(package_path))
    found = find_module(module)
    if not found:
        sys.stderr.write("guild: %s\n" % no_module_message(module))
        sys.exit(1)
    path, package = found
    args, module_globals = args_and_globals(sys.argv[2:])
    sys.argv = [path] + args
    run_module(path, package, module_globals)


# ---- the process ----


def init_sys_path():
    if os.environ.get("SCRIPT_DIR") is not None:
        sys.path[0] = os.environ["SCRIPT_DIR"]
    elif os.environ.get("NO_SYS_PATH_MODIFY") != "1":
        del sys.path[0]  # the current folder: PYTHONPATH says all


def log_level():
    try:
        return int(os.environ["LOG_LEVEL"])
    except (KeyError, ValueError):
        return 30


def init_libraries():
    if log_level() > 10:
        import warnings

        warnings.simplefilter("ignore", Warning)
    if os.environ.get("LOG_INIT_SKIP") != "1":
        if "logging" in sys.modules:
            sibling("_logconfig").configure(log_level())
        else:
            sys.meta_path.insert(0, LoggingWatch())


class LoggingWatch:
    """Configures logging when, and only if, the project imports it."""

    def find_spec(self, name, _path=None, _target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(self)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name)
        if spec is not None and spec.loader is not None:
            spec.loader = LoggingLoader(spec.loader)
        return spec


class LoggingLoader:
    def __init__(self, loader):
        self._loader = loader

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)
        module.__spec__.loader = module.__loader__ = self._loader
        sibling("_logconfig").configure(log_level())


# ---- the module ----


def split_module_spec(spec):
    spec = spec.replace(os.path.sep, "/")
    package_path, _, module = spec.rpartition("/")
    return package_path, module


def resolve_package_path(package_path):
    for item in sys.path:
        path = os.path.join(item, package_path)
        if os.path.exists(path):
            return path
    return package_path


def find_module(module):
    """(path, package) of the module's file; None if there is none or it is a package without
    __main__.py. Folders need no __init__.py."""
    parent, _, name = module.rpartition(".")
    rel = parent.replace(".", os.path.sep)
    for item in sys.path:
        base = os.path.join(item, rel, name) if rel else os.path.join(item, name)
        if os.path.isfile(os.path.join(base, "__init__.py")):
            path = os.path.join(base, "__main__.py")
            return (path, module) if os.path.isfile(path) else None
        if os.path.isfile(base + ".py"):
            return base + ".py", parent
    return None


def no_module_message(module):
    rel = module.replace(".", os.path.sep)
    if any(os.path.isfile(os.path.join(item, rel, "__init__.py")) for item in sys.path):
        return (
            "No module named %s.__main__ ('%s' is a package and cannot be directly executed)"
            % (module, module)
        )
    return "No module named %s" % module


def run_module(path, package, module_globals):
    """Executes the file as __main__, with a module of its own, so that pickling and the like find
    its classes there."""
    module = types.ModuleType("__main__")
    namespace = module.__dict__
    namespace.update(module_globals)
    namespace.update(__file__=path, __package__=package or None, __name__="__main__")
    for name in [n for n in sys.modules if n == "guild" or n.startswith("guild.")]:
        del sys.modules[name]  # the project may mean another package of this name
    sys.modules["__main__"] = module
    if package:
        __import__(package)
    execute(lambda: exec(compiled(path, module_globals), namespace), path)


def compiled(path, module_globals):
    with open(path, "rb") as f:
        source = f.read()
    if not module_globals:
        return compile(source, path, "exec", dont_inherit=True)
    tree = compile(source, path, "exec", ONLY_AST, dont_inherit=True)
    drop_first_assigns(tree, set(module_globals))
    return compile(tree, path, "exec", dont_inherit=True)


def drop_first_assigns(tree, names):
    """Removes what would overwrite a flag: the first assignment at the top. Later ones are the
    module's own business."""
    body = []
    for node in tree.body:
        if type(node).__name__ == "Assign" and takes_first(node, names):
            continue
        body.append(node)
    tree.body = body


def takes_first(node, names):
    for target in node.targets:
        name = getattr(target, "id", None)
        if type(target).__name__ != "Name":
            return False
        if name in names:
            names.remove(name)
            return True
    return False


def execute(run, path):
    breaks = os.environ.get("PDB_BREAKS")
    if breaks:
        sibling("_debug").run_with_breaks(run, path, breaks)
    elif os.environ.get("PROFILE"):
        sibling("_debug").run_with_profile(run)
    else:
        run()


# ---- arguments and flags ----


def split_args(args):
    """Base arguments and flag arguments, apart at the last `--`; all are flags if there is none."""
    for i in range(len(args) - 1, -1, -1):
        if args[i] == "--":
            return args[:i], args[i + 1 :]
    return [], args


def args_and_globals(args):
    """What becomes of sys.argv, and the globals that flags set."""
    dest = os.environ.get("FLAGS_DEST", "args")
    base, flag_args = split_args(args)
    kind, _, name = dest.partition(":")
    if kind == "args":
        return base + flag_args, {}
    if dest == "globals":
        flags, others = flags_for_args(flag_args)
        return base + others, flags
    if kind in ("global", "dict", "namespace") and name:
        flags, others = flags_for_args(flag_args)
        vals = nested_under(name, flags)
        if kind == "namespace":
            vals = {key: as_namespace(val) for key, val in vals.items()}
        return base + others, vals
    return base, {}  # "none", and what nobody knows


def flags_for_args(args):
    """{name: value} and the arguments that are no flags. A name without a value is true; one with
    several is a list."""
    flags = {}
    others = []
    name = None

    def end_name():
        if name is not None:
            flags.setdefault(name, True)

    def add(val):
        if name not in flags:
            flags[name] = val
        elif isinstance(flags[name], list):
            flags[name].append(val)
        else:
            flags[name] = [flags[name], val]

    for arg in args:
        if arg[:2] == "--":
            end_name()
            name = arg[2:]
        elif arg[:1] == "-" and is_number(decode(arg)):
            add(decode(arg))
        elif arg[:1] == "-" and len(arg) > 1:
            end_name()
            name = arg[1]
            if len(arg) > 2:
                add(arg[2:])
        elif name is not None:
            add(decode(arg))
        else:
            others.append(arg)
    end_name()
    return flags, others


def is_number(val):
    return isinstance(val, (int, float))


WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None}
for _val, _names in ((True, "yes true on"), (False, "no false off")):
    for _name in _names.split():
        WORDS[_name] = WORDS[_name.capitalize()] = WORDS[_name.upper()] = _val


def decode(text):
    """The value that a flag's text stands for, as YAML reads it. Plain words and numbers are decided
    here, all else by guild._yaml."""
    if text in WORDS:
        return WORDS[text]
    digits = text[1:] if text[0] in "+-" else text
    if digits.isdigit() and digits.isascii() and (digits[0] != "0" or digits == "0"):
        return int(text)
    whole, dot, fraction = digits.partition(".")
    if dot and whole.isdigit() and fraction.isdigit() and digits.isascii():
        return float(text)
    if text.isalpha():
        return text
    return load_yaml(text)


def load_yaml(text):
    global load_yaml
    load_yaml = sibling("_yaml").load
    return load_yaml(text)


def nested_under(name, flags):
    """{name: {...}} with the flags as items, "a.b" as item b of a."""
    config = {}
    for key, val in flags.items():
        parent, last = nested_dest(key, config)
        parent[last] = val
    dest = cur = {}
    for part in name.split("."):
        cur[part] = {}
        cur = cur[part]
    cur.update(config)
    return dest


def nested_dest(key, config):
    parent = config
    parts = key.split(".")
    for part in parts[:-1]:
        parent = parent.setdefault(part, {})
        if not isinstance(parent, dict):
            raise ValueError("'%s' cannot be nested: conflicts with '%s'" % (key, part))
    return parent, parts[-1]


def as_namespace(val):
    if not isinstance(val, dict):
        return val
    return types.SimpleNamespace(**{key: as_namespace(item) for key, item in val.items()})


# ---- errors ----


def own_frame(tb):
    code_file = tb.tb_frame.f_code.co_filename
    return os.path.abspath(code_file) == os.path.abspath(__file__)


def report(error):
    """Prints the traceback as Python does, from the project's first frame on, and ends."""
    tb = error.__traceback__
    while tb is not None and (own_frame(tb) or "importlib._bootstrap" in tb.tb_frame.f_code.co_filename):
        tb = tb.tb_next
    error = error.with_traceback(tb)
    sys.excepthook(type(error), error, tb)
    if os.environ.get("BREAK_ON_ERROR") == "1" and tb is not None:
        import pdb

        sys.stderr.write("Entering post mortem debug session\n")
        pdb.post_mortem(tb)
    sys.exit(1)


if __name__ == "__main__":
    _keep = sys.modules["__main__"]  # its globals are these functions'
    try:
        main()
    except (Exception, KeyboardInterrupt) as e:
        if log_level() <= 10:
            raise
        report(e)
