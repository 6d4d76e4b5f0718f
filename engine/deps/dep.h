/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation requires: a resource definition, where its relative names start, and what the
 * user's flags say about it. A Dep is made from an operation's `requires` when a run is planned, is
 * kept as data in the run's attribute `op` under `deps`, and is made again from that data when the
 * run is started elsewhere or later. The data is the reference's (guild/op_util.py,
 * op_deps_as_data): the resource's own mapping with `name`, `location` and `config` added. */
#pragma once

#include "engine/base/value.h"
#include "engine/project/opdef.h"
#include "engine/project/resdef.h"
#include "engine/run/run.h"
#include "engine/run/store.h"

typedef struct Dep {
    ResourceDef *resdef; /* belongs to `keeper`, or to the Dep if that is NULL */
    OpDef *keeper;       /* a reference to the operation that defines the resource */
    char *location;      /* folder that relative `file` names start at */
    char **parents; /* further folders to look in (guildfiles that the model extends); may be NULL.
                     * As in the reference these are not part of the data */
    Value *config;  /* map of flag name to value for the names in dep_flag_names(); may be NULL */
} Dep;

#define DEP_ERROR dep_error_quark()
GQuark dep_error_quark(void);
typedef enum {
    DEP_ERROR_UNDEFINED,  /* a name in `requires` that no resource has, a broken reference */
    DEP_ERROR_UNRESOLVED, /* a source could not be brought in; the message says which and why */
    DEP_ERROR_CONFLICT,   /* a flag does not fit the configuration file it is put into */
    DEP_ERROR_REFUSED,    /* it would have been written outside of the run directory */
} DepError;

void dep_free(Dep *dep);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Dep, dep_free)

/* What `opdef` requires, with `${flag}` references in resource names resolved from `flag_vals` (a
 * map) and the flags that name sources kept as config. Array of Dep* with free function; NULL with
 * DEP_ERROR_UNDEFINED. */
GPtrArray *deps_for_opdef(OpDef *opdef, const Value *flag_vals, GError **error);

/* `--dep PATH` of the run command: links a file or folder into the run. A relative path starts at
 * the current folder when the run starts (location "."), as the reference has it. */
Dep *dep_for_path(const char *path, GError **error);

/* To and from the list under `deps` in attribute `op`. Errors name the entry. NULL data gives an
 * empty array. */
Value *deps_as_data(const GPtrArray *deps);
GPtrArray *deps_for_data(const Value *data, GError **error);

/* Names of flags that set a source: its `flag-name`, else its `name`, else its uri and the uri
 * without the scheme ("operation:prepare", "prepare"). Newly allocated strv. */
char **dep_source_flag_names(const ResSource *source);
/* The same of all sources of a resource, in their order. */
char **dep_flag_names(const ResourceDef *resdef);

/* The resource that one entry of an operation's `requires` stands for; belongs to the operation.
 * `location` (may be NULL) gets the folder that its names start at, newly allocated.
 * dep_flag_names() of it tells which flags an operation accepts beside its own. */
ResourceDef *dep_resource_def(const OpDef *opdef, const OpDependencyDef *depdef,
        const Value *flag_vals, char **location, GError **error);

/* An upstream run that a source would be resolved with now. */
typedef struct DepRun {
    Run *run;
    ResSource *source; /* belongs to `opdef` */
} DepRun;

/* The default values of dependency flags: for each operation source of `opdef`, the run that the
 * user's flags name or else the marked or latest one (staged runs count). A required source without
 * one is warned about. Array of DepRun* (with free function), empty where there is nothing. As
 * op_dep.resolved_op_runs_for_opdef. Never fails. */
GPtrArray *deps_default_runs(OpDef *opdef, const Value *flag_vals, RunStore *store);
