/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that are one file or folder. See index_parts.h. */
#include "engine/run/index_parts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/base/yaml.h"

#define MAX_FILE_BYTES 65536
#define MAX_INT_DIGITS 18

/* Where the parts are, below the run's directory. */
static const char *const part_paths[N_PARTS] = {
        [PART_GUILD] = ".guild",
        [PART_NAMES] = ".guild/attrs",
        [PART_OPREF] = ".guild/opref",
        [PART_RUN] = ".",
        [PART_STARTED] = ".guild/attrs/started",
        ".guild/attrs/initialized",
        ".guild/attrs/exit_status",
        ".guild/attrs/flags",
        ".guild/attrs/label",
        ".guild/attrs/marked",
        ".guild/attrs/opdef_attrs",
        ".guild/attrs/stopped",
        ".guild/attrs/tags",
        ".guild/attrs/comments",
};

/* Names of attributes that many runs have, sorted, for which a bit each is enough. The order is
 * part of the format. */
static const char *const usual_attrs[] = {"attempts", "cmd", "comments", "deps", "env",
        "exit_status", "flags", "host", "id", "initialized", "label", "marked", "max_trials",
        "objective", "op", "opdef_attrs", "pip_freeze", "platform", "plugins", "random_seed",
        "run_params", "sourcecode_digest", "started", "stopped", "tags", "user", "user_flags",
        "vcs_commit"};
G_STATIC_ASSERT(G_N_ELEMENTS(usual_attrs) <= 32);

static const char *attr_of(guint kind)
{
    return part_paths[kind] + sizeof(".guild/attrs");
}

/* The part of an attribute; N_PARTS if it has none. */
static guint attr_kind(const char *name)
{
    guint kind = PART_STARTED;
    while (kind < N_PARTS && strcmp(attr_of(kind), name) != 0)
        kind++;
    return kind;
}

void run_parts_clear(RunParts *p)
{
    for (guint i = 0; i < N_PARTS; i++)
        if (p->parts[i].fresh)
            g_free((gpointer)p->parts[i].bytes);
}

IndexReader index_part_reader(const IndexPart *part)
{
    return (IndexReader){part->bytes, part->bytes + part->len, FALSE};
}

static void forget(IndexPart *part, PartState state)
{
    if (part->fresh)
        g_free((gpointer)part->bytes);
    *part = (IndexPart){.state = (guint8)state};
}

void index_part_set(IndexPart *part, GByteArray *bytes, gboolean keep)
{
    forget(part, PART_TRUE);
    part->len = bytes->len;
    part->bytes = g_byte_array_free(bytes, FALSE);
    part->fresh = TRUE;
    part->keep = keep != FALSE;
}

static GByteArray *begin_part(const FileStamp *stamp)
{
    GByteArray *bytes = g_byte_array_sized_new(64);
    index_put_file_stamp(bytes, stamp);
    return bytes;
}

/* A reader of what a part says, behind its stamp. */
static IndexReader payload(const IndexPart *part)
{
    IndexReader r = index_part_reader(part);
    index_get_file_stamp(&r);
    return r;
}

static int open_below(const RunParts *p, const char *name, int flags, FileStamp *stamp)
{
    char path[PATH_MAX];
    struct stat st;
    if (!index_path(path, sizeof(path), p->dir, name, strlen(name)))
        return -1;
    int fd = openat(p->fd, path, O_RDONLY | O_CLOEXEC | flags);
    if (fd < 0)
        return -1;
    if (fstat(fd, &st) != 0) {
        close(fd);
        return -1;
    }
    *stamp = file_stamp_of(&st);
    return fd;
}

/* TRUE if the part's file still looks as it did when the part was made. */
static gboolean looks_same(const RunParts *p, guint kind)
{
    char path[PATH_MAX];
    struct stat st;
    IndexReader r = index_part_reader(&p->parts[kind]);
    FileStamp then = index_get_file_stamp(&r);
    const char *name = part_paths[kind];
    if (r.failed || !index_path(path, sizeof(path), p->dir, name, strlen(name)) ||
            fstatat(p->fd, path, &st, 0) != 0)
        return FALSE;
    FileStamp now = file_stamp_of(&st);
    return file_stamp_equal(&then, &now);
}

/* FALSE if the part must be read. */
static gboolean believe(RunParts *p, guint kind)
{
    IndexPart *part = &p->parts[kind];
    if (part->state == PART_UNSEEN && part->bytes && looks_same(p, kind))
        part->state = PART_TRUE;
    return part->state != PART_UNSEEN;
}

/* --- folders --- */

static void add_presence(const char *name, unsigned char type, gpointer data)
{
    (void)type;
    guint *present = data;
    *present |= run_presence_of(name);
    if (strstr(name, ".tfevents.") && g_str_has_suffix(name, ".attrs"))
        *present |= RUN_HAS_LOGGED_ATTRS;
}

static const IndexPart *look_at_folder(RunParts *p, PartKind kind)
{
    IndexPart *part = &p->parts[kind];
    FileStamp stamp;
    if (believe(p, kind))
        return part;
    int fd = open_below(p, part_paths[kind], O_DIRECTORY, &stamp);
    if (fd < 0) {
        forget(part, PART_ABSENT);
        return part;
    }
    guint present = 0;
    fs_each_entry(fd, add_presence, &present);
    close(fd);
    GByteArray *bytes = begin_part(&stamp);
    index_put_u32(bytes, present);
    index_part_set(part, bytes, file_stamp_settled(&stamp));
    return part;
}

static guint presence_in(RunParts *p, PartKind kind)
{
    const IndexPart *part = look_at_folder(p, kind);
    if (part->state != PART_TRUE)
        return 0;
    IndexReader r = payload(part);
    return index_get_u32(&r);
}

guint run_parts_present(RunParts *p)
{
    return presence_in(p, PART_GUILD);
}

gboolean run_parts_logs_attrs(RunParts *p)
{
    return (presence_in(p, PART_RUN) & RUN_HAS_LOGGED_ATTRS) != 0;
}

FileStamp run_parts_guild_stamp(RunParts *p)
{
    const IndexPart *part = look_at_folder(p, PART_GUILD);
    if (part->state != PART_TRUE)
        return (FileStamp){0};
    IndexReader r = index_part_reader(part);
    return index_get_file_stamp(&r);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The bit of a usual attribute; 0 for others. */
static guint32 usual_bit(const char *name)
{
    const char *const *found =
            bsearch(&name, usual_attrs, G_N_ELEMENTS(usual_attrs), sizeof(name), compare_names);
    return found ? 1u << (found - usual_attrs) : 0;
}

typedef struct {
    guint32 usual, n_others;
    GByteArray *others;
} Names;

static void add_name(const char *name, unsigned char type, gpointer data)
{
    (void)type;
    Names *names = data;
    guint32 bit = usual_bit(name);
    names->usual |= bit;
    if (bit)
        return;
    index_put_text(names->others, name);
    names->n_others++;
}

static const IndexPart *look_at_names(RunParts *p)
{
    IndexPart *part = &p->parts[PART_NAMES];
    FileStamp stamp;
    if (believe(p, PART_NAMES))
        return part;
    int fd = open_below(p, part_paths[PART_NAMES], O_DIRECTORY, &stamp);
    if (fd < 0) {
        forget(part, PART_ABSENT);
        return part;
    }
    Names names = {.others = g_byte_array_new()};
    fs_each_entry(fd, add_name, &names);
    close(fd);
    GByteArray *bytes = begin_part(&stamp);
    index_put_u32(bytes, names.usual);
    index_put_u32(bytes, names.n_others);
    g_byte_array_append(bytes, names.others->data, names.others->len);
    g_byte_array_unref(names.others);
    index_part_set(part, bytes, file_stamp_settled(&stamp));
    return part;
}

static gboolean has_attr(RunParts *p, const char *name)
{
    const IndexPart *part = look_at_names(p);
    guint32 bit = usual_bit(name);
    if (part->state != PART_TRUE)
        return FALSE;
    IndexReader r = payload(part);
    guint32 usual = index_get_u32(&r);
    if (bit)
        return (usual & bit) != 0;
    for (guint32 n = index_get_u32(&r); n > 0 && !r.failed; n--)
        if (index_next_text_is(&r, name))
            return TRUE;
    return FALSE;
}

/* --- files --- */

/* Most attributes are a time, which needs no YAML parser. */
static Value *parse_attr(const char *text, gsize len)
{
    gsize digits = strspn(text, "0123456789");
    if (digits > 0 && digits <= MAX_INT_DIGITS && text[0] != '0' && digits + 1 == len &&
            text[digits] == '\n')
        return value_new_int(g_ascii_strtoll(text, NULL, 10));
    return yaml_parse(text, (gssize)len, NULL, NULL);
}

/* The text of a part's file, terminated, and its length; -1 if it can't be read or is larger than
 * the buffer of MAX_FILE_BYTES + 2. */
static gssize read_file(RunParts *p, guint kind, char *text, FileStamp *stamp)
{
    struct stat st;
    int fd = open_below(p, part_paths[kind], O_NONBLOCK, stamp);
    if (fd < 0)
        return -1;
    gssize n = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? read(fd, text, MAX_FILE_BYTES + 1) : -1;
    close(fd);
    if (n > MAX_FILE_BYTES)
        return -1;
    if (n >= 0)
        text[n] = '\0';
    return n;
}

static void read_attr(RunParts *p, guint kind)
{
    char text[MAX_FILE_BYTES + 2];
    FileStamp stamp;
    gssize n = read_file(p, kind, text, &stamp);
    g_autoptr(Value) v = n >= 0 ? parse_attr(text, (gsize)n) : NULL;
    if (v) {
        GByteArray *bytes = begin_part(&stamp);
        index_put_value(bytes, v);
        index_part_set(&p->parts[kind], bytes, file_stamp_settled(&stamp));
    } else {
        forget(&p->parts[kind], has_attr(p, attr_of(kind)) ? PART_UNREADABLE : PART_ABSENT);
    }
}

/* The list of names tells of attributes that are not there. Only the one that all runs are asked
 * for, and that nearly all have, is worth a try without. */
static const IndexPart *look_at_attr(RunParts *p, guint kind)
{
    IndexPart *part = &p->parts[kind];
    if (believe(p, kind))
        return part;
    gboolean just_try = part->bytes || (kind == PART_STARTED && !p->parts[PART_NAMES].bytes);
    if (just_try || has_attr(p, attr_of(kind)))
        read_attr(p, kind);
    else
        part->state = PART_ABSENT;
    return part;
}

gboolean run_parts_attr(RunParts *p, const char *name, const char *key, Value **value)
{
    guint kind = attr_kind(name);
    *value = NULL;
    if (kind == N_PARTS)
        return !has_attr(p, name);
    const IndexPart *part = look_at_attr(p, kind);
    if (part->state != PART_TRUE)
        return part->state == PART_ABSENT;
    IndexReader r = payload(part);
    *value = key ? index_get_map_item(&r, key) : index_get_value(&r);
    if (r.failed)
        g_clear_pointer(value, value_unref);
    return !r.failed;
}

static void read_opref(RunParts *p)
{
    char text[MAX_FILE_BYTES + 2];
    FileStamp stamp;
    gssize n = read_file(p, PART_OPREF, text, &stamp);
    g_autoptr(OpRef) ref = n >= 0 ? opref_parse(text, NULL) : NULL;
    if (!ref) {
        forget(&p->parts[PART_OPREF], PART_UNREADABLE);
        return;
    }
    GByteArray *bytes = begin_part(&stamp);
    index_put_text(bytes, ref->pkg_type);
    index_put_text(bytes, ref->pkg_name);
    index_put_text(bytes, ref->pkg_version);
    index_put_text(bytes, ref->model_name);
    index_put_text(bytes, ref->op_name);
    index_part_set(&p->parts[PART_OPREF], bytes, file_stamp_settled(&stamp));
}

OpRef *run_parts_opref(RunParts *p)
{
    const IndexPart *part = &p->parts[PART_OPREF];
    if (!believe(p, PART_OPREF))
        read_opref(p);
    if (part->state != PART_TRUE)
        return NULL;
    IndexReader r = payload(part);
    OpRef *ref = g_new(OpRef, 1);
    ref->pkg_type = index_get_string(&r);
    ref->pkg_name = index_get_string(&r);
    ref->pkg_version = index_get_string(&r);
    ref->model_name = index_get_string(&r);
    ref->op_name = index_get_string(&r);
    if (r.failed)
        g_clear_pointer(&ref, opref_free);
    return ref;
}

/* --- to and from the cache --- */

guint run_parts_count_news(const RunParts *p)
{
    guint n = 0;
    for (guint i = 0; i < N_PARTS; i++)
        n += p->parts[i].keep;
    return n;
}

void run_parts_put(const RunParts *p, GByteArray *out)
{
    for (guint32 i = 0; i < N_PARTS; i++) {
        const IndexPart *part = &p->parts[i];
        if (!part->bytes || (part->fresh && !part->keep))
            continue;
        index_put_u32(out, i);
        index_put_u32(out, part->len);
        g_byte_array_append(out, part->bytes, part->len);
    }
}

void run_parts_take(RunParts *p, IndexReader *r)
{
    while (!r->failed && r->at < r->end) {
        guint32 kind = index_get_u32(r), len = index_get_u32(r);
        const guint8 *bytes = r->at;
        index_skip(r, len);
        if (!r->failed && kind < N_PARTS)
            p->parts[kind] = (IndexPart){.bytes = bytes, .len = len};
    }
}
