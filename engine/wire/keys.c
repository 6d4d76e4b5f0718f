/* SPDX-License-Identifier: Apache-2.0 */
/* Key files, access files and who is authorised: see keys.h. */
#include "engine/wire/keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/value.h"
#include "engine/base/yaml.h"
#include "engine/wire/lazy_zmq.h"

typedef struct {
    char *name;
    KeyRole role;
    char *public_key;
    gint64 since_us;
} Entry;

struct KeyRing {
    char *dir; /* HOME/coordinator */
    char server_public[KEY_LEN + 1], server_secret[KEY_LEN + 1];
    char *token;
    GPtrArray *entries; /* Entry, as the file said when `seen` was taken */
    GHashTable *by_key; /* public key → Entry */
    int fd;             /* the file that was read, kept open; -1: none */
    struct stat seen;   /* it, when it was read */
    gboolean readable;
    gint64 looked_us; /* at its name; monotonic */
};

GQuark keys_error_quark(void)
{
    return g_quark_from_static_string("guild-keys-error");
}

static const struct {
    KeyRole role;
    const char *name;
} roles[] = {
        {ROLE_WORKER, "worker"},
        {ROLE_CLIENT, "client"},
        {ROLE_READER, "reader"},
        {ROLE_OWNER, "owner"},
};

KeyRole key_role_parse(const char *name)
{
    for (guint i = 0; i < G_N_ELEMENTS(roles); i++)
        if (!g_strcmp0(name, roles[i].name))
            return roles[i].role;
    return ROLE_NONE;
}

const char *key_role_name(KeyRole role)
{
    for (guint i = 0; i < G_N_ELEMENTS(roles); i++)
        if (role == roles[i].role)
            return roles[i].name;
    return "none";
}

void access_key_free(AccessKey *k)
{
    if (!k)
        return;
    explicit_bzero(k->secret_key, sizeof k->secret_key);
    g_free(k->name);
    g_free(k->host);
    g_free(k);
}

static gboolean key_text_ok(const char *key)
{
    guint8 raw[32];
    return key && strlen(key) == KEY_LEN && zmq_z85_decode(raw, key) != NULL;
}

/* ---- files with secrets ---- */

/* Reads a YAML map from a file that nobody else may read. */
static Value *load_secret(const char *path, GError **error)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int code = errno;
        g_set_error(error, KEYS_ERROR, code == ENOENT ? KEYS_ERROR_ABSENT : KEYS_ERROR_FORMAT,
                "cannot read key file %s: %s", path, g_strerror(code));
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    close(fd);
    if (st.st_mode & 077) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_MODE,
                "key file %s can be read by others (mode %04o); make it private with "
                "'chmod 600 %s'",
                path, (guint)st.st_mode & 0777, path);
        return NULL;
    }
    gsize len = 0;
    GError *err = NULL;
    g_autofree char *text = fs_read(path, 64 * 1024, &len, &err);
    Value *v = text ? yaml_parse(text, len, path, &err) : NULL;
    if (text)
        explicit_bzero(text, len);
    if (!v || !value_is_map(v)) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_FORMAT, "%s is no key file%s%s", path,
                err ? ": " : "", err ? err->message : "");
        g_clear_error(&err);
        value_unref(v);
        return NULL;
    }
    return v;
}

static gboolean save_secret(const char *path, const Value *map, GError **error)
{
    g_autofree char *text = yaml_dump(map);
    g_autofree char *whole = g_strconcat(text, "\n", NULL);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        g_set_error(error, KEYS_ERROR, errno == EEXIST ? KEYS_ERROR_EXISTS : KEYS_ERROR_FORMAT,
                "cannot write key file %s: %s", path, g_strerror(errno));
        return FALSE;
    }
    gsize n = strlen(whole);
    gboolean ok = write(fd, whole, n) == (gssize)n && fsync(fd) == 0;
    if (!ok)
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_FORMAT, "cannot write key file %s: %s", path,
                g_strerror(errno));
    close(fd);
    if (!ok)
        unlink(path);
    return ok;
}

static gboolean take_key(
        const Value *map, const char *name, char *out, const char *path, GError **error)
{
    const char *key = value_map_string(map, name, NULL);
    if (!key_text_ok(key)) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_FORMAT, "%s: '%s' is missing or is no key", path,
                name);
        return FALSE;
    }
    memcpy(out, key, KEY_LEN + 1);
    return TRUE;
}

AccessKey *access_key_load(const char *path, GError **error)
{
    g_autoptr(Value) map = load_secret(path, error);
    if (!map)
        return NULL;
    g_autoptr(AccessKey) k = g_new0(AccessKey, 1);
    if (value_map_int(map, "guild_access", 0) != 1) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_FORMAT,
                "%s is no access file (make one with 'guild coordinator authorize')", path);
        return NULL;
    }
    k->name = g_strdup(value_map_string(map, "name", ""));
    k->role = key_role_parse(value_map_string(map, "role", ""));
    k->host = g_strdup(value_map_string(map, "host", NULL));
    k->port = (int)CLAMP(value_map_int(map, "port", 0), 0, 65535);
    if (!take_key(map, "server_key", k->server_key, path, error) ||
            !take_key(map, "public_key", k->public_key, path, error) ||
            !take_key(map, "secret_key", k->secret_key, path, error))
        return NULL;
    return g_steal_pointer(&k);
}

gboolean access_key_save(const AccessKey *k, const char *path, GError **error)
{
    g_autoptr(Value) map = value_new_map();
    value_map_set_int(map, "guild_access", 1);
    value_map_set_string(map, "name", k->name);
    value_map_set_string(map, "role", key_role_name(k->role));
    value_map_set_string(map, "server_key", k->server_key);
    value_map_set_string(map, "public_key", k->public_key);
    value_map_set_string(map, "secret_key", k->secret_key);
    if (k->host)
        value_map_set_string(map, "host", k->host);
    if (k->port)
        value_map_set_int(map, "port", k->port);
    return save_secret(path, map, error);
}

/* ---- the coordinator's ---- */

static void entry_free(gpointer p)
{
    Entry *e = p;
    g_free(e->name);
    g_free(e->public_key);
    g_free(e);
}

void keyring_free(KeyRing *r)
{
    if (!r)
        return;
    explicit_bzero(r->server_secret, sizeof r->server_secret);
    g_clear_pointer(&r->by_key, g_hash_table_unref);
    g_clear_pointer(&r->entries, g_ptr_array_unref);
    if (r->fd >= 0)
        close(r->fd);
    g_free(r->token);
    g_free(r->dir);
    g_free(r);
}

static char *ring_path(KeyRing *r, const char *name)
{
    return g_build_filename(r->dir, name, NULL);
}

static void make_pair(char *public_key, char *secret_key)
{
    if (zmq_curve_keypair(public_key, secret_key) != 0)
        g_error("libzmq was built without CURVE");
}

static gboolean load_server_key(KeyRing *r, gboolean create, GError **error)
{
    g_autofree char *path = ring_path(r, "server.key");
    if (create && !fs_lexists(path)) {
        make_pair(r->server_public, r->server_secret);
        g_autoptr(Value) map = value_new_map();
        value_map_set_string(map, "public_key", r->server_public);
        value_map_set_string(map, "secret_key", r->server_secret);
        return save_secret(path, map, error);
    }
    g_autoptr(Value) map = load_secret(path, error);
    return map && take_key(map, "public_key", r->server_public, path, error) &&
           take_key(map, "secret_key", r->server_secret, path, error);
}

static void read_entries(KeyRing *r)
{
    g_autofree char *path = ring_path(r, "authorized");
    g_autoptr(Value) list = NULL;
    struct stat st = {0};
    if (r->fd >= 0)
        close(r->fd);
    r->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    r->readable =
            r->fd >= 0 && fstat(r->fd, &st) == 0 && (list = yaml_parse_file(path, NULL)) != NULL;
    r->seen = st;
    r->looked_us = clock_monotonic_us();
    g_hash_table_remove_all(r->by_key);
    g_ptr_array_set_size(r->entries, 0);
    for (gsize i = 0; value_is_list(list) && i < value_list_size(list); i++) {
        Value *item = value_list_at(list, i);
        const char *key = value_map_string(item, "public_key", NULL);
        KeyRole role = key_role_parse(value_map_string(item, "role", ""));
        if (!key_text_ok(key) || role == ROLE_NONE)
            continue; /* an entry that we don't understand allows nothing */
        Entry *e = g_new0(Entry, 1);
        e->name = g_strdup(value_map_string(item, "name", ""));
        e->role = role;
        e->public_key = g_strdup(key);
        e->since_us = value_map_int(item, "since", 0);
        g_ptr_array_add(r->entries, e);
        g_hash_table_insert(r->by_key, e->public_key, e);
    }
}

static gboolean write_entries(KeyRing *r, GError **error)
{
    g_autoptr(Value) list = value_new_list();
    for (guint i = 0; i < r->entries->len; i++) {
        Entry *e = r->entries->pdata[i];
        Value *item = value_new_map();
        value_map_set_string(item, "name", e->name);
        value_map_set_string(item, "role", key_role_name(e->role));
        value_map_set_string(item, "public_key", e->public_key);
        value_map_set_int(item, "since", e->since_us);
        value_list_append(list, item);
    }
    g_autofree char *text = yaml_dump(list);
    g_autofree char *whole = g_strconcat(text, "\n", NULL);
    g_autofree char *path = ring_path(r, "authorized");
    return fs_write_atomic(path, whole, -1, 0600, error) && fs_sync(r->dir, error);
}

static gboolean is_as_seen(const KeyRing *r, const struct stat *st)
{
    return st->st_nlink > 0 && st->st_ino == r->seen.st_ino && st->st_size == r->seen.st_size &&
           st->st_mtim.tv_sec == r->seen.st_mtim.tv_sec &&
           st->st_mtim.tv_nsec == r->seen.st_mtim.tv_nsec;
}

/* Asked for each message. Our commands rewrite the file atomically: the one that we hold open then
 * has no name any more, which costs no walk along its path to see. A file that was moved away by
 * hand is seen by its name within a millisecond. */
static void refresh(KeyRing *r)
{
    struct stat st;
    gint64 now_us = clock_monotonic_us();
    gboolean same = r->readable && fstat(r->fd, &st) == 0 && is_as_seen(r, &st);
    if (same && now_us - r->looked_us >= 1000) {
        g_autofree char *path = ring_path(r, "authorized");
        same = stat(path, &st) == 0 && is_as_seen(r, &st);
        r->looked_us = now_us;
    }
    if (!same)
        read_entries(r);
}

/* Makers and changers of the files take turns: a coordinator's first start and a command beside it
 * must agree on one pair of keys. The descriptor to close; -1 with error. */
static int lock_ring(KeyRing *r, GError **error)
{
    g_autofree char *path = ring_path(r, "keys.lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    while (fd >= 0 && flock(fd, LOCK_EX) < 0) {
        if (errno == EINTR)
            continue;
        close(fd);
        fd = -1;
    }
    if (fd < 0)
        g_set_error(error, G_FILE_ERROR, (int)g_file_error_from_errno(errno), "cannot lock %s: %s",
                path, g_strerror(errno));
    return fd;
}

static AccessKey *authorize_locked(KeyRing *r, KeyRole role, const char *name, GError **error)
{
    g_autoptr(AccessKey) k = g_new0(AccessKey, 1);
    refresh(r);
    k->name = g_strdup(name);
    k->role = role;
    memcpy(k->server_key, r->server_public, sizeof k->server_key);
    make_pair(k->public_key, k->secret_key);
    Entry *e = g_new0(Entry, 1);
    e->name = g_strdup(name);
    e->role = role;
    e->public_key = g_strdup(k->public_key);
    e->since_us = clock_timestamp_us();
    g_ptr_array_add(r->entries, e);
    if (!write_entries(r, error))
        return NULL;
    return g_steal_pointer(&k);
}

static gboolean load_local_key(KeyRing *r, gboolean create, GError **error)
{
    g_autofree char *path = ring_path(r, "local.key");
    if (!create || fs_lexists(path))
        return TRUE;
    g_autoptr(AccessKey) k = authorize_locked(r, ROLE_OWNER, "local", error);
    return k && access_key_save(k, path, error);
}

static gboolean load_token(KeyRing *r, gboolean create, GError **error)
{
    g_autofree char *path = ring_path(r, "token");
    if (create && !fs_lexists(path)) {
        char public_key[KEY_LEN + 1], secret_key[KEY_LEN + 1];
        make_pair(public_key, secret_key); /* a good source of 32 random bytes */
        guint8 raw[32];
        zmq_z85_decode(raw, secret_key);
        GString *hex = g_string_new(NULL);
        for (guint i = 0; i < sizeof raw; i++)
            g_string_append_printf(hex, "%02x", raw[i]);
        gboolean ok = fs_write_atomic(path, hex->str, hex->len, 0600, error);
        g_string_free(hex, TRUE);
        if (!ok)
            return FALSE;
    }
    r->token = fs_read(path, 1024, NULL, error);
    return r->token != NULL;
}

KeyRing *keyring_open(const char *home, gboolean create, GError **error)
{
    g_autoptr(KeyRing) r = g_new0(KeyRing, 1);
    r->dir = g_build_filename(home, "coordinator", NULL);
    r->fd = -1;
    r->entries = g_ptr_array_new_with_free_func(entry_free);
    r->by_key = g_hash_table_new(g_str_hash, g_str_equal);
    if (create) {
        if (!fs_mkdirs(r->dir, error))
            return NULL;
        chmod(r->dir, 0700);
    }
    int lock = create ? lock_ring(r, error) : -1;
    if (create && lock < 0)
        return NULL;
    gboolean ok = load_server_key(r, create, error);
    if (ok)
        read_entries(r);
    ok = ok && load_local_key(r, create, error) && load_token(r, create, error);
    if (lock >= 0)
        close(lock);
    return ok ? g_steal_pointer(&r) : NULL;
}

const char *keyring_server_public(KeyRing *r)
{
    return r->server_public;
}
const char *keyring_server_secret(KeyRing *r)
{
    return r->server_secret;
}
const char *keyring_token(KeyRing *r)
{
    return r->token;
}

gboolean keyring_allows(KeyRing *r, const char *public_key)
{
    refresh(r);
    return g_hash_table_contains(r->by_key, public_key);
}

KeyRole keyring_role(KeyRing *r, const char *public_key, const char **name)
{
    refresh(r);
    Entry *e = public_key ? g_hash_table_lookup(r->by_key, public_key) : NULL;
    if (name)
        *name = e ? e->name : NULL;
    return e ? e->role : ROLE_NONE;
}

AccessKey *keyring_authorize(KeyRing *r, KeyRole role, const char *name, GError **error)
{
    int lock = lock_ring(r, error);
    AccessKey *key = lock >= 0 ? authorize_locked(r, role, name, error) : NULL;
    if (lock >= 0)
        close(lock);
    return key;
}

static gboolean revoke_locked(KeyRing *r, const char *name_or_key, GError **error)
{
    refresh(r);
    guint before = r->entries->len;
    for (guint i = before; i-- > 0;) {
        Entry *e = r->entries->pdata[i];
        if (!strcmp(e->name, name_or_key) || !strcmp(e->public_key, name_or_key)) {
            g_hash_table_remove(r->by_key, e->public_key);
            g_ptr_array_remove_index(r->entries, i);
        }
    }
    if (r->entries->len == before) {
        g_set_error(error, KEYS_ERROR, KEYS_ERROR_ABSENT, "no authorized key is named '%s'",
                name_or_key);
        return FALSE;
    }
    return write_entries(r, error);
}

gboolean keyring_revoke(KeyRing *r, const char *name_or_key, GError **error)
{
    int lock = lock_ring(r, error);
    gboolean ok = lock >= 0 && revoke_locked(r, name_or_key, error);
    if (lock >= 0)
        close(lock);
    return ok;
}

void keyring_foreach(
        KeyRing *r, void (*fn)(const char *, KeyRole, const char *, gpointer), gpointer data)
{
    refresh(r);
    for (guint i = 0; i < r->entries->len; i++) {
        Entry *e = r->entries->pdata[i];
        fn(e->name, e->role, e->public_key, data);
    }
}

char *keys_local_path(const char *home)
{
    return g_build_filename(home, "coordinator", "local.key", NULL);
}

char *keys_endpoint_path(const char *home)
{
    return g_build_filename(home, "coordinator", "endpoint", NULL);
}

char *keys_token_read(const char *home)
{
    g_autofree char *path = g_build_filename(home, "coordinator", "token", NULL);
    return fs_read(path, 1024, NULL, NULL);
}

void keys_apply_client(void *socket, const AccessKey *k)
{
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, k->server_key, KEY_LEN + 1);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, k->public_key, KEY_LEN + 1);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, k->secret_key, KEY_LEN + 1);
}

void keys_apply_server(void *socket, KeyRing *r)
{
    int server = 1;
    zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &server, sizeof server);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, r->server_secret, KEY_LEN + 1);
}
