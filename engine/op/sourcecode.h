/* SPDX-License-Identifier: Apache-2.0 */
/* Which files of a project are source code, and their copy into a run. A selection is a list of
 * rules; the last that applies to a file decides, as in the reference (guild/file_util.py,
 * op_util.sourcecode_select_for_opdef): the base rules are git's ignore rules in a git project,
 * else "text files up to 1 MiB, 100 at most", then `sourcecode` of the model and the operation. */
#pragma once

#include "engine/project/opdef.h"
#include "engine/run/run.h"

typedef enum { SELECT_ANY, SELECT_TEXT, SELECT_BINARY, SELECT_DIR } SelectType;

typedef struct SelectRule {
    gboolean include;
    char **patterns; /* fnmatch, against the base name unless the pattern has a '/' */
    SelectType type;
    char *sentinel;          /* a directory applies if it holds a match of this */
    gint64 size_lt;          /* bytes; 0: any */
    guint max_matches;       /* 0: any number */
    GHashTable *git_ignored; /* not NULL: everything but these applies, patterns are unused */
    guint matches;           /* how often it applied so far */
} SelectRule;

typedef struct SourceSelect {
    char *root;        /* absolute directory that paths are relative to */
    GPtrArray *rules;  /* SelectRule* */
    gboolean disabled; /* no file can be selected */
} SourceSelect;

/* Limits of the default rules (MAX_DEFAULT_SOURCECODE_COUNT in the environment). */
guint sourcecode_max_count(void);
#define SOURCECODE_EXCESS_COUNT "max matches"
#define SOURCECODE_EXCESS_SIZE "size"

/* What happens to each file on the way. `rel` is relative to the root. `excess` is not NULL if only
 * a safety limit of the default rules left the file out: SOURCECODE_EXCESS_*. skip may be NULL. */
typedef struct SourceHandler {
    gboolean (*copy)(const char *root, const char *rel, gpointer data, GError **error);
    void (*skip)(const char *root, const char *rel, const char *excess, gpointer data);
    gpointer data;
} SourceHandler;

SourceSelect *sourcecode_select_for_opdef(const OpDef *opdef);
void sourcecode_select_free(SourceSelect *select);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SourceSelect, sourcecode_select_free)
/* "include text * size < 1048577, max match 100", as --test-sourcecode shows it. */
char *sourcecode_rule_str(const SelectRule *rule);

/* Walks the root in the reference's order. `ignore` (NULL-terminated relative paths or NULL) are
 * never selected; `except_dir` (a path or NULL) is never entered. Folders behind links are, loops
 * aside. */
gboolean sourcecode_walk(SourceSelect *select, const char *const *ignore, const char *except_dir,
        const SourceHandler *handler, GError **error);

/* Copies what is selected to `dest_dir` below the run and notes each file in the run's manifest. */
gboolean sourcecode_copy(SourceSelect *select, Run *run, const char *dest_dir,
        const char *const *ignore, GError **error);
/* Copies the source code of `proto`, by its manifest, as trials and --proto do. */
gboolean sourcecode_copy_from_run(Run *proto, Run *run, GError **error);
/* Sets attribute `sourcecode_digest` from the manifest. */
gboolean sourcecode_write_digest(Run *run, GError **error);
