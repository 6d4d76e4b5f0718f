/* SPDX-License-Identifier: Apache-2.0 */
/* File lists, blobs and their way between two peers that are joined by a queue of messages. */
#include <signal.h>
#include <sys/resource.h>

#include "engine/base/log.h"
#include "tests/unit/transfer_fixture.h"

/* ---- lists ---- */

static void test_a_tree_is_built_as_it_was(void)
{
    Place a, b;
    place_init(&a, 0);
    place_init(&b, 0);
    put(&a, "t/x/y.txt", "hello");
    put(&a, "t/run.sh", "#!");
    g_autofree char *sh = in(&a, "t/run.sh"), *link = in(&a, "t/l");
    chmod(sh, 0755);
    g_assert_true(fs_symlink("x/y.txt", link, NULL));
    g_autoptr(GPtrArray) files = scan(&a, "t", FILELIST_PLAIN);
    g_assert_cmpuint(files->len, ==, 4);
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        g_autofree char *path = g_strdup_printf("%s/t/%s", a.dir, e->path);
        if (e->digest)
            g_assert_true(blobs_add_file(b.store, path, e->digest, NULL));
    }
    g_autofree char *root = in(&b, "made");
    g_assert_true(fs_mkdirs(root, NULL));
    g_autoptr(GError) error = NULL;
    filelist_build(root, files, blobs_open_fd, b.store, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) made = scan(&b, "made", FILELIST_PLAIN);
    g_assert_cmpuint(made->len, ==, files->len);
    for (guint i = 0; i < files->len; i++)
        g_assert_true(file_entry_same(files->pdata[i], made->pdata[i]));
    place_clear(&a);
    place_clear(&b);
}

/* What others may do with a file is not for a worker, or a client, to say. */
static void test_set_id_bits_do_not_travel(void)
{
    Place p;
    place_init(&p, 0);
    g_autofree char *root = in(&p, "r"), *path = in(&p, "r/run.sh");
    fs_mkdirs(root, NULL);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = file_entry_new("run.sh", FILE_REGULAR);
    e->data = g_bytes_new("#!", 2);
    e->size = 2;
    e->mode = 06755;
    g_ptr_array_add(files, e);
    g_assert_true(filelist_build(root, files, NULL, NULL, NULL));
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    g_assert_cmpuint(st.st_mode & 07777, ==, 0755);
    place_clear(&p);
}

static ino_t inode_of(const char *path)
{
    struct stat st;
    g_assert_cmpint(stat(path, &st), ==, 0);
    return st.st_ino;
}

static FileEntry *small_file(const char *path, const char *text)
{
    FileEntry *e = file_entry_new(path, FILE_REGULAR);
    e->size = strlen(text);
    e->data = g_bytes_new(text, e->size);
    e->mode = 0640;
    e->mtime_us = 1000000007;
    return e;
}

static void test_what_is_the_same_already_stays(void)
{
    Place p;
    place_init(&p, 0);
    put(&p, "r/d/same", "1");
    put(&p, "r/d/other", "1");
    put(&p, "r/d/longer", "12");
    put(&p, "r/linked", "1");
    g_autofree char *root = in(&p, "r"), *same = in(&p, "r/d/same"), *linked = in(&p, "r/linked"),
                    *second = in(&p, "second");
    g_assert_cmpint(link(linked, second), ==, 0);
    ino_t before = inode_of(same);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, small_file("d/longer", "1"));
    g_ptr_array_add(files, small_file("d/other", "2"));
    g_ptr_array_add(files, small_file("d/same", "1"));
    g_ptr_array_add(files, small_file("linked", "1"));
    g_autoptr(GError) error = NULL;
    filelist_build(root, files, NULL, NULL, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) made = scan(&p, "r", FILELIST_PLAIN);
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i], *is = filelist_find(made, e->path);
        g_autofree char *digest =
                digest_sha256(g_bytes_get_data(e->data, NULL), g_bytes_get_size(e->data));
        g_assert_cmpstr(is->digest, ==, digest);
        g_assert_cmpuint(is->mode, ==, 0640);
        g_assert_cmpint(is->mtime_us, ==, e->mtime_us);
    }
    g_assert_true(inode_of(same) == before);
    g_assert_true(inode_of(linked) != inode_of(second)); /* another's file is not touched */
    place_clear(&p);
}

static void test_nothing_is_written_through_a_link(void)
{
    Place p;
    place_init(&p, 0);
    g_autofree char *root = in(&p, "root"), *outside = in(&p, "outside");
    fs_mkdirs(root, NULL);
    fs_mkdirs(outside, NULL);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = file_entry_new("d", FILE_LINK);
    e->target = g_strdup(outside);
    g_ptr_array_add(files, e);
    e = file_entry_new("d/evil", FILE_REGULAR);
    e->data = g_bytes_new("x", 1);
    e->size = 1;
    g_ptr_array_add(files, e);
    g_autoptr(GError) error = NULL;
    g_assert_false(filelist_build(root, files, NULL, NULL, &error));
    g_assert_nonnull(error);
    g_autofree char *evil = in(&p, "outside/evil");
    g_assert_false(fs_lexists(evil));
    place_clear(&p);
}

/* guild opens these by their paths later. */
static void test_no_links_where_guild_writes(void)
{
    static const char *const not_made[] = {".guild/output", ".guild/attrs", ".guild/attrs/started",
            ".guild/attempts", ".guild/attempts/1", ".guild/LOCK.remote",
            ".guild/proto/.guild/attrs", ".guild/children/x/.guild", ".guild"};
    static const char *const made[] = {"output", ".guild/sourcecode/a", "sub/.guildy", "sub/attrs"};
    Place p;
    place_init(&p, 0);
    g_autofree char *root = in(&p, "root");
    fs_mkdirs(root, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(not_made) + G_N_ELEMENTS(made); i++) {
        gboolean is_made = i >= G_N_ELEMENTS(not_made);
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
        FileEntry *e =
                file_entry_new(is_made ? made[i - G_N_ELEMENTS(not_made)] : not_made[i], FILE_LINK);
        e->target = g_strdup("/nowhere");
        g_ptr_array_add(files, e);
        g_autoptr(GError) error = NULL;
        g_assert_true(filelist_build(root, files, NULL, NULL, &error));
        g_assert_no_error(error);
        g_autofree char *path = fs_join(root, e->path);
        g_assert_cmpint(fs_is_link(path), ==, is_made);
    }
    place_clear(&p);
}

/* What is compared with a name must not come under another one. */
static void test_a_path_has_one_name(void)
{
    static const char *const names[] = {".guild//output", ".guild/./output", "./.guild/output",
            ".guild/output/", "."};
    Place p;
    place_init(&p, 0);
    g_autofree char *root = in(&p, "root"), *output = in(&p, "root/.guild/output");
    fs_mkdirs(root, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
        FileEntry *e = file_entry_new(names[i], FILE_LINK);
        e->target = g_strdup("/nowhere");
        g_ptr_array_add(files, e);
        g_assert_false(filelist_build(root, files, NULL, NULL, NULL));
        g_assert_false(fs_lexists(output));
        MsgFiles m = {.id = 1, .files = files};
        g_autoptr(GBytes) packed = wire_pack(MSG_FILES, &m);
        MsgKind kind;
        g_assert_null(wire_unpack(
                g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), &kind, NULL));
    }
    place_clear(&p);
}

/* A trial may replace a folder by a file, and a file or a link by a folder. */
static void test_what_is_there_gives_way(void)
{
    Place p;
    place_init(&p, 0);
    put(&p, "new/file", "was a folder");
    put(&p, "new/folder/a", "was a file");
    put(&p, "new/linked/a", "was a link");
    put(&p, "root/file/a/b", "old");
    put(&p, "root/folder", "old");
    put(&p, "other/a", "of others");
    g_autofree char *root = in(&p, "root"), *link = in(&p, "root/linked"), *a = in(&p, "other/a");
    fs_symlink("../other", link, NULL);
    g_autoptr(GPtrArray) files = scan(&p, "new", FILELIST_PLAIN);
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        g_autofree char *rel = fs_join("new", e->path), *path = in(&p, rel);
        gsize len;
        char *text = e->kind == FILE_REGULAR ? fs_read(path, 0, &len, NULL) : NULL;
        e->data = text ? g_bytes_new_take(text, len) : NULL;
    }
    g_autoptr(GError) error = NULL;
    g_assert_true(filelist_build(root, files, NULL, NULL, &error));
    g_assert_no_error(error);
    g_autoptr(GPtrArray) built = scan(&p, "root", FILELIST_PLAIN);
    g_assert_cmpuint(built->len, ==, files->len);
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        g_assert_true(file_entry_same(e, filelist_find(built, e->path)) || e->kind == FILE_REGULAR);
    }
    g_autofree char *others = fs_read(a, 0, NULL, NULL);
    g_assert_cmpstr(others, ==, "of others");
    place_clear(&p);
}

static void test_nothing_is_written_outside(void)
{
    static const char *const names[] = {"../evil", "a/../../evil", "/tmp/guild-test-evil", ".."};
    Place p;
    place_init(&p, 0);
    g_autofree char *root = in(&p, "root"), *evil = in(&p, "evil");
    fs_mkdirs(root, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
        FileEntry *e = file_entry_new(names[i], FILE_REGULAR);
        e->data = g_bytes_new("x", 1);
        e->size = 1;
        g_ptr_array_add(files, e);
        g_autoptr(GError) error = NULL;
        g_assert_false(filelist_build(root, files, NULL, NULL, &error));
        g_assert_nonnull(strstr(error->message, names[i]));
        e->kind = FILE_GONE;
        g_assert_false(filelist_build(root, files, NULL, NULL, NULL));
    }
    g_assert_false(fs_lexists(evil));
    g_assert_false(fs_lexists("/tmp/guild-test-evil"));
    g_assert_true(fs_is_dir(root));
    place_clear(&p);
}

/* As on a full disk: no file gets any larger. */
static void test_content_without_room_is_an_error(void)
{
    struct rlimit before, none;
    Place p;
    place_init(&p, 0);
    g_autofree char *root = in(&p, "root"), *digest = digest_sha256("abc", 3);
    fs_mkdirs(root, NULL);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = file_entry_new("a.txt", FILE_REGULAR);
    e->data = g_bytes_new("abc", 3);
    e->size = 3;
    g_ptr_array_add(files, e);
    g_autoptr(GError) error = NULL, blob_error = NULL;
    signal(SIGXFSZ, SIG_IGN);
    g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &before), ==, 0);
    none = (struct rlimit){0, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &none);
    gboolean built = filelist_build(root, files, NULL, NULL, &error);
    BlobWriter *w = blobs_begin(p.store, digest, 3, NULL);
    gboolean added =
            blob_writer_add(w, "abc", 3, &blob_error) && blob_writer_finish(w, &blob_error);
    setrlimit(RLIMIT_FSIZE, &before);
    g_assert_false(built);
    g_assert_nonnull(strstr(error->message, root));
    g_assert_false(added);
    g_assert_nonnull(strstr(blob_error->message, p.dir));
    g_assert_false(blobs_has(p.store, digest));
    place_clear(&p);
}

static void test_links_that_lead_out_are_followed_when_asked(void)
{
    Place p;
    place_init(&p, 0);
    put(&p, "other/data.txt", "data");
    put(&p, "run/own.txt", "own");
    g_autofree char *link = in(&p, "run/in"), *own = in(&p, "run/own-link");
    fs_symlink("../other/data.txt", link, NULL);
    fs_symlink("own.txt", own, NULL);
    g_autoptr(GPtrArray) plain = scan(&p, "run", FILELIST_PLAIN);
    g_assert_cmpint(filelist_find(plain, "in")->kind, ==, FILE_LINK);
    g_autoptr(GPtrArray) followed = scan(&p, "run", FILELIST_FOLLOW_OUTSIDE);
    g_assert_cmpint(filelist_find(followed, "in")->kind, ==, FILE_REGULAR);
    g_assert_cmpuint(filelist_find(followed, "in")->size, ==, 4);
    g_assert_cmpint(filelist_find(followed, "own-link")->kind, ==, FILE_LINK);
    place_clear(&p);
}

static void test_links_are_followed_only_to_where_they_may_lead(void)
{
    static const char *const links[] = {"run", "secret", "..", "/etc/hostname"};
    Place p;
    place_init(&p, 0);
    put(&p, "runs/2/model", "of another run");
    put(&p, "secret/key", "secret");
    put(&p, "runs/1/own", "own");
    g_autofree char *runs = in(&p, "runs"), *root = in(&p, "runs/1"), *good = in(&p, "runs/1/good"),
                    *round_about = in(&p, "runs/2/out"), *folder = in(&p, "runs/1/folder");
    fs_symlink("../2/model", good, NULL);
    fs_symlink("../2", folder, NULL);
    fs_symlink("../../secret", round_about, NULL);
    for (guint i = 0; i < G_N_ELEMENTS(links); i++) {
        g_autofree char *name = g_strdup_printf("runs/1/bad%u", i), *link = in(&p, name);
        g_autofree char *up = g_strconcat("../../", links[i], NULL);
        fs_symlink(*links[i] == '/' ? links[i] : up, link, NULL);
    }
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) files =
            filelist_scan_within(root, runs, FILELIST_PLAIN, NULL, NULL, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(filelist_find(files, "good")->kind, ==, FILE_REGULAR);
    g_assert_cmpint(filelist_find(files, "folder")->kind, ==, FILE_DIR);
    g_assert_cmpint(filelist_find(files, "folder/model")->kind, ==, FILE_REGULAR);
    g_assert_cmpint(filelist_find(files, "folder/out")->kind, ==, FILE_LINK);
    for (guint i = 0; i < files->len; i++) {
        const FileEntry *e = files->pdata[i];
        g_assert_true(!g_str_has_prefix(e->path, "bad") || e->kind == FILE_LINK);
    }
    place_clear(&p);
}

static void on_log(LogLevel level, const char *line, gpointer said)
{
    g_ptr_array_add(said, g_strdup(line));
}

static gboolean but_no_sockets(const char *rel, gboolean is_dir, gpointer data)
{
    return !g_str_has_suffix(rel, ".sock");
}

static void test_what_cannot_travel_is_said_once(void)
{
    Place p;
    place_init(&p, 0);
    put(&p, "runs/1/d/own", "own");
    g_autofree char *root = in(&p, "runs/1"), *pipe = in(&p, "runs/1/d/pipe"),
                    *odd = in(&p, "runs/1/odd\xff\n"), *other = in(&p, "runs/1/x.sock");
    g_assert_cmpint(mkfifo(pipe, 0600), ==, 0);
    g_autoptr(GPtrArray) said = g_ptr_array_new_with_free_func(g_free);
    log_set_hook(on_log, said);
    g_autoptr(GPtrArray) files = filelist_scan(root, FILELIST_PLAIN, NULL, NULL, NULL, NULL);
    g_assert_cmpuint(said->len, ==, 1);
    g_assert_nonnull(strstr(said->pdata[0], "run 1: d/pipe is left out: it is a pipe"));
    g_assert_cmpint(mkfifo(other, 0600), ==, 0);
    g_assert_true(fs_write(odd, "x", -1, NULL));
    g_autofree char *left = NULL;
    g_autoptr(GPtrArray) changes =
            filelist_changes(root, files, FILELIST_PLAIN, but_no_sockets, NULL, &left, NULL);
    g_assert_cmpstr(left, ==, "d/pipe is left out: it is a pipe, and 1 more");
    g_assert_cmpint(unlink(pipe), ==, 0);
    g_autoptr(GPtrArray) named =
            filelist_scan(root, FILELIST_PLAIN, but_no_sockets, NULL, NULL, NULL);
    g_assert_cmpuint(said->len, ==, 2);
    g_assert_nonnull(strstr(said->pdata[1], "run 1: odd\xef\xbf\xbd? is left out: its name is not UTF-8"));
    g_assert_cmpint(unlink(odd), ==, 0);
    g_autoptr(GPtrArray) all = filelist_scan(root, FILELIST_PLAIN, but_no_sockets, NULL, NULL, NULL);
    log_set_hook(NULL, NULL);
    g_assert_cmpuint(said->len, ==, 2); /* nor of what nobody wants */
    g_assert_cmpuint(all->len, ==, 2);
    g_assert_true(files->len == 2 && named->len == 2);
    place_clear(&p);
}

static void test_changes_are_what_changed(void)
{
    Place p;
    place_init(&p, 0);
    put(&p, "r/same", "1");
    put(&p, "r/changed", "1");
    put(&p, "r/gone", "1");
    put(&p, "r/as-long", "1");
    g_autofree char *as_long = in(&p, "r/as-long");
    struct timespec past[2] = {{1000, 0}, {1000, 0}};
    g_assert_cmpint(utimensat(AT_FDCWD, as_long, past, 0), ==, 0);
    g_autoptr(GPtrArray) before = scan(&p, "r", FILELIST_NO_DIGEST);
    put(&p, "r/changed", "22");
    put(&p, "r/as-long", "2");
    put(&p, "r/new", "3");
    g_autofree char *gone = in(&p, "r/gone"), *root = in(&p, "r");
    fs_remove(gone, NULL);
    g_autoptr(GPtrArray) changes = filelist_changes(root, before, 0, NULL, NULL, NULL, NULL);
    g_assert_cmpuint(changes->len, ==, 4);
    g_assert_nonnull(((FileEntry *)changes->pdata[1])->digest); /* as-long */
    g_assert_cmpstr(((FileEntry *)changes->pdata[1])->path, ==, "as-long");
    FileEntry *first = changes->pdata[0];
    g_assert_cmpstr(first->path, ==, "gone");
    g_assert_cmpint(first->kind, ==, FILE_GONE);
    place_clear(&p);
}

/* A result, or a submission, without it would look whole. */
static void test_what_cannot_be_read_is_an_error(void)
{
    Place p;
    place_init(&p, 0);
    put(&p, "r/secret", "1");
    g_autofree char *secret = in(&p, "r/secret"), *before = g_get_current_dir();
    g_assert_cmpint(chmod(secret, 0), ==, 0);
    g_assert_cmpint(chmod(p.dir, 0755), ==, 0);
    g_assert_cmpint(chdir(p.dir), ==, 0); /* the folders above are not everybody's */
    uid_t we = geteuid();
    g_assert_true(we != 0 || seteuid(65534) == 0); /* who may read everything can't try it */
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) files = filelist_scan("r", FILELIST_PLAIN, NULL, NULL, NULL, &error);
    g_assert_true(we != 0 || seteuid(we) == 0);
    g_assert_cmpint(chdir(before), ==, 0);
    g_assert_null(files);
    g_assert_nonnull(strstr(error->message, "r/secret"));
    place_clear(&p);
}

/* ---- blobs ---- */

static void test_a_wrong_blob_gets_no_name(void)
{
    Place p;
    place_init(&p, 0);
    g_autofree char *digest = digest_sha256("right", 5);
    BlobWriter *w = blobs_begin(p.store, digest, 5, NULL);
    g_assert_true(blob_writer_add(w, "wrong", 5, NULL));
    g_assert_false(blob_writer_finish(w, NULL));
    g_assert_false(blobs_has(p.store, digest));
    place_clear(&p);
}

static void test_a_part_is_gone_on_with(void)
{
    Place p;
    place_init(&p, 0);
    g_autofree char *digest = digest_sha256("abcdef", 6);
    BlobWriter *w = blobs_begin(p.store, digest, 6, NULL);
    g_assert_true(blob_writer_add(w, "abc", 3, NULL));
    blob_writer_abort(w);
    w = blobs_begin(p.store, digest, 6, NULL);
    g_assert_cmpuint(blob_writer_offset(w), ==, 3);
    g_assert_false(blob_writer_add(w, "defg", 4, NULL)); /* one too many */
    g_assert_true(blob_writer_add(w, "def", 3, NULL));
    g_assert_true(blob_writer_finish(w, NULL));
    g_assert_true(blobs_has(p.store, digest));
    place_clear(&p);
}

static void test_a_store_that_was_removed_is_made_again(void)
{
    Place p;
    place_init(&p, 0);
    g_autofree char *digest = digest_sha256("abc", 3);
    g_autofree char *path = blobs_path(p.store, digest), *up = g_path_get_dirname(path);
    g_autofree char *store = g_path_get_dirname(up), *cache = g_path_get_dirname(store);
    g_assert_true(fs_remove_tree(cache, NULL));
    BlobWriter *w = blobs_begin(p.store, digest, 3, NULL);
    g_assert_nonnull(w);
    g_assert_true(blob_writer_add(w, "abc", 3, NULL));
    g_assert_true(blob_writer_finish(w, NULL));
    g_assert_true(blobs_has(p.store, digest));
    place_clear(&p);
}

/* Else each blob of a run that is larger than the store would walk all of it, in vain. */
static void test_what_is_all_in_use_is_not_looked_through_again(void)
{
    Place p;
    place_init(&p, 20000);
    char *digests[23];
    for (int i = 0; i < 22; i++) {
        digests[i] = add_blob(p.store, i);
        blobs_pin(p.store, digests[i]);
    }
    blobs_trim(p.store);
    digests[22] = add_blob(p.store, 22); /* could be dropped, were it looked for */
    blobs_trim(p.store);
    g_assert_true(blobs_has(p.store, digests[22]));
    blobs_unpin(p.store, digests[21]);
    blobs_trim_beside(p.store);
    while (blobs_has(p.store, digests[22]) || blobs_has(p.store, digests[21]))
        g_thread_yield();
    for (int i = 0; i < 23; i++) {
        g_assert_true(i > 20 || blobs_has(p.store, digests[i]));
        g_free(digests[i]);
    }
    place_clear(&p);
}

static void test_the_least_recently_used_goes(void)
{
    Place p;
    place_init(&p, 2500);
    char *digests[3];
    for (int i = 0; i < 3; i++)
        digests[i] = add_blob(p.store, i);
    blobs_pin(p.store, digests[0]); /* the oldest, but in use */
    blobs_trim(p.store);
    g_assert_true(blobs_has(p.store, digests[0]));
    g_assert_false(blobs_has(p.store, digests[1]));
    g_assert_true(blobs_has(p.store, digests[2]));
    for (int i = 0; i < 3; i++)
        g_free(digests[i]);
    place_clear(&p);
}

static void test_use_counts_from_when_it_was_opened(void)
{
    Place p;
    place_init(&p, 2500);
    char *digests[3];
    for (int i = 0; i < 3; i++)
        digests[i] = add_blob(p.store, i);
    int fd = blobs_open_fd(digests[0], p.store, NULL);
    g_assert_cmpint(fd, >=, 0);
    close(fd);
    blobs_trim(p.store);
    g_assert_true(blobs_has(p.store, digests[0]));
    g_assert_false(blobs_has(p.store, digests[1]));
    for (int i = 0; i < 3; i++)
        g_free(digests[i]);
    place_clear(&p);
}

/* ---- blobs that are lent ---- */

typedef struct {
    Place place;
    char *digest;
    int run_fd; /* the folder that gets it */
    char *file; /* what it is there */
} Loan;

/* A blob of "abcdef", and the folder of a run. */
static void loan_init(Loan *l)
{
    place_init(&l->place, 0);
    l->digest = digest_sha256("abcdef", 6);
    BlobWriter *w = blobs_begin(l->place.store, l->digest, 6, NULL);
    g_assert_true(blob_writer_add(w, "abcdef", 6, NULL));
    g_assert_true(blob_writer_finish(w, NULL));
    g_autofree char *run = in(&l->place, "run");
    g_assert_true(fs_mkdirs(run, NULL));
    l->run_fd = open(run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    l->file = in(&l->place, "run/file");
}

/* FALSE where file systems share content: nothing need be lent there. */
static gboolean loan_lend(Loan *l)
{
    g_assert_true(blobs_lend(l->digest, l->run_fd, "file", l->place.store));
    g_autofree char *text = fs_read(l->file, 100, NULL, NULL);
    g_assert_cmpstr(text, ==, "abcdef");
    return !blobs_has(l->place.store, l->digest);
}

static void loan_clear(Loan *l)
{
    close(l->run_fd);
    g_free(l->file);
    g_free(l->digest);
    place_clear(&l->place);
}

static char *blob_text(Loan *l)
{
    g_autofree char *path = blobs_path(l->place.store, l->digest);
    return fs_read(path, 100, NULL, NULL);
}

static void test_a_lent_blob_comes_back_without_a_copy(void)
{
    Loan l;
    loan_init(&l);
    if (loan_lend(&l)) {
        ino_t inode = inode_of(l.file);
        g_assert_true(fs_remove(l.file, NULL));
        g_assert_true(blobs_recall(l.place.store, l.digest, 6));
        g_autofree char *path = blobs_path(l.place.store, l.digest);
        g_assert_true(inode_of(path) == inode);
        g_assert_cmpuint(blobs_size(l.place.store), ==, 6);
        g_assert_false(blobs_recall(l.place.store, l.digest, 6)); /* not lent */
    }
    loan_clear(&l);
}

static void test_a_lent_blob_that_was_changed_is_none(void)
{
    static const char *const changed[] = {"abcdeX", "abc", "abcdefg"};
    for (guint i = 0; i < 2 * G_N_ELEMENTS(changed); i++) {
        Loan l;
        loan_init(&l);
        gboolean lent = loan_lend(&l);
        int fd = open(l.file, O_WRONLY | O_TRUNC | O_CLOEXEC);
        const char *text = changed[i / 2];
        g_assert_cmpint(write(fd, text, strlen(text)), ==, strlen(text));
        close(fd);
        if (i % 2)
            g_assert_true(fs_remove(l.file, NULL));
        g_assert_false(blobs_recall(l.place.store, l.digest, 6));
        g_assert_true(blobs_has(l.place.store, l.digest) == !lent);
        if (lent) {
            g_assert_cmpuint(blobs_size(l.place.store), ==, 0);
            BlobWriter *w = blobs_begin(l.place.store, l.digest, 6, NULL);
            g_assert_cmpuint(blob_writer_offset(w), ==, 0);
            blob_writer_abort(w);
        }
        loan_clear(&l);
    }
}

/* Its run has it still, or a process that the run left behind: theirs to change, not the store's.
 */
static void test_what_may_be_written_to_is_copied(void)
{
    for (guint i = 0; i < 2; i++) {
        Loan l;
        loan_init(&l);
        gboolean lent = loan_lend(&l);
        int fd = open(l.file, O_WRONLY | O_CLOEXEC);
        if (i)
            g_assert_true(fs_remove(l.file, NULL));
        g_assert_true(blobs_recall(l.place.store, l.digest, 6) == lent);
        g_assert_cmpint(write(fd, "XXX", 3), ==, 3);
        close(fd);
        g_autofree char *text = blob_text(&l);
        g_assert_cmpstr(text, ==, "abcdef");
        g_assert_cmpuint(blobs_size(l.place.store), ==, 6);
        loan_clear(&l);
    }
}

/* The machine went before its disk had all of them. */
static void test_after_a_start_of_the_machine_blobs_are_read_again(void)
{
    for (guint lost = 0; lost < 2; lost++) {
        Loan l;
        loan_init(&l);
        g_autofree char *path = blobs_path(l.place.store, l.digest);
        g_autofree char *boot = g_build_filename(l.place.dir, "cache", "blobs", "part", "boot", NULL);
        g_clear_pointer(&l.place.store, blobs_close);
        l.place.store = blobs_open(l.place.dir, 0, NULL);
        g_assert_true(blobs_has(l.place.store, l.digest)); /* it has not been started */
        g_clear_pointer(&l.place.store, blobs_close);
        g_assert_true(fs_write(boot, "another", -1, NULL));
        g_autoptr(BlobStore) in_use = blobs_open(l.place.dir, 0, NULL);
        g_assert_false(blobs_has(in_use, l.digest));
        g_assert_true(blobs_recall(in_use, l.digest, 6));
        g_assert_true(fs_write(boot, "of another machine that shares the file system", -1, NULL));
        l.place.store = blobs_open(l.place.dir, 0, NULL);
        g_assert_true(blobs_has(l.place.store, l.digest)); /* somebody may be reading it */
        g_clear_pointer(&l.place.store, blobs_close);
        g_clear_pointer(&in_use, blobs_close);
        if (lost)
            g_assert_cmpint(truncate(path, 0), ==, 0);
        l.place.store = blobs_open(l.place.dir, 0, NULL);
        g_assert_false(blobs_has(l.place.store, l.digest));
        g_assert_true(blobs_recall(l.place.store, l.digest, 6) == !lost);
        g_assert_true(blobs_has(l.place.store, l.digest) == !lost);
        loan_clear(&l);
    }
}

static void test_what_others_need_is_not_lent(void)
{
    Loan l;
    loan_init(&l);
    gboolean shares = !loan_lend(&l); /* all may have it then */
    /* Wanted while it is lent: better kept from now on. */
    blobs_recall(l.place.store, l.digest, 6);
    g_assert_true(blobs_lend(l.digest, l.run_fd, "popular", l.place.store) == shares);

    g_autoptr(BlobStore) again = blobs_open(l.place.dir, 0, NULL); /* another process's */
    g_assert_true(blobs_lend(l.digest, l.run_fd, "a", again) == shares);
    g_clear_pointer(&l.place.store, blobs_close);
    blobs_pin(again, l.digest);
    blobs_pin(again, l.digest);
    g_assert_true(blobs_lend(l.digest, l.run_fd, "b", again) == shares);
    blobs_unpin(again, l.digest);
    g_assert_true(blobs_has(again, l.digest));
    g_assert_true(blobs_lend(l.digest, l.run_fd, "c", again));
    loan_clear(&l);
}

/* ---- between two peers ---- */

static void test_content_crosses_and_goes_on_after_a_break(void)
{
    Place a, b;
    place_init(&a, 0);
    place_init(&b, 0);
    g_autofree char *large = g_malloc(3 * WIRE_CHUNK + 17);
    for (gsize i = 0; i < 3 * WIRE_CHUNK + 17; i++)
        large[i] = (char)('a' + i % 23);
    large[3 * WIRE_CHUNK + 16] = 0;
    put(&a, "t/large", large);
    put(&a, "t/empty", "");
    put(&a, "t/small", "s");
    put(&a, "t/small-too", "s");
    g_autoptr(GPtrArray) files = scan(&a, "t", FILELIST_PLAIN);
    g_autofree char *root = in(&a, "t");
    Pipe to_a = {0}, to_b = {0};
    Transfer *ta = transfer_new(a.store, pipe_send, &to_b);
    Transfer *tb = transfer_new(b.store, pipe_send, &to_a);
    transfer_offer(ta, root, files);
    int done = 0;
    g_assert_cmpuint(transfer_want(tb, files, on_done, &done), !=, 0);
    for (int i = 0; i < 3; i++) { /* some pieces, then the connection breaks */
        deliver(&to_a, ta);
        deliver(&to_b, tb);
    }
    g_queue_clear_full(&to_a.queue, (GDestroyNotify)g_bytes_unref);
    g_queue_clear_full(&to_b.queue, (GDestroyNotify)g_bytes_unref);
    g_assert_cmpint(done, ==, 0);
    transfer_resume(tb);
    while (deliver(&to_a, ta) | deliver(&to_b, tb))
        ;
    g_assert_cmpint(done, ==, 1);
    for (guint i = 0; i < files->len; i++)
        g_assert_true(blobs_has(b.store, ((FileEntry *)files->pdata[i])->digest));
    transfer_free(ta);
    transfer_free(tb);
    place_clear(&a);
    place_clear(&b);
}

static void test_what_a_long_list_lacks_is_found_beside_the_loop(void)
{
    Place a, b;
    place_init(&a, 0);
    place_init(&b, 0);
    for (guint i = 0; i <= FILELIST_SHORT_LEN; i++) {
        g_autofree char *name = g_strdup_printf("t/%u", i);
        put(&a, name, name);
    }
    g_autoptr(GPtrArray) files = scan(&a, "t", FILELIST_PLAIN);
    g_autofree char *root = in(&a, "t");
    GMainContext *context = g_main_context_new();
    Pipe to_a = {0}, to_b = {0};
    Transfer *ta = transfer_new(a.store, pipe_send, &to_b);
    Transfer *tb = transfer_new(b.store, pipe_send, &to_a);
    transfer_look_apart(tb, context);
    transfer_offer(ta, root, files);
    int done = 0, cancelled = 0;
    TransferWant want = transfer_want(tb, files, on_done, &cancelled);
    g_assert_cmpuint(to_a.queue.length, ==, 0);
    transfer_cancel(tb, want);
    g_assert_cmpuint(transfer_want(tb, files, on_done, &done), !=, 0);
    g_assert_cmpuint(to_a.queue.length, ==, 0);
    while (!done) {
        g_main_context_iteration(context, !to_a.queue.length && !to_b.queue.length);
        while (deliver(&to_a, ta) | deliver(&to_b, tb))
            ;
    }
    g_assert_cmpint(done, ==, 1);
    g_assert_cmpint(cancelled, ==, 0);
    transfer_release(tb, files);
    transfer_want(tb, files, on_done, &cancelled); /* the connection ends while it is looked */
    transfer_free(tb);
    while (g_main_context_iteration(context, FALSE))
        ;
    transfer_free(ta);
    place_clear(&a);
    place_clear(&b);
    g_main_context_unref(context);
}

static void test_lent_content_crosses_once(void)
{
    Place a;
    Loan b;
    place_init(&a, 0);
    loan_init(&b);
    put(&a, "t/data", "abcdef");
    g_autoptr(GPtrArray) files = scan(&a, "t", FILELIST_PLAIN);
    Pipe to_a = {0};
    Transfer *tb = transfer_new(b.place.store, pipe_send, &to_a);
    int done = 0;
    loan_lend(&b);
    g_assert_cmpuint(transfer_want(tb, files, on_done, &done), ==, 0);
    g_assert_cmpint(done, ==, 1);
    g_assert_true(blobs_has(b.place.store, b.digest));
    g_assert_cmpuint(to_a.queue.length, ==, 0);
    transfer_free(tb);
    loan_clear(&b);
    place_clear(&a);
}

static void test_what_was_not_offered_is_not_served(void)
{
    Place a, b;
    place_init(&a, 0);
    place_init(&b, 0);
    put(&a, "secret", "secret");
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    FileEntry *e = file_entry_new("secret", FILE_REGULAR);
    e->digest = digest_sha256("secret", 6);
    e->size = 6;
    g_ptr_array_add(files, e);
    Pipe to_a = {0}, to_b = {0};
    Transfer *ta = transfer_new(a.store, pipe_send, &to_b);
    Transfer *tb = transfer_new(b.store, pipe_send, &to_a);
    int done = 0;
    transfer_want(tb, files, on_done, &done);
    while (deliver(&to_a, ta) | deliver(&to_b, tb))
        ;
    g_assert_cmpint(done, ==, 2);
    transfer_free(ta);
    transfer_free(tb);
    place_clear(&a);
    place_clear(&b);
}

/* What became of a wish of somebody who has nothing yet: 1 it is here, 2 it is not to be had. */
static int fetch_anew(Transfer *ta, Pipe *to_a, Pipe *to_b, GPtrArray *files)
{
    Place b;
    place_init(&b, 0);
    Transfer *tb = transfer_new(b.store, pipe_send, to_a);
    int done = 0;
    transfer_want(tb, files, on_done, &done);
    while (deliver(to_a, ta) | deliver(to_b, tb))
        ;
    transfer_free(tb);
    place_clear(&b);
    return done;
}

/* One content may be in several files of several runs. */
static void test_content_is_served_as_long_as_one_who_has_it_offers(void)
{
    Place a;
    place_init(&a, 0);
    put(&a, "one/x", "same");
    put(&a, "one/y", "same");
    put(&a, "two/z", "same");
    g_autoptr(GPtrArray) one = scan(&a, "one", FILELIST_PLAIN);
    g_autoptr(GPtrArray) two = scan(&a, "two", FILELIST_PLAIN);
    g_autofree char *root_one = in(&a, "one"), *root_two = in(&a, "two");
    Pipe to_a = {0}, to_b = {0};
    Transfer *ta = transfer_new(a.store, pipe_send, &to_b);
    TransferOffer first = transfer_offer(ta, root_one, one);
    TransferOffer second = transfer_offer(ta, root_two, two);
    g_assert_cmpint(fetch_anew(ta, &to_a, &to_b, two), ==, 1);
    transfer_withdraw(ta, second);
    g_assert_cmpint(fetch_anew(ta, &to_a, &to_b, two), ==, 1);
    transfer_withdraw(ta, first);
    g_assert_cmpint(fetch_anew(ta, &to_a, &to_b, two), ==, 2);
    transfer_free(ta);
    place_clear(&a);
}

/* A folder that was offered is a link by the time it is asked for: what is of the same name there is not
 * what was offered. */
static void test_what_was_offered_is_served_from_where_it_was(void)
{
    for (int confined = 0; confined < 2; confined++) {
        Place a;
        place_init(&a, 0);
        put(&a, "runs/1/d/key", "offered");
        put(&a, "secret/key", "secret!");
        g_autofree char *root = in(&a, "runs/1"), *runs = in(&a, "runs"), *d = in(&a, "runs/1/d");
        g_autoptr(GPtrArray) files = scan(&a, "runs/1", FILELIST_PLAIN);
        Pipe out = {0};
        Transfer *t = transfer_new(a.store, pipe_send, &out);
        if (confined)
            transfer_confine(t, runs);
        transfer_offer(t, root, files);
        g_assert_true(fs_remove_tree(d, NULL) && fs_symlink("../../secret", d, NULL));
        MsgGet get = {filelist_find(files, "d/key")->digest, 0, 7};
        transfer_handle(t, MSG_GET, &get);
        g_autoptr(GBytes) packed = g_queue_pop_head(&out.queue);
        MsgKind kind;
        void *msg = wire_unpack(
                g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), &kind, NULL);
        g_assert_cmpint(kind, ==, confined ? MSG_MISSING : MSG_CHUNK);
        wire_free(kind, msg);
        transfer_free(t);
        place_clear(&a);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/filelist/a-tree-is-built-as-it-was", test_a_tree_is_built_as_it_was);
    g_test_add_func("/filelist/set-id", test_set_id_bits_do_not_travel);
    g_test_add_func("/filelist/same-stays", test_what_is_the_same_already_stays);
    g_test_add_func("/filelist/nothing-through-a-link", test_nothing_is_written_through_a_link);
    g_test_add_func("/filelist/no-links-where-guild-writes", test_no_links_where_guild_writes);
    g_test_add_func("/filelist/one-name", test_a_path_has_one_name);
    g_test_add_func("/filelist/gives-way", test_what_is_there_gives_way);
    g_test_add_func("/filelist/links-within", test_links_are_followed_only_to_where_they_may_lead);
    g_test_add_func("/transfer/from-where-it-was", test_what_was_offered_is_served_from_where_it_was);
    g_test_add_func("/filelist/nothing-outside", test_nothing_is_written_outside);
    g_test_add_func("/filelist/no-room", test_content_without_room_is_an_error);
    g_test_add_func("/filelist/links-out", test_links_that_lead_out_are_followed_when_asked);
    g_test_add_func("/filelist/left-out", test_what_cannot_travel_is_said_once);
    g_test_add_func("/filelist/changes", test_changes_are_what_changed);
    g_test_add_func("/filelist/unreadable", test_what_cannot_be_read_is_an_error);
    g_test_add_func("/blobs/wrong", test_a_wrong_blob_gets_no_name);
    g_test_add_func("/blobs/part", test_a_part_is_gone_on_with);
    g_test_add_func("/blobs/least-recently-used", test_the_least_recently_used_goes);
    g_test_add_func("/blobs/used", test_use_counts_from_when_it_was_opened);
    g_test_add_func("/blobs/removed", test_a_store_that_was_removed_is_made_again);
    g_test_add_func("/blobs/all-in-use", test_what_is_all_in_use_is_not_looked_through_again);
    g_test_add_func("/blobs/lent/comes-back", test_a_lent_blob_comes_back_without_a_copy);
    g_test_add_func("/blobs/lent/changed", test_a_lent_blob_that_was_changed_is_none);
    g_test_add_func("/blobs/lent/written-to", test_what_may_be_written_to_is_copied);
    g_test_add_func("/blobs/lent/needed", test_what_others_need_is_not_lent);
    g_test_add_func("/blobs/doubted", test_after_a_start_of_the_machine_blobs_are_read_again);
    g_test_add_func("/transfer/lent-crosses-once", test_lent_content_crosses_once);
    g_test_add_func(
            "/transfer/long-lists-apart", test_what_a_long_list_lacks_is_found_beside_the_loop);
    g_test_add_func(
            "/transfer/crosses-and-goes-on", test_content_crosses_and_goes_on_after_a_break);
    g_test_add_func("/transfer/not-offered", test_what_was_not_offered_is_not_served);
    g_test_add_func(
            "/transfer/offered-twice", test_content_is_served_as_long_as_one_who_has_it_offers);
    return g_test_run();
}
