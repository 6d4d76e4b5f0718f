/* SPDX-License-Identifier: Apache-2.0 */
/* See index_entry.h. An entry of a run is: stamp, presence, opref text, names of unread attributes,
 * map of known attributes. An entry of scalars is: stamp, list of scalars, map of logged attributes. */
#include "engine/run/index_entry.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/yaml.h"
#include "engine/run/index_stamp.h"
#include "engine/run/scalars.h"

/* Attributes that listings and filters read of every run. */
static const char *const known_attrs[] = { "comments", "exit_status", "flags", "initialized", "label",
        "marked", "opdef_attrs", "sourcecode_digest", "started", "stopped", "tags", NULL };

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
        index_stamp_add(stamp, name, &st);
        gsize size = (gsize)MIN(st.st_size, MAX_ATTR_BYTES);
        text = g_malloc(size + 2);
        ssize_t n = read(fd, text, size + 1);
        if (n < 0 || n > MAX_ATTR_BYTES)
            g_clear_pointer(&text, g_free);
        else
            text[*len = (gsize)n] = '\0';
    }
    close(fd);
    return text;
}

/* Most attributes are a time, which needs no YAML parser. */
static Value *parse_attr(const char *text, gsize len)
{
    gsize digits = strspn(text, "0123456789");
    if (digits > 0 && digits <= MAX_INT_DIGITS && text[0] != '0' && digits + 1 == len
            && text[digits] == '\n')
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

static guint presence(const char *name)
{
    static const struct {
        const char *name;
        RunPresence what;
    } names[] = {
            { "LOCK", RUN_HAS_LOCK },
            { "LOCK.remote", RUN_HAS_REMOTE_LOCK },
            { "PENDING", RUN_HAS_PENDING },
            { "STAGED", RUN_HAS_STAGED },
            { "proto", RUN_HAS_PROTO },
    };
    for (gsize i = 0; i < G_N_ELEMENTS(names); i++)
        if (strcmp(name, names[i].name) == 0)
            return names[i].what;
    return 0;
}

static int compare_names(gconstpointer a, gconstpointer b, gpointer data)
{
    (void)data;
    return strcmp(value_get_string(a), value_get_string(b));
}

static void read_attrs(int guild_fd, RunSnapshot *snapshot, IndexStamp *stamp)
{
    DIR *dir = open_dir_stamped(guild_fd, "attrs", "attrs", stamp);
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
            value_map_set(snapshot->attrs, e->d_name, v);
        else
            value_list_append(snapshot->unread, value_new_string(e->d_name));
    }
    if (dir)
        closedir(dir);
    value_list_sort(snapshot->unread, compare_names, NULL);
}

static void put_entry(GByteArray *out, const IndexStamp *stamp, const RunSnapshot *snapshot,
        const char *opref)
{
    index_put_stamp(out, stamp);
    index_put_u32(out, snapshot->present);
    index_put_text(out, opref ? opref : "");
    index_put_value(out, snapshot->unread);
    index_put_value(out, snapshot->attrs);
}

GByteArray *index_entry_read(Run *run)
{
    RunSnapshot snapshot = { .attrs = value_new_map(), .unread = value_new_list() };
    IndexStamp stamp;
    index_stamp_init(&stamp);
    g_autofree char *guild_dir = run_guild_path(run, NULL);
    g_autofree char *opref = NULL;
    DIR *dir = open_dir_stamped(AT_FDCWD, guild_dir, ".", &stamp);
    for (struct dirent *e; dir && (e = readdir(dir));)
        snapshot.present |= presence(e->d_name);
    if (dir) {
        gsize len;
        read_attrs(dirfd(dir), &snapshot, &stamp);
        opref = read_stamped(dirfd(dir), "opref", &stamp, &len);
        closedir(dir);
    }
    snapshot.opref = opref ? opref_parse(opref, NULL) : NULL;
    GByteArray *bytes = NULL;
    if (snapshot.opref && index_stamp_settled(&stamp)) {
        bytes = g_byte_array_new();
        put_entry(bytes, &stamp, &snapshot, opref);
    }
    index_stamp_clear(&stamp);
    /* Without an opref the run itself is to say what is wrong with it. */
    if (snapshot.opref) {
        run_set_snapshot(run, &snapshot);
    }
    else {
        value_unref(snapshot.attrs);
        value_unref(snapshot.unread);
    }
    return bytes;
}

/* --- restoring --- */

static gboolean all_strings(const Value *list)
{
    if (!value_is_list(list))
        return FALSE;
    for (gsize i = 0; i < value_list_size(list); i++)
        if (!value_is_string(value_list_at(list, i)))
            return FALSE;
    return TRUE;
}

gboolean index_entry_restore(Run *run, const guint8 *bytes, gsize len)
{
    IndexReader r = { bytes, bytes + len, FALSE };
    g_autofree char *guild_dir = run_guild_path(run, NULL);
    if (!index_check_stamp(&r, guild_dir))
        return FALSE;
    RunSnapshot snapshot = { .present = index_get_u32(&r) };
    gsize opref_len;
    const char *text = index_get_text(&r, &opref_len);
    g_autofree char *opref = text ? g_strndup(text, opref_len) : NULL;
    snapshot.unread = index_get_value(&r);
    snapshot.attrs = index_get_value(&r);
    snapshot.opref = opref && !r.failed ? opref_parse(opref, NULL) : NULL;
    if (snapshot.opref && value_is_map(snapshot.attrs) && all_strings(snapshot.unread)) {
        run_set_snapshot(run, &snapshot);
        return TRUE;
    }
    opref_free(snapshot.opref);
    value_unref(snapshot.unread);
    value_unref(snapshot.attrs);
    return FALSE;
}

/* --- scalars --- */

void index_scalars_free(IndexScalars *s)
{
    if (!s)
        return;
    value_unref(s->scalars);
    value_unref(s->attrs);
    g_free(s);
}

IndexScalars *index_scalars_restore(Run *run, const guint8 *bytes, gsize len)
{
    IndexReader r = { bytes, bytes + len, FALSE };
    if (!index_check_stamp(&r, run_dir(run)))
        return NULL;
    IndexScalars *s = g_new0(IndexScalars, 1);
    s->scalars = index_get_value(&r);
    s->attrs = index_get_value(&r);
    if (!r.failed && value_is_list(s->scalars) && value_is_map(s->attrs))
        return s;
    index_scalars_free(s);
    return NULL;
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
    g_autoptr(GDir) dir = g_dir_open(source->dir, 0, NULL);
    for (const char *name; dir && (name = g_dir_read_name(dir));) {
        g_autofree char *path = g_build_filename(source->dir, name, NULL);
        if (strstr(name, ".tfevents."))
            stamp_path(run, path, stamp);
    }
}

IndexScalars *index_scalars_read(Run *run, GByteArray **bytes)
{
    g_autoptr(GPtrArray) dirs = g_ptr_array_new_with_free_func(g_free);
    g_autoptr(GPtrArray) sources = scalars_walk(run_dir(run), dirs);
    IndexStamp stamp;
    index_stamp_init(&stamp);
    for (guint i = 0; i < dirs->len; i++)
        stamp_path(run, dirs->pdata[i], &stamp);
    for (guint i = 0; i < sources->len; i++)
        stamp_event_files(run, sources->pdata[i], &stamp);
    IndexScalars *s = g_new0(IndexScalars, 1);
    s->scalars = sources->len ? scalars_read_value(run_dir(run)) : value_new_list();
    s->attrs = sources->len ? scalars_read_attrs(run_dir(run)) : value_new_map();
    *bytes = NULL;
    if (index_stamp_settled(&stamp)) {
        *bytes = g_byte_array_new();
        index_put_stamp(*bytes, &stamp);
        index_put_value(*bytes, s->scalars);
        index_put_value(*bytes, s->attrs);
    }
    index_stamp_clear(&stamp);
    return s;
}
