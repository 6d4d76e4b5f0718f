/* SPDX-License-Identifier: Apache-2.0 */
/* See index_scalars.h. The part is: how .guild looked, the stamp of all other folders and files
 * that it was made from, the map of logged attributes, the number of scalars, and for each its
 * prefix, its tag, and its numbers. */
#include "engine/run/index_scalars.h"

#include <string.h>

#include "engine/run/scalars.h"

/* --- reading from disk --- */

/* The path below the run's directory. */
static const char *below(const char *run_dir, const char *path)
{
    gsize n = strlen(run_dir);
    return path[n] == '/' ? path + n + 1 : ".";
}

static void stamp_path(const char *run_dir, const char *path, IndexStamp *stamp)
{
    struct stat st;
    if (stat(path, &st) == 0)
        index_stamp_add(stamp, below(run_dir, path), &st);
}

static void stamp_dirs(const char *run_dir, const GPtrArray *dirs, IndexStamp *stamp)
{
    for (guint i = 0; i < dirs->len; i++) {
        const char *name = below(run_dir, dirs->pdata[i]);
        /* .guild has a part of its own, and nobody logs among attributes. */
        if (strcmp(name, ".guild") != 0 && strcmp(name, ".guild/attrs") != 0)
            stamp_path(run_dir, dirs->pdata[i], stamp);
    }
}

static void stamp_event_files(const char *run_dir, const GPtrArray *sources, IndexStamp *stamp)
{
    for (guint i = 0; i < sources->len; i++) {
        const ScalarSource *source = sources->pdata[i];
        for (guint k = 0; k < source->files->len; k++) {
            g_autofree char *path = g_build_filename(source->dir, source->files->pdata[k], NULL);
            stamp_path(run_dir, path, stamp);
        }
    }
}

/* By prefix, then tag: the order in which the reference's index gives them. */
static int compare_scalars(gconstpointer a, gconstpointer b)
{
    const ScalarSummary *x = *(const ScalarSummary *const *)a;
    const ScalarSummary *y = *(const ScalarSummary *const *)b;
    int c = strcmp(x->prefix, y->prefix);
    return c ? c : strcmp(x->tag, y->tag);
}

static void put_scalar(GByteArray *out, const ScalarSummary *s)
{
    index_put_text(out, s->prefix);
    index_put_text(out, s->tag);
    index_put_f64(out, s->last_val);
    index_put_f64(out, s->first_val);
    index_put_f64(out, s->min_val);
    index_put_f64(out, s->max_val);
    index_put_f64(out, s->avg_val);
    index_put_f64(out, s->total);
    index_put_i64(out, s->last_step);
    index_put_i64(out, s->first_step);
    index_put_i64(out, s->min_step);
    index_put_i64(out, s->max_step);
    index_put_i64(out, s->count);
}

#define NUMBERS_BEHIND_LAST_VAL 10

static void get_numbers(IndexReader *r, ScalarSummary *s)
{
    s->last_val = index_get_f64(r);
    s->first_val = index_get_f64(r);
    s->min_val = index_get_f64(r);
    s->max_val = index_get_f64(r);
    s->avg_val = index_get_f64(r);
    s->total = index_get_f64(r);
    s->last_step = index_get_i64(r);
    s->first_step = index_get_i64(r);
    s->min_step = index_get_i64(r);
    s->max_step = index_get_i64(r);
    s->count = index_get_i64(r);
}

static void put_contents(GByteArray *out, const GPtrArray *sources)
{
    g_autoptr(Value) attrs = scalars_attrs_of(sources);
    g_autoptr(GPtrArray) sums = scalars_of(sources);
    g_ptr_array_sort(sums, compare_scalars);
    index_put_value(out, attrs);
    index_put_u32(out, sums->len);
    for (guint i = 0; i < sums->len; i++)
        put_scalar(out, sums->pdata[i]);
}

static void read_part(RunParts *p, const char *run_dir)
{
    FileStamp guild = run_parts_guild_stamp(p);
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) sources = scalars_sources(run_dir, dirs);
    IndexStamp stamp;
    index_stamp_init(&stamp);
    stamp_dirs(run_dir, dirs, &stamp);
    stamp_event_files(run_dir, sources, &stamp);
    GByteArray *bytes = g_byte_array_sized_new(256);
    index_put_file_stamp(bytes, &guild);
    index_put_stamp(bytes, &stamp);
    put_contents(bytes, sources);
    index_part_set(&p->parts[PART_SCALARS], bytes,
            file_stamp_settled(&guild) && file_stamp_settled(&stamp.newest));
    index_stamp_clear(&stamp);
}

/* --- looking at what is cached --- */

static gboolean looks_same(RunParts *p)
{
    FileStamp now = run_parts_guild_stamp(p);
    IndexReader r = index_part_reader(&p->parts[PART_SCALARS]);
    FileStamp then = index_get_file_stamp(&r);
    return file_stamp_equal(&now, &then) && index_check_stamp(&r, p->fd, p->dir);
}

void index_scalars_look(RunParts *p, const char *run_dir)
{
    IndexPart *part = &p->parts[PART_SCALARS];
    if (part->state != PART_UNSEEN)
        return;
    if (part->bytes && looks_same(p))
        part->state = PART_TRUE;
    else
        read_part(p, run_dir);
}

/* At the logged attributes. */
static IndexReader contents(RunParts *p, const char *run_dir)
{
    index_scalars_look(p, run_dir);
    IndexReader r = index_part_reader(&p->parts[PART_SCALARS]);
    index_get_file_stamp(&r);
    index_skip_stamp(&r);
    return r;
}

Value *index_scalars_attrs(RunParts *p, const char *run_dir)
{
    IndexReader r = contents(p, run_dir);
    g_autoptr(Value) attrs = index_get_value(&r);
    return !r.failed && value_is_map(attrs) ? g_steal_pointer(&attrs) : value_new_map();
}

Value *index_scalars_attr(RunParts *p, const char *run_dir, const char *name)
{
    IndexReader r = contents(p, run_dir);
    return index_get_map_item(&r, name);
}

Value *index_scalars_list(RunParts *p, const char *run_dir)
{
    IndexReader r = contents(p, run_dir);
    Value *list = value_new_list();
    index_skip_value(&r);
    for (guint32 n = index_get_u32(&r); n > 0 && !r.failed; n--) {
        g_autofree char *prefix = index_get_string(&r), *tag = index_get_string(&r);
        ScalarSummary s = {.prefix = prefix, .tag = tag};
        get_numbers(&r, &s);
        if (!r.failed)
            value_list_append(list, scalar_summary_value(&s));
    }
    return list;
}

static gboolean is_text(const char *text, gsize len, const char *wanted, gsize wanted_len)
{
    return text && len == wanted_len && memcmp(text, wanted, len) == 0;
}

Value *index_scalars_last(RunParts *p, const char *run_dir, const char *key)
{
    IndexReader r = contents(p, run_dir);
    const char *hash = strchr(key, '#');
    const char *tag = hash ? hash + 1 : key;
    gsize prefix_len = hash ? (gsize)(hash - key) : 0, tag_len = strlen(tag);
    index_skip_value(&r);
    for (guint32 n = index_get_u32(&r); n > 0 && !r.failed; n--) {
        gsize len;
        const char *text = index_get_text(&r, &len);
        gboolean same = prefix_len == 0 || is_text(text, len, key, prefix_len);
        text = index_get_text(&r, &len);
        same = is_text(text, len, tag, tag_len) && same;
        double last = index_get_f64(&r);
        index_skip(&r, NUMBERS_BEHIND_LAST_VAL * sizeof(gint64));
        if (same && !r.failed)
            return value_new_float(last);
    }
    return NULL;
}
