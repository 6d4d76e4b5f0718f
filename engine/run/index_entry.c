/* SPDX-License-Identifier: Apache-2.0 */
/* See index_entry.h. An entry of a run is: stamp, timestamp, presence, the five parts of the opref,
 * names of attributes that must be read from disk, known attributes each with its length (so that
 * one can be taken without decoding the others). An entry of scalars is: stamp, map of logged
 * attributes, list of scalars. */
#include "engine/run/index_entry.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/yaml.h"
#include "engine/run/index_stamp.h"
#include "engine/run/scalars.h"

/* Attributes that listings and filters read of many runs. */
static const char *const known_attrs[] = {"comments", "exit_status", "flags", "label", "marked",
        "opdef_attrs", "started", "stopped", "tags", NULL};

#define MAX_ATTR_BYTES 65536
#define MAX_INT_DIGITS 18

/* --- reading --- */

/* The text of a small file, newly allocated and terminated; its stat data goes into the stamp. NULL
 * if it can't be read or is larger. */
static char *read_stamped(int guild_fd, const char *name, IndexStamp *stamp, gsize *len)
{
    struct stat st;
    int fd = openat(guild_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        g_autofree char *stamp_name = g_strconcat(".guild/", name, NULL);
        index_stamp_add(stamp, stamp_name, &st);
        gsize size = (gsize)MIN(st.st_size, MAX_ATTR_BYTES);
        text = g_malloc(size + 2);
        ssize_t n = read(fd, text, size + 1);
        if (n < 0 || n > MAX_ATTR_BYTES)
            g_clear_pointer(&text, g_free);
        else
            text[ *len = (gsize)n] = '\0';
    }
    close(fd);
    return text;
}

/* Most attributes are a time, which needs no YAML parser. */
static Value *parse_attr(const char *text, gsize len)
{
    gsize digits = strspn(text, "0123456789");
    if (digits > 0 && digits <= MAX_INT_DIGITS && text[0] != '0' && digits + 1 == len &&
            text[digits] == '\n')
        return value_new_int(g_ascii_strtoll(text, NULL, 10));
    return yaml_parse(text, (gssize)len, NULL, NULL);
}

static DIR *open_dir_stamped(int parent_fd, const char *path, const char *name, IndexStamp *stamp)
{
    struct stat st;
    int fd = openat(parent_fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    index_stamp_add(stamp, name, &st);
    return fdopendir(fd);
}

/* What is read of a run. */
typedef struct {
    guint present;
    Value *attrs;      /* map of known attributes */
    GPtrArray *unread; /* names of others */
} RunData;

static void read_attrs(int guild_fd, RunData *run, IndexStamp *stamp)
{
    DIR *dir = open_dir_stamped(guild_fd, "attrs", ".guild/attrs", stamp);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        Value *v = NULL;
        if (g_strv_contains(known_attrs, e->d_name)) {
            char name[NAME_MAX + sizeof("attrs/")];
            gsize len;
            g_snprintf(name, sizeof(name), "attrs/%s", e->d_name);
            g_autofree char *text = read_stamped(guild_fd, name, stamp, &len);
            v = text ? parse_attr(text, len) : NULL;
        }
        if (v)
            value_map_set(run->attrs, e->d_name, v);
        else
            g_ptr_array_add(run->unread, g_strdup(e->d_name));
    }
    if (dir)
        closedir(dir);
}

/* The timestamp of a run that was never started is the time when it was made. */
static gint64 timestamp_us(int guild_fd, const RunData *run, IndexStamp *stamp)
{
    gint64 started = value_map_int(run->attrs, "started", 0);
    gsize len;
    if (started)
        return started;
    g_autofree char *text = read_stamped(guild_fd, "attrs/initialized", stamp, &len);
    g_autoptr(Value) v = text ? parse_attr(text, len) : NULL;
    return v && value_kind(v) == VALUE_INT ? value_get_int(v) : 0;
}

/* Wraps up what was read: stamp first, then `payload` (taken over). */
static void seal(IndexEntry *entry, IndexStamp *stamp, GByteArray *payload)
{
    GByteArray *bytes = g_byte_array_new();
    index_put_stamp(bytes, stamp);
    entry->payload = bytes->len;
    entry->keep = index_stamp_settled(stamp);
    g_byte_array_append(bytes, payload->data, payload->len);
    g_byte_array_unref(payload);
    entry->bytes = g_byte_array_free_to_bytes(bytes);
}

static void put_opref(GByteArray *out, const OpRef *ref)
{
    index_put_text(out, ref->pkg_type);
    index_put_text(out, ref->pkg_name);
    index_put_text(out, ref->pkg_version);
    index_put_text(out, ref->model_name);
    index_put_text(out, ref->op_name);
}

static char *get_string(IndexReader *r)
{
    gsize len;
    const char *text = index_get_text(r, &len);
    return g_strndup(text ? text : "", len);
}

static OpRef *get_opref(IndexReader *r)
{
    OpRef *ref = g_new(OpRef, 1);
    ref->pkg_type = get_string(r);
    ref->pkg_name = get_string(r);
    ref->pkg_version = get_string(r);
    ref->model_name = get_string(r);
    ref->op_name = get_string(r);
    return ref;
}

void index_entry_clear(IndexEntry *entry)
{
    g_clear_pointer(&entry->bytes, g_bytes_unref);
}

static void put_attrs(GByteArray *out, const RunData *run)
{
    index_put_u32(out, run->unread->len);
    for (guint i = 0; i < run->unread->len; i++)
        index_put_text(out, run->unread->pdata[i]);
    index_put_u32(out, (guint32)value_map_size(run->attrs));
    for (gsize i = 0; i < value_map_size(run->attrs); i++) {
        g_autoptr(GByteArray) value = g_byte_array_new();
        index_put_value(value, value_map_at(run->attrs, i));
        index_put_text(out, value_map_key_at(run->attrs, i));
        index_put_u32(out, value->len);
        g_byte_array_append(out, value->data, value->len);
    }
}

static gboolean is_attrs_file(const char *name)
{
    return strstr(name, ".tfevents.") && g_str_has_suffix(name, ".attrs");
}

/* Not stamped: writing it anew goes with other changes in .guild. */
static OpRef *read_opref(int guild_fd)
{
    IndexStamp unused;
    gsize len;
    index_stamp_init(&unused);
    g_autofree char *text = read_stamped(guild_fd, "opref", &unused, &len);
    index_stamp_clear(&unused);
    return text ? opref_parse(text, NULL) : NULL;
}

void index_entry_read(IndexEntry *entry, Run *run)
{
    RunData data = {0, value_new_map(), g_ptr_array_new_with_free_func(g_free)};
    IndexStamp stamp;
    index_stamp_init(&stamp);
    g_autofree char *guild_dir = run_guild_path(run, NULL);
    g_autoptr(OpRef) opref = NULL;
    *entry = (IndexEntry){0};
    DIR *dir = open_dir_stamped(AT_FDCWD, guild_dir, ".guild", &stamp);
    for (struct dirent *e; dir && (e = readdir(dir));)
        data.present |=
                run_presence_of(e->d_name) | (is_attrs_file(e->d_name) ? RUN_HAS_LOGGED_ATTRS : 0);
    if (dir) {
        read_attrs(dirfd(dir), &data, &stamp);
        entry->timestamp_us = timestamp_us(dirfd(dir), &data, &stamp);
        opref = read_opref(dirfd(dir));
        closedir(dir);
    }
    if (opref) {
        GByteArray *payload = g_byte_array_new();
        index_put_i64(payload, entry->timestamp_us);
        index_put_u32(payload, data.present);
        put_opref(payload, opref);
        put_attrs(payload, &data);
        seal(entry, &stamp, payload);
    }
    index_stamp_clear(&stamp);
    value_unref(data.attrs);
    g_ptr_array_unref(data.unread);
}

/* --- restoring --- */

static IndexReader reader_at(const IndexEntry *entry, gsize from)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(entry->bytes, &size);
    return (IndexReader){data + from, data + size, FALSE};
}

static gboolean check(IndexEntry *entry, IndexReader *r, Run *run, int root_fd)
{
    const char *name = strrchr(run_dir(run), '/');
    *r = reader_at(entry, 0);
    const guint8 *begin = r->at;
    if (!name || !index_check_stamp(r, root_fd, name + 1))
        return FALSE;
    entry->payload = (gsize)(r->at - begin);
    entry->keep = FALSE;
    return TRUE;
}

gboolean index_entry_check(IndexEntry *entry, Run *run, int root_fd)
{
    IndexReader r;
    if (!check(entry, &r, run, root_fd))
        return FALSE;
    entry->timestamp_us = index_get_i64(&r);
    return !r.failed;
}

/* --- looking into the payload of a run's entry --- */

#define N_OPREF_PARTS 5

static IndexReader payload_reader(GBytes *payload)
{
    IndexReader r = reader_at(&(IndexEntry){.bytes = payload}, 0);
    index_get_i64(&r);
    return r;
}

static guint snapshot_present(GBytes *payload)
{
    IndexReader r = payload_reader(payload);
    return index_get_u32(&r);
}

static OpRef *snapshot_opref(GBytes *payload)
{
    IndexReader r = payload_reader(payload);
    index_get_u32(&r);
    OpRef *ref = get_opref(&r);
    if (r.failed)
        g_clear_pointer(&ref, opref_free);
    return ref;
}

static gboolean next_text_is(IndexReader *r, const char *name, gsize name_len)
{
    gsize len;
    const char *text = index_get_text(r, &len);
    return text && len == name_len && memcmp(text, name, len) == 0;
}

static gboolean snapshot_attr(GBytes *payload, const char *name, Value **value)
{
    IndexReader r = payload_reader(payload);
    gsize name_len = strlen(name), len;
    index_get_u32(&r);
    for (int i = 0; i < N_OPREF_PARTS; i++)
        index_get_text(&r, &len);
    for (guint32 n = index_get_u32(&r); n > 0 && !r.failed; n--)
        if (next_text_is(&r, name, name_len))
            return FALSE;
    *value = NULL;
    for (guint32 n = index_get_u32(&r); n > 0 && !r.failed; n--) {
        gboolean found = next_text_is(&r, name, name_len);
        guint32 value_len = index_get_u32(&r);
        if (found) {
            *value = index_get_value(&r);
            break;
        }
        index_skip(&r, value_len);
    }
    if (r.failed)
        g_clear_pointer(value, value_unref);
    return !r.failed;
}

static const RunSnapshotOps snapshot_ops = {snapshot_attr, snapshot_present, snapshot_opref};

void index_entry_attach(const IndexEntry *entry, Run *run)
{
    g_autoptr(GBytes) payload = g_bytes_new_from_bytes(
            entry->bytes, entry->payload, g_bytes_get_size(entry->bytes) - entry->payload);
    run_set_snapshot(run, payload, &snapshot_ops, entry->timestamp_us);
}

/* --- scalars --- */

gboolean index_scalars_check(IndexEntry *entry, Run *run, int root_fd)
{
    IndexReader r;
    return check(entry, &r, run, root_fd);
}

Value *index_scalars_attrs(const IndexEntry *entry)
{
    IndexReader r = reader_at(entry, entry->payload);
    g_autoptr(Value) attrs = index_get_value(&r);
    return !r.failed && value_is_map(attrs) ? g_steal_pointer(&attrs) : value_new_map();
}

Value *index_scalars_list(const IndexEntry *entry)
{
    IndexReader r = reader_at(entry, entry->payload);
    value_unref(index_get_value(&r));
    g_autoptr(Value) scalars = index_get_value(&r);
    return !r.failed && value_is_list(scalars) ? g_steal_pointer(&scalars) : value_new_list();
}

/* The path below the run's directory. */
static const char *below(Run *run, const char *path)
{
    gsize n = strlen(run_dir(run));
    return path[n] == '/' ? path + n + 1 : ".";
}

static void stamp_path(Run *run, const char *path, IndexStamp *stamp)
{
    struct stat st;
    if (stat(path, &st) == 0)
        index_stamp_add(stamp, below(run, path), &st);
}

static void stamp_event_files(Run *run, const ScalarSource *source, IndexStamp *stamp)
{
    for (guint i = 0; i < source->files->len; i++) {
        g_autofree char *path = g_build_filename(source->dir, source->files->pdata[i], NULL);
        stamp_path(run, path, stamp);
    }
}

static Value *scalar_values(const GPtrArray *sources)
{
    Value *list = value_new_list();
    g_autoptr(GPtrArray) sums = scalars_of(sources);
    for (guint i = 0; i < sums->len; i++)
        value_list_append(list, scalar_summary_value(sums->pdata[i]));
    return list;
}

/* By prefix, then tag: the order in which the reference's index gives them. */
static int compare_scalars(gconstpointer a, gconstpointer b, gpointer data)
{
    (void)data;
    int c = strcmp(value_map_string(a, "prefix", ""), value_map_string(b, "prefix", ""));
    return c ? c : strcmp(value_map_string(a, "tag", ""), value_map_string(b, "tag", ""));
}

void index_scalars_read(IndexEntry *entry, Run *run)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) sources = scalars_sources(run_dir(run), dirs);
    IndexStamp stamp;
    index_stamp_init(&stamp);
    g_autofree char *attrs_dir = run_guild_path(run, "attrs");
    for (guint i = 0; i < dirs->len; i++)
        if (strcmp(dirs->pdata[i], attrs_dir) != 0) /* nobody logs there */
            stamp_path(run, dirs->pdata[i], &stamp);
    for (guint i = 0; i < sources->len; i++)
        stamp_event_files(run, sources->pdata[i], &stamp);
    g_autoptr(Value) scalars = scalar_values(sources);
    g_autoptr(Value) attrs = scalars_attrs_of(sources);
    value_list_sort(scalars, compare_scalars, NULL);
    GByteArray *payload = g_byte_array_new();
    index_put_value(payload, attrs);
    index_put_value(payload, scalars);
    *entry = (IndexEntry){0};
    seal(entry, &stamp, payload);
    index_stamp_clear(&stamp);
}
