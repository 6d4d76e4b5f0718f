/* SPDX-License-Identifier: Apache-2.0 */
/* A run as a process: from the moment everything is on disk to the moment its end is. Writes the
 * attribute `env`, `LOCK`, `output` with its index, event files of scalars, `exit_status`,
 * `stopped`; removes `LOCK` (reference: guild/op.py).
 *
 * The child is started by posix_spawn in a process group of its own, so that stopping a run stops
 * what it started. Descendants that left the group are found by walking /proc and by the RUN_DIR
 * in their environment.
 *
 * Threads: an Exec belongs to the GMainContext that it was started on. */
#pragma once

#include "engine/exec/output_rules.h"
#include "engine/op/op.h"
#include "engine/run/output.h"

#define EXEC_ERROR exec_error_quark()
GQuark exec_error_quark(void);
typedef enum {
    EXEC_ERROR_SPAWN, /* "[Errno 2] No such file or directory: 'x'", as the reference words it */
    EXEC_ERROR_IO,    /* the run directory can't be written */
    EXEC_ERROR_BUSY,  /* a pidfile is locked by another process */
} ExecError;

/* Exit statuses are as Python's subprocess gives them: 0..255, or -N for signal N. */

typedef enum {
    EXEC_OUTPUT_CAPTURE, /* two pipes (default) */
    EXEC_OUTPUT_MERGED,  /* one pipe for both streams (SYNC_RUN_OUTPUT=1) */
    EXEC_OUTPUT_INHERIT, /* our own stdout and stderr, nothing kept (NO_RUN_OUTPUT=1) */
    EXEC_OUTPUT_NONE,    /* /dev/null, nothing kept (NO_RUN_OUTPUT=1 and quiet) */
} ExecOutput;

typedef struct ExecSpec {
    Run *run;       /* own reference */
    char **argv;    /* argv[0] is looked up in the PATH of `env` */
    char **env;     /* NAME=VALUE */
    char *env_text; /* YAML for attribute `env`; NULL writes none */
    char *cwd;      /* NULL: the run directory */
    ExecOutput output;
    gboolean quiet;       /* don't show output (tee) */
    gboolean tee;         /* captured output also goes to our stdout and stderr */
    gboolean own_stdin;   /* the child reads our stdin; else /dev/null */
    char *cgroup_procs;   /* file of a control group that the child enters; NULL: none */
    void *cores;          /* cpu_set_t, g_malloc()ed: where it may run; NULL: where we may */
    gboolean same_group;  /* the child stays in our process group (foreground, for the terminal) */
    gint64 stop_after_us; /* 0: no limit */
    gint64 stop_grace_us; /* between SIGTERM and SIGKILL when the limit is reached; 0: 30 s */
    OutputRules *scalars; /* NULL: not captured */
    OutputRules *attrs;   /* NULL: not captured */
    char **ignore_scalars, **ignore_attrs; /* NULL: none */
} ExecSpec;

/* The spec of a run that op_init_run() made and op_prepare_start() prepared: command, environment,
 * rules of the operation; output from NO_RUN_OUTPUT and SYNC_RUN_OUTPUT in our environment (or the
 * operation's, for the first). stop_after: minutes, as on the command line; 0 none. `extra_env`
 * (NAME=VALUE, may be NULL) is added to the environment. */
ExecSpec *exec_spec_for_op(
        Op *op, Run *run, gboolean quiet, double stop_after_minutes, const char *const *extra_env);
ExecSpec *exec_spec_new(Run *run); /* all else zero; for callers that fill it themselves */
void exec_spec_free(ExecSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ExecSpec, exec_spec_free)

typedef struct Exec Exec;

typedef struct ExecCallbacks {
    /* A chunk as it was read, after it was written to the run. May be NULL. */
    void (*output)(Exec *exec, RunStream stream, const char *data, gsize len, gpointer data_ptr);
    /* If set, the child is started by another thread, since that takes long enough (the kernel
     * holds the caller until the child's program is loaded) to be worth it where many runs are
     * started; exec_start() returns before, and what goes wrong with the start comes here, once, in
     * place of `exited`. The error is borrowed; the Exec may be freed inside. NULL: exec_start()
     * waits and gives the error itself. */
    void (*failed)(Exec *exec, const GError *error, gpointer data_ptr);
    /* Once, when everything is written. `stopped`: it ended because of exec_stop() or its time
     * limit. The Exec may be freed inside. */
    void (*exited)(Exec *exec, int exit_status, gboolean stopped, gpointer data_ptr);
} ExecCallbacks;

/* Starts the child. `spec` is taken over in any case. `context` NULL: the default one. The
 * callbacks run on it, never inside this call. On error nothing runs, and the run has no LOCK. */
Exec *exec_start(ExecSpec *spec, GMainContext *context, const ExecCallbacks *callbacks,
        gpointer data, GError **error);
/* SIGTERM to the group and to all descendants; what is left after `grace_us` gets SIGKILL. May be
 * called again to shorten the grace. The end comes through `exited`. */
void exec_stop(Exec *exec, gint64 grace_us);
/* From here on the run is not ours: how the child ends is not written there. */
void exec_disown(Exec *exec);
Run *exec_run(const Exec *exec);
pid_t exec_pid(const Exec *exec); /* 0: not started yet, see ExecCallbacks.failed */
/* Once it has exited: why its output, its scalars (a full disk) or its end could not be written,
 * naming the file; NULL if all was. */
const GError *exec_end_error(const Exec *exec);
/* Only after `exited` was called (or inside it). */
void exec_free(Exec *exec);

/* One run in the foreground until its end: the child reads our stdin and shares our terminal and
 * process group, so Ctrl-C and a debugger work. SIGINT: the child has it from the terminal (it is
 * passed on if only we got it); waits 30 s for it as the reference does, then kills; a second
 * one doesn't wait. SIGTERM, SIGHUP: stops the tree within 5 s. A run whose output or end could not
 * be written is an error, however it exited. `spec` is taken over. */
gboolean exec_run_foreground(ExecSpec *spec, int *exit_status, GError **error);
/* The same; `started` is called once, when it has begun, with the context that it runs on. */
typedef void (*ExecStarted)(Exec *exec, GMainContext *context, gpointer data);
gboolean exec_run_foreground_with(
        ExecSpec *spec, ExecStarted started, gpointer data, int *exit_status, GError **error);

/* For a process that has many runs at once, each with some open files: from here on our own limit
 * of open files is the highest allowed. Children keep the one that we had. */
void exec_raise_file_limit(void);

/* Everything that was started by `pid` or carries RUN_DIR=`run_dir` (may be NULL) in its
 * environment gets `sig`, children last. `pid` 0: only the latter. Our own process is spared.
 * Gives the number of processes. What `guild stop` uses. */
guint exec_signal_tree(pid_t pid, const char *run_dir, int sig);

/* For --background: goes on in a child that has no terminal, with cwd `cwd` and its pid in
 * `pidfile`, which it holds locked and which is removed when it exits. In the parent *in_child is
 * FALSE once the daemon has called exec_daemon_ready(); an error if it has died before. */
gboolean exec_daemonize(const char *pidfile, const char *cwd, gboolean *in_child, GError **error);
/* In the daemon, once others may see the run as running: the command that made it returns. Nothing elsewhere. */
void exec_daemon_ready(void);
