/* SPDX-License-Identifier: Apache-2.0 */
/* A flag of an operation as guild.yml defines it: its default, what values it takes and how a value
 * reaches the process (argument, switch, environment). Meaning and names of the attributes are the
 * reference's (guild/guildfile.py FlagDef). Attributes that may be of several types in YAML are
 * kept as Value; NULL is "not given". */
#pragma once

#include "engine/base/value.h"

typedef struct FlagChoice {
    Value *value;
    char *description; /* never NULL */
    Value *flags;      /* map: values of other flags that choosing this one sets; never NULL */
    char *alias;       /* or NULL: what a user may type for it */
} FlagChoice;

typedef struct FlagDef {
    char *name;
    Value *dflt;       /* NULL and null are the same: no value */
    char *description; /* never NULL */
    char *type; /* "int", "float", "number", "string", "boolean", "path", "existing-path", ... or
                   NULL */
    gboolean required;
    char *alias;
    char *arg_name;
    Value *arg_encoding; /* map value -> text, or NULL */
    Value *arg_skip;     /* NULL: the operation's default_flag_arg_skip; else by truth */
    Value *arg_switch;   /* the value that turns the switch on, or NULL */
    Value *arg_split;    /* true (shell words), a delimiter, or NULL */
    GPtrArray *choices;  /* FlagChoice*; never NULL, may be empty */
    gboolean allow_other;
    char *env_name;
    Value *env_encoding;
    char *null_label;
    Value *min;
    Value *max;
    char *distribution;
    Value *extra; /* map: attributes that nobody knows; never NULL */
} FlagDef;

/* From the flag's map in guild.yml. `where` heads the error ("error in PATH: "). */
FlagDef *flagdef_new(const char *name, const Value *data, const char *where, GError **error);
FlagDef *flagdef_copy(const FlagDef *f);
void flagdef_free(FlagDef *f);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FlagDef, flagdef_free)

/* What dst leaves at its neutral value is taken from src, as the reference does for imported flags.
 */
void flagdef_merge(FlagDef *dst, const FlagDef *src);
/* The flag of that name in an array of FlagDef*, or NULL. */
FlagDef *flagdefs_find(GPtrArray *flags, const char *name);
