/* SPDX-License-Identifier: Apache-2.0 */
/* See index_file.h. A record is: its length, its key with a NUL, its bytes. */
#include "engine/run/index_file.h"

#include <string.h>

#include "engine/base/fs.h"
#include "engine/base/log.h"

#define MAX_BYTES ((gsize)1 << 30)

/* The last character is the version of all that the index writes. The file of a machine with
 * another byte order has another size in it. */
static const char magic[8] = "guildix2";

typedef struct {
    const char *key;
    const guint8 *at, *end;
    gboolean found;
} Record;

struct IndexFile {
    char *bytes;
    GArray *records;
    GHashTable *by_key; /* key -> its number + 1; NULL until the order was not the expected one */
    guint next;         /* the record that is expected to be asked for */
};

typedef struct {
    char magic[sizeof(magic)];
    guint64 size; /* of the whole file */
} Header;

/* FALSE if what it holds is no record. */
static gboolean add_record(IndexFile *file, IndexReader *r)
{
    guint32 len = index_get_u32(r);
    Record record = {.key = (const char *)r->at};
    index_skip(r, len);
    const guint8 *nul = r->failed ? NULL : memchr(record.key, 0, len);
    if (!nul)
        return FALSE;
    record.at = nul + 1;
    record.end = r->at;
    g_array_append_val(file->records, record);
    return TRUE;
}

static gboolean parse(IndexFile *file, gsize len)
{
    Header header;
    if (len < sizeof(header))
        return FALSE;
    memcpy(&header, file->bytes, sizeof(header));
    if (memcmp(header.magic, magic, sizeof(magic)) != 0 || header.size != len)
        return FALSE;
    const guint8 *bytes = (const guint8 *)file->bytes;
    IndexReader r = {bytes + sizeof(header), bytes + len, FALSE};
    while (r.at < r.end)
        if (!add_record(file, &r))
            return FALSE;
    return TRUE;
}

IndexFile *index_file_read(const char *path)
{
    gsize len;
    char *bytes = fs_read_regular(path, MAX_BYTES, &len, NULL);
    if (!bytes)
        return NULL;
    IndexFile *file = g_new0(IndexFile, 1);
    file->bytes = bytes;
    file->records = g_array_new(FALSE, FALSE, sizeof(Record));
    if (parse(file, len))
        return file;
    log_debug("%s is of no use and will be made again", path);
    index_file_free(file);
    return NULL;
}

void index_file_free(IndexFile *file)
{
    if (!file)
        return;
    g_array_unref(file->records);
    g_clear_pointer(&file->by_key, g_hash_table_unref);
    g_free(file->bytes);
    g_free(file);
}

static Record *record_at(const IndexFile *file, guint i)
{
    return &g_array_index(file->records, Record, i);
}

static void make_table(IndexFile *file)
{
    file->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < file->records->len; i++)
        g_hash_table_insert(
                file->by_key, (gpointer)record_at(file, i)->key, GUINT_TO_POINTER(i + 1));
}

gboolean index_file_find(IndexFile *file, const char *key, IndexReader *r)
{
    guint i = file->next;
    if (i >= file->records->len || strcmp(record_at(file, i)->key, key) != 0) {
        if (!file->by_key)
            make_table(file);
        guint found = GPOINTER_TO_UINT(g_hash_table_lookup(file->by_key, key));
        if (!found)
            return FALSE;
        i = found - 1;
    }
    Record *record = record_at(file, i);
    file->next = i + 1;
    record->found = TRUE;
    *r = (IndexReader){record->at, record->end, FALSE};
    return TRUE;
}

void index_file_each_other(
        IndexFile *file, void (*fn)(const char *key, IndexReader r, gpointer data), gpointer data)
{
    for (guint i = 0; i < file->records->len; i++) {
        const Record *record = record_at(file, i);
        if (!record->found)
            fn(record->key, (IndexReader){record->at, record->end, FALSE}, data);
    }
}

GByteArray *index_file_begin(void)
{
    GByteArray *out = g_byte_array_new();
    Header header = {.size = 0};
    memcpy(header.magic, magic, sizeof(magic));
    g_byte_array_append(out, (const guint8 *)&header, sizeof(header));
    return out;
}

guint index_file_begin_record(GByteArray *out, const char *key)
{
    guint record = out->len;
    index_put_u32(out, 0);
    g_byte_array_append(out, (const guint8 *)key, (guint)strlen(key) + 1);
    return record;
}

void index_file_end_record(GByteArray *out, guint record)
{
    guint32 len = out->len - record - (guint)sizeof(len);
    memcpy(out->data + record, &len, sizeof(len));
}

void index_file_write(const char *path, GByteArray *out)
{
    Header *header = (Header *)out->data;
    g_autofree char *dir = g_path_get_dirname(path);
    g_autoptr(GError) error = NULL;
    header->size = out->len;
    /* No fsync: after a crash it is found damaged or old and made again. */
    if (!fs_mkdirs(dir, &error) ||
            !fs_write_atomic(path, (const char *)out->data, (gssize)out->len, 0644, &error))
        log_debug("index not kept: %s", error->message);
    g_byte_array_unref(out);
}
