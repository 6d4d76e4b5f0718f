/* SPDX-License-Identifier: Apache-2.0 */
/* Resources (named or inline `requires`) as data: what is needed, from where, and how it is laid
 * into a run. Resolving them is engine/deps. Format: the reference's guild/resourcedef.py and
 * guild/guildfile.py ResourceDef. */
#pragma once

#include "engine/base/value.h"

typedef enum { SELECT_ALL, SELECT_MIN, SELECT_MAX } SelectReduce;

typedef struct ResSelect {
    char *pattern; /* regular expression, Python syntax */
    SelectReduce
            reduce; /* select-min / select-max keep the match with the least / greatest group 1 */
} ResSelect;

typedef struct ResRename {
    char *pattern;
    char *repl;
} ResRename;

typedef struct ResSource {
    char *uri;    /* "file:data.csv", "https://...", "operation:prepare", "module:numpy",
                     "config:c.yml" */
    char *scheme; /* "file", "http", "https", "operation", "module", "config", ... lower case */
    char *path;   /* what follows "file:", "operation:", "module:", "config:"; a url's path */
    char *name;
    char *flag_name;
    gboolean no_flag; /* `flag-name: no`: an operation source that no flag stands for */
    char *sha256;
    gboolean unpack;
    char *type;        /* archive type, or NULL to go by name */
    GPtrArray *select; /* ResSelect* */
    gboolean optional;
    gboolean warn_if_empty;
    gboolean fail_if_empty;
    GPtrArray *rename;   /* ResRename* or NULL */
    Value *post_process; /* or NULL */
    char *target_path;
    char *target_type;    /* "link", "copy" or NULL */
    int replace_existing; /* -1 not given */
    int always_resolve;   /* -1 not given */
    gboolean preserve_path;
    Value *params; /* map or NULL */
    char *help;
} ResSource;

typedef struct ResourceDef {
    char *name;     /* or NULL for an inline one without a name */
    char *fullname; /* "MODEL:NAME" */
    Value *data;    /* the map it was made of, as the `deps` of attribute `op` keep it */
    char *description;
    gboolean preserve_path;
    char *target_type;
    gboolean default_unpack;
    gboolean is_private;
    Value *references;
    GPtrArray *sources; /* ResSource* */
    char *target_path;
} ResourceDef;

/* data: map, or list of sources. model_name "" for the anonymous model. name may be NULL.
 * Errors are worded as the reference's, without "error in PATH". Unknown source attributes are
 * logged as warnings. */
ResourceDef *resdef_new(
        const char *name, const Value *data, const char *model_name, GError **error);
void resdef_free(ResourceDef *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ResourceDef, resdef_free)

/* name, else its sources' names joined with ",", else "resource". Newly allocated. */
char *resdef_resolving_name(const ResourceDef *r);
/* name, else flag_name, else uri. Borrowed. */
const char *ressource_resolving_name(const ResSource *s);
gboolean ressource_is_operation(const ResSource *s);
/* Path in the project of a file or config source; NULL for others. Borrowed. */
const char *ressource_project_local_path(const ResSource *s);

#define RESDEF_ERROR resdef_error_quark()
GQuark resdef_error_quark(void);
typedef enum { RESDEF_ERROR_FORMAT, RESDEF_ERROR_VALUE } ResdefError;
