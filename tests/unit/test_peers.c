/* SPDX-License-Identifier: Apache-2.0 */
/* Promise 4, and what of promise 5 lies at the socket: keys are judged at the handshake and again with
 * every message, a role may send what is its own and nothing else, a frame that is too large ends its
 * connection. The peers here lie about everything they can. */
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/log.h"
#include "engine/wire/filelist.h"
#include "tests/unit/peer_fixture.h"

static void test_a_key_that_nobody_authorized_ends_at_the_handshake(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autofree char *elsewhere = fs_mkdtemp("guild-test-", NULL);
    g_autoptr(KeyRing) other = keyring_open(elsewhere, TRUE, NULL);
    g_autoptr(AccessKey) key = keyring_authorize(other, ROLE_CLIENT, "stranger", NULL);
    memcpy(key->server_key, keyring_server_public(f.keys), KEY_LEN);
    TestPeer *p = peer_connect(&f, key, "stranger");
    PEER_WAIT_FOR(p->shaken || p->refused);
    g_assert_true(p->refused);
    g_assert_false(p->shaken);
    peer_end(p);
    fs_remove_tree(elsewhere, NULL);
    peer_fixture_clear(&f);
}

/* Sends what each role may not, then asks for a sign of life: nothing was answered before it. */
static void say_forbidden(TestPeer *p, KeyRole role)
{
    g_autoptr(Value) none = value_new_map();
    MsgCall call = { .id = 5, .method = (char *)"runs", .args = none };
    MsgSubmit submit = { .id = 6 };
    MsgDone done = { .task = 1, .lease = 1 };
    if (role == ROLE_WORKER)
        peer_say(p, MSG_CALL, &call);
    if (role != ROLE_CLIENT)
        peer_say(p, MSG_SUBMIT, &submit);
    if (role != ROLE_WORKER)
        peer_say(p, MSG_DONE, &done);
    peer_sync(p);
    g_assert_null(peer_find(p, MSG_REPLY));
    g_assert_null(peer_find(p, MSG_SUBMITTED));
    g_assert_null(peer_find(p, MSG_ACK));
}

static void test_a_role_sends_only_what_is_its_own(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    TestPeer *w = peer_worker(&f, "w1");
    say_forbidden(w, ROLE_WORKER);
    peer_end(w);
    const KeyRole roles[] = { ROLE_CLIENT, ROLE_READER };
    for (guint i = 0; i < G_N_ELEMENTS(roles); i++) {
        g_autoptr(AccessKey) key = peer_key(&f, roles[i], key_role_name(roles[i]));
        TestPeer *p = peer_connect(&f, key, "p");
        peer_hello_client(p);
        say_forbidden(p, roles[i]);
        peer_end(p);
    }
    peer_fixture_clear(&f);
}

static void hello_is_refused(PeerFixture *f, KeyRole role, const char *as)
{
    g_autoptr(AccessKey) key = peer_key(f, role, as);
    TestPeer *p = peer_connect(f, key, "p");
    g_autoptr(Value) resources = value_new_map();
    MsgHello m = { .version = WIRE_VERSION, .role = (char *)as, .name = (char *)"p",
        .session = (char *)"s", .resources = resources };
    peer_say(p, MSG_HELLO, &m);
    PEER_WAIT_FOR(peer_find(p, MSG_REFUSED) || peer_find(p, MSG_WELCOME));
    MsgRefused *no = peer_await(p, MSG_REFUSED);
    g_assert_true(no->fatal);
    wire_free(MSG_REFUSED, no);
    peer_end(p);
}

static void test_nobody_is_welcome_in_a_role_that_is_not_theirs(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    hello_is_refused(&f, ROLE_WORKER, "client");
    hello_is_refused(&f, ROLE_CLIENT, "worker");
    hello_is_refused(&f, ROLE_READER, "worker");
    peer_fixture_clear(&f);
}

static char *call(TestPeer *p, const char *method)
{
    g_autoptr(Value) none = value_new_map();
    MsgCall m = { .id = 5, .method = (char *)method, .args = none };
    peer_say(p, MSG_CALL, &m);
    MsgReply *r = peer_await(p, MSG_REPLY);
    char *error = g_strdup(r->error ? r->error : "");
    wire_free(MSG_REPLY, r);
    return error;
}

static char *command(TestPeer *p, const char *const *argv)
{
    g_autoptr(Value) args = value_new_map();
    value_map_set(args, "argv", value_new_strv(argv));
    MsgCall m = { .id = 6, .method = (char *)"command", .args = args };
    peer_say(p, MSG_CALL, &m);
    MsgReply *r = peer_await(p, MSG_REPLY);
    char *error = g_strdup(r->error ? r->error : "");
    wire_free(MSG_REPLY, r);
    return error;
}

static void test_a_reader_changes_no_runs(void)
{
    static const char *const commands[][5] = { { "delete", "-y" }, { "runs", "rm", "-y" },
        { "runs", "--", "rm", "-y" }, { "runs", "--", "import", "/" }, { "label", "-s", "x", "-y" } };
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_READER, "r");
    TestPeer *p = peer_connect(&f, key, "r");
    peer_hello_client(p);
    for (guint i = 0; i < G_N_ELEMENTS(commands); i++) {
        g_autofree char *error = command(p, commands[i]);
        g_assert_true(strstr(error, "may only read") || strstr(error, "can't be used"));
    }
    peer_end(p);
    peer_fixture_clear(&f);
}

static void test_a_reader_orders_nothing(void)
{
    static const char *const orders[] = { "stop", "priority", "drain", "alloc" };
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_READER, "r");
    TestPeer *p = peer_connect(&f, key, "r");
    peer_hello_client(p);
    for (guint i = 0; i < G_N_ELEMENTS(orders); i++) {
        g_autofree char *error = call(p, orders[i]);
        g_assert_nonnull(strstr(error, "may not do that"));
    }
    g_autofree char *error = call(p, "runs");
    g_assert_cmpstr(error, ==, "");
    peer_end(p);
    peer_fixture_clear(&f);
}

static void test_a_revoked_key_is_not_heard_on_an_open_connection(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "former");
    TestPeer *p = peer_connect(&f, key, "former");
    peer_hello_client(p);
    g_autofree char *before = call(p, "runs");
    g_assert_cmpstr(before, ==, "");
    g_assert_true(keyring_revoke(f.keys, "former", NULL));
    g_autoptr(Value) none = value_new_map();
    MsgCall m = { .id = 6, .method = (char *)"runs", .args = none };
    peer_say(p, MSG_CALL, &m);
    PEER_WAIT_FOR(peer_find(p, MSG_REFUSED) || peer_find(p, MSG_REPLY));
    g_assert_null(peer_find(p, MSG_REPLY));
    MsgRefused *no = peer_await(p, MSG_REFUSED);
    g_assert_true(no->fatal);
    wire_free(MSG_REFUSED, no);
    peer_end(p);
    peer_fixture_clear(&f);
}

/* An answer would not come in any case: what it orders is not done. */
static void test_nothing_is_done_for_a_revoked_key(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    TestPeer *w = peer_worker(&f, "w1");
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "former");
    TestPeer *p = peer_connect(&f, key, "former");
    peer_hello_client(p);
    g_autoptr(Value) args = value_new_map();
    value_map_set_string(args, "worker", "w1");
    MsgCall drain = { .id = 6, .method = (char *)"drain", .args = args };
    g_assert_true(keyring_revoke(f.keys, "former", NULL));
    peer_say(p, MSG_CALL, &drain);
    wire_free(MSG_REFUSED, peer_await(p, MSG_REFUSED));
    peer_sync(w);
    g_assert_null(peer_find(w, MSG_DRAIN));
    peer_end(p);
    peer_end(w);
    peer_fixture_clear(&f);
}

/* It says nothing itself, and is told nothing but that. */
static void test_a_revoked_watcher_hears_no_more(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(Run) run = run_fixture_run(&f.base, "22222222222222222222222222222222", "op", 1, 0);
    run_del_attr(run, "exit_status");
    g_assert_true(run_set_marker(run, "PENDING", NULL));
    JobOptions o = { .retries = -1 };
    g_assert_nonnull(coordinator_add(f.c, run, &o, NULL, NULL, NULL));
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_READER, "former");
    TestPeer *p = peer_connect(&f, key, "former");
    peer_hello_client(p);
    MsgWatch watch = { .run = (char *)run_id(run), .output = TRUE, .events = TRUE };
    peer_say(p, MSG_WATCH, &watch);
    TestPeer *w = peer_worker(&f, "w1");
    MsgStart *start = peer_await(w, MSG_START);
    MsgStarted started = { .task = start->task, .lease = start->lease, .started_us = 1 };
    peer_say(w, MSG_STARTED, &started);
    g_autoptr(GBytes) text = g_bytes_new_static("heard\n", 6);
    MsgOutput output = { .task = start->task, .lease = start->lease, .data = text };
    g_autofree char *file = run_guild_path(run, "output");
    g_assert_true(fs_write(file, "heard\n", -1, NULL)); /* in place: the worker's doing */
    peer_say(w, MSG_OUTPUT, &output);
    wire_free(MSG_OUTPUT, peer_await(p, MSG_OUTPUT));
    g_assert_true(keyring_revoke(f.keys, "former", NULL));
    g_usleep(2000); /* longer than the coordinator may rely on its last look */
    g_assert_true(fs_write(file, "heard\nnot heard\n", -1, NULL));
    g_autoptr(GBytes) more = g_bytes_new_static("not heard\n", 10);
    output.offset = 6;
    output.data = more;
    peer_say(w, MSG_OUTPUT, &output);
    peer_sync(w);
    g_assert_null(peer_find(p, MSG_OUTPUT));
    MsgRefused *no = peer_await(p, MSG_REFUSED);
    g_assert_true(no->fatal);
    wire_free(MSG_REFUSED, no);
    g_assert_null(peer_find(p, MSG_OUTPUT));
    wire_free(MSG_START, start);
    peer_end(w);
    peer_end(p);
    peer_fixture_clear(&f);
}

/* Whoever wrote the file of authorized keys says so; what it was at HELLO is of no importance. */
static void test_a_role_that_was_taken_counts_at_once(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    TestPeer *p = peer_connect(&f, key, "c");
    peer_hello_client(p);
    g_autofree char *before = call(p, "priority");
    g_assert_null(strstr(before, "may not do that"));
    g_autofree char *path = g_build_filename(f.base.home, "coordinator", "authorized", NULL);
    g_autofree char *text = fs_read(path, 0, NULL, NULL);
    char *role = strstr(text, "role: client");
    g_assert_nonnull(role);
    memcpy(role, "role: reader", strlen("role: reader"));
    g_assert_true(fs_write_atomic(path, text, -1, 0600, NULL));
    g_autofree char *after = call(p, "priority");
    g_assert_nonnull(strstr(after, "may not do that"));
    peer_end(p);
    peer_fixture_clear(&f);
}

static void test_who_sees_another_home_does_not_see_ours(void)
{
    static const char *const tokens[] = { "", "00", NULL };
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w");
    for (guint i = 0; i < G_N_ELEMENTS(tokens); i++) {
        TestPeer *p = peer_connect(&f, key, "w");
        g_autoptr(Value) resources = value_new_map();
        g_autofree char *session = g_strdup_printf("w%u", i);
        MsgHello m = { .version = WIRE_VERSION, .role = (char *)"worker", .name = (char *)"w",
            .session = session, .resources = resources, .home_token = (char *)tokens[i] };
        peer_say(p, MSG_HELLO, &m);
        MsgWelcome *welcome = peer_await(p, MSG_WELCOME);
        g_assert_false(welcome->in_place);
        wire_free(MSG_WELCOME, welcome);
        peer_end(p);
    }
    peer_fixture_clear(&f);
}

/* ---- files with secrets ---- */

static void test_what_is_secret_in_the_home_is_its_owners(void)
{
    static const char *const secrets[] = { "server.key", "local.key", "token", "authorized", "" };
    PeerFixture f;
    mode_t mask = umask(022);
    peer_fixture_init(&f, 3, 0);
    for (guint i = 0; i < G_N_ELEMENTS(secrets); i++) {
        g_autofree char *path = g_build_filename(f.base.home, "coordinator", secrets[i], NULL);
        struct stat st;
        g_assert_cmpint(stat(path, &st), ==, 0);
        g_assert_cmpuint(st.st_mode & 077, ==, 0);
    }
    umask(mask);
    peer_fixture_clear(&f);
}

static void test_a_key_file_that_others_may_use_is_refused(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "c");
    g_autofree char *path = g_build_filename(f.base.home, "c.access", NULL);
    g_assert_true(access_key_save(key, path, NULL));
    for (guint mode = 0600; mode <= 0677; mode++) {
        g_autoptr(GError) error = NULL;
        g_assert_cmpint(chmod(path, mode), ==, 0);
        g_autoptr(AccessKey) loaded = access_key_load(path, &error);
        g_assert_cmpint(loaded != NULL, ==, mode == 0600);
        g_assert_true(mode == 0600 || g_error_matches(error, KEYS_ERROR, KEYS_ERROR_MODE));
    }
    peer_fixture_clear(&f);
}

/* Two releases with protocols of their own: said plainly on both sides, and nothing guessed. */
static void test_another_version_is_refused_and_told_so(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    for (int i = -1; i <= 1; i += 2) {
        g_autofree char *name = g_strdup_printf("v%d", i);
        g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, name);
        TestPeer *p = peer_connect(&f, key, name);
        MsgHello m = { .version = WIRE_VERSION + i, .role = (char *)"worker", .name = name,
            .session = name };
        peer_say(p, MSG_HELLO, &m);
        MsgRefused *no = peer_await(p, MSG_REFUSED);
        g_assert_true(no->fatal);
        g_autofree char *said = g_strdup_printf("it speaks version %d of the protocol and we speak %d",
                WIRE_VERSION, WIRE_VERSION + i);
        g_assert_true(g_str_has_prefix(no->reason, said));
        wire_free(MSG_REFUSED, no);
        peer_end(p);
    }
    peer_fixture_clear(&f);
}

static void test_without_hello_nothing_is_answered(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "rude");
    TestPeer *p = peer_connect(&f, key, "rude");
    MsgCall m = { .id = 6, .method = (char *)"runs" };
    peer_say(p, MSG_CALL, &m);
    wire_free(MSG_REFUSED, peer_await(p, MSG_REFUSED));
    g_assert_null(peer_find(p, MSG_REPLY));
    peer_end(p);
    peer_fixture_clear(&f);
}

static void test_a_frame_that_is_too_large_ends_its_connection(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    TestPeer *p = peer_worker(&f, "w1"), *bystander = peer_worker(&f, "w2");
    gsize size = WIRE_MAX_FRAME + 1;
    g_autoptr(GBytes) body = g_bytes_new_take(g_malloc0(size), size);
    g_assert_false(p->cut);
    g_assert_cmpint(zsource_send(p->z, NULL, body), ==, ZSEND_OK);
    MsgPing ping = { .seq = 1 };
    peer_say(p, MSG_PING, &ping);
    PEER_WAIT_FOR(p->cut || peer_find(p, MSG_PONG));
    g_assert_true(p->cut);
    peer_sync(bystander);
    g_assert_false(bystander->cut);
    peer_end(p);
    peer_end(bystander);
    peer_fixture_clear(&f);
}

static void test_frames_that_are_no_messages_are_passed_over(void)
{
    static const char *const odd[] = { "", "\xc1", "GET / HTTP/1.1\r\n", "\xdd\xff\xff\xff\xff",
        "\x92\x01" };
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    TestPeer *p = peer_worker(&f, "w1");
    for (guint i = 0; i < G_N_ELEMENTS(odd); i++) {
        g_autoptr(GBytes) body = g_bytes_new_static(odd[i], strlen(odd[i]));
        g_assert_cmpint(zsource_send(p->z, NULL, body), ==, ZSEND_OK);
    }
    g_assert_cmpint(zmq_send(zsource_socket(p->z), "a", 1, ZMQ_SNDMORE), ==, 1);
    MsgPing ping = { .seq = 4711 }; /* after a frame too many: the next PONG is to another PING */
    g_autoptr(GBytes) body = wire_pack(MSG_PING, &ping);
    g_assert_cmpint(zsource_send(p->z, NULL, body), ==, ZSEND_OK);
    peer_sync(p);
    g_assert_false(p->cut);
    peer_end(p);
    peer_fixture_clear(&f);
}

/* Gives the answer's error; NULL: it was taken. */
static char *submit(TestPeer *p, const char *id, GPtrArray *files)
{
    MsgSubmit m = { .id = 7, .run = (char *)id, .retries = -1 };
    MsgFiles list = { .id = 7, .files = files, .last = TRUE };
    peer_say(p, MSG_SUBMIT, &m);
    peer_say(p, MSG_FILES, &list);
    MsgSubmitted *answer = peer_await(p, MSG_SUBMITTED);
    char *error = g_strdup(answer->error);
    wire_free(MSG_SUBMITTED, answer);
    return error;
}

static FileEntry *small_file(const char *path, const char *text)
{
    FileEntry *e = file_entry_new(path, FILE_REGULAR);
    e->data = g_bytes_new(text, strlen(text));
    e->size = strlen(text);
    e->mode = 0644;
    return e;
}

/* A process's number from another machine is somebody else's here, whom `guild stop` would end. */
static void test_a_submitted_run_is_run_by_nobody(void)
{
    static const char id[] = "33333333333333333333333333333333";
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "client");
    TestPeer *p = peer_connect(&f, key, "client");
    peer_hello_client(p);
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, small_file(".guild/LOCK", "1"));
    g_ptr_array_add(files, small_file(".guild/LOCK.remote", "w1"));
    g_ptr_array_add(files, small_file(".guild/STAGED", ""));
    g_ptr_array_add(files, small_file(".guild/opref", "test: '' '' '' op"));
    g_autofree char *error = submit(p, id, files);
    g_assert_null(error);
    g_autofree char *dir = g_build_filename(f.base.home, "runs", id, NULL);
    g_autoptr(Run) run = run_new(dir, id);
    g_assert_cmpint(run_status(run), ==, RUN_STAGED);
    g_assert_cmpint(run_pid(run), ==, 0);
    peer_end(p);
    peer_fixture_clear(&f);
}

static void test_an_id_is_the_name_of_a_folder_among_runs(void)
{
    static const char *const ids[] = { "", ".", "..", "../x", "a/b", "a\nb", ".hidden" };
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "client");
    TestPeer *p = peer_connect(&f, key, "client");
    peer_hello_client(p);
    g_autofree char *long_id = g_strnfill(65, 'a');
    for (guint i = 0; i <= G_N_ELEMENTS(ids); i++) {
        g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
        g_ptr_array_add(files, small_file(".guild/opref", "test: '' '' '' op"));
        MsgSubmit m = { .id = i + 1, .run = i < G_N_ELEMENTS(ids) ? (char *)ids[i] : long_id, .retries = -1 };
        MsgFiles list = { .id = i + 1, .files = files, .last = TRUE };
        peer_say(p, MSG_SUBMIT, &m);
        peer_say(p, MSG_FILES, &list);
        peer_sync(p); /* it is no message, or it is refused */
        if (!peer_find(p, MSG_SUBMITTED))
            continue;
        MsgSubmitted *answer = peer_await(p, MSG_SUBMITTED);
        g_assert_nonnull(strstr(answer->error, "id"));
        wire_free(MSG_SUBMITTED, answer);
    }
    g_autofree char *runs = g_build_filename(f.base.home, "runs", NULL);
    g_auto(GStrv) made = fs_list(runs, NULL);
    g_assert_cmpuint(g_strv_length(made), ==, 0);
    g_autofree char *opref = g_build_filename(f.base.home, ".guild", NULL);
    g_assert_false(fs_lexists(opref));
    peer_end(p);
    peer_fixture_clear(&f);
}

/* Each would hold its list in memory for as long as it likes. */
static void test_a_client_begins_a_bounded_number_of_submissions(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "client");
    TestPeer *p = peer_connect(&f, key, "client");
    peer_hello_client(p);
    for (guint i = 0; i < 100; i++) {
        g_autofree char *id = g_strdup_printf("run%u", i);
        MsgSubmit m = { .id = i + 1, .run = id, .retries = -1 };
        peer_say(p, MSG_SUBMIT, &m);
    }
    peer_sync(p);
    MsgSubmitted *answer = peer_await(p, MSG_SUBMITTED);
    g_assert_nonnull(strstr(answer->error, "too many"));
    g_assert_cmpuint(answer->id, >, 1);
    g_assert_cmpuint(answer->id, <, 100);
    wire_free(MSG_SUBMITTED, answer);
    peer_end(p);
    peer_fixture_clear(&f);
}

/* What a command is here: this program, which the coordinator starts. It waits at the gate. */
static int be_a_command(char **argv)
{
    g_autofree char *gate = g_build_filename(argv[2], "gate", NULL);
    char c;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = open(gate, O_RDONLY | O_CLOEXEC);
    return fd < 0 || read(fd, &c, 1) == 0 ? 0 : 1;
}

/* Asks for n commands; gives how many of them run. */
static guint begin_commands(TestPeer *p, guint n)
{
    static const char *const argv[] = { "ls", NULL };
    g_autoptr(Value) args = value_new_map();
    value_map_set(args, "argv", value_new_strv(argv));
    for (guint i = 0; i < n; i++) {
        MsgCall m = { .id = i + 1, .method = (char *)"command", .args = args };
        peer_say(p, MSG_CALL, &m);
    }
    peer_sync(p);
    guint running = n;
    while (peer_find(p, MSG_REPLY)) {
        MsgReply *r = peer_await(p, MSG_REPLY);
        g_assert_cmpstr(r->error, ==,
            "the coordinator is busy with other commands of this key - try again");
        wire_free(MSG_REPLY, r);
        running--;
    }
    return running;
}

static void end_commands(TestPeer *p, guint n)
{
    while (n) {
        MsgReply *r = peer_await(p, MSG_REPLY);
        g_assert_null(r->error);
        n -= !r->more;
        wire_free(MSG_REPLY, r);
    }
}

/* While it is open nobody reads its end. */
static int hold_gate(const char *gate)
{
    g_assert_cmpint(mkfifo(gate, 0600), ==, 0);
    return open(gate, O_RDWR | O_CLOEXEC);
}

static void open_gate(const char *gate, int hold)
{
    g_assert_cmpint(unlink(gate), ==, 0); /* who has yet to come finds none */
    close(hold);
}

static void test_a_key_has_a_bounded_number_of_commands(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autofree char *gate = g_build_filename(f.base.home, "gate", NULL);
    int hold = hold_gate(gate);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_CLIENT, "client");
    g_autoptr(AccessKey) other = peer_key(&f, ROLE_CLIENT, "other");
    TestPeer *a = peer_connect(&f, key, "a"), *b = peer_connect(&f, key, "b"),
             *c = peer_connect(&f, other, "c");
    peer_hello_client(a);
    peer_hello_client(b);
    peer_hello_client(c);
    g_assert_cmpuint(begin_commands(a, 20), ==, 20);
    g_assert_cmpuint(begin_commands(b, 20), ==, 12);
    g_assert_cmpuint(begin_commands(c, 3), ==, 3);
    open_gate(gate, hold);
    end_commands(a, 20);
    end_commands(b, 12);
    end_commands(c, 3);
    hold = hold_gate(gate);
    g_assert_cmpuint(begin_commands(b, 20), ==, 20);
    open_gate(gate, hold);
    end_commands(b, 20);
    peer_end(a);
    peer_end(b);
    peer_end(c);
    peer_fixture_clear(&f);
}

static guint watch_runs(TestPeer *p, guint from, guint to)
{
    for (guint i = from; i < to; i++) {
        g_autofree char *id = g_strdup_printf("%032x", i + 1);
        MsgWatch m = { .run = id, .events = TRUE };
        peer_say(p, MSG_WATCH, &m);
        if (i % 256 == 255)
            peer_sync(p);
    }
    peer_sync(p);
    guint refused = 0;
    while (peer_find(p, MSG_REFUSED)) {
        wire_free(MSG_REFUSED, peer_await(p, MSG_REFUSED));
        refused++;
    }
    while (peer_find(p, MSG_EVENT))
        wire_free(MSG_EVENT, peer_await(p, MSG_EVENT));
    return refused;
}

static void test_a_key_watches_a_bounded_number_of_runs(void)
{
    PeerFixture f;
    peer_fixture_init(&f, 3, 0);
    g_autofree char *first = g_strdup_printf("%032x", 1);
    run_unref(run_fixture_run(&f.base, first, "op", 1, 0));
    for (guint i = 1; i < 4100; i++) { /* many names for it */
        g_autofree char *id = g_strdup_printf("%032x", i + 1);
        g_autofree char *path = g_build_filename(f.base.home, "runs", id, NULL);
        g_assert_true(fs_symlink(first, path, NULL));
    }
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_READER, "reader");
    g_autoptr(AccessKey) other = peer_key(&f, ROLE_READER, "other");
    TestPeer *a = peer_connect(&f, key, "a"), *b = peer_connect(&f, key, "b"),
             *c = peer_connect(&f, other, "c");
    peer_hello_client(a);
    peer_hello_client(b);
    peer_hello_client(c);
    g_assert_cmpuint(watch_runs(a, 0, 4000), ==, 0);
    g_assert_cmpuint(watch_runs(b, 0, 100), ==, 4);
    g_assert_cmpuint(watch_runs(a, 0, 100), ==, 0); /* the same again are no more */
    g_assert_cmpuint(watch_runs(c, 0, 100), ==, 0);
    peer_end(a);
    /* Another connection's end is seen when it is: its watches are nobody's then. */
    PEER_WAIT_FOR(watch_runs(b, 4090, 4100) == 0);
    peer_end(b);
    peer_end(c);
    peer_fixture_clear(&f);
}

static void count_news(LogLevel level, const char *line, gpointer news)
{
    int *n = news;
    n[0] += strstr(line, "worker w1 connected") != NULL;
    n[1] += strstr(line, "worker w1 is back") != NULL;
}

static void test_that_a_worker_is_back_is_news_once(void)
{
    PeerFixture f;
    int news[2] = {0, 0};
    peer_fixture_init(&f, -1, 0);
    log_set_hook(count_news, news);
    g_autoptr(AccessKey) key = peer_key(&f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(&f, key, "w1");
    for (int i = 0; i < 3; i++)
        wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    g_assert_cmpint(news[0], ==, 1);
    g_assert_cmpint(news[1], ==, 0);
    peer_end(w);
    w = peer_connect(&f, key, "w1");
    for (int i = 0; i < 3; i++)
        wire_free(MSG_WELCOME, peer_hello_worker(&f, w, NULL));
    g_assert_cmpint(news[0], ==, 1);
    g_assert_cmpint(news[1], ==, 1);
    log_set_hook(NULL, NULL);
    peer_end(w);
    peer_fixture_clear(&f);
}

int main(int argc, char **argv)
{
    if (g_getenv(COMMAND_FOR_REMOTE))
        return be_a_command(argv);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/peers/stranger", test_a_key_that_nobody_authorized_ends_at_the_handshake);
    g_test_add_func("/peers/roles", test_a_role_sends_only_what_is_its_own);
    g_test_add_func("/peers/hello-in-a-wrong-role", test_nobody_is_welcome_in_a_role_that_is_not_theirs);
    g_test_add_func("/peers/reader", test_a_reader_orders_nothing);
    g_test_add_func("/peers/reader-changes-nothing", test_a_reader_changes_no_runs);
    g_test_add_func("/peers/revoked", test_a_revoked_key_is_not_heard_on_an_open_connection);
    g_test_add_func("/peers/revoked-orders", test_nothing_is_done_for_a_revoked_key);
    g_test_add_func("/peers/revoked-watcher", test_a_revoked_watcher_hears_no_more);
    g_test_add_func("/peers/role-taken", test_a_role_that_was_taken_counts_at_once);
    g_test_add_func("/peers/another-home", test_who_sees_another_home_does_not_see_ours);
    g_test_add_func("/peers/secrets", test_what_is_secret_in_the_home_is_its_owners);
    g_test_add_func("/peers/key-file", test_a_key_file_that_others_may_use_is_refused);
    g_test_add_func("/peers/another-version", test_another_version_is_refused_and_told_so);
    g_test_add_func("/peers/hello-first", test_without_hello_nothing_is_answered);
    g_test_add_func("/peers/too-large", test_a_frame_that_is_too_large_ends_its_connection);
    g_test_add_func("/peers/run-by-nobody", test_a_submitted_run_is_run_by_nobody);
    g_test_add_func("/peers/submissions", test_a_client_begins_a_bounded_number_of_submissions);
    g_test_add_func("/peers/commands-of-a-key", test_a_key_has_a_bounded_number_of_commands);
    g_test_add_func("/peers/watches-of-a-key", test_a_key_watches_a_bounded_number_of_runs);
    g_test_add_func("/peers/back-once", test_that_a_worker_is_back_is_news_once);
    g_test_add_func("/peers/ids", test_an_id_is_the_name_of_a_folder_among_runs);
    g_test_add_func("/peers/no-messages", test_frames_that_are_no_messages_are_passed_over);
    return g_test_run();
}
