# SPDX-License-Identifier: Apache-2.0
"""For optimizers written in Python: the batch they run for, its trials and their results.

An optimizer is any operation that is given with `--optimizer`. Its process is that of the batch run:

    from guild import batch_util

    batch_run = batch_util.batch_run()
    flags = batch_run.batch_proto.get("flags")
    for x in range(3):
        run = batch_util.run_trial(batch_run, dict(flags, x=x))
    results = batch_util.trial_results(batch_run, [(None, "loss", "last")])

Names and meanings are those of Guild AI's module of this name.
"""

import functools
import logging
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from guild import _bridge
from guild import flag_util
from guild import run as runlib
from guild._handover import find_guild

DEFAULT_MAX_TRIALS = 20
DEFAULT_OBJECTIVE = "loss"

PREV_TRIALS_BATCH = "batch"
PREV_TRIALS_SOURCECODE = "sourcecode"
PREV_TRIALS_OPERATION = "operation"

SIGTERM_EXIT = -signal.SIGTERM
INTERRUPT_EXIT = 130

_exiting = threading.Event()
_children = set()
_children_lock = threading.Lock()


class CurrentRunNotBatchError(Exception):
    """This process is not that of a batch run."""


class InvalidFlagFunctionArgs(Exception):
    """A flag function was given arguments that it does not take: `function_name` (str), `function_args` (tuple of
    values), `flag_name` (str); its text says what is wrong."""

    def __init__(self, name, args, flag_name, msg):
        super().__init__(msg)
        self.function_name = name
        self.function_args = args
        self.flag_name = flag_name


def _log(level, msg):
    try:
        threshold = int(os.environ.get("LOG_LEVEL", logging.WARNING))
    except ValueError:
        threshold = logging.WARNING
    if level >= threshold:
        sys.stderr.write(f"{logging.getLevelName(level)}: [guild] {msg}\n")
        sys.stderr.flush()


def init_logging():
    """Logging as guild's own: to stderr, from the level $LOG_LEVEL (int as of the module logging; default 30), in
    the format $LOG_FORMAT (default "LEVEL: [NAME] MESSAGE")."""
    logging.basicConfig(
        level=int(os.environ.get("LOG_LEVEL") or logging.WARNING),
        format=os.environ.get("LOG_FORMAT") or "%(levelname)s: [%(name)s] %(message)s",
    )


# ---- the batch ----


def batch_run():
    """The batch (guild.run.Run) that this process is of. CurrentRunNotBatchError outside one."""
    run = runlib.current_run()
    if not run:
        raise CurrentRunNotBatchError("no current run")
    if not is_batch(run):
        raise CurrentRunNotBatchError(f"missing proto {run.guild_path('proto')}")
    return run


def is_batch(run):
    """Does `run` (guild.run.Run) make trials? A bool."""
    return os.path.exists(run.guild_path("proto"))


def objective_scalar(batch_run, default=None):
    """What the trials of `batch_run` (guild.run.Run) are measured by: (name, factor). `name` (str) is a scalar as
    `guild compare` names them; multiplied with `factor` (1 or -1) less is better. `default` (str or None, "-" in
    front for a maximum) counts where the user asked for nothing; else it is "loss"."""
    objective = batch_run.get("objective") or default or DEFAULT_OBJECTIVE
    if objective[0] == "-":
        return objective[1:], -1
    return objective, 1


def fail_on_trial_error(batch_run):
    """Is `batch_run` (guild.run.Run) to end with the first trial that fails? A bool, or None if nobody said."""
    return (batch_run.get("run_params") or {}).get("fail_on_trial_error")


# ---- making trials ----


def init_trial_run(batch_run, trial_flag_vals, run_dir=None):
    """A new pending run (guild.run.Run) of the batch `batch_run` (guild.run.Run) with the flags `trial_flag_vals`
    (dict of str to value), in the new directory `run_dir` (str; None: in the home, linked from the batch).
    Errors: guild._bridge.BridgeError if it can't be made."""
    return runlib.Run(
        _bridge.request(
            "trial",
            batch=batch_run.dir,
            flags=trial_flag_vals,
            dir=run_dir and os.path.abspath(run_dir),
        )
    )


@functools.lru_cache(maxsize=None)
def _remote():
    """Where the batch's trials are to run; None is here."""
    batch = runlib.current_run()
    return ((batch and batch.get("run_params")) or {}).get("remote")


def start_trial_run(run, stage=False):
    """Runs the pending `run` (guild.run.Run) where the batch's trials are to run, or only stages it (`stage`, bool),
    and waits for its end. Errors: SystemExit with its exit status if that is not 0."""
    flags = {name: val for name, val in (run.get("flags") or {}).items() if val is not None}
    desc = ", ".join(flag_util.flag_assigns(flags))
    verb = "Staging" if stage else "Running"
    _log(logging.INFO, f"{verb} trial {run.id}: {run.operation} ({desc})")
    args = [find_guild(), "run", "-y", "--restart", run.id]
    if stage:
        args.extend(["--stage", "--quiet"])
    elif _remote():
        args.extend(["--remote", _remote()])
    returncode = _call(args)
    if returncode:
        raise SystemExit(returncode)


def _call(args):
    sys.stdout.flush()
    with _children_lock:
        if _exiting.is_set():
            return SIGTERM_EXIT
        p = subprocess.Popen(args, env=dict(os.environ, NO_RESTARTING_MSG="1"))
        _children.add(p)
    try:
        return p.wait()
    except KeyboardInterrupt:
        p.wait()
        return INTERRUPT_EXIT
    finally:
        with _children_lock:
            _children.discard(p)


def run_trial(batch_run, flag_vals):
    """init_trial_run() and start_trial_run() in one: the run (guild.run.Run), completed. Errors: as of these."""
    run = init_trial_run(batch_run, flag_vals)
    start_trial_run(run)
    return run


def handle_trials(batch_run, trials):
    """Runs all `trials` (list of dict: the flags of each), as many at a time as --jobs says, or prints or saves
    them where the user asks for that. Errors: SystemExit where the batch is to end; OSError where they can't be
    saved."""
    if os.environ.get("PRINT_TRIALS_CMD") == "1":
        _print_trials_cmd(batch_run, trials)
    elif os.environ.get("PRINT_TRIALS") == "1":
        sys.stdout.write(_bridge.request("trials-table", trials=trials))
    elif os.environ.get("SAVE_TRIALS"):
        path = os.environ["SAVE_TRIALS"]
        text = _bridge.request("trials-table", trials=trials, path=path)
        with open(path, "w") as f:
            f.write(text)
    else:
        _run_trials(batch_run, trials)


def _print_trials_cmd(batch_run, trials):
    import tempfile

    for trial in trials:
        with tempfile.TemporaryDirectory() as tmp:
            run = init_trial_run(batch_run, trial, os.path.join(tmp, "run"))
            subprocess.call([find_guild(), "run", "--restart", run.dir, "--print-cmd"])


def _run_trials(batch_run, trials):
    runs = [init_trial_run(batch_run, trial) for trial in trials]
    jobs = (batch_run.get("run_params") or {}).get("jobs")
    jobs = 1 if jobs is None else int(jobs) or os.cpu_count() or 1
    if jobs == 1:
        for run in runs:
            _start_pending_trial(run, batch_run)
        return
    with ThreadPoolExecutor(jobs) as pool:
        for future in [pool.submit(_start_pending_trial, run, batch_run) for run in runs]:
            try:
                future.result()
            except SystemExit:
                _exiting.set()
                raise


def _start_pending_trial(run, batch_run):
    if _exiting.is_set():
        return
    status = run.status
    if status != "pending":
        _log(
            logging.INFO,
            f"Skipping {run.id} because its status is '{status}' (expected 'pending')",
        )
        return
    try:
        start_trial_run(run, batch_run.get("stage_trials"))
    except SystemExit as e:
        handle_trial_system_exit(e, batch_run, run)


def _exit_params(e):
    if isinstance(e.code, tuple) and len(e.code) == 2:
        return e.code
    if isinstance(e.code, int):
        return None, e.code
    return (None, 0) if e.code is None else (e.code, 1)


def handle_trial_system_exit(e, batch_run, trial_run):
    """Logs how `trial_run` (guild.run.Run) ended, by `e` (SystemExit). Errors: SystemExit if it was interrupted, or
    failed and `batch_run` (guild.run.Run) is not to go on after that."""
    msg, code = _exit_params(e)
    if code == 0:
        if msg:
            _log(logging.INFO, msg)
    elif code in (SIGTERM_EXIT, 256 + SIGTERM_EXIT, 143):
        _log(logging.INFO, f"Trial {trial_run.id} was terminated")
    elif code in (INTERRUPT_EXIT, -signal.SIGINT):
        _log(logging.INFO, "Stopping batch")
        raise SystemExit(code)
    else:
        desc = f": ({code}) {msg}" if msg else f" ({code}) - see log for details"
        _log(logging.ERROR, f"Trial {trial_run.id} exited with an error{desc}")
        if fail_on_trial_error(batch_run):
            _log(
                logging.ERROR,
                "Stopping batch because a trial failed (pending trials can be started as needed)",
            )
            raise SystemExit(code)


def handle_system_exit(e):
    """Ends the process as `e` (SystemExit) says, a message first: its code is a number, a text, or (text, number)."""
    msg, code = _exit_params(e)
    if msg:
        sys.stderr.write(f"guild: {msg}\n")
    sys.exit(code)


def stop_trials_on_sigterm(batch_run):
    """From here on SIGTERM stops the trials that run (SIGKILL after 30 seconds), starts no more, and ends this
    process. `batch_run` is not used; the reference's function of this name takes it."""

    def handler(_signum, _frame):
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        _exiting.set()
        threading.Thread(target=_terminate).start()

    signal.signal(signal.SIGTERM, handler)


def _terminate():
    with _children_lock:
        children = list(_children)
    for p in children:
        _log(logging.INFO, f"Stopping trial (proc {p.pid})")
        p.terminate()
    for p in children:
        try:
            p.wait(30)
        except subprocess.TimeoutExpired:
            _log(logging.INFO, f"Forcefully terminating trial (proc {p.pid})")
            p.kill()
    _log(logging.INFO, "Stopping batch (pending trials can be started as needed)")
    os.kill(os.getpid(), signal.SIGTERM)


# ---- what trials could be ----


def expand_flags(flag_vals, random_seed=None):
    """All combinations of `flag_vals` (dict of str to value): a list stands for each of its items, a function
    (`uniform[0:1]`, a str) for a value drawn from it by `random_seed` (int or None: 0). Gives a list of dict.
    Errors: guild._bridge.BridgeError for a function that can't be drawn from."""
    return _bridge.request("expand", flags=flag_vals, seed=random_seed or 0)


def expanded_batch_trials(batch_run, random_seed=None):
    """The trials that the flags and batch files of `batch_run` (guild.run.Run) make: a list of dict, flags of each.
    `random_seed` and errors: as of expand_flags()."""
    proto = batch_run.batch_proto
    flag_vals = proto.get("flags") or {}
    trials = proto.get("trials")
    if trials:
        return expand_trial_flags(trials, flag_vals, proto.get("user_flags") or {}, random_seed)
    return expand_flags(flag_vals, random_seed)


def expand_trial_flags(trials, flag_vals, user_flag_vals, random_seed=None):
    """expand_flags() of each of `trials` (list of dict, rows of batch files) over the defaults `flag_vals` and
    under what the user gave, `user_flag_vals` (dict of str to value each). Gives a list of dict."""
    return _bridge.request(
        "expand",
        flags=flag_vals,
        user_flags=user_flag_vals,
        trials=trials,
        seed=random_seed or 0,
    )


def sample_trials(trials, count=None, random_seed=None):
    """At most `count` (int; None: 20) of `trials` (list), drawn by `random_seed` (int or None: another each time)
    without repetition, in their order."""
    count = count or DEFAULT_MAX_TRIALS
    if len(trials) <= count:
        return trials
    picked = random.Random(random_seed).sample(range(len(trials)), count)
    return [trials[i] for i in sorted(picked)]


def invalid_flag_function_args_error(e):
    """Raises SystemExit with the message for the user of `e` (InvalidFlagFunctionArgs)."""
    args = ":".join(str(arg) for arg in e.function_args)
    raise SystemExit(
        f"invalid function args in '{e.flag_name}={e.function_name}[{args}]': {e}"
    )


# ---- results ----


def trial_runs(batch_run, prev_trials_mode=PREV_TRIALS_BATCH):
    """Completed runs that count as previous trials of `batch_run` (guild.run.Run), oldest first: a list of
    guild.run.Run. `prev_trials_mode` (str): "batch" (its own), "sourcecode" (all of the same source code) or
    "operation" (all of the same operation). Errors: ValueError for another mode."""
    modes = (PREV_TRIALS_BATCH, PREV_TRIALS_SOURCECODE, PREV_TRIALS_OPERATION)
    if prev_trials_mode not in modes:
        raise ValueError(f"unsupported value for prev_trials_mode: {prev_trials_mode!r}")
    infos = _bridge.request("trials", batch=batch_run.dir, mode=prev_trials_mode)
    return [runlib.Run(info) for info in infos]


def trial_results(batch_run, scalars, prev_trials_mode=PREV_TRIALS_BATCH):
    """Flags and results of trial_runs(batch_run, prev_trials_mode). `scalars` is a list of (prefix, tag,
    qualifier): `prefix` (str or None) is the path of the event file in the run, `tag` (str) the scalar's name,
    `qualifier` (str or None: "last") one of "first", "last", "min", "max", "avg", "total". Gives a list of (flags,
    values): a dict of str to value, and a list of float or None, one for each of `scalars`."""
    return trial_results_for_runs(trial_runs(batch_run, prev_trials_mode), scalars)


def trial_results_for_runs(runs, scalars):
    """trial_results() of the given `runs` (list of guild.run.Run)."""
    rows = _bridge.request(
        "scalars",
        dirs=[run.dir for run in runs],
        scalars=[list(scalar) for scalar in scalars],
    )
    return [(run.get("flags"), row) for run, row in zip(runs, rows)]
