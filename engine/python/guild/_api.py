# SPDX-License-Identifier: Apache-2.0
"""Running operations from Python code by way of the `guild` program."""

import os
import subprocess

from guild import flag_util
from guild._handover import find_guild
from guild.run import current_run  # noqa: F401 (part of this module's interface)

_OPTIONS = (
    "batch_comment batch_label comment gpus label max_trials maximize minimize optimizer proto"
    " random_seed restart run_dir run_id save_trials start stop_after"
).split()
_SWITCHES = (
    "background fail_on_trial_error force_deps force_flags force_sourcecode keep_batch keep_run"
    " needed optimize print_cmd print_trials quiet stage stage_trials test_sourcecode"
).split()
_LISTS = {"tags": "--tag", "batch_tags": "--batch-tag", "deps": "--dep"}


class RunError(Exception):
    """A `guild run` command that failed.

    `cmd_args` (list of str), `cmd_cwd` (str) and `cmd_env` (dict of str) are how it was called, `returncode`
    (int) is its exit status, `output` what it printed: a str, or (stdout, stderr), each None if not captured.
    """

    def __init__(self, cmd, returncode, output=None):
        super().__init__(cmd, returncode, output)
        self.cmd_args, self.cmd_cwd, self.cmd_env = cmd
        self.returncode = returncode
        self.output = output


def _command(opspec=None, flags=None, opt_flags=None, batch_files=(), cwd=None, extra_env=None,
             guild_home=None, **options):
    args = [find_guild(), "run", "-y"]
    if opspec:
        args.append(opspec)
    for name, val in sorted(options.items()):
        option = "--" + name.replace("_", "-")
        if name in _LISTS:
            for item in val or ():
                args.extend([_LISTS[name], str(item)])
        elif name in _SWITCHES:
            args.extend([option] if val else [])
        elif name in _OPTIONS:
            args.extend([option, str(val)] if val is not None else [])
        else:
            raise TypeError(f"unexpected argument '{name}'")
    for assign in flag_util.flag_assigns(opt_flags or {}):
        args.extend(["--opt-flag", assign])
    args.extend(flag_util.flag_assigns(flags or {}))
    args.extend(f"@{path}" for path in batch_files or ())
    env = dict(os.environ, NO_IMPORT_FLAGS_PROGRESS="1", **(extra_env or {}))
    if guild_home:
        env["GUILD_HOME"] = guild_home
    return args, cwd or ".", env


def run(*args, stdout=None, stderr=None, **kw):
    """Runs an operation as `guild run -y` does, and waits for its end. As guild._api.run of Guild AI 0.9.

    Arguments, all optional:
      opspec (str): the operation, `MODEL:OP`, or a script; default: the project's default operation.
      flags (dict of str to value): values as in guild.yml; a list makes a batch.
      opt_flags (dict): flags of the optimizer.
      batch_files (sequence of str): paths of CSV, JSON or YAML files, one trial a row.
      cwd (str): the project's folder; default: the current one.
      extra_env (dict of str): variables added to the environment.
      guild_home (str): the home that the run goes to.
      stdout, stderr: as for subprocess.Popen.
      Any other is the option of `guild run` of that name, with "_" for "-": `label`, `max_trials` (trials),
      `stop_after` (minutes), `gpus`, `tags` (list of str), `force_flags` (bool) and so on.

    Gives (stdout, stderr): str where that stream was subprocess.PIPE, else None.
    Errors: RunError if the command's exit status is not 0; TypeError for an option that is none.
    """
    cmd = _command(*args, **kw)
    p = subprocess.Popen(cmd[0], cwd=cmd[1], env=cmd[2], stdout=stdout, stderr=stderr)
    out, err = (s.decode() if s is not None else None for s in p.communicate())
    if p.returncode:
        raise RunError(cmd, p.returncode, (out, err))
    return out, err


def run_capture_output(*args, **kw):
    """What run() does, with the same arguments but `stdout` and `stderr`; gives all that was printed, as one str.

    Errors: as of run(); RunError.output is what was printed until then.
    """
    cmd = _command(*args, **kw)
    p = subprocess.run(
        cmd[0], cwd=cmd[1], env=cmd[2], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    if p.returncode:
        raise RunError(cmd, p.returncode, p.stdout.decode())
    return p.stdout.decode()


def run_quiet(*args, **kw):
    """What run_capture_output() does, without its output. Gives None. Errors: as of run_capture_output()."""
    run_capture_output(*args, **kw)
