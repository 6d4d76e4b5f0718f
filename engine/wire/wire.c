/* SPDX-License-Identifier: Apache-2.0 */
/* Packing and unpacking of all messages from one table of fields a kind (see wire.h for the
 * format). Before msgpack-c sees a frame, wire_scan() has walked it: depth and counts are then
 * within bounds, so that no length in a hostile frame makes the library allocate more than the
 * frame is worth. */
#include "engine/wire/wire.h"

#include <msgpack.h>
#include <string.h>

#include "engine/base/fs.h"
#include "engine/wire/filelist.h"
#include "engine/wire/scan.h"

#define MAX_STRING (64 * 1024)
#define MAX_HELD 100000
#define MAX_STRV 4096

typedef enum {
    F_STRING,
    F_TOKEN, /* a short string without '/': ids, names */
    F_DIGEST,
    F_INT,
    F_INT64,
    F_UINT64,
    F_BOOL,
    F_STRV,
    F_VALUE,
    F_BYTES, /* content; unpacked, it points into the frame */
    F_DATA,  /* content that is kept: copied */
    F_HELD,
    F_FILES,
} FieldType;

typedef struct {
    const char *name;
    FieldType type;
    gsize offset;
} Field;

typedef struct {
    const char *name;
    gsize size;
    const Field *fields; /* ended by a NULL name */
} Kind;

GQuark wire_error_quark(void)
{
    return g_quark_from_static_string("guild-wire-error");
}

#define KIND(label, Type, ...)                                                                     \
    {                                                                                              \
        label, sizeof(Type), (const Field[])                                                       \
        {                                                                                          \
            __VA_ARGS__                                                                            \
            {                                                                                      \
                0                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }
#define F(Type, field, type) {#field, type, G_STRUCT_OFFSET(Type, field)},

static const Kind kinds[MSG_N_KINDS] = {
        /* clang-format off */
    [MSG_HELLO] = KIND("hello", MsgHello,
        F(MsgHello, version, F_INT) F(MsgHello, role, F_TOKEN) F(MsgHello, name, F_TOKEN)
        F(MsgHello, software, F_STRING) F(MsgHello, session, F_TOKEN)
        F(MsgHello, resources, F_VALUE) F(MsgHello, labels, F_STRV)
        F(MsgHello, home_token, F_TOKEN) F(MsgHello, boot_id, F_TOKEN) F(MsgHello, pid, F_INT)
        F(MsgHello, ends_us, F_INT64) F(MsgHello, held, F_HELD)
        F(MsgHello, seq, F_UINT64)),
    [MSG_WELCOME] = KIND("welcome", MsgWelcome,
        F(MsgWelcome, version, F_INT) F(MsgWelcome, instance, F_TOKEN)
        F(MsgWelcome, software, F_STRING) F(MsgWelcome, lease_us, F_INT64)
        F(MsgWelcome, in_place, F_BOOL) F(MsgWelcome, read_only, F_BOOL)
        F(MsgWelcome, drop, F_HELD) F(MsgWelcome, seq, F_UINT64)),
    [MSG_REFUSED] = KIND("refused", MsgRefused,
        F(MsgRefused, reason, F_STRING) F(MsgRefused, fatal, F_BOOL)),
    [MSG_PING] = KIND("ping", MsgPing, F(MsgPing, seq, F_UINT64)
        F(MsgPing, load_permille, F_INT) F(MsgPing, mem_free_bytes, F_INT64)
        F(MsgPing, busy, F_BOOL)),
    [MSG_PONG] = KIND("pong", MsgPong, F(MsgPong, seq, F_UINT64)),
    [MSG_START] = KIND("start", MsgStart,
        F(MsgStart, task, F_UINT64) F(MsgStart, lease, F_UINT64) F(MsgStart, attempt, F_UINT64)
        F(MsgStart, run, F_TOKEN) F(MsgStart, run_dir, F_STRING) F(MsgStart, request, F_VALUE)
        F(MsgStart, want_output, F_BOOL) F(MsgStart, sync, F_STRV)
        F(MsgStart, stop_after_us, F_INT64)),
    [MSG_STARTED] = KIND("started", MsgStarted,
        F(MsgStarted, task, F_UINT64) F(MsgStarted, lease, F_UINT64)
        F(MsgStarted, started_us, F_INT64) F(MsgStarted, pid, F_INT)
        F(MsgStarted, devices, F_VALUE) F(MsgStarted, files, F_FILES)),
    [MSG_OUTPUT] = KIND("output", MsgOutput,
        F(MsgOutput, task, F_UINT64) F(MsgOutput, lease, F_UINT64) F(MsgOutput, run, F_TOKEN)
        F(MsgOutput, offset, F_UINT64) F(MsgOutput, stream, F_INT)
        F(MsgOutput, time_us, F_INT64) F(MsgOutput, data, F_BYTES)),
    [MSG_DONE] = KIND("done", MsgDone,
        F(MsgDone, task, F_UINT64) F(MsgDone, lease, F_UINT64) F(MsgDone, exit_status, F_INT)
        F(MsgDone, error, F_STRING) F(MsgDone, cause, F_INT) F(MsgDone, started_us, F_INT64)
        F(MsgDone, stopped_us, F_INT64) F(MsgDone, mem_peak_bytes, F_INT64)
        F(MsgDone, left, F_STRING)),
    [MSG_ACK] = KIND("ack", MsgAck,
        F(MsgAck, task, F_UINT64) F(MsgAck, lease, F_UINT64) F(MsgAck, accepted, F_BOOL)),
    [MSG_STOP] = KIND("stop", MsgStop,
        F(MsgStop, task, F_UINT64) F(MsgStop, lease, F_UINT64) F(MsgStop, drop, F_BOOL)
        F(MsgStop, recall, F_BOOL)
        F(MsgStop, grace_us, F_INT64)),
    [MSG_RETURNED] = KIND("returned", MsgReturned,
        F(MsgReturned, task, F_UINT64) F(MsgReturned, lease, F_UINT64)
        F(MsgReturned, reason, F_STRING)),
    [MSG_DRAIN] = KIND("drain", MsgDrain, F(MsgDrain, exit_when_idle, F_BOOL)),
    [MSG_BYE] = KIND("bye", MsgBye, F(MsgBye, reason, F_STRING)),
    [MSG_FILES] = KIND("files", MsgFiles,
        F(MsgFiles, task, F_UINT64) F(MsgFiles, lease, F_UINT64) F(MsgFiles, id, F_UINT64)
        F(MsgFiles, files, F_FILES) F(MsgFiles, last, F_BOOL)),
    [MSG_GET] = KIND("get", MsgGet,
        F(MsgGet, digest, F_DIGEST) F(MsgGet, offset, F_UINT64) F(MsgGet, size, F_UINT64)),
    [MSG_CHUNK] = KIND("chunk", MsgChunk,
        F(MsgChunk, digest, F_DIGEST) F(MsgChunk, offset, F_UINT64) F(MsgChunk, data, F_BYTES)),
    [MSG_MISSING] = KIND("missing", MsgMissing,
        F(MsgMissing, digest, F_DIGEST) F(MsgMissing, reason, F_STRING)),
    [MSG_SUBMIT] = KIND("submit", MsgSubmit,
        F(MsgSubmit, id, F_UINT64) F(MsgSubmit, run, F_TOKEN) F(MsgSubmit, priority, F_INT)
        F(MsgSubmit, retries, F_INT) F(MsgSubmit, retry_failed, F_INT)
        F(MsgSubmit, user, F_TOKEN) F(MsgSubmit, request, F_VALUE)
        F(MsgSubmit, options, F_VALUE) F(MsgSubmit, start, F_BOOL)),
    [MSG_SUBMITTED] = KIND("submitted", MsgSubmitted,
        F(MsgSubmitted, id, F_UINT64) F(MsgSubmitted, run, F_TOKEN)
        F(MsgSubmitted, error, F_STRING)),
    [MSG_CALL] = KIND("call", MsgCall,
        F(MsgCall, id, F_UINT64) F(MsgCall, method, F_TOKEN) F(MsgCall, args, F_VALUE)),
    [MSG_REPLY] = KIND("reply", MsgReply,
        F(MsgReply, id, F_UINT64) F(MsgReply, result, F_VALUE) F(MsgReply, error, F_STRING)
        F(MsgReply, more, F_BOOL)),
    [MSG_WATCH] = KIND("watch", MsgWatch,
        F(MsgWatch, run, F_TOKEN) F(MsgWatch, offset, F_UINT64) F(MsgWatch, output, F_BOOL)
        F(MsgWatch, events, F_BOOL)),
    [MSG_EVENT] = KIND("event", MsgEvent,
        F(MsgEvent, run, F_TOKEN) F(MsgEvent, what, F_TOKEN) F(MsgEvent, data, F_VALUE)),
        /* clang-format on */
};

static const Field file_fields[] = {
        /* clang-format off */
    F(FileEntry, path, F_STRING) F(FileEntry, kind, F_INT) F(FileEntry, mode, F_INT)
    F(FileEntry, size, F_UINT64) F(FileEntry, mtime_us, F_INT64) F(FileEntry, digest, F_DIGEST)
    F(FileEntry, target, F_STRING) F(FileEntry, data, F_DATA)
        /* clang-format on */
        {0},
};
static const Field held_fields[] = {
        F(HeldTask, task, F_UINT64) F(HeldTask, lease, F_UINT64) F(HeldTask, run, F_TOKEN)
                F(HeldTask, state, F_INT){0},
};

const char *wire_kind_name(MsgKind kind)
{
    return kind > 0 && kind < MSG_N_KINDS ? kinds[kind].name : "?";
}

HeldTask *held_task_new(guint64 task, guint64 lease, const char *run, int state)
{
    HeldTask *h = g_new0(HeldTask, 1);
    *h = (HeldTask){task, lease, g_strdup(run), state};
    return h;
}

void held_task_free(gpointer held)
{
    HeldTask *h = held;
    if (!h)
        return;
    g_free(h->run);
    g_free(h);
}

/* ---- packing ---- */

static void pack_text(msgpack_packer *p, const char *s)
{
    gsize n = strlen(s);
    msgpack_pack_str(p, n);
    msgpack_pack_str_body(p, s, n);
}

static void pack_value(msgpack_packer *p, const Value *v)
{
    switch (value_kind(v)) {
    case VALUE_NULL:
        msgpack_pack_nil(p);
        break;
    case VALUE_BOOL:
        value_get_bool(v) ? msgpack_pack_true(p) : msgpack_pack_false(p);
        break;
    case VALUE_INT: {
        g_autofree char *text = value_str(v);
        g_autofree char *plain = g_strdup_printf("%" G_GINT64_FORMAT, value_get_int(v));
        if (!strcmp(text, plain)) {
            msgpack_pack_int64(p, value_get_int(v));
        } else { /* wider than 64 bits: its digits */
            msgpack_pack_ext(p, strlen(text), 1);
            msgpack_pack_ext_body(p, text, strlen(text));
        }
        break;
    }
    case VALUE_FLOAT:
        msgpack_pack_double(p, value_get_float(v));
        break;
    case VALUE_STRING:
        pack_text(p, value_get_string(v));
        break;
    case VALUE_LIST:
        msgpack_pack_array(p, value_list_size(v));
        for (gsize i = 0; i < value_list_size(v); i++)
            pack_value(p, value_list_at(v, i));
        break;
    case VALUE_MAP:
        msgpack_pack_map(p, value_map_size(v));
        for (gsize i = 0; i < value_map_size(v); i++) {
            pack_text(p, value_map_key_at(v, i));
            pack_value(p, value_map_at(v, i));
        }
        break;
    }
}

static void pack_struct(msgpack_packer *p, const Field *fields, const void *base);

static void pack_array(msgpack_packer *p, const Field *fields, const GPtrArray *items)
{
    msgpack_pack_array(p, items->len);
    for (guint i = 0; i < items->len; i++)
        pack_struct(p, fields, items->pdata[i]);
}

/* A field that is zero is not sent. */
static gboolean field_is_zero(const Field *f, const void *at)
{
    switch (f->type) {
    case F_INT:
    case F_BOOL:
        return *(const int *)at == 0;
    case F_INT64:
    case F_UINT64:
        return *(const guint64 *)at == 0;
    default:
        return *(void *const *)at == NULL;
    }
}

static void pack_field(msgpack_packer *p, const Field *f, const void *at)
{
    switch (f->type) {
    case F_STRING:
    case F_TOKEN:
    case F_DIGEST:
        pack_text(p, *(char *const *)at);
        break;
    case F_INT:
        msgpack_pack_int(p, *(const int *)at);
        break;
    case F_INT64:
        msgpack_pack_int64(p, *(const gint64 *)at);
        break;
    case F_UINT64:
        msgpack_pack_uint64(p, *(const guint64 *)at);
        break;
    case F_BOOL:
        msgpack_pack_true(p);
        break;
    case F_STRV: {
        char *const *strv = *(char **const *)at;
        msgpack_pack_array(p, g_strv_length((char **)strv));
        for (; *strv; strv++)
            pack_text(p, *strv);
        break;
    }
    case F_VALUE:
        pack_value(p, *(Value *const *)at);
        break;
    case F_BYTES:
    case F_DATA: {
        gsize n = 0;
        const void *data = g_bytes_get_data(*(GBytes *const *)at, &n);
        msgpack_pack_bin(p, n);
        msgpack_pack_bin_body(p, data, n);
        break;
    }
    case F_HELD:
        pack_array(p, held_fields, *(GPtrArray *const *)at);
        break;
    case F_FILES:
        pack_array(p, file_fields, *(GPtrArray *const *)at);
        break;
    }
}

static void pack_struct(msgpack_packer *p, const Field *fields, const void *base)
{
    guint n = 0;
    for (const Field *f = fields; f->name; f++)
        n += !field_is_zero(f, (const char *)base + f->offset);
    msgpack_pack_map(p, n);
    for (const Field *f = fields; f->name; f++) {
        const void *at = (const char *)base + f->offset;
        if (field_is_zero(f, at))
            continue;
        pack_text(p, f->name);
        pack_field(p, f, at);
    }
}

static GBytes *take_buffer(msgpack_sbuffer *buf)
{
    gsize n = buf->size;
    return g_bytes_new_with_free_func(buf->data, n, free, buf->data);
}

static void buffer_init(msgpack_sbuffer *buf, gsize hint)
{
    msgpack_sbuffer_init(buf);
    buf->data = malloc(hint);
    buf->alloc = buf->data ? hint : 0;
}

/* Content is most of its message: a buffer that need not grow saves a copy of it. */
static gsize size_hint(MsgKind kind, const void *msg)
{
    GBytes *content = kind == MSG_CHUNK    ? ((const MsgChunk *)msg)->data
                      : kind == MSG_OUTPUT ? ((const MsgOutput *)msg)->data
                                           : NULL;
    return 512 + (content ? g_bytes_get_size(content) : 0);
}

static void pack_message(msgpack_sbuffer *buf, MsgKind kind, const void *msg)
{
    msgpack_packer p;
    buffer_init(buf, size_hint(kind, msg));
    msgpack_packer_init(&p, buf, msgpack_sbuffer_write);
    msgpack_pack_array(&p, 2);
    msgpack_pack_int(&p, kind);
    pack_struct(&p, kinds[kind].fields, msg);
}

GBytes *wire_pack(MsgKind kind, const void *msg)
{
    g_assert(kind > 0 && kind < MSG_N_KINDS);
    msgpack_sbuffer buf;
    pack_message(&buf, kind, msg);
    return take_buffer(&buf);
}

/* The content is the message's last field: packed empty, it ends in 0xc4 0x00, which makes way for
 * the content's own head, 0xc6 and four bytes of length. */
GBytes *wire_pack_chunk(
        const char *digest, guint64 offset, gsize size, WireFill fill, gpointer data)
{
    g_autoptr(GBytes) empty = g_bytes_new_static("", 0);
    MsgChunk chunk = {(char *)digest, offset, empty};
    msgpack_sbuffer buf;
    pack_message(&buf, MSG_CHUNK, &chunk);
    gsize head = buf.size - 2;
    char *all = g_realloc(buf.data, head + 5 + size);
    gssize n = fill(all + head + 5, size, data);
    if (n < 0) {
        g_free(all);
        return NULL;
    }
    g_assert((gsize)n <= size);
    guint32 length = GUINT32_TO_BE((guint32)n);
    all[head] = (char)0xc6;
    memcpy(all + head + 1, &length, sizeof length);
    return g_bytes_new_take(all, head + 5 + (gsize)n);
}

GBytes *wire_pack_value(const Value *v)
{
    msgpack_sbuffer buf;
    msgpack_sbuffer_init(&buf);
    msgpack_packer p;
    msgpack_packer_init(&p, &buf, msgpack_sbuffer_write);
    pack_value(&p, v);
    return take_buffer(&buf);
}

/* ---- unpacking ---- */

static gboolean bad(GError **error, int code, const char *what)
{
    g_set_error(error, WIRE_ERROR, code, "field '%s' %s", what,
            code == WIRE_ERROR_LIMIT ? "is over its limit" : "has the wrong type or a bad value");
    return FALSE;
}

static char *take_text(const msgpack_object *o, gsize limit, const char *name, GError **error)
{
    if (o->type != MSGPACK_OBJECT_STR) {
        bad(error, WIRE_ERROR_MALFORMED, name);
        return NULL;
    }
    const char *s = o->via.str.ptr;
    gsize n = o->via.str.size;
    if (n > limit) {
        bad(error, WIRE_ERROR_LIMIT, name);
        return NULL;
    }
    if (n && (memchr(s, 0, n) || !g_utf8_validate(s, n, NULL))) {
        bad(error, WIRE_ERROR_MALFORMED, name);
        return NULL;
    }
    return g_strndup(s ? s : "", n);
}

/* Ids and names: they become file names, so '/' and a leading dot are refused. */
static gboolean token_ok(const char *s)
{
    return !strchr(s, '/') && s[0] != '.';
}

static gboolean digest_ok(const char *s)
{
    for (guint i = 0; i < 64; i++)
        if (!g_ascii_isxdigit(s[i]) || g_ascii_isupper(s[i]))
            return FALSE;
    return s[64] == 0;
}

static Value *take_value(const msgpack_object *o, GError **error);

static Value *take_value_map(const msgpack_object *o, GError **error)
{
    g_autoptr(Value) map = value_new_map();
    for (guint32 i = 0; i < o->via.map.size; i++) {
        const msgpack_object_kv *kv = &o->via.map.ptr[i];
        g_autofree char *key = take_text(&kv->key, MAX_STRING, "key", error);
        Value *item = key ? take_value(&kv->val, error) : NULL;
        if (!item)
            return NULL;
        value_map_set(map, key, item);
    }
    return g_steal_pointer(&map);
}

static Value *take_value(const msgpack_object *o, GError **error)
{
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return value_new_null();
    case MSGPACK_OBJECT_BOOLEAN:
        return value_new_bool(o->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
        if (o->via.u64 <= G_MAXINT64)
            return value_new_int((gint64)o->via.u64);
        break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return value_new_int(o->via.i64);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return value_new_float(o->via.f64);
    case MSGPACK_OBJECT_STR: {
        g_autofree char *s = take_text(o, WIRE_MAX_FRAME, "value", error);
        return s ? value_new_string(s) : NULL;
    }
    case MSGPACK_OBJECT_ARRAY: {
        g_autoptr(Value) list = value_new_list();
        for (guint32 i = 0; i < o->via.array.size; i++) {
            Value *item = take_value(&o->via.array.ptr[i], error);
            if (!item)
                return NULL;
            value_list_append(list, item);
        }
        return g_steal_pointer(&list);
    }
    case MSGPACK_OBJECT_MAP:
        return take_value_map(o, error);
    case MSGPACK_OBJECT_EXT: {
        const char *s = o->via.ext.ptr;
        guint n = o->via.ext.size;
        gboolean ok = o->via.ext.type == 1 && n > 0 && n <= 4096;
        for (guint i = 0; ok && i < n; i++)
            ok = g_ascii_isdigit(s[i]) || (i == 0 && n > 1 && s[i] == '-');
        if (ok) {
            g_autofree char *text = g_strndup(s, n);
            return value_new_int_text(text);
        }
        break;
    }
    default:
        break;
    }
    bad(error, WIRE_ERROR_MALFORMED, "value");
    return NULL;
}

static gboolean take_struct(
        const Field *fields, const msgpack_object *o, void *base, GError **error);

static gboolean file_entry_ok(const FileEntry *e)
{
    if (!e->path || !fs_is_plain_rel(e->path) || e->mode > 07777)
        return FALSE;
    switch (e->kind) {
    case FILE_REGULAR:
        return (e->data ? g_bytes_get_size(e->data) == e->size : e->digest != NULL) &&
               e->size <= G_MAXINT64;
    case FILE_DIR:
    case FILE_GONE:
        return TRUE;
    case FILE_LINK:
        return e->target && *e->target && strlen(e->target) < 4096;
    }
    return FALSE;
}

static GPtrArray *take_array(const Field *fields, gsize size, GDestroyNotify free_item, guint limit,
        const msgpack_object *o, const char *name, GError **error)
{
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > limit) {
        bad(error, o->type == MSGPACK_OBJECT_ARRAY ? WIRE_ERROR_LIMIT : WIRE_ERROR_MALFORMED, name);
        return NULL;
    }
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(free_item);
    for (guint32 i = 0; i < o->via.array.size; i++) {
        void *item = g_malloc0(size);
        g_ptr_array_add(items, item);
        if (!take_struct(fields, &o->via.array.ptr[i], item, error))
            return NULL;
        if (fields == file_fields ? !file_entry_ok(item) : !((HeldTask *)item)->run) {
            bad(error, WIRE_ERROR_MALFORMED, name);
            return NULL;
        }
    }
    return g_steal_pointer(&items);
}

static char **take_strv(const msgpack_object *o, const char *name, GError **error)
{
    if (o->type != MSGPACK_OBJECT_ARRAY || o->via.array.size > MAX_STRV) {
        bad(error, o->type == MSGPACK_OBJECT_ARRAY ? WIRE_ERROR_LIMIT : WIRE_ERROR_MALFORMED, name);
        return NULL;
    }
    g_autoptr(GStrvBuilder) b = g_strv_builder_new();
    for (guint32 i = 0; i < o->via.array.size; i++) {
        g_autofree char *s = take_text(&o->via.array.ptr[i], MAX_STRING, name, error);
        if (!s)
            return NULL;
        g_strv_builder_add(b, s);
    }
    return g_strv_builder_end(b);
}

/* Numbers: the receiver's type must hold it. */
static gboolean take_number(const Field *f, const msgpack_object *o, void *at)
{
    gboolean negative = o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    if (!negative && o->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return FALSE;
    guint64 u = o->via.u64;
    gint64 i = o->via.i64;
    switch (f->type) {
    case F_INT:
        if (negative ? i < G_MININT : u > G_MAXINT)
            return FALSE;
        *(int *)at = negative ? (int)i : (int)u;
        return TRUE;
    case F_INT64:
        if (!negative && u > G_MAXINT64)
            return FALSE;
        *(gint64 *)at = i;
        return TRUE;
    default:
        if (negative)
            return FALSE;
        *(guint64 *)at = u;
        return TRUE;
    }
}

static gboolean take_string_field(const Field *f, const msgpack_object *o, void *at, GError **error)
{
    gsize limit = f->type == F_STRING ? MAX_STRING : f->type == F_TOKEN ? 255 : 64;
    char *s = take_text(o, limit, f->name, error);
    if (!s)
        return FALSE;
    if ((f->type == F_TOKEN && !token_ok(s)) || (f->type == F_DIGEST && !digest_ok(s))) {
        g_free(s);
        return bad(error, WIRE_ERROR_MALFORMED, f->name);
    }
    *(char **)at = s;
    return TRUE;
}

static gboolean take_field(const Field *f, const msgpack_object *o, void *at, GError **error)
{
    switch (f->type) {
    case F_STRING:
    case F_TOKEN:
    case F_DIGEST:
        return take_string_field(f, o, at, error);
    case F_INT:
    case F_INT64:
    case F_UINT64:
        return take_number(f, o, at) || bad(error, WIRE_ERROR_MALFORMED, f->name);
    case F_BOOL:
        if (o->type != MSGPACK_OBJECT_BOOLEAN)
            return bad(error, WIRE_ERROR_MALFORMED, f->name);
        *(gboolean *)at = o->via.boolean;
        return TRUE;
    case F_STRV:
        return (*(char ***)at = take_strv(o, f->name, error)) != NULL;
    case F_VALUE:
        return (*(Value **)at = take_value(o, error)) != NULL;
    case F_BYTES:
    case F_DATA:
        if (o->type != MSGPACK_OBJECT_BIN)
            return bad(error, WIRE_ERROR_MALFORMED, f->name);
        *(GBytes **)at = f->type == F_DATA ? g_bytes_new(o->via.bin.ptr, o->via.bin.size)
                                           : g_bytes_new_static(o->via.bin.ptr, o->via.bin.size);
        return TRUE;
    case F_HELD:
        *(GPtrArray **)at = take_array(
                held_fields, sizeof(HeldTask), held_task_free, MAX_HELD, o, f->name, error);
        return *(GPtrArray **)at != NULL;
    case F_FILES:
        *(GPtrArray **)at = take_array(
                file_fields, sizeof(FileEntry), file_entry_free, WIRE_MAX_FILES, o, f->name, error);
        return *(GPtrArray **)at != NULL;
    }
    return FALSE;
}

static gboolean take_struct(
        const Field *fields, const msgpack_object *o, void *base, GError **error)
{
    if (o->type != MSGPACK_OBJECT_MAP)
        return bad(error, WIRE_ERROR_MALFORMED, "(message)");
    for (guint32 i = 0; i < o->via.map.size; i++) {
        const msgpack_object *key = &o->via.map.ptr[i].key;
        if (key->type != MSGPACK_OBJECT_STR)
            return bad(error, WIRE_ERROR_MALFORMED, "(name)");
        for (const Field *f = fields; f->name; f++) {
            if (strlen(f->name) != key->via.str.size ||
                    memcmp(f->name, key->via.str.ptr, key->via.str.size) != 0)
                continue;
            void *at = (char *)base + f->offset;
            if (!field_is_zero(f, at)) /* twice */
                return bad(error, WIRE_ERROR_MALFORMED, f->name);
            if (!take_field(f, &o->via.map.ptr[i].val, at, error))
                return FALSE;
        }
    }
    return TRUE;
}

static void free_fields(const Field *fields, void *base)
{
    for (const Field *f = fields; f->name; f++) {
        /* Only fields of the kinds below are pointers; another is not even aligned as one. */
        void **at = (void **)((char *)base + f->offset);
        switch (f->type) {
        case F_STRING:
        case F_TOKEN:
        case F_DIGEST:
            g_free(*at);
            break;
        case F_STRV:
            g_strfreev(*at);
            break;
        case F_VALUE:
            value_unref(*at);
            break;
        case F_BYTES:
        case F_DATA:
            if (*at)
                g_bytes_unref(*at);
            break;
        case F_HELD:
        case F_FILES:
            if (*at)
                g_ptr_array_unref(*at);
            break;
        default:
            break;
        }
    }
}

void wire_free(MsgKind kind, void *msg)
{
    if (!msg)
        return;
    free_fields(kinds[kind].fields, msg);
    g_free(msg);
}

static gboolean unpack_root(const void *data, gsize len, msgpack_unpacked *up, GError **error)
{
    gsize off = 0;
    if (!wire_scan(data, len) ||
            msgpack_unpack_next(up, data, len, &off) != MSGPACK_UNPACK_SUCCESS) {
        g_set_error(error, WIRE_ERROR, WIRE_ERROR_MALFORMED,
                "not a message (%" G_GSIZE_FORMAT " bytes)", len);
        return FALSE;
    }
    return TRUE;
}

static void *unpack_message(const msgpack_object *root, MsgKind *kind, GError **error)
{
    if (root->type != MSGPACK_OBJECT_ARRAY || root->via.array.size != 2 ||
            root->via.array.ptr[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        g_set_error_literal(error, WIRE_ERROR, WIRE_ERROR_MALFORMED, "not a message");
        return NULL;
    }
    guint64 k = root->via.array.ptr[0].via.u64;
    if (k == 0 || k >= MSG_N_KINDS) {
        g_set_error(error, WIRE_ERROR, WIRE_ERROR_UNKNOWN,
                "unknown kind of message: %" G_GUINT64_FORMAT, k);
        return NULL;
    }
    void *msg = g_malloc0(kinds[k].size);
    if (!take_struct(kinds[k].fields, &root->via.array.ptr[1], msg, error)) {
        g_prefix_error(error, "message '%s': ", kinds[k].name);
        wire_free((MsgKind)k, msg);
        return NULL;
    }
    *kind = (MsgKind)k;
    return msg;
}

void *wire_unpack(const void *data, gsize len, MsgKind *kind, GError **error)
{
    *kind = 0;
    msgpack_unpacked up;
    msgpack_unpacked_init(&up);
    void *msg = NULL;
    if (unpack_root(data, len, &up, error))
        msg = unpack_message(&up.data, kind, error);
    msgpack_unpacked_destroy(&up);
    return msg;
}

Value *wire_unpack_value(const void *data, gsize len, GError **error)
{
    msgpack_unpacked up;
    msgpack_unpacked_init(&up);
    Value *v = unpack_root(data, len, &up, error) ? take_value(&up.data, error) : NULL;
    msgpack_unpacked_destroy(&up);
    return v;
}
