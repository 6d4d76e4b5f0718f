/* SPDX-License-Identifier: Apache-2.0 */
/* Dependencies: data as the reference writes it, archives that try to leave their folder, downloads
 * that fail, and where resolved files may go. */
#include "engine/base/digest.h"
#include "engine/base/fs.h"
#include "engine/base/yaml.h"
#include "engine/deps/archive.h"
#include "engine/deps/dep.h"
#include "engine/deps/fetch.h"
#include "engine/deps/lazy_archive.h"
#include "engine/deps/resolve.h"
#include "engine/project/guildfile.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Attribute `op`, `deps`, of a run of Guild AI 0.9 (location shortened). */
static const char reference_data[] = "- config:\n"
                                     "    upper: e9372f9aa0c145e2b12e453680c92d91\n"
                                     "  location: /tmp/p1\n"
                                     "  name: upper\n"
                                     "  sources:\n"
                                     "  - name: upper\n"
                                     "    operation: up\n"
                                     "    target-path: ups\n"
                                     "- location: /tmp/p1\n"
                                     "  name: file:t.tgz\n"
                                     "  sources:\n"
                                     "  - file: t.tgz\n"
                                     "    select: sub/.*\n"
                                     "- location: /tmp/p1\n"
                                     "  name: data\n"
                                     "  sources:\n"
                                     "  - file: data\n"
                                     "    target-type: link\n"
                                     "  - f.txt\n"
                                     "- location: /tmp/p1\n"
                                     "  name: file:nope\n"
                                     "  sources:\n"
                                     "  - file: nope\n"
                                     "    optional: true\n"
                                     "- location: .\n"
                                     "  name: x.txt\n"
                                     "  sources:\n"
                                     "  - file: x.txt\n"
                                     "  target-type: link";

static const char project[] = "- model: m\n"
                              "  operations:\n"
                              "    up: {exec: 'true'}\n"
                              "    down:\n"
                              "      exec: 'true'\n"
                              "      requires:\n"
                              "        - operation: up\n"
                              "          name: upper\n"
                              "          target-path: ups\n"
                              "        - file: t.tgz\n"
                              "          select: sub/.*\n"
                              "        - ${which}\n"
                              "        - file: nope\n"
                              "          optional: yes\n"
                              "    bad:\n"
                              "      exec: 'true'\n"
                              "      requires: nodata\n"
                              "  resources:\n"
                              "    data:\n"
                              "      sources:\n"
                              "        - file: data\n"
                              "          target-type: link\n"
                              "        - f.txt\n";

typedef struct Fixture {
    char *dir;
    RunStore *store;
    Run *run;
} Fixture;

static void setup(Fixture *f, gconstpointer unused)
{
    f->dir = fs_mkdtemp("test-deps-", NULL);
    g_assert_nonnull(f->dir);
    g_autofree char *home = g_build_filename(f->dir, "home", NULL);
    f->store = run_store_open(home, NULL);
    f->run = run_store_new_run(f->store, NULL);
    g_autoptr(OpRef) ref = opref_new("test", "", "", "", "op");
    g_assert_true(run_init_skel(f->run, NULL));
    g_assert_true(run_write_opref(f->run, ref, NULL));
}

static void teardown(Fixture *f, gconstpointer unused)
{
    run_unref(f->run);
    run_store_free(f->store);
    fs_remove_tree(f->dir, NULL);
    g_free(f->dir);
}

static char *put(Fixture *f, const char *name, const char *text)
{
    char *path = g_build_filename(f->dir, name, NULL);
    g_autofree char *parent = g_path_get_dirname(path);
    g_assert_true(fs_mkdirs(parent, NULL));
    g_assert_true(fs_write(path, text, -1, NULL));
    return path;
}

static void assert_error_has(GError *error, const char *text)
{
    g_assert_nonnull(error);
    if (!strstr(error->message, text))
        g_error("'%s' has no '%s'", error->message, text);
    g_error_free(error);
}

/* Resolves one source given as YAML with the fixture's folder as location. */
static gboolean resolve_text(Fixture *f, const char *source_yaml, GError **error)
{
    g_autofree char *text =
            g_strdup_printf("[{name: r, location: %s, sources: [%s]}]", f->dir, source_yaml);
    g_autoptr(Value) data = yaml_parse(text, -1, NULL, NULL);
    g_assert_nonnull(data);
    g_autoptr(GPtrArray) deps = deps_for_data(data, error);
    DepsContext ctx = {.store = f->store};
    return deps && deps_resolve(deps, f->run, &ctx, error);
}

static void test_data_round_trip(void)
{
    g_autoptr(Value) data = yaml_parse(reference_data, -1, NULL, NULL);
    g_autoptr(GPtrArray) deps = deps_for_data(data, NULL);
    g_assert_nonnull(deps);
    g_autoptr(Value) again = deps_as_data(deps);
    g_autofree char *text = yaml_dump(again);
    g_assert_cmpstr(text, ==, reference_data);
}

static void test_data_of_opdef(void)
{
    g_autoptr(Value) items = yaml_parse(project, -1, NULL, NULL);
    g_autoptr(GError) error = NULL;
    g_autoptr(Guildfile) gf = guildfile_for_data(items, "/tmp/p1/guild.yml", "/tmp/p1", &error);
    g_assert_no_error(error);
    ModelDef *model = guildfile_model(gf, "m");
    g_autoptr(Value) flags =
            yaml_parse("{upper: e9372f9aa0c145e2b12e453680c92d91, which: data}", -1, NULL, NULL);
    g_autoptr(GPtrArray) deps = deps_for_opdef(modeldef_operation(model, "down"), flags, &error);
    g_assert_no_error(error);
    Dep *extra = dep_for_path("x.txt", NULL);
    g_ptr_array_add(deps, extra);
    g_autoptr(Value) data = deps_as_data(deps);
    g_autofree char *text = yaml_dump(data);
    g_assert_cmpstr(text, ==, reference_data);

    GError *bad = NULL;
    g_assert_null(deps_for_opdef(modeldef_operation(model, "bad"), flags, &bad));
    assert_error_has(bad, "resource 'nodata' required by operation 'm:bad' is not defined");
    g_autoptr(Value) none = value_new_map();
    bad = NULL;
    g_assert_null(deps_for_opdef(modeldef_operation(model, "down"), none, &bad));
    assert_error_has(bad, "which");
}

static void test_files(Fixture *f, gconstpointer unused)
{
    g_free(put(f, "a/one.txt", "1"));
    g_free(put(f, "a/two-2.txt", "2"));
    g_free(put(f, "a/two-11.txt", "11"));
    GError *error = NULL;
    g_assert_true(resolve_text(
            f, "{file: a, select-max: 'two-(\\d+)\\.txt', rename: 'two latest'}", &error));
    g_assert_no_error(error);
    g_autofree char *target = g_build_filename(run_dir(f->run), "latest-11.txt", NULL);
    g_autofree char *text = fs_read(target, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "11");
    g_autoptr(Value) attr = run_get_attr(f->run, "deps", NULL);
    g_autofree char *attr_text = yaml_dump_flow(attr);
    g_assert_cmpstr(
            attr_text, ==, "{r: {'file:a': {paths: [../../../a/two-11.txt], uri: 'file:a'}}}");

    g_assert_false(resolve_text(f, "{file: missing.txt, help: try this}", &error));
    assert_error_has(error, "could not resolve 'file:missing.txt' in r resource: "
                            "cannot find source file 'missing.txt'\ntry this");
}

/* Everything that would be written outside of the run is refused and leaves nothing. */
static void test_stays_inside(Fixture *f, gconstpointer unused)
{
    g_free(put(f, "a.txt", "1"));
    g_autofree char *outside = g_build_filename(f->dir, "outside", NULL);
    g_assert_true(fs_mkdirs(outside, NULL));
    g_autofree char *link = g_build_filename(run_dir(f->run), "door", NULL);
    g_assert_true(fs_symlink(outside, link, NULL));
    static const char *const bad[] = {
            "{file: a.txt, target-path: ../../..}",
            "{file: a.txt, target-path: /tmp}",
            "{file: a.txt, target-path: x/../../y}",
            "{file: a.txt, rename: '.* ../../b.txt'}",
            "{file: a.txt, target-path: door}",
            "{file: a.txt, target-path: door/deeper, target-type: link}",
            "{file: a.txt, rename: '.* door/b.txt'}",
    };
    for (gsize i = 0; i < G_N_ELEMENTS(bad); i++) {
        GError *error = NULL;
        g_assert_false(resolve_text(f, bad[i], &error));
        g_assert_error(error, DEP_ERROR, DEP_ERROR_REFUSED);
        assert_error_has(error, "in r resource (path must be ");
    }
    g_auto(GStrv) names = fs_list(outside, NULL);
    g_assert_cmpuint(g_strv_length(names), ==, 0);
}

/* ---- archives ---- */

typedef struct Entry {
    const char *name;
    mode_t type;
    const char *content; /* or a link's target */
} Entry;

static char *make_archive(Fixture *f, const char *name, gboolean zip, const Entry *entries)
{
    char *path = g_build_filename(f->dir, name, NULL);
    struct archive *a = archive_write_new();
    if (zip)
        archive_write_set_format_zip(a);
    else
        archive_write_set_format_pax_restricted(a);
    g_assert_cmpint(archive_write_open_filename(a, path), ==, ARCHIVE_OK);
    for (; entries->name; entries++) {
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, entries->name);
        archive_entry_set_perm(e, 0644);
        if (entries->type == 0) {
            archive_entry_set_filetype(e, AE_IFREG);
            archive_entry_set_hardlink(e, entries->content);
        } else {
            archive_entry_set_filetype(e, entries->type);
        }
        if (entries->type == AE_IFLNK)
            archive_entry_set_symlink(e, entries->content);
        if (entries->type == AE_IFREG)
            archive_entry_set_size(e, (la_int64_t)strlen(entries->content));
        g_assert_cmpint(archive_write_header(a, e), ==, ARCHIVE_OK);
        if (entries->type == AE_IFREG)
            archive_write_data(a, entries->content, strlen(entries->content));
        archive_entry_free(e);
    }
    archive_write_close(a);
    archive_write_free(a);
    return path;
}

static void test_archive(Fixture *f, gconstpointer unused)
{
    const Entry entries[] = {{"./top.txt", AE_IFREG, "1"}, {"d/e/deep.txt", AE_IFREG, "2"},
            {"d/link", AE_IFLNK, "e/deep.txt"}, {0}};
    g_autofree char *tar = make_archive(f, "ok.tar", FALSE, entries);
    g_autofree char *dir = g_build_filename(f->dir, "unpacked", NULL);
    for (int round = 0; round < 2; round++) {
        g_auto(GStrv) names = archive_unpack(tar, "tar", dir, NULL);
        g_assert_nonnull(names);
        g_autofree char *joined = g_strjoinv(" ", names);
        g_assert_cmpstr(joined, ==, "d d/e top.txt d/e/deep.txt d/link");
    }
    g_autofree char *deep = g_build_filename(dir, "d", "link", NULL);
    g_autofree char *text = fs_read(deep, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "2");
    GError *error = NULL;
    g_assert_true(resolve_text(f, "{file: ok.tar, select: d/e/.*}", &error));
    g_assert_no_error(error);
    g_autofree char *target = g_build_filename(run_dir(f->run), "deep.txt", NULL);
    g_assert_true(fs_is_file(target));
}

static void test_archive_hostile(Fixture *f, gconstpointer unused)
{
    static const Entry cases[][3] = {
            {{"../out.txt", AE_IFREG, "x"}},
            {{"a/../../out.txt", AE_IFREG, "x"}},
            {{"/tmp/guild-test-out.txt", AE_IFREG, "x"}},
            {{"l", AE_IFLNK, "/etc"}, {"l/out.txt", AE_IFREG, "x"}},
            {{"l", AE_IFLNK, "../.."}},
            {{"p/q/d", AE_IFLNK, "../.."}, {"e", AE_IFLNK, "p/q/d/../x"}},
            {{"d", AE_IFLNK, "."}, {"d/l", AE_IFREG, "x"}},
            {{"h", 0, "/etc/passwd"}},
            {{"h", 0, "../out.txt"}},
            {{"fifo", AE_IFIFO, ""}},
            {{".guild-cache-x.sha", AE_IFREG, "x"}},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autofree char *name = g_strdup_printf("bad%zu.tar", i);
        g_autofree char *tar = make_archive(f, name, FALSE, cases[i]);
        g_autofree char *dir = g_strdup_printf("%s/inner/%zu", f->dir, i);
        GError *error = NULL;
        g_assert_null(archive_unpack(tar, "tar", dir, &error));
        g_assert_error(error, DEP_ERROR, DEP_ERROR_REFUSED);
        assert_error_has(error, tar);
    }
    g_autofree char *out = g_build_filename(f->dir, "inner", "out.txt", NULL);
    g_assert_false(fs_lexists(out));
    g_assert_false(fs_lexists("/tmp/guild-test-out.txt"));
    g_autofree char *zip = make_archive(f, "bad.zip", TRUE, cases[0]);
    GError *error = NULL;
    g_assert_false(resolve_text(f, "bad.zip", &error));
    assert_error_has(error, "could not resolve 'file:bad.zip' in r resource: ");
}

static void test_archive_broken(Fixture *f, gconstpointer unused)
{
    g_autofree char *path = put(f, "cut.zip", "PK\003\004 this is not all of it");
    GError *error = NULL;
    g_assert_false(resolve_text(f, "cut.zip", &error));
    assert_error_has(error, "cannot be unpacked: ");
    g_assert_true(resolve_text(f, "{file: cut.zip, unpack: no}", NULL));
}

/* ---- downloads ---- */

static void test_fetch_file(Fixture *f, gconstpointer unused)
{
    g_autofree char *path = put(f, "some data.txt", "hello");
    g_autofree char *url = g_strdup_printf("file://%s/some%%20data.txt", f->dir);
    g_autofree char *cache = g_build_filename(f->dir, "cache", NULL);
    g_autofree char *sha = digest_sha256("hello", 5);
    GError *error = NULL;
    g_autofree char *got = fetch_url(url, cache, sha, &error);
    g_assert_no_error(error);
    g_autofree char *text = fs_read(got, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "hello");
    g_assert_true(fs_write(path, "other", -1, NULL));
    g_autofree char *again = fetch_url(url, cache, sha, &error); /* from the cache */
    g_assert_no_error(error);
    g_assert_null(fetch_url(url, cache, "00", &error));
    assert_error_has(error, "bad sha256 for ");
    error = NULL;
    g_assert_null(fetch_url("file:///no/such/file", cache, NULL, &error));
    assert_error_has(error, "cannot fetch file:///no/such/file: ");
    error = NULL;
    g_assert_null(fetch_url("https://localhost/", cache, NULL, &error));
    assert_error_has(error, "names no file");
    g_auto(GStrv) left = fs_list(cache, NULL);
    for (guint i = 0; left[i]; i++)
        g_assert_false(g_str_has_suffix(left[i], ".part"));
}

/* A server that takes the connection (the kernel does) and never answers. */
static void test_fetch_stalls(Fixture *f, gconstpointer unused)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof addr;
    g_assert_cmpint(bind(fd, (struct sockaddr *)&addr, sizeof addr), ==, 0);
    g_assert_cmpint(listen(fd, 4), ==, 0);
    g_assert_cmpint(getsockname(fd, (struct sockaddr *)&addr, &len), ==, 0);
    g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/data.csv", ntohs(addr.sin_port));
    g_setenv("GUILD_FETCH_TIMEOUT", "1", TRUE);
    gint64 start = g_get_monotonic_time();
    GError *error = NULL;
    g_autofree char *source = g_strdup_printf("{url: '%s'}", url);
    g_assert_false(resolve_text(f, source, &error));
    assert_error_has(error, "cannot fetch http://127.0.0.1:");
    g_assert_cmpint(g_get_monotonic_time() - start, <, 20 * G_USEC_PER_SEC);
    g_unsetenv("GUILD_FETCH_TIMEOUT");
    close(fd);
}

/* ---- configuration ---- */

static void test_config(Fixture *f, gconstpointer unused)
{
    g_free(put(f, "c.yml", "v: 3\nk: {a: 1}\nx.y: 2\n"));
    g_free(put(f, "c.ini", "[s]\nA = 1\nb: text\n"));
    g_autoptr(Value) flags = yaml_parse("{k.a: 9, x.y: 5, n.e.w: [1], gone: null}", -1, NULL, NULL);
    g_assert_true(run_write_attr(f->run, "flags", flags, NULL));
    GError *error = NULL;
    g_assert_true(resolve_text(f, "{config: c.yml, params: {v: 4}}", &error));
    g_assert_no_error(error);
    g_autofree char *target = g_build_filename(run_dir(f->run), "c.yml", NULL);
    g_autofree char *text = fs_read(target, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "k:\n  a: 9\nn:\n  e:\n    w:\n    - 1\nv: 4\nx.y: 5");

    g_autoptr(Value) ini_flags = yaml_parse("{s.a: 2.5, t.new: yes}", -1, NULL, NULL);
    g_assert_true(run_write_attr(f->run, "flags", ini_flags, NULL));
    g_assert_true(resolve_text(f, "{config: c.ini}", &error));
    g_autofree char *ini = g_build_filename(run_dir(f->run), "c.ini", NULL);
    g_autofree char *ini_text = fs_read(ini, 0, NULL, NULL);
    g_assert_cmpstr(ini_text, ==, "[s]\na = 2.5\nb = text\n\n[t]\nnew = True\n\n");

    g_autoptr(Value) clash = yaml_parse("{v.a: 1}", -1, NULL, NULL);
    g_assert_true(run_write_attr(f->run, "flags", clash, NULL));
    g_assert_false(resolve_text(f, "{config: c.yml, always-resolve: yes}", &error));
    assert_error_has(error, "'v.a' cannot be nested: conflicts with {'v': 3}");
}

/* ---- for another machine ---- */

static gboolean resolve_with(
        Fixture *f, const char *source_yaml, const DepsContext *ctx, GError **error)
{
    g_autofree char *text =
            g_strdup_printf("[{name: r, location: %s, sources: [%s]}]", f->dir, source_yaml);
    g_autoptr(Value) data = yaml_parse(text, -1, NULL, NULL);
    g_autoptr(GPtrArray) deps = deps_for_data(data, error);
    return deps && deps_resolve(deps, f->run, ctx, error);
}

/* What a batch's proto packs is enough for its trials, wherever they run. */
static void test_pack(Fixture *f, gconstpointer unused)
{
    static const char source[] = "{file: '${a}-${b}.txt', rename: '.* it'}";
    const DepsContext submit = {
            .store = f->store, .filter = DEPS_NOT_OPERATIONS, .for_batch = TRUE};
    const DepsContext start = {.store = f->store};
    g_autofree char *one = put(f, "x-1.txt", "x1");
    g_autofree char *two = put(f, "x-2.txt", "x2");
    g_autoptr(Value) lists = yaml_parse("{a: x, b: [1, 2], c: [3, 4]}", -1, NULL, NULL);
    g_assert_true(run_write_attr(f->run, "flags", lists, NULL));
    GError *error = NULL;
    g_assert_true(resolve_with(f, source, &submit, &error));
    g_assert_no_error(error);
    g_assert_true(fs_remove(one, NULL) && fs_remove(two, NULL));
    g_autoptr(Value) flags = yaml_parse("{a: x, b: 2, c: 3}", -1, NULL, NULL);
    g_assert_true(run_write_attr(f->run, "flags", flags, NULL));
    g_assert_true(resolve_with(f, source, &start, &error));
    g_assert_no_error(error);
    g_autofree char *target = g_build_filename(run_dir(f->run), "it", NULL);
    g_autofree char *text = fs_read(target, 0, NULL, NULL);
    g_assert_cmpstr(text, ==, "x2");
    g_autoptr(Value) missing = yaml_parse("{a: [x, y], b: 1}", -1, NULL, NULL);
    g_assert_true(run_write_attr(f->run, "flags", missing, NULL));
    run_del_attr(f->run, "deps");
    g_assert_false(resolve_with(f, source, &submit, &error));
    assert_error_has(error, "cannot find source file '");
}

/* What was resolved before the run was sent is not resolved again where it starts, but is at a
 * restart. */
static void test_done(Fixture *f, gconstpointer unused)
{
    static const char source[] = "{file: a.txt, always-resolve: yes, replace-existing: yes}";
    const DepsContext submit = {.store = f->store, .filter = DEPS_NOT_OPERATIONS};
    const DepsContext start = {.store = f->store};
    g_autofree char *path = put(f, "a.txt", "1");
    g_autofree char *target = g_build_filename(run_dir(f->run), "a.txt", NULL);
    g_assert_true(resolve_with(f, source, &submit, NULL));
    g_assert_true(fs_write(path, "2", -1, NULL));
    g_assert_true(resolve_with(f, source, &start, NULL));
    g_autofree char *first = fs_read(target, 0, NULL, NULL);
    g_assert_cmpstr(first, ==, "1");
    g_assert_true(resolve_with(f, source, &start, NULL));
    g_autofree char *second = fs_read(target, 0, NULL, NULL);
    g_assert_cmpstr(second, ==, "2");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/deps/data/round-trip", test_data_round_trip);
    g_test_add_func("/deps/data/opdef", test_data_of_opdef);
    static const struct {
        const char *name;
        void (*fn)(Fixture *, gconstpointer);
    } tests[] = {
            {"/deps/files", test_files},
            {"/deps/stays-inside", test_stays_inside},
            {"/deps/archive/ok", test_archive},
            {"/deps/archive/hostile", test_archive_hostile},
            {"/deps/archive/broken", test_archive_broken},
            {"/deps/fetch/file", test_fetch_file},
            {"/deps/fetch/stalls", test_fetch_stalls},
            {"/deps/config", test_config},
            {"/deps/pack", test_pack},
            {"/deps/done", test_done},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(tests); i++)
        g_test_add(tests[i].name, Fixture, NULL, setup, tests[i].fn, teardown);
    return g_test_run();
}
