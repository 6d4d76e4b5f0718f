/* SPDX-License-Identifier: Apache-2.0 */
/* Who may speak: CURVE key pairs, the files they live in, and roles. There is no mode without keys.
 *
 * In the coordinator's home, made at its first start:
 *   coordinator/server.key   the server's key pair, 0600
 *   coordinator/local.key    an access file for commands and workers on this home, 0600, role
 * "owner" coordinator/authorized   who may speak: YAML list of {name, role, public_key, since}
 *   coordinator/token        proves that a worker sees this home
 *   coordinator/endpoint     where the running coordinator listens: "tcp://127.0.0.1:7707"
 * For another machine an access file is made (`guild coordinator authorize`) and copied over:
 *   guild_access: 1, role, name, server_key, public_key, secret_key, host, port
 *
 * A file with a secret key in it that others may read (mode & 077) is refused. */
#pragma once

#include <glib.h>

typedef enum {
    ROLE_NONE = 0,
    ROLE_WORKER = 1, /* may serve */
    ROLE_CLIENT = 2, /* may submit, read and manage runs */
    ROLE_READER = 4, /* may read */
    ROLE_OWNER = 7,  /* on the coordinator's own home: all of it */
} KeyRole;

#define KEY_LEN 40 /* Z85 text of a CURVE key */

typedef struct {
    char *name;
    KeyRole role;
    char server_key[KEY_LEN + 1];
    char public_key[KEY_LEN + 1];
    char secret_key[KEY_LEN + 1];
    char *host; /* where the coordinator is, as far as it knew; may be NULL */
    int port;
} AccessKey;

void access_key_free(AccessKey *k);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(AccessKey, access_key_free)

#define KEYS_ERROR keys_error_quark()
GQuark keys_error_quark(void);
typedef enum { KEYS_ERROR_FORMAT, KEYS_ERROR_MODE, KEYS_ERROR_EXISTS, KEYS_ERROR_ABSENT } KeysError;

KeyRole key_role_parse(const char *name); /* "worker", "client", "reader"; ROLE_NONE for others */
const char *key_role_name(KeyRole role);

/* Reads an access file; refuses one that others may read. */
AccessKey *access_key_load(const char *path, GError **error);
gboolean access_key_save(
        const AccessKey *k, const char *path, GError **error); /* 0600, not over an existing file */

/* The coordinator's keys in a home: loads them, making what is missing. */
typedef struct KeyRing KeyRing;
KeyRing *keyring_open(const char *home, gboolean create, GError **error);
void keyring_free(KeyRing *r);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(KeyRing, keyring_free)
const char *keyring_server_public(KeyRing *r);
const char *keyring_server_secret(KeyRing *r);
const char *keyring_token(KeyRing *r);
/* The role of a public key (Z85) as the `authorized` file says NOW: the file is looked at on every
 * call (one fstat of the open file, and its name once in a millisecond). *name (may be NULL) is its name, valid until the next call. */
KeyRole keyring_role(KeyRing *r, const char *public_key, const char **name);
/* May a peer with this key still be told anything? As keyring_role(). */
gboolean keyring_allows(KeyRing *r, const char *public_key);
/* Makes a pair, enters its public half, gives the access file's content. */
AccessKey *keyring_authorize(KeyRing *r, KeyRole role, const char *name, GError **error);
/* Strikes out entries by name or public key; FALSE with error if there is none. */
gboolean keyring_revoke(KeyRing *r, const char *name_or_key, GError **error);
/* Each entry: fn(name, role, public key). */
void keyring_foreach(
        KeyRing *r, void (*fn)(const char *, KeyRole, const char *, gpointer), gpointer data);

char *keys_local_path(const char *home);    /* HOME/coordinator/local.key */
char *keys_endpoint_path(const char *home); /* HOME/coordinator/endpoint */
char *keys_token_read(const char *home);    /* token of that home, or NULL */

/* Applies keys to a socket before connect/bind. */
void keys_apply_client(void *socket, const AccessKey *k);
void keys_apply_server(void *socket, KeyRing *r);
