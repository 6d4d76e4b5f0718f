/* SPDX-License-Identifier: Apache-2.0 */
/* What a peer serves and what it asks for at a time: promise 5 where content travels, and the size
 * of the store that it comes to. */
#include "tests/unit/transfer_fixture.h"

typedef struct {
    Place a, b;
    Pipe to_a, to_b;
    Transfer *ta, *tb; /* a serves b */
} Pair;

static void pair_init(Pair *p, guint64 limit)
{
    *p = (Pair){0};
    place_init(&p->a, 0);
    place_init(&p->b, limit);
    p->ta = transfer_new(p->a.store, pipe_send, &p->to_b);
    p->tb = transfer_new(p->b.store, pipe_send, &p->to_a);
}

static void pair_clear(Pair *p)
{
    transfer_free(p->ta);
    transfer_free(p->tb);
    g_queue_clear_full(&p->to_a.queue, (GDestroyNotify)g_bytes_unref);
    g_queue_clear_full(&p->to_b.queue, (GDestroyNotify)g_bytes_unref);
    place_clear(&p->a);
    place_clear(&p->b);
}

/* b wants them and is served as far as it is: 1 when all of it came, 2 when not. */
static int fetch(Pair *p, GPtrArray *files)
{
    int done = 0;
    transfer_want(p->tb, files, on_done, &done);
    while (deliver(&p->to_a, p->ta) | deliver(&p->to_b, p->tb))
        ;
    if (done == 1)
        transfer_release(p->tb, files);
    return done;
}

/* b has it no more, or another peer asks. */
static void forget(Pair *p, GPtrArray *files)
{
    for (guint i = 0; i < files->len; i++) {
        g_autofree char *path = blobs_path(p->b.store, ((FileEntry *)files->pdata[i])->digest);
        g_assert_true(fs_remove(path, NULL));
    }
}

static void test_the_store_is_not_served(void)
{
    Pair p;
    pair_init(&p, 0);
    g_autofree char *digest = add_blob(p.a.store, 1);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = file_entry_new("other's", FILE_REGULAR);
    e->digest = g_strdup(digest);
    e->size = 1000;
    g_ptr_array_add(files, e);
    g_assert_cmpint(fetch(&p, files), ==, 2);
    transfer_serve_store(p.ta, TRUE);
    g_assert_cmpint(fetch(&p, files), ==, 1);
    pair_clear(&p);
}

/* Nor kept open: a large file of a run that was removed would go on taking its room. */
static void test_what_was_withdrawn_is_not_served(void)
{
    Pair p;
    pair_init(&p, 0);
    put(&p.a, "t/data", "content");
    g_autofree char *root = in(&p.a, "t");
    g_autoptr(GPtrArray) files = scan(&p.a, "t", FILELIST_PLAIN);
    TransferOffer one = transfer_offer(p.ta, root, files), two = transfer_offer(p.ta, root, files);
    g_assert_cmpint(fetch(&p, files), ==, 1);
    forget(&p, files);
    transfer_withdraw(p.ta, one);
    g_assert_cmpint(fetch(&p, files), ==, 1);
    forget(&p, files);
    transfer_withdraw(p.ta, two);
    g_assert_cmpint(fetch(&p, files), ==, 2);
    pair_clear(&p);
}

/* However large it is, and however many there are: what comes is kept in memory until it is
 * written. */
static void test_pieces_on_their_way_are_few(void)
{
    Pair p;
    pair_init(&p, 0);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    for (guint i = 0; i < 5; i++) {
        g_autofree char *name = g_strdup_printf("%u", i);
        FileEntry *e = file_entry_new(name, FILE_REGULAR);
        e->digest = digest_sha256(name, strlen(name));
        e->size = 1000 * WIRE_CHUNK;
        g_ptr_array_add(files, e);
    }
    int done = 0;
    g_assert_cmpuint(transfer_want(p.tb, files, on_done, &done), !=, 0);
    g_assert_cmpuint(p.to_a.queue.length, >, 0);
    g_assert_cmpuint(p.to_a.queue.length * WIRE_CHUNK, <=, 16 * 1024 * 1024);
    pair_clear(&p);
}

static void test_the_store_that_it_comes_to_stays_small(void)
{
    Pair p;
    pair_init(&p, 2500);
    for (int i = 0; i < 4; i++) {
        g_autofree char *name = g_strdup_printf("t%d", i), *path = g_strdup_printf("%s/f", name),
                        *text = g_strnfill(1000, (char)('a' + i)), *root = in(&p.a, name);
        put(&p.a, path, text);
        g_autoptr(GPtrArray) files = scan(&p.a, name, FILELIST_PLAIN);
        transfer_offer(p.ta, root, files);
        g_assert_cmpint(fetch(&p, files), ==, 1);
    }
    gint64 until_us = g_get_monotonic_time() + 30 * G_USEC_PER_SEC;
    while (blobs_size(p.b.store) > 2500) { /* a thread sees to it */
        g_assert_cmpint(g_get_monotonic_time(), <, until_us);
        g_thread_yield();
    }
    pair_clear(&p);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/serving/not-the-store", test_the_store_is_not_served);
    g_test_add_func("/serving/withdrawn", test_what_was_withdrawn_is_not_served);
    g_test_add_func("/serving/few-pieces", test_pieces_on_their_way_are_few);
    g_test_add_func("/serving/small-store", test_the_store_that_it_comes_to_stays_small);
    return g_test_run();
}
