/* SPDX-License-Identifier: Apache-2.0 */
/* Scalars of a run: finds the folders with event files, reads them, sums up by tag. */
#include "engine/run/scalars.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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
    g_free(s->digest);
    g_free(s);
}

/* Finding sources */

static int compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* MD5 over "NAME\nSIZE" of the folder's event files. */
static char *files_digest(int dir_fd, const char *dir, GPtrArray *names)
{
    g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_MD5);
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        struct stat st;
        if (fstatat(dir_fd, names->pdata[i], &st, 0) || !S_ISREG(st.st_mode))
            continue;
        g_autofree char *line = g_strdup_printf("%s/%s\n%lld\n", dir, (char *)names->pdata[i],
                (long long)st.st_size);
        g_checksum_update(sum, (const guchar *)line, -1);
    }
    return g_strdup(g_checksum_get_string(sum));
}

typedef struct Walk {
    GPtrArray *sources;
    GPtrArray *dirs;  /* all folders that were looked into, or NULL */
    GHashTable *seen; /* folders entered through links, "DEV:INO": links may make circles */
} Walk;

/* TRUE for an entry that is a folder to enter: a real one, or a link to a run. */
static gboolean is_walkable(Walk *w, int dir_fd, const struct dirent *e)
{
    struct stat st;
    unsigned char type = e->d_type;
    if (type == DT_UNKNOWN) {
        if (fstatat(dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            return FALSE;
        type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISLNK(st.st_mode) ? DT_LNK : DT_REG;
    }
    if (type == DT_DIR)
        return TRUE;
    if (type != DT_LNK || fstatat(dir_fd, e->d_name, &st, 0) || !S_ISDIR(st.st_mode))
        return FALSE;
    g_autofree char *opref = g_strconcat(e->d_name, "/.guild/opref", NULL);
    if (faccessat(dir_fd, opref, F_OK, 0))
        return FALSE;
    return g_hash_table_add(w->seen, g_strdup_printf("%llu:%llu", (unsigned long long)st.st_dev,
            (unsigned long long)st.st_ino));
}

static void walk_dir(Walk *w, int parent_fd, const char *name, const char *dir, const char *prefix,
        guint depth)
{
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            close(fd);
        return;
    }
    if (w->dirs)
        g_ptr_array_add(w->dirs, g_strdup(dir));
    g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    for (struct dirent *e; (e = readdir(d));) {
        if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
            continue;
        if (is_walkable(w, fd, e))
            g_ptr_array_add(dirs, g_strdup(e->d_name));
        else if (strstr(e->d_name, EVENT_MARK))
            g_ptr_array_add(events, g_strdup(e->d_name));
    }
    if (events->len) {
        ScalarSource *s = g_new0(ScalarSource, 1);
        s->dir = g_strdup(dir);
        s->prefix = g_strdup(prefix);
        s->digest = files_digest(fd, dir, events);
        g_ptr_array_add(w->sources, s);
    }
    g_ptr_array_sort(dirs, compare_names);
    for (guint i = 0; depth < MAX_DEPTH && i < dirs->len; i++) {
        const char *sub = dirs->pdata[i];
        g_autofree char *sub_dir = g_build_filename(dir, sub, NULL);
        g_autofree char *sub_prefix = *prefix ? g_strconcat(prefix, "/", sub, NULL) : g_strdup(sub);
        walk_dir(w, fd, sub, sub_dir, sub_prefix, depth + 1);
    }
    closedir(d);
}

GPtrArray *scalars_sources(const char *run_dir)
{
    return scalars_walk(run_dir, NULL);
}

GPtrArray *scalars_walk(const char *run_dir, GPtrArray *dirs)
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

/* The paths of a folder's event files that are (or are not) ".attrs", sorted. */
static GPtrArray *event_files(const char *dir, gboolean attrs)
{
    GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GDir) d = g_dir_open(dir, 0, NULL);
    for (const char *name; d && (name = g_dir_read_name(d));)
        if (strstr(name, EVENT_MARK) && g_str_has_suffix(name, ATTRS_SUFFIX) == attrs)
            g_ptr_array_add(paths, g_build_filename(dir, name, NULL));
    g_ptr_array_sort(paths, compare_names);
    return paths;
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

static void read_into(GPtrArray *list, const ScalarSource *source)
{
    Sums sums = { source->prefix, list, g_hash_table_new(g_str_hash, g_str_equal) };
    g_autoptr(GPtrArray) paths = event_files(source->dir, FALSE);
    for (guint i = 0; i < paths->len; i++)
        tfevents_read_file(paths->pdata[i], on_scalar, &sums);
    g_hash_table_unref(sums.by_tag);
}

static GPtrArray *summary_array(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)scalar_summary_free);
}

GPtrArray *scalars_read_source(const ScalarSource *source)
{
    GPtrArray *list = summary_array();
    read_into(list, source);
    return list;
}

GPtrArray *scalars_read(const char *run_dir)
{
    GPtrArray *list = summary_array();
    g_autoptr(GPtrArray) sources = scalars_sources(run_dir);
    for (guint i = 0; i < sources->len; i++)
        read_into(list, sources->pdata[i]);
    return list;
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
        { "first_val", "first_step", s->first_val, s->first_step },
        { "last_val", "last_step", s->last_val, s->last_step },
        { "min_val", "min_step", s->min_val, s->min_step },
        { "max_val", "max_step", s->max_val, s->max_step },
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

Value *scalars_read_value(const char *run_dir)
{
    Value *list = value_new_list();
    g_autoptr(GPtrArray) sums = scalars_read(run_dir);
    for (guint i = 0; i < sums->len; i++)
        value_list_append(list, scalar_summary_value(sums->pdata[i]));
    return list;
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

Value *scalars_read_attrs(const char *run_dir)
{
    Value *map = value_new_map();
    g_autoptr(GPtrArray) sources = scalars_sources(run_dir);
    for (guint i = 0; i < sources->len; i++) {
        const ScalarSource *source = sources->pdata[i];
        g_autoptr(GPtrArray) paths = event_files(source->dir, TRUE);
        for (guint k = 0; k < paths->len; k++)
            tfevents_read_file(paths->pdata[k], on_text, &(Texts){ source->prefix, map });
    }
    return map;
}

Value *scalar_summary_column(const ScalarSummary *s, const char *qualifier, gboolean step)
{
    const struct {
        const char *name;
        double val;
        gint64 step;
    } columns[] = {
        { "last", s->last_val, s->last_step },
        { "first", s->first_val, s->first_step },
        { "min", s->min_val, s->min_step },
        { "max", s->max_val, s->max_step },
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

char *scalar_key(const char *prefix, const char *tag)
{
    if (!prefix || !*prefix || !strcmp(prefix, ".guild"))
        return g_strdup(tag);
    return g_strconcat(prefix, "#", tag, NULL);
}
