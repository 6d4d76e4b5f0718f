/* SPDX-License-Identifier: Apache-2.0 */
/* An operation as guild.yml (or a bare script, or a built-in) defines it. Attributes mean what the
 * reference's guild/guildfile.py OpDef says. Fields are read by everyone and written only by
 * engine/project; a field that YAML may give in several types is a Value, NULL where absent. */
#pragma once

#include "engine/project/flagdef.h"
#include "engine/project/resdef.h"
#include "engine/run/opref.h"

typedef struct Guildfile Guildfile;
typedef struct ModelDef ModelDef;

/* `sourcecode`: which files are kept with a run. */
typedef struct FileSelectSpec {
    gboolean include; /* else exclude */
    char **patterns;
    char *patterns_type; /* NULL, "dir", "text", "binary" */
} FileSelectSpec;

typedef struct FileSelectDef {
    gboolean disabled; /* `sourcecode: no` */
    char *root;        /* relative to the guildfile's folder, or NULL */
    char *dest;        /* relative to the run directory, or NULL for .guild/sourcecode */
    Value *digest;     /* false switches the digest off; NULL not given */
    GPtrArray *specs;  /* FileSelectSpec*, in order of application */
} FileSelectDef;

/* One entry of `requires`: a spec ("data", "model:data", "file:x", "operation:y") or an inline
 * resource. */
typedef struct OpDependencyDef {
    char *spec; /* or NULL */
    char *description;
    ResourceDef *inline_resource; /* or NULL */
} OpDependencyDef;

typedef struct OptimizerDef {
    char *name;
    char *opspec; /* `algorithm`, else the name */
    gboolean dflt;
    Value *flags; /* map */
} OptimizerDef;

/* `notebook: FILE` is main "guild.plugins.nbexec FILE", as in the reference; it can be defined, not run. */
#define OPDEF_NOTEBOOK_MAIN "guild.plugins.nbexec"

typedef struct OpDef {
    char *name;
    char *fullname;       /* "MODEL:NAME", or NAME in the anonymous model */
    ModelDef *modeldef;   /* borrowed: lives as long as the guildfile */
    Guildfile *guildfile; /* borrowed; opdef_ref() keeps it alive */
    OpRef *opref;         /* set by opdef_for_opspec() and for guildfiles on disk; else NULL */
    Value *data;          /* the operation's map after extends, params and includes */
    gboolean dflt;
    char *description;   /* never NULL, stripped */
    GPtrArray *flags;    /* FlagDef*, sorted by name; includes the imported ones */
    char *flags_dest;    /* "args", "globals", "global:N", "config:F", ... or NULL */
    Value *flags_import; /* NULL, true, or a list */
    Value *flags_import_skip;
    char *exec; /* a command line, NULL if not given; may be "" (which cannot run) */
    char *main; /* "module [args]", or NULL */
    /* Why it can't run: a setting of a wrong type, with its place. NULL: it can. The other
     * operations of the file are not concerned. */
    char *invalid;
    Value *steps; /* list, or NULL */
    Value *python_requires;
    char **python_path; /* or NULL */
    Value *env;         /* map; never NULL */
    Value *env_secrets;
    char **plugins;          /* NULL: not given (defaults apply); empty: none */
    GPtrArray *dependencies; /* OpDependencyDef* */
    gboolean stoppable;
    char *label;
    char **tags; /* never NULL */
    Value *compare;
    gboolean handle_keyboard_interrupt;
    char *flag_encoder;
    gint64 default_max_trials; /* 0: not given */
    Value *output_scalars;     /* NULL not given; empty list: disabled */
    Value *output_attrs;
    Value *objective;
    GPtrArray *optimizers; /* OptimizerDef*, sorted by name */
    FileSelectDef *sourcecode;
    gboolean default_flag_arg_skip;
    Value *pip_freeze; /* NULL not given */
    gboolean delete_on_success;
    gboolean can_stage_trials;
    Value *run_attrs; /* map or NULL */
    Value *request;   /* ours: what a trial asks of a machine, as written */
    Value *sync;      /* ours: what travels back from a remote run, as written */
} OpDef;

OpDef *opdef_ref(OpDef *op); /* keeps its guildfile alive */
void opdef_unref(OpDef *op);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(OpDef, opdef_unref)

FlagDef *opdef_flag(const OpDef *op, const char *name); /* or NULL */
OptimizerDef *opdef_optimizer(const OpDef *op, const char *name);
/* The only one, or the one marked `default`; or NULL. */
OptimizerDef *opdef_default_optimizer(const OpDef *op);
/* Defaults of all flags, name -> value (null where none). New map. */
Value *opdef_flag_values(const OpDef *op);
/* Adds flags found elsewhere (an array of FlagDef*): what guild.yml says wins. */
void opdef_merge_flags(OpDef *op, GPtrArray *imported);
/* Folders where the operation's Python modules are looked for, absolute, in order (reference
 * op_util.opdef_model_paths): python-path, else sourcecode root, else the guildfile's folder; then
 * those of packages that it extends. */
char **opdef_model_paths(const OpDef *op);
