/* SPDX-License-Identifier: Apache-2.0 */
/* guild.yml, loaded: models with operations and resources, `extends`, `include`, `params` and
 * `$include` applied, flags of Python modules imported. Format 1 of the reference
 * (guild/guildfile.py); words of the errors are its words, with the line where there is one:
 *     error in PATH:LINE: invalid flags value 1: expected a mapping
 * Nothing in a guildfile makes loading crash or run code, except the import of argparse and click
 * flags (see pyflags.h). */
#pragma once

#include "engine/project/opdef.h"

#define GUILDFILE_NAME "guild.yml"

struct ModelDef {
    char *name; /* "" for the anonymous model */
    Guildfile *guildfile;
    gboolean dflt;
    char *description;
    Value *references;
    GPtrArray *operations; /* OpDef*, sorted by name */
    GPtrArray *resources;  /* ResourceDef*, sorted by name */
    char **plugins;        /* NULL: not given */
    Value *extra;          /* map */
    FileSelectDef *sourcecode;
    Value *python_requires;
    GPtrArray *parents; /* Guildfile* of packages that it extends; borrowed from `guildfile` */
};

struct Guildfile {
    char *src;           /* absolute path of the file; NULL if generated (a script, a built-in) */
    char *dir;           /* absolute folder; NULL for a built-in */
    GPtrArray *models;   /* ModelDef*, in the file's order */
    Value *package;      /* map of the `package` item, or NULL */
    Value *data;         /* list of items, coerced; for $include and extends */
    GPtrArray *included; /* char*: paths of the files that it includes, and that those do */
    gint refs;
};

#define GUILDFILE_ERROR guildfile_error_quark()
GQuark guildfile_error_quark(void);
typedef enum {
    GUILDFILE_ERROR_INVALID,   /* syntax or meaning; message "error in PATH: ..." */
    GUILDFILE_ERROR_NO_MODELS, /* no guild.yml in the folder; message "no models in PATH" */
    GUILDFILE_ERROR_IO,        /* unreadable */
} GuildfileError;

/* A file, or a folder that has a guild.yml. Relative to the process's cwd. Cached per process by
 * real path. */
Guildfile *guildfile_load(const char *dir_or_file, GError **error);
/* The same without importing flags of Python modules: for readers that need only names. Not cached.
 */
Guildfile *guildfile_load_plain(const char *dir_or_file, GError **error);
/* From data (as parsed YAML). src NULL if generated; dir NULL for a built-in. No flags import. */
Guildfile *guildfile_for_data(const Value *data, const char *src, const char *dir, GError **error);
Guildfile *guildfile_ref(Guildfile *g);
void guildfile_unref(Guildfile *g);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Guildfile, guildfile_unref)

gboolean guildfile_is_dir(const char *dir); /* has it a guild.yml? */
ModelDef *guildfile_model(const Guildfile *g, const char *name);
/* The only model, or the one marked `default`; or NULL. */
ModelDef *guildfile_default_model(const Guildfile *g);
OpDef *guildfile_default_operation(const Guildfile *g);
OpDef *modeldef_operation(const ModelDef *m, const char *name);
/* Marked `default`, or the only one whose name has no leading underscore; or NULL. */
OpDef *modeldef_default_operation(const ModelDef *m);
ResourceDef *modeldef_resource(const ModelDef *m, const char *name);
