/* SPDX-License-Identifier: Apache-2.0 */
/* TensorBoard event files: record framing with masked CRC-32C around protobuf events. */
#include "engine/run/tfevents.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/run/tfevents.pb-c.h"

#define DTYPE_FLOAT 1
#define DTYPE_DOUBLE 2
#define DTYPE_STRING 7
#define DATA_CLASS_TENSOR 2
#define HEADER_SIZE 12
#define FOOTER_SIZE 4
/* A record larger than this (images and graphs are some megabytes) counts as damage, and so does
 * one whose parts, unpacked, take more than UNPACKED_MAX. */
#define RECORD_MAX ((guint64)64 << 20)
#define UNPACKED_MAX ((gsize)256 << 20)
#define READ_CHUNK ((gsize)256 << 10)

/* CRC-32C (Castagnoli), eight bytes a step. */
static guint32 crc_table[8][256];

static void crc_init(void)
{
    static gsize done = 0;
    if (!g_once_init_enter(&done))
        return;
    for (guint i = 0; i < 256; i++) {
        guint32 c = i;
        for (guint k = 0; k < 8; k++)
            c = c & 1 ? (c >> 1) ^ 0x82f63b78u : c >> 1;
        crc_table[0][i] = c;
    }
    for (guint i = 0; i < 256; i++)
        for (guint t = 1; t < 8; t++)
            crc_table[t][i] = crc_table[0][crc_table[t - 1][i] & 0xff] ^ (crc_table[t - 1][i] >> 8);
    g_once_init_leave(&done, 1);
}

static guint32 load_le32(const guint8 *p)
{
    guint32 v;
    memcpy(&v, p, sizeof v);
    return GUINT32_FROM_LE(v);
}

static guint64 load_le64(const guint8 *p)
{
    guint64 v;
    memcpy(&v, p, sizeof v);
    return GUINT64_FROM_LE(v);
}

static guint32 masked_crc(const guint8 *p, gsize len)
{
    crc_init();
    guint32 c = 0xffffffffu;
    for (; len >= 8; p += 8, len -= 8) {
        guint32 lo = c ^ load_le32(p);
        guint32 hi = load_le32(p + 4);
        c = crc_table[7][lo & 0xff] ^ crc_table[6][(lo >> 8) & 0xff] ^
            crc_table[5][(lo >> 16) & 0xff] ^ crc_table[4][lo >> 24] ^ crc_table[3][hi & 0xff] ^
            crc_table[2][(hi >> 8) & 0xff] ^ crc_table[1][(hi >> 16) & 0xff] ^
            crc_table[0][hi >> 24];
    }
    for (; len; p++, len--)
        c = crc_table[0][(c ^ *p) & 0xff] ^ (c >> 8);
    c ^= 0xffffffffu;
    return ((c >> 15) | (c << 17)) + 0xa282ead8u;
}

/* Writing */

struct TfEventWriter {
    int fd;
    char *path;
};

static gboolean write_event(TfEventWriter *w, const Tfevents__Event *event, GError **error)
{
    gsize len = tfevents__event__get_packed_size(event);
    gsize total = HEADER_SIZE + len + FOOTER_SIZE;
    g_autofree guint8 *record = g_malloc(total);
    guint64 le_len = GUINT64_TO_LE((guint64)len);
    memcpy(record, &le_len, 8);
    guint32 crc = GUINT32_TO_LE(masked_crc(record, 8));
    memcpy(record + 8, &crc, 4);
    tfevents__event__pack(event, record + HEADER_SIZE);
    crc = GUINT32_TO_LE(masked_crc(record + HEADER_SIZE, len));
    memcpy(record + HEADER_SIZE + len, &crc, 4);
    for (gsize done = 0; done < total;) {
        gssize n = write(w->fd, record + done, total - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int code = errno;
            g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "cannot write %s: %s",
                    w->path, g_strerror(code));
            return FALSE;
        }
        done += (gsize)n;
    }
    return TRUE;
}

static double wall_time(void)
{
    return (double)g_get_real_time() / 1e6;
}

TfEventWriter *tfevent_writer_new(const char *dir, const char *suffix, GError **error)
{
    static guint serial = 0;
    TfEventWriter *w = g_new0(TfEventWriter, 1);
    w->path = g_strdup_printf("%s/events.out.tfevents.%010" G_GINT64_FORMAT ".%s.%d.%u%s", dir,
            g_get_real_time() / G_USEC_PER_SEC, g_get_host_name(), (int)getpid(),
            g_atomic_int_add(&serial, 1), suffix);
    w->fd = fs_open_own(w->path, O_WRONLY | O_TRUNC);
    if (w->fd < 0) {
        int code = errno;
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(code), "cannot create %s: %s",
                w->path, g_strerror(code));
        tfevent_writer_free(w);
        return NULL;
    }
    Tfevents__Event event = TFEVENTS__EVENT__INIT;
    event.wall_time = 0;
    event.what_case = TFEVENTS__EVENT__WHAT_FILE_VERSION;
    event.file_version = "brain.Event:2";
    if (!write_event(w, &event, error)) {
        tfevent_writer_free(w);
        return NULL;
    }
    return w;
}

static gboolean write_value(
        TfEventWriter *w, Tfevents__SummaryValue *value, gint64 step, GError **error)
{
    Tfevents__SummaryValue *values[] = {value};
    Tfevents__Summary summary = TFEVENTS__SUMMARY__INIT;
    summary.n_value = 1;
    summary.value = values;
    Tfevents__Event event = TFEVENTS__EVENT__INIT;
    event.wall_time = wall_time();
    event.step = step;
    event.what_case = TFEVENTS__EVENT__WHAT_SUMMARY;
    event.summary = &summary;
    return write_event(w, &event, error);
}

gboolean tfevent_writer_scalar(
        TfEventWriter *w, const char *tag, float value, gint64 step, GError **error)
{
    Tfevents__SummaryValue v = TFEVENTS__SUMMARY_VALUE__INIT;
    v.tag = (char *)tag;
    v.value_case = TFEVENTS__SUMMARY_VALUE__VALUE_SIMPLE_VALUE;
    v.simple_value = value;
    return write_value(w, &v, step, error);
}

gboolean tfevent_writer_text(TfEventWriter *w, const char *tag, const char *text, GError **error)
{
    Tfevents__Metadata__PluginData plugin = TFEVENTS__METADATA__PLUGIN_DATA__INIT;
    plugin.plugin_name = "text";
    Tfevents__Metadata metadata = TFEVENTS__METADATA__INIT;
    metadata.plugin_data = &plugin;
    metadata.data_class = DATA_CLASS_TENSOR;
    ProtobufCBinaryData bytes = {.len = strlen(text), .data = (guint8 *)text};
    Tfevents__TensorShape shape = TFEVENTS__TENSOR_SHAPE__INIT;
    Tfevents__Tensor tensor = TFEVENTS__TENSOR__INIT;
    tensor.dtype = DTYPE_STRING;
    tensor.tensor_shape = &shape;
    tensor.n_string_val = 1;
    tensor.string_val = &bytes;
    Tfevents__SummaryValue v = TFEVENTS__SUMMARY_VALUE__INIT;
    v.tag = (char *)tag;
    v.metadata = &metadata;
    v.value_case = TFEVENTS__SUMMARY_VALUE__VALUE_TENSOR;
    v.tensor = &tensor;
    return write_value(w, &v, 0, error);
}

void tfevent_writer_free(TfEventWriter *w)
{
    if (!w)
        return;
    if (w->fd >= 0)
        close(w->fd);
    g_free(w->path);
    g_free(w);
}

/* Reading */

/* Number of elements that the shape speaks of; 0 if that is not one (or is nonsense). */
static gboolean is_single(const Tfevents__TensorShape *shape)
{
    if (!shape)
        return TRUE;
    for (gsize i = 0; i < shape->n_dim; i++)
        if (shape->dim[i]->size != 1)
            return FALSE;
    return TRUE;
}

static gboolean tensor_number(const Tfevents__Tensor *t, double *value)
{
    gboolean is_float = t->dtype == DTYPE_FLOAT;
    if ((!is_float && t->dtype != DTYPE_DOUBLE) || !is_single(t->tensor_shape))
        return FALSE;
    const ProtobufCBinaryData *raw = &t->tensor_content;
    if (raw->len == 4 && is_float) {
        guint32 bits = load_le32(raw->data);
        float f;
        memcpy(&f, &bits, sizeof f);
        *value = f;
        return TRUE;
    }
    if (raw->len == 8 && !is_float) {
        guint64 bits = load_le64(raw->data);
        memcpy(value, &bits, sizeof *value);
        return TRUE;
    }
    if (raw->len)
        return FALSE;
    if (is_float && t->n_float_val == 1)
        *value = t->float_val[0];
    else if (!is_float && t->n_double_val == 1)
        *value = t->double_val[0];
    else
        return FALSE;
    return TRUE;
}

/* The strings of a text tensor, joined; NULL if it is none or no UTF-8. */
static char *tensor_text(const Tfevents__Tensor *t)
{
    if (t->dtype != DTYPE_STRING)
        return NULL;
    GString *s = g_string_new(NULL);
    for (gsize i = 0; i < t->n_string_val; i++)
        g_string_append_len(s, (const char *)t->string_val[i].data, (gssize)t->string_val[i].len);
    gboolean good = g_utf8_validate(s->str, (gssize)s->len, NULL);
    return g_string_free(s, !good);
}

static void report_value(
        const Tfevents__Event *event, const Tfevents__SummaryValue *v, TfEventFn fn, gpointer data)
{
    TfEvent e = {.tag = v->tag, .step = event->step, .wall_time = event->wall_time};
    if (!g_utf8_validate(e.tag, -1, NULL))
        return;
    if (v->value_case == TFEVENTS__SUMMARY_VALUE__VALUE_SIMPLE_VALUE) {
        e.value = v->simple_value;
        fn(&e, data);
    } else if (v->value_case == TFEVENTS__SUMMARY_VALUE__VALUE_TENSOR && v->tensor) {
        if (tensor_number(v->tensor, &e.value)) {
            fn(&e, data);
            return;
        }
        g_autofree char *text = tensor_text(v->tensor);
        e.text = text;
        if (text)
            fn(&e, data);
    }
}

/* protobuf-c allocates what a record claims; two bytes can claim a hundred. */
static void *bounded_alloc(void *budget, size_t size)
{
    gsize *left = budget;
    if (size > *left)
        return NULL;
    *left -= size;
    return malloc(size);
}

static void bounded_free(void *budget, void *p)
{
    free(p);
}

static gboolean report_record(const guint8 *bytes, gsize len, TfEventFn fn, gpointer data)
{
    gsize left = UNPACKED_MAX;
    ProtobufCAllocator allocator = {bounded_alloc, bounded_free, &left};
    Tfevents__Event *event = tfevents__event__unpack(&allocator, len, bytes);
    if (!event)
        return FALSE;
    if (event->what_case == TFEVENTS__EVENT__WHAT_SUMMARY && event->summary)
        for (gsize i = 0; i < event->summary->n_value; i++)
            report_value(event, event->summary->value[i], fn, data);
    tfevents__event__free_unpacked(event, &allocator);
    return TRUE;
}

typedef enum { SCAN_DAMAGED, SCAN_SHORT } ScanEnd;

/* Reports the whole records at the start of `bytes`. SCAN_SHORT: the rest of `used` onwards is the
 * beginning of a record that needs `*need` bytes in all. */
static ScanEnd scan(const guint8 *bytes, gsize len, TfEventFn fn, gpointer data, gsize *used,
        gsize *need, gsize *count)
{
    gsize at = 0;
    ScanEnd end = SCAN_SHORT;
    for (;;) {
        *need = HEADER_SIZE;
        if (len - at < HEADER_SIZE)
            break;
        const guint8 *p = bytes + at;
        guint64 size = load_le64(p);
        if (size > RECORD_MAX || load_le32(p + 8) != masked_crc(p, 8)) {
            end = SCAN_DAMAGED;
            break;
        }
        *need = HEADER_SIZE + (gsize)size + FOOTER_SIZE;
        if (len - at < *need)
            break;
        const guint8 *body = p + HEADER_SIZE;
        if (load_le32(body + size) != masked_crc(body, (gsize)size) ||
                !report_record(body, (gsize)size, fn, data)) {
            end = SCAN_DAMAGED;
            break;
        }
        at += *need;
        (*count)++;
    }
    *used = at;
    return end;
}

gsize tfevents_read_bytes(const guint8 *bytes, gsize len, TfEventFn fn, gpointer data)
{
    gsize used, need, count = 0;
    scan(bytes, len, fn, data, &used, &need, &count);
    return count;
}

gboolean tfevents_read_file(const char *path, TfEventFn fn, gpointer data)
{
    int fd = fs_open_regular(path);
    if (fd < 0)
        return FALSE;
    gsize cap = 4096, have = 0, count = 0;
    guint8 *buf = g_malloc(cap);
    for (;;) {
        gssize n = read(fd, buf + have, cap - have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        have += (gsize)n;
        gsize used, need;
        if (scan(buf, have, fn, data, &used, &need, &count) == SCAN_DAMAGED)
            break;
        have -= used;
        memmove(buf, buf + used, have);
        /* A length is only a claim until that many bytes came: grow by doubling. */
        if (have == cap || (used && cap < READ_CHUNK)) {
            cap *= 2;
            buf = g_realloc(buf, cap);
        }
    }
    g_free(buf);
    close(fd);
    return TRUE;
}
