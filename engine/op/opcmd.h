/* SPDX-License-Identifier: Apache-2.0 */
/* The command of an operation before its flags are known: an argument template, environment and how
 * each flag is passed. It is kept in a run (attribute `op`, key `op-cmd`), so that a run can be
 * started again without its project. The format is the reference's (guild/op_cmd.py). */
#pragma once

#include "engine/base/value.h"
#include "engine/project/opdef.h"

#define OPCMD_ERROR opcmd_error_quark()
GQuark opcmd_error_quark(void);
typedef enum {
    OPCMD_ERROR_OPDEF, /* the operation has no usable exec, main or steps */
    OPCMD_ERROR_REF,   /* `${name}` in the command is no flag */
    OPCMD_ERROR_DATA,  /* what a run keeps as `op-cmd` is not one */
} OpCmdError;

typedef struct OpCmd {
    GPtrArray *args;  /* char*: template with ${refs}; "__flag_args__" stands for the flags */
    Value *env;       /* map name -> value, values may hold ${refs} */
    Value *flags;     /* map flag -> map of arg-name, arg-skip, arg-switch, arg-split, env-name,
                         arg-encoding, env-encoding, those that are set */
    char *flags_dest; /* "args", "globals", "global:NAME", ...; may be NULL */
} OpCmd;

/* `extra_env` (map) is merged over the operation's `env`. `run_attrs` receives a map of attributes
 * that the run must get beside (for steps), or NULL. */
OpCmd *op_cmd_for_opdef(
        const OpDef *opdef, const Value *extra_env, Value **run_attrs, GError **error);
OpCmd *op_cmd_for_data(const Value *data, GError **error);
Value *op_cmd_as_data(const OpCmd *cmd);
void op_cmd_free(OpCmd *cmd);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OpCmd, op_cmd_free)

/* The arguments (newly allocated strv) and the environment (map of strings) for these flags.
 * `params`: what `${name}` means in arguments: flags, python_exe, guild_python_exe.
 * `force_flags`: pass flags that the command does not know, as --NAME VALUE. */
gboolean op_cmd_generate(const OpCmd *cmd, const Value *flag_vals, const Value *params,
        gboolean force_flags, char ***args, Value **env, GError **error);

/* A flag value as the text of an environment variable or a `${ref}` in a command. */
char *op_cmd_encode_env(const Value *val);
