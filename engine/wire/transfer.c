/* SPDX-License-Identifier: Apache-2.0 */
/* Content between two peers by digest, with a bounded number of pieces on the way: see transfer.h.
 */
#include "engine/wire/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/apart.h"
#include "engine/base/fs.h"

/* Pieces asked for and not yet here: enough to fill a fast link while both ends wait for a busy
 * core; 8 MiB of memory. */
#define WINDOW 32
/* Blobs fetched at the same time: small ones would wait for a round trip each otherwise. */
#define MAX_OPEN 64

typedef struct {
    guint id;
    char *root;
    GPtrArray *files;
} Offer;

typedef struct {
    guint id;
    GPtrArray *files;
    guint missing; /* digests not here yet */
    TransferDone done;
    gpointer data;
} Want;

/* Which contents of a want the store lacks, found out on a thread. */
typedef struct {
    Transfer *t;
    guint want;
    BlobStore *store;
    GPtrArray *files;
    GArray *lacking; /* Lack */
    gint off;        /* atomic: nobody wants to know any more */
} Look;

typedef struct {
    FileEntry *entry;
    BlobWriter *writer; /* with what came of it earlier read through, if that is much; else NULL */
} Lack;

/* One content on its way in. */
typedef struct {
    gboolean begun;
    char *digest;
    guint64 size;
    guint64 asked; /* bytes from the start that were asked for */
    guint pending; /* pieces asked for and not here */
    BlobWriter *writer;
    GArray *wants; /* guint ids */
} Fetch;

struct Transfer {
    BlobStore *store;
    TransferSend send;
    gpointer data;
    guint next_id;
    GHashTable *offers; /* id → Offer */
    /* digest → who offers it (Offer → FileEntry, one that has it): it may be in very many files */
    GHashTable *offered;
    char *within; /* NULL: anything that was offered is served */
    gboolean serve_store;
    char *serving; /* the file open for reading last */
    int serving_fd;
    GMainContext *context; /* NULL: looks are done at once */
    GHashTable *looks;     /* Look set */
    GHashTable *wants;     /* id → Want */
    GHashTable *fetches;   /* digest → Fetch */
    GQueue waiting;        /* Fetch* not begun */
    GQueue open;           /* Fetch* begun, oldest first */
    guint pending;         /* pieces on their way, of all */
    guint64 in, out;
};

static void fetch_free(gpointer p)
{
    Fetch *f = p;
    g_free(f->digest);
    blob_writer_abort(f->writer);
    g_array_unref(f->wants);
    g_free(f);
}

static void offer_free(gpointer p)
{
    Offer *o = p;
    g_free(o->root);
    g_ptr_array_unref(o->files);
    g_free(o);
}

static void want_free(gpointer p)
{
    Want *w = p;
    g_ptr_array_unref(w->files);
    g_free(w);
}

Transfer *transfer_new(BlobStore *store, TransferSend send, gpointer data)
{
    Transfer *t = g_new0(Transfer, 1);
    t->store = store;
    t->send = send;
    t->data = data;
    t->offers = g_hash_table_new_full(NULL, NULL, NULL, offer_free);
    t->offered = g_hash_table_new_full(
            g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_hash_table_unref);
    t->wants = g_hash_table_new_full(NULL, NULL, NULL, want_free);
    t->fetches = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, fetch_free);
    t->looks = g_hash_table_new(NULL, NULL);
    t->serving_fd = -1;
    return t;
}

void transfer_look_apart(Transfer *t, GMainContext *context)
{
    t->context = context;
}

static gboolean tell(TransferSend send, gpointer data, MsgKind kind, const void *msg)
{
    g_autoptr(GBytes) message = wire_pack(kind, msg);
    return send(message, data);
}

static void want_end(Transfer *t, Want *w, const GError *error)
{
    g_hash_table_steal(t->wants, GUINT_TO_POINTER(w->id));
    if (error)
        transfer_release(t, w->files);
    w->done(w->files, error, w->data);
    want_free(w);
}

/* It ends by itself, and tells nobody. */
static void look_orphan(Look *look)
{
    look->t = NULL;
    g_atomic_int_set(&look->off, 1);
}

static void stop_serving(Transfer *t)
{
    if (t->serving_fd >= 0)
        close(t->serving_fd);
    t->serving_fd = -1;
    g_clear_pointer(&t->serving, g_free);
}

void transfer_free(Transfer *t)
{
    if (!t)
        return;
    g_autoptr(GError) gone =
            g_error_new_literal(WIRE_ERROR, WIRE_ERROR_UNKNOWN, "the connection is gone");
    g_autoptr(GList) looks = g_hash_table_get_keys(t->looks);
    for (GList *l = looks; l; l = l->next)
        look_orphan(l->data);
    g_hash_table_unref(t->looks);
    g_autoptr(GList) wants = g_hash_table_get_values(t->wants);
    for (GList *l = wants; l; l = l->next)
        want_end(t, l->data, gone);
    g_queue_clear(&t->waiting);
    g_queue_clear(&t->open);
    g_hash_table_unref(t->fetches);
    g_hash_table_unref(t->wants);
    g_hash_table_unref(t->offered);
    g_hash_table_unref(t->offers);
    stop_serving(t);
    g_free(t->within);
    g_free(t);
}

guint64 transfer_bytes_in(Transfer *t)
{
    return t->in;
}
guint64 transfer_bytes_out(Transfer *t)
{
    return t->out;
}

/* ---- what we offer ---- */

TransferOffer transfer_offer(Transfer *t, const char *root, GPtrArray *files)
{
    Offer *o = g_new0(Offer, 1);
    o->id = ++t->next_id;
    o->root = g_strdup(root);
    o->files = g_ptr_array_ref(files);
    g_hash_table_insert(t->offers, GUINT_TO_POINTER(o->id), o);
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        if (!e->digest)
            continue;
        GHashTable *having = g_hash_table_lookup(t->offered, e->digest);
        if (!having) {
            having = g_hash_table_new(NULL, NULL);
            g_hash_table_insert(t->offered, g_strdup(e->digest), having);
        }
        g_hash_table_insert(having, o, e);
    }
    return o->id;
}

void transfer_withdraw(Transfer *t, TransferOffer offer)
{
    Offer *o = g_hash_table_lookup(t->offers, GUINT_TO_POINTER(offer));
    if (!o)
        return;
    for (guint i = 0; i < o->files->len; i++) {
        FileEntry *e = o->files->pdata[i];
        GHashTable *having = e->digest ? g_hash_table_lookup(t->offered, e->digest) : NULL;
        if (!having || !g_hash_table_remove(having, o))
            continue;
        if (!g_strcmp0(t->serving, e->digest))
            stop_serving(t); /* perhaps ours, and about to be removed */
        if (!g_hash_table_size(having))
            g_hash_table_remove(t->offered, e->digest);
    }
    g_hash_table_remove(t->offers, GUINT_TO_POINTER(offer));
}

void transfer_serve_store(Transfer *t, gboolean on)
{
    t->serve_store = on;
}

void transfer_confine(Transfer *t, const char *within)
{
    g_free(t->within);
    t->within = fs_realpath(within);
}

/* Asked of what was opened: the path may lead elsewhere a moment later. */
static gboolean may_serve(const Transfer *t, const char *root, int fd)
{
    if (!t->within)
        return TRUE;
    g_autofree char *opened = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autofree char *real = fs_read_link(opened, NULL);
    gsize n = strlen(t->within);
    if (real && !strncmp(real, t->within, n) && real[n] == '/')
        return TRUE;
    return real && fs_is_really_below(real, root);
}

static int open_of(const Transfer *t, const Offer *offer, const FileEntry *entry)
{
    g_autofree char *path = g_build_filename(offer->root, entry->path, NULL);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || may_serve(t, offer->root, fd))
        return fd;
    close(fd);
    return -1;
}

/* The file itself, or another of the offer that has the same: one may be gone. */
static int open_in(const Transfer *t, const Offer *offer, const FileEntry *entry)
{
    int fd = open_of(t, offer, entry);
    for (guint i = 0; fd < 0 && i < offer->files->len; i++) {
        const FileEntry *other = offer->files->pdata[i];
        if (other != entry && !g_strcmp0(other->digest, entry->digest))
            fd = open_of(t, offer, other);
    }
    return fd;
}

static int open_offered(Transfer *t, const char *digest)
{
    GHashTable *having = g_hash_table_lookup(t->offered, digest);
    GHashTableIter it;
    gpointer entry, offer;
    int fd = -1;
    if (!having)
        return -1;
    g_hash_table_iter_init(&it, having);
    while (fd < 0 && g_hash_table_iter_next(&it, &offer, &entry))
        fd = open_in(t, offer, entry);
    return fd;
}

static int open_served(Transfer *t, const char *digest)
{
    if (t->serving && !strcmp(t->serving, digest))
        return t->serving_fd;
    stop_serving(t);
    t->serving_fd = open_offered(t, digest);
    if (t->serving_fd < 0 && t->serve_store && blobs_has(t->store, digest))
        t->serving_fd = blobs_open_fd(digest, t->store, NULL);
    if (t->serving_fd >= 0)
        t->serving = g_strdup(digest);
    return t->serving_fd;
}

typedef struct {
    int fd;
    const MsgGet *get;
    gssize n; /* bytes read; below 0: it can't be */
} Piece;

static gssize read_piece(void *content, gsize size, gpointer data)
{
    Piece *p = data;
    do
        p->n = pread(p->fd, content, size, (off_t)p->get->offset);
    while (p->n < 0 && errno == EINTR);
    if (p->n == 0 && p->get->size)
        p->n = -1;
    return p->n;
}

static void serve(Transfer *t, const MsgGet *get)
{
    if (!get->digest)
        return;
    Piece piece = {open_served(t, get->digest), get, -1};
    gsize size = get->size && get->size < WIRE_CHUNK ? get->size : WIRE_CHUNK;
    g_autoptr(GBytes) chunk =
            piece.fd >= 0 ? wire_pack_chunk(get->digest, get->offset, size, read_piece, &piece)
                          : NULL;
    if (chunk) {
        t->out += (guint64)piece.n;
        t->send(chunk, t->data);
        return;
    }
    MsgMissing missing = {get->digest, piece.fd < 0 ? "no such content here" : "it got shorter"};
    tell(t->send, t->data, MSG_MISSING, &missing);
}

/* ---- what we want ---- */

static void ask(Transfer *t, Fetch *f)
{
    guint64 left = f->size - f->asked;
    MsgGet get = {f->digest, f->asked, left < WIRE_CHUNK ? left : WIRE_CHUNK};
    f->asked += get.size;
    f->pending++;
    t->pending++;
    tell(t->send, t->data, MSG_GET, &get);
}

static void fetch_failed(Transfer *t, Fetch *f, const GError *error);
static void fetch_complete(Transfer *t, Fetch *f);

static gboolean begin(Transfer *t, Fetch *f)
{
    g_autoptr(GError) error = NULL;
    f->begun = TRUE;
    if (!f->writer)
        f->writer = blobs_begin(t->store, f->digest, f->size, &error);
    if (!f->writer) {
        fetch_failed(t, f, error);
        return FALSE;
    }
    f->asked = blob_writer_offset(f->writer);
    g_queue_push_tail(&t->open, f);
    if (f->asked == f->size) { /* all of it came before the connection broke, or it is empty */
        fetch_complete(t, f);
        return FALSE;
    }
    return TRUE;
}

/* Asks for more while the window has room: of small blobs many at once. */
static void pump(Transfer *t)
{
    for (GList *l = t->open.head; l && t->pending < WINDOW; l = l->next) {
        Fetch *f = l->data;
        while (t->pending < WINDOW && f->asked < f->size)
            ask(t, f);
    }
    while (t->waiting.length && t->open.length < MAX_OPEN && t->pending < MAX_OPEN) {
        Fetch *f = t->waiting.head->data;
        if (t->pending >= WINDOW && f->size > WIRE_CHUNK / MAX_OPEN * WINDOW)
            break;
        g_queue_pop_head(&t->waiting);
        if (!begin(t, f))
            continue;
        do
            ask(t, f);
        while (t->pending < WINDOW && f->asked < f->size);
    }
}

static void fetch_drop(Transfer *t, Fetch *f)
{
    t->pending -= f->pending;
    g_queue_remove(f->begun ? &t->open : &t->waiting, f);
    g_hash_table_steal(t->fetches, f->digest);
}

static void fetch_complete(Transfer *t, Fetch *f)
{
    g_autoptr(GError) error = NULL;
    BlobWriter *writer = g_steal_pointer(&f->writer);
    if (!blob_writer_finish(writer, &error)) {
        fetch_failed(t, f, error);
        return;
    }
    fetch_drop(t, f);
    for (guint i = 0; i < f->wants->len; i++) {
        Want *w =
                g_hash_table_lookup(t->wants, GUINT_TO_POINTER(g_array_index(f->wants, guint, i)));
        if (w && --w->missing == 0)
            want_end(t, w, NULL);
    }
    fetch_free(f);
    blobs_trim_beside(t->store);
}

static void fetch_failed(Transfer *t, Fetch *f, const GError *error)
{
    fetch_drop(t, f);
    for (guint i = 0; i < f->wants->len; i++) {
        Want *w =
                g_hash_table_lookup(t->wants, GUINT_TO_POINTER(g_array_index(f->wants, guint, i)));
        if (w)
            want_end(t, w, error);
    }
    fetch_free(f);
}

static void chunk_came(Transfer *t, const MsgChunk *m)
{
    Fetch *f = m->digest ? g_hash_table_lookup(t->fetches, m->digest) : NULL;
    if (!f || !f->writer || !f->pending)
        return; /* never asked for */
    gsize n = 0;
    const void *data = m->data ? g_bytes_get_data(m->data, &n) : NULL;
    g_autoptr(GError) error = NULL;
    f->pending--;
    t->pending--;
    t->in += n;
    if (m->offset != blob_writer_offset(f->writer)) {
        /* after a short piece: those behind it are asked for again */
        if (!f->pending)
            f->asked = blob_writer_offset(f->writer);
    } else if (n == 0) {
        error = g_error_new(
                WIRE_ERROR, WIRE_ERROR_MALFORMED, "content of %s ended early", f->digest);
        fetch_failed(t, f, error);
    } else if (!blob_writer_add(f->writer, data, n, &error)) {
        fetch_failed(t, f, error);
    } else if (blob_writer_offset(f->writer) == f->size) {
        fetch_complete(t, f);
    } else if (!f->pending && f->asked > blob_writer_offset(f->writer)) {
        f->asked = blob_writer_offset(f->writer); /* a short piece: ask again from there */
    }
    pump(t);
}

static void missing_came(Transfer *t, const MsgMissing *m)
{
    Fetch *f = m->digest ? g_hash_table_lookup(t->fetches, m->digest) : NULL;
    if (!f)
        return;
    g_autoptr(GError) error = g_error_new(WIRE_ERROR, WIRE_ERROR_UNKNOWN,
            "content %s is missing: %s", f->digest, m->reason ? m->reason : "");
    fetch_failed(t, f, error);
    pump(t);
}

void transfer_handle(Transfer *t, MsgKind kind, const void *msg)
{
    if (kind == MSG_GET)
        serve(t, msg);
    else if (kind == MSG_CHUNK)
        chunk_came(t, msg);
    else if (kind == MSG_MISSING)
        missing_came(t, msg);
}

/* Takes over `writer`. */
static void want_digest(Transfer *t, Want *w, const FileEntry *e, BlobWriter *writer)
{
    Fetch *f = g_hash_table_lookup(t->fetches, e->digest);
    if (!f) {
        f = g_new0(Fetch, 1);
        f->digest = g_strdup(e->digest);
        f->size = e->size;
        f->wants = g_array_new(FALSE, FALSE, sizeof(guint));
        f->writer = g_steal_pointer(&writer);
        g_hash_table_insert(t->fetches, f->digest, f);
        g_queue_push_tail(&t->waiting, f);
    }
    blob_writer_abort(writer);
    /* The same content twice in one list is one want. */
    for (guint i = 0; i < f->wants->len; i++)
        if (g_array_index(f->wants, guint, i) == w->id)
            return;
    g_array_append_val(f->wants, w->id);
    w->missing++;
}

/* ---- what is lacking ---- */

static void look_through(gpointer data)
{
    Look *look = data;
    for (guint i = 0; i < look->files->len && !g_atomic_int_get(&look->off); i++) {
        FileEntry *e = look->files->pdata[i];
        if (!e->digest || blobs_has(look->store, e->digest) ||
                blobs_recall(look->store, e->digest, e->size))
            continue;
        Lack lack = {e, NULL};
        if (e->size > FILELIST_SHORT_BYTES && blobs_has_part(look->store, e->digest))
            lack.writer = blobs_begin(look->store, e->digest, e->size, NULL);
        g_array_append_val(look->lacking, lack);
    }
}

static void on_looked(gpointer data)
{
    Look *look = data;
    Transfer *t = look->t;
    Want *w = t ? g_hash_table_lookup(t->wants, GUINT_TO_POINTER(look->want)) : NULL;
    for (guint i = 0; i < look->lacking->len; i++) {
        Lack *lack = &g_array_index(look->lacking, Lack, i);
        if (w)
            want_digest(t, w, lack->entry, lack->writer);
        else
            blob_writer_abort(lack->writer);
    }
    if (t)
        g_hash_table_remove(t->looks, look);
    g_array_unref(look->lacking);
    g_ptr_array_unref(look->files);
    blobs_close(look->store);
    g_free(look);
    if (w && !w->missing)
        want_end(t, w, NULL);
    else if (w)
        pump(t);
}

TransferWant transfer_want(Transfer *t, GPtrArray *files, TransferDone done, gpointer data)
{
    Want *w = g_new0(Want, 1);
    w->id = ++t->next_id;
    w->files = g_ptr_array_ref(files);
    w->done = done;
    w->data = data;
    g_hash_table_insert(t->wants, GUINT_TO_POINTER(w->id), w);
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        if (e->digest)
            blobs_pin(t->store, e->digest);
    }
    guint id = w->id;
    Look *look = g_new0(Look, 1);
    *look = (Look){.t = t,
            .want = id,
            .store = blobs_ref(t->store),
            .files = g_ptr_array_ref(files),
            .lacking = g_array_new(FALSE, FALSE, sizeof(Lack))};
    g_hash_table_add(t->looks, look);
    if (t->context && !filelist_is_short(files)) {
        apart_start(t->context, look_through, on_looked, look);
        return id;
    }
    look_through(look);
    on_looked(look);
    return g_hash_table_contains(t->wants, GUINT_TO_POINTER(id)) ? id : 0;
}

void transfer_cancel(Transfer *t, TransferWant want)
{
    Want *w = g_hash_table_lookup(t->wants, GUINT_TO_POINTER(want));
    if (!w)
        return;
    transfer_release(t, w->files);
    g_hash_table_remove(t->wants, GUINT_TO_POINTER(want));
}

void transfer_unpin(BlobStore *store, GPtrArray *files)
{
    for (guint i = 0; i < files->len; i++) {
        FileEntry *e = files->pdata[i];
        if (e->digest)
            blobs_unpin(store, e->digest);
    }
}

void transfer_release(Transfer *t, GPtrArray *files)
{
    transfer_unpin(t->store, files);
}

void transfer_resume(Transfer *t)
{
    t->pending = 0;
    for (GList *l = t->open.head; l; l = l->next) {
        Fetch *f = l->data;
        f->pending = 0;
        f->asked = blob_writer_offset(f->writer);
    }
    pump(t);
}

/* ---- lists ---- */

static gsize entry_weight(const FileEntry *e)
{
    return strlen(e->path) + (e->target ? strlen(e->target) : 0) +
           (e->data ? g_bytes_get_size(e->data) : 0) + 160;
}

gboolean transfer_send_files(
        TransferSend send, gpointer data, const MsgFiles *head, GPtrArray *files)
{
    guint i = 0;
    do {
        MsgFiles part = *head;
        part.files = g_ptr_array_new();
        gsize weight = 0;
        while (i < files->len && part.files->len < WIRE_MAX_FILES && weight < WIRE_MAX_FRAME / 2) {
            weight += entry_weight(files->pdata[i]);
            g_ptr_array_add(part.files, files->pdata[i++]);
        }
        part.last = i >= files->len;
        gboolean ok = tell(send, data, MSG_FILES, &part);
        g_ptr_array_unref(part.files);
        if (!ok)
            return FALSE;
    } while (i < files->len);
    return TRUE;
}
