/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars of a run: finds the folders with event files, reads them, sums up by tag. */
#include "engine/run/scalars.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/run/tfevents.h"

#define EVENT_MARK ".tfevents."
#define ATTRS_SUFFIX ".attrs"
#define TEXT_TAG_SUFFIX "/text_summary"
#define MAX_DEPTH 64

void scalar_summary_free(ScalarSummary *s)
{
    if (!s)
        return;
    g_free(s->prefix);
    g_free(s->tag);
    g_free(s);
}

void scalar_source_free(ScalarSource *s)
{
    if (!s)
        return;
    g_free(s->dir);
    g_free(s->prefix);
    g_ptr_array_unref(s->files);
    g_free(s);
}

/* Finding sources */

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

typedef struct Walk {
    GPtrArray *sources;
    GPtrArray *dirs;  /* all folders that were looked into, or NULL */
    GHashTable *seen; /* folders entered through links, "DEV:INO": links may make circles */
} Walk;

/* TRUE for an entry that is a folder to enter: a real one, or a link to a run. */
static gboolean is_walkable(Walk *w, int dir_fd, const char *name, unsigned char type)
{
    struct stat st;
    if (type == DT_UNKNOWN) {
        if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW))
            return FALSE;
        type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
    }
    if (type == DT_DIR)
        return TRUE;
    if (type != DT_LNK || fstatat(dir_fd, name, &st, 0) || !S_ISDIR(st.st_mode))
        return FALSE;
    g_autofree char *opref = g_strconcat(name, "/.guild/opref", NULL);
    if (faccessat(dir_fd, opref, F_OK, 0))
        return FALSE;
    return g_hash_table_add(w->seen, g_strdup_printf("%llu:%llu", (unsigned long long)st.st_dev,
                                             (unsigned long long)st.st_ino));
}

/* What is in one folder. */
typedef struct Folder {
    Walk *walk;
    int fd;
    const char *skip;
    GPtrArray *events, *dirs; /* names; NULL until there is one */
} Folder;

static void add_name(GPtrArray **names, const char *name)
{
    if (!*names)
        *names = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(*names, g_strdup(name));
}

static void look_at_entry(const char *name, unsigned char type, gpointer data)
{
    Folder *folder = data;
    if (!strcmp(name, folder->skip))
        return;
    if (is_walkable(folder->walk, folder->fd, name, type))
        add_name(&folder->dirs, name);
    else if (strstr(name, EVENT_MARK))
        add_name(&folder->events, name);
}

static void walk_dir(
        Walk *w, int parent_fd, const char *name, const char *dir, const char *prefix, guint depth)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (w->dirs)
        g_ptr_array_add(w->dirs, g_strdup(dir));
    /* A run's own attributes are no place for events, and there are many runs. */
    Folder folder = {w, fd, g_str_has_suffix(dir, "/.guild") ? "attrs" : "", NULL, NULL};
    fs_each_entry(fd, look_at_entry, &folder);
    if (folder.events) {
        ScalarSource *s = g_new0(ScalarSource, 1);
        s->dir = g_strdup(dir);
        s->prefix = g_strdup(prefix);
        s->files = folder.events;
        g_ptr_array_sort(s->files, compare_names);
        g_ptr_array_add(w->sources, s);
    }
    if (folder.dirs)
        g_ptr_array_sort(folder.dirs, compare_names);
    for (guint i = 0; depth < MAX_DEPTH && folder.dirs && i < folder.dirs->len; i++) {
        const char *sub = folder.dirs->pdata[i];
        g_autofree char *sub_dir = g_build_filename(dir, sub, NULL);
        g_autofree char *sub_prefix = *prefix ? g_strconcat(prefix, "/", sub, NULL) : g_strdup(sub);
        walk_dir(w, fd, sub, sub_dir, sub_prefix, depth + 1);
    }
    if (folder.dirs)
        g_ptr_array_unref(folder.dirs);
    close(fd);
}

GPtrArray *scalars_sources(const char *run_dir, GPtrArray *dirs)
{
    Walk w = {
            .dirs = dirs,
            .sources = g_ptr_array_new_with_free_func((GDestroyNotify)scalar_source_free),
            .seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
    };
    walk_dir(&w, AT_FDCWD, run_dir, run_dir, "", 0);
    g_hash_table_unref(w.seen);
    return w.sources;
}

/* Reading sources */

/* Calls fn for what is in the source's files that are (or are not) ".attrs". */
static void read_files(const ScalarSource *source, gboolean attrs, TfEventFn fn, gpointer data)
{
    for (guint i = 0; i < source->files->len; i++) {
        const char *name = source->files->pdata[i];
        g_autofree char *path = g_build_filename(source->dir, name, NULL);
        if (g_str_has_suffix(name, ATTRS_SUFFIX) == attrs)
            tfevents_read_file(path, fn, data);
    }
}

typedef struct Sums {
    const char *prefix;
    GPtrArray *list;
    GHashTable *by_tag; /* tag -> ScalarSummary*, both of the list */
} Sums;

static void add_value(ScalarSummary *s, double val, gint64 step)
{
    if (!s->count || step < s->first_step) {
        s->first_val = val;
        s->first_step = step;
    }
    if (!s->count || step >= s->last_step) {
        s->last_val = val;
        s->last_step = step;
    }
    if (!s->count || val < s->min_val) {
        s->min_val = val;
        s->min_step = step;
    }
    if (!s->count || val > s->max_val) {
        s->max_val = val;
        s->max_step = step;
    }
    s->total += val;
    s->count++;
    s->avg_val = s->total / (double)s->count;
}

static void on_scalar(const TfEvent *e, gpointer data)
{
    Sums *sums = data;
    if (e->text)
        return;
    ScalarSummary *s = g_hash_table_lookup(sums->by_tag, e->tag);
    if (!s) {
        s = g_new0(ScalarSummary, 1);
        s->prefix = g_strdup(sums->prefix);
        s->tag = g_strdup(e->tag);
        g_ptr_array_add(sums->list, s);
        g_hash_table_insert(sums->by_tag, s->tag, s);
    }
    add_value(s, e->value, e->step);
}

GPtrArray *scalars_of(const GPtrArray *sources)
{
    GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify)scalar_summary_free);
    for (guint i = 0; i < sources->len; i++) {
        const ScalarSource *source = sources->pdata[i];
        Sums sums = {source->prefix, list, g_hash_table_new(g_str_hash, g_str_equal)};
        read_files(source, FALSE, on_scalar, &sums);
        g_hash_table_unref(sums.by_tag);
    }
    return list;
}

GPtrArray *scalars_read(const char *run_dir)
{
    g_autoptr(GPtrArray) sources = scalars_sources(run_dir, NULL);
    return scalars_of(sources);
}

Value *scalar_summary_value(const ScalarSummary *s)
{
    Value *m = value_new_map();
    value_map_set_string(m, "prefix", s->prefix);
    value_map_set_string(m, "tag", s->tag);
    const struct {
        const char *val_key, *step_key;
        double val;
        gint64 step;
    } pairs[] = {
            {"first_val", "first_step", s->first_val, s->first_step},
            {"last_val", "last_step", s->last_val, s->last_step},
            {"min_val", "min_step", s->min_val, s->min_step},
            {"max_val", "max_step", s->max_val, s->max_step},
    };
    for (guint i = 0; i < G_N_ELEMENTS(pairs); i++) {
        value_map_set(m, pairs[i].val_key, value_new_float(pairs[i].val));
        value_map_set_int(m, pairs[i].step_key, pairs[i].step);
    }
    value_map_set(m, "avg_val", value_new_float(s->avg_val));
    value_map_set(m, "total", value_new_float(s->total));
    value_map_set_int(m, "count", s->count);
    return m;
}

typedef struct Texts {
    const char *prefix;
    Value *map;
} Texts;

static void on_text(const TfEvent *e, gpointer data)
{
    Texts *texts = data;
    if (!e->text)
        return;
    gsize len = strlen(e->tag);
    if (g_str_has_suffix(e->tag, TEXT_TAG_SUFFIX))
        len -= strlen(TEXT_TAG_SUFFIX);
    g_autofree char *tag = g_strndup(e->tag, len);
    g_autofree char *key = scalar_key(texts->prefix, tag);
    value_map_set_string(texts->map, key, e->text);
}

Value *scalars_attrs_of(const GPtrArray *sources)
{
    Value *map = value_new_map();
    for (guint i = 0; i < sources->len; i++) {
        const ScalarSource *source = sources->pdata[i];
        read_files(source, TRUE, on_text, &(Texts){source->prefix, map});
    }
    return map;
}

Value *scalars_read_attrs(const char *run_dir)
{
    g_autoptr(GPtrArray) sources = scalars_sources(run_dir, NULL);
    return scalars_attrs_of(sources);
}

Value *scalar_summary_column(const ScalarSummary *s, const char *qualifier, gboolean step)
{
    const struct {
        const char *name;
        double val;
        gint64 step;
    } columns[] = {
            {"last", s->last_val, s->last_step},
            {"first", s->first_val, s->first_step},
            {"min", s->min_val, s->min_step},
            {"max", s->max_val, s->max_step},
    };
    if (!qualifier)
        qualifier = "last";
    for (guint i = 0; i < G_N_ELEMENTS(columns); i++)
        if (!strcmp(qualifier, columns[i].name))
            return step ? value_new_int(columns[i].step) : value_new_float(columns[i].val);
    if (step)
        return NULL;
    if (!strcmp(qualifier, "avg"))
        return value_new_float(s->avg_val);
    if (!strcmp(qualifier, "total"))
        return value_new_float(s->total);
    return strcmp(qualifier, "count") ? NULL : value_new_int(s->count);
}

const ScalarSummary *scalars_find(const GPtrArray *summaries, const char *prefix, const char *tag)
{
    for (guint i = 0; i < summaries->len; i++) {
        const ScalarSummary *s = summaries->pdata[i];
        if (strcmp(s->tag, tag) == 0 && (!prefix || g_str_has_prefix(s->prefix, prefix)))
            return s;
    }
    return NULL;
}

char *scalar_key(const char *prefix, const char *tag)
{
    if (!prefix || !*prefix || !strcmp(prefix, ".guild"))
        return g_strdup(tag);
    return g_strconcat(prefix, "#", tag, NULL);
}
