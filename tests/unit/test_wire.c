/* SPDX-License-Identifier: Apache-2.0 */
/* Messages there and back, and what is refused at the border. */
#include <string.h>

#include "engine/wire/filelist.h"
#include "engine/wire/scan.h"
#include "engine/wire/wire.h"

static void *there_and_back(MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) packed = wire_pack(kind, msg);
    g_autoptr(GError) error = NULL;
    MsgKind got;
    void *back =
            wire_unpack(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), &got, &error);
    g_assert_no_error(error);
    g_assert_cmpint(got, ==, kind);
    return back;
}

static void assert_refused(const void *data, gsize len, int code)
{
    g_autoptr(GError) error = NULL;
    MsgKind kind;
    void *msg = wire_unpack(data, len, &kind, &error);
    g_assert_null(msg);
    g_assert_error(error, WIRE_ERROR, code);
}

static void test_every_kind_survives_empty(void)
{
    for (int kind = 1; kind < MSG_N_KINDS; kind++) {
        char zero[1024] = {0};
        void *back = there_and_back(kind, zero);
        g_assert_nonnull(back);
        wire_free(kind, back);
        g_assert_cmpstr(wire_kind_name(kind), !=, "?");
    }
}

static void test_hello_round_trip(void)
{
    g_autoptr(Value) resources = value_new_map();
    value_map_set_int(resources, "cpus", 4);
    value_map_set(resources, "big", value_new_int_text("123456789012345678901234567890"));
    value_map_set(resources, "share", value_new_float(0.25));
    g_autoptr(GPtrArray) held = g_ptr_array_new_with_free_func(held_task_free);
    g_ptr_array_add(held, held_task_new(7, G_MAXUINT64, "abc", 1));
    char *labels[] = {(char *)"fast", (char *)"größe", NULL};
    MsgHello m = {.version = 1,
            .role = (char *)"worker",
            .name = (char *)"host",
            .resources = resources,
            .labels = labels,
            .pid = 12,
            .ends_us = -5,
            .held = held};
    MsgHello *b = there_and_back(MSG_HELLO, &m);
    g_assert_cmpstr(b->role, ==, "worker");
    g_assert_cmpstr(b->labels[1], ==, "größe");
    g_assert_null(b->session);
    g_assert_true(value_equal(b->resources, resources));
    g_assert_cmpint(b->ends_us, ==, -5);
    g_assert_cmpuint(b->held->len, ==, 1);
    HeldTask *h = b->held->pdata[0];
    g_assert_cmpuint(h->lease, ==, G_MAXUINT64);
    g_assert_cmpstr(h->run, ==, "abc");
    wire_free(MSG_HELLO, b);
}

static FileEntry *entry(const char *path, FileKind kind)
{
    FileEntry *e = file_entry_new(path, kind);
    e->mode = 0644;
    return e;
}

static void test_files_round_trip(void)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = entry("a/b.txt", FILE_REGULAR);
    e->data = g_bytes_new("x\0y", 3);
    e->size = 3;
    g_ptr_array_add(files, e);
    e = entry("link", FILE_LINK);
    e->target = g_strdup("../elsewhere");
    g_ptr_array_add(files, e);
    g_ptr_array_add(files, entry("gone", FILE_GONE));
    MsgFiles m = {.task = 3, .files = files, .last = TRUE};
    MsgFiles *b = there_and_back(MSG_FILES, &m);
    g_assert_cmpuint(b->files->len, ==, 3);
    g_assert_true(file_entry_same(b->files->pdata[0], files->pdata[0]));
    g_assert_true(file_entry_same(b->files->pdata[1], files->pdata[1]));
    g_assert_true(b->last);
    wire_free(MSG_FILES, b);
}

static void refuse_path(const char *path)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, entry(path, FILE_DIR));
    MsgFiles m = {.task = 3, .files = files};
    g_autoptr(GBytes) packed = wire_pack(MSG_FILES, &m);
    assert_refused(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), WIRE_ERROR_MALFORMED);
}

static gssize fill_letters(void *content, gsize size, gpointer n)
{
    g_assert_cmpuint(size, ==, WIRE_CHUNK);
    memset(content, 'x', (gsize)MAX(*(gssize *)n, 0));
    return *(gssize *)n;
}

static void test_a_chunk_filled_in_place_is_a_chunk(void)
{
    static const gssize sizes[] = {0, 1, 255, 256, 65535, 65536, WIRE_CHUNK};
    g_autofree char *digest = g_strnfill(64, 'a');
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        gssize n = sizes[i];
        g_autoptr(GBytes) packed = wire_pack_chunk(digest, i, WIRE_CHUNK, fill_letters, &n);
        g_autofree char *expected = g_strnfill((gsize)n, 'x');
        g_autoptr(GError) error = NULL;
        MsgKind kind;
        MsgChunk *m = wire_unpack(
                g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), &kind, &error);
        g_assert_no_error(error);
        g_assert_cmpint(kind, ==, MSG_CHUNK);
        g_assert_cmpstr(m->digest, ==, digest);
        g_assert_cmpuint(m->offset, ==, i);
        gsize len;
        const void *data = g_bytes_get_data(m->data, &len);
        g_assert_cmpmem(data, len, expected, (gsize)n);
        wire_free(kind, m);
    }
    gssize failed = -1;
    g_assert_null(wire_pack_chunk(digest, 0, WIRE_CHUNK, fill_letters, &failed));
}

static void test_unsafe_paths_are_refused(void)
{
    refuse_path("../x");
    refuse_path("/etc/passwd");
    refuse_path("a/../../x");
    refuse_path("");
}

static void test_a_file_without_content_is_refused(void)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, entry("a", FILE_REGULAR));
    MsgFiles m = {.files = files};
    g_autoptr(GBytes) packed = wire_pack(MSG_FILES, &m);
    assert_refused(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), WIRE_ERROR_MALFORMED);
}

static void test_names_with_a_slash_are_refused(void)
{
    MsgWatch m = {.run = (char *)"../../etc"};
    g_autoptr(GBytes) packed = wire_pack(MSG_WATCH, &m);
    assert_refused(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), WIRE_ERROR_MALFORMED);
}

/* A digest names a file of the blob store. */
static void test_digests_that_are_none_are_refused(void)
{
    const char *const odd[] = {"../../../etc/passwd", "", "abc",
            "../4567890123456789012345678901234567890123456789012345678901234"};
    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        MsgGet m = {.digest = (char *)odd[i], .size = 1};
        g_autoptr(GBytes) packed = wire_pack(MSG_GET, &m);
        assert_refused(
                g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), WIRE_ERROR_MALFORMED);
    }
}

static void test_unknown_fields_are_skipped(void)
{
    /* [pong, {"new": [1, 2], "seq": 9}] */
    const guint8 bytes[] = {
            0x92, MSG_PONG, 0x82, 0xa3, 'n', 'e', 'w', 0x92, 1, 2, 0xa3, 's', 'e', 'q', 9};
    MsgKind kind;
    MsgPong *m = wire_unpack(bytes, sizeof bytes, &kind, NULL);
    g_assert_nonnull(m);
    g_assert_cmpint(kind, ==, MSG_PONG);
    g_assert_cmpuint(m->seq, ==, 9);
    wire_free(kind, m);
}

static void test_unknown_kinds_are_refused(void)
{
    const guint8 bytes[] = {0x92, 0x7f, 0x80};
    assert_refused(bytes, sizeof bytes, WIRE_ERROR_UNKNOWN);
    const guint8 zero[] = {0x92, 0, 0x80};
    assert_refused(zero, sizeof zero, WIRE_ERROR_UNKNOWN);
}

static void test_wrong_types_are_refused(void)
{
    const guint8 text[] = {0x92, MSG_PONG, 0x81, 0xa3, 's', 'e', 'q', 0xa1, 'x'};
    assert_refused(text, sizeof text, WIRE_ERROR_MALFORMED);
    const guint8 negative[] = {0x92, MSG_PONG, 0x81, 0xa3, 's', 'e', 'q', 0xff};
    assert_refused(negative, sizeof negative, WIRE_ERROR_MALFORMED);
    const guint8 twice[] = {0x92, MSG_PONG, 0x82, 0xa3, 's', 'e', 'q', 1, 0xa3, 's', 'e', 'q', 2};
    assert_refused(twice, sizeof twice, WIRE_ERROR_MALFORMED);
}

static void test_lengths_that_lie_are_refused_without_allocating(void)
{
    const guint8 array[] = {0xdd, 0xff, 0xff, 0xff, 0xff};
    const guint8 map[] = {0xdf, 0x7f, 0xff, 0xff, 0xff, 0xc0};
    const guint8 str[] = {0xdb, 0xff, 0xff, 0xff, 0xff, 'a'};
    g_assert_false(wire_scan(array, sizeof array));
    g_assert_false(wire_scan(map, sizeof map));
    g_assert_false(wire_scan(str, sizeof str));
    assert_refused(array, sizeof array, WIRE_ERROR_MALFORMED);
}

static void test_deep_nesting_is_refused(void)
{
    guint8 bytes[10000];
    memset(bytes, 0x91, sizeof bytes);
    g_assert_false(wire_scan(bytes, sizeof bytes));
    bytes[WIRE_MAX_DEPTH - 1] = 0xc0;
    g_assert_true(wire_scan(bytes, WIRE_MAX_DEPTH));
}

static void test_every_cut_of_a_message_is_refused(void)
{
    MsgDone m = {.task = 1, .lease = 2, .error = (char *)"because", .stopped_us = 1234567890};
    g_autoptr(GBytes) packed = wire_pack(MSG_DONE, &m);
    for (gsize n = 0; n < g_bytes_get_size(packed); n++)
        assert_refused(g_bytes_get_data(packed, NULL), n, WIRE_ERROR_MALFORMED);
}

static void test_values_round_trip(void)
{
    g_autoptr(Value) list = value_new_list();
    value_list_append(list, value_new_null());
    value_list_append(list, value_new_bool(FALSE));
    value_list_append(list, value_new_int(G_MININT64));
    value_list_append(list, value_new_float(1e-300));
    value_list_append(list, value_new_string("ünï"));
    value_list_append(list, value_new_map());
    g_autoptr(GBytes) packed = wire_pack_value(list);
    g_autoptr(Value) back =
            wire_unpack_value(g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), NULL);
    g_assert_true(value_equal(list, back));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/wire/every-kind-survives-empty", test_every_kind_survives_empty);
    g_test_add_func("/wire/hello-round-trip", test_hello_round_trip);
    g_test_add_func("/wire/files-round-trip", test_files_round_trip);
    g_test_add_func("/wire/chunk-in-place", test_a_chunk_filled_in_place_is_a_chunk);
    g_test_add_func("/wire/unsafe-paths-are-refused", test_unsafe_paths_are_refused);
    g_test_add_func(
            "/wire/a-file-without-content-is-refused", test_a_file_without_content_is_refused);
    g_test_add_func("/wire/names-with-a-slash-are-refused", test_names_with_a_slash_are_refused);
    g_test_add_func("/wire/odd-digests-are-refused", test_digests_that_are_none_are_refused);
    g_test_add_func("/wire/unknown-fields-are-skipped", test_unknown_fields_are_skipped);
    g_test_add_func("/wire/unknown-kinds-are-refused", test_unknown_kinds_are_refused);
    g_test_add_func("/wire/wrong-types-are-refused", test_wrong_types_are_refused);
    g_test_add_func("/wire/lengths-that-lie-are-refused",
            test_lengths_that_lie_are_refused_without_allocating);
    g_test_add_func("/wire/deep-nesting-is-refused", test_deep_nesting_is_refused);
    g_test_add_func("/wire/every-cut-is-refused", test_every_cut_of_a_message_is_refused);
    g_test_add_func("/wire/values-round-trip", test_values_round_trip);
    return g_test_run();
}
