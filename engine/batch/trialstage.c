/* SPDX-License-Identifier: Apache-2.0 */
/* Making trial runs from a proto: see trialstage.h. All writing goes by names relative to open
 * folders, and what every trial shares is written from memory, because a batch of ten thousand
 * does this ten thousand times. */
#include "engine/batch/trialstage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/clock.h"
#include "engine/base/fs.h"
#include "engine/base/yaml.h"
#include "engine/op/label.h"

/* What is kept in memory: files up to this size, and this much of them in all. */
#define KEEP_FILE (256 * 1024)
#define KEEP_TOTAL (8 * 1024 * 1024)

/* What a trial may copy in a moment: bytes of files not kept, and how many files and folders. */
#define SHORT_BYTES (8 * 1024 * 1024)
#define SHORT_LEN 256

#define ATTRS ".guild/attrs/"

/* The reference leaves the rows of all batch files (attribute trials of the proto) in every trial,
 * where nothing reads them. From this size on we don't: 10,000 rows in 10,000 runs are gigabytes.
 */
#define KEEP_TRIALS_ATTR (64 * 1024)

typedef struct {
    char *rel;
    mode_t mode;
    struct timespec mtime;
    char *data; /* content of a file, target of a link; NULL: a folder, or a file to copy */
    gsize len;
} Entry;

struct TrialStager {
    Run *batch, *proto;
    char *runs_dir;
    GPtrArray *entries;         /* Entry*, folders before what is in them */
    gsize kept;                 /* bytes of data in entries */
    guint64 to_copy;            /* bytes of the others */
    char *opref;                /* text of the file */
    Value *op;                  /* attribute; NULL if there is none */
    char *op_text;              /* its file's text if it is the same for all trials, else NULL */
    const char *label_template; /* in op */
};

static void entry_free(gpointer data)
{
    Entry *entry = data;
    g_free(entry->rel);
    g_free(entry->data);
    g_free(entry);
}

void trial_stager_free(TrialStager *stager)
{
    if (!stager)
        return;
    run_unref(stager->batch);
    run_unref(stager->proto);
    g_free(stager->runs_dir);
    g_clear_pointer(&stager->entries, g_ptr_array_unref);
    g_free(stager->opref);
    value_unref(stager->op);
    g_free(stager->op_text);
    g_free(stager);
}

/* Reading the proto */

/* Files that each trial has its own of. */
static gboolean is_own_file(const char *rel)
{
    static const char *const own[] = {ATTRS "id", ATTRS "flags", ATTRS "label", ATTRS "op",
            ATTRS "started", ".guild/opref", ".guild/PENDING", ".guild/STAGED", ".guild",
            ".guild/attrs", NULL};
    return g_strv_contains(own, rel);
}

static gboolean add_entry(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    TrialStager *stager = data;
    gboolean is_file = S_ISREG(st->st_mode), is_link = S_ISLNK(st->st_mode);
    if (strcmp(rel, ATTRS "trials") == 0 && st->st_size > KEEP_TRIALS_ATTR)
        return TRUE;
    if (is_own_file(rel) || !(is_file || is_link || S_ISDIR(st->st_mode)))
        return TRUE;
    g_autofree char *path = fs_join(root, rel);
    Entry *entry = g_new0(Entry, 1);
    entry->rel = g_strdup(rel);
    entry->mode = st->st_mode;
    entry->mtime = st->st_mtim;
    if (is_link) {
        entry->data = fs_read_link(path, NULL);
    } else if (is_file && st->st_size <= KEEP_FILE && stager->kept < KEEP_TOTAL) {
        entry->data = fs_read(path, 0, &entry->len, NULL);
        stager->kept += entry->len;
    } else if (is_file) {
        stager->to_copy += (guint64)st->st_size;
    }
    g_ptr_array_add(stager->entries, entry);
    return TRUE;
}

static gboolean has_dep_config(const Value *op)
{
    const Value *deps = value_map_get(op, "deps");
    for (gsize i = 0; i < value_list_size(deps); i++)
        if (value_is_map(value_map_get(value_list_at(deps, i), "config")))
            return TRUE;
    return FALSE;
}

static gboolean read_proto(TrialStager *stager, GError **error)
{
    const char *dir = run_dir(stager->proto);
    g_autofree char *opref_path = run_guild_path(stager->proto, "opref");
    g_autoptr(GError) problem = NULL;
    stager->opref = fs_read(opref_path, 0, NULL, &problem);
    if (stager->opref && fs_walk(dir, FALSE, add_entry, stager, &problem))
        stager->op = run_get_attr(stager->proto, "op", &problem);
    if (problem) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_RUN,
                "cannot read the proto of batch run %s: %s", run_dir(stager->batch),
                problem->message);
        return FALSE;
    }
    stager->label_template = value_map_string(stager->op, "label-template", NULL);
    if (!has_dep_config(stager->op)) {
        g_autofree char *text = yaml_dump_attr(stager->op);
        stager->op_text = g_strconcat(text, "\n", NULL);
    }
    return TRUE;
}

TrialStager *trial_stager_new(Run *batch_run, const char *runs_dir, GError **error)
{
    g_autoptr(TrialStager) stager = g_new0(TrialStager, 1);
    stager->batch = run_ref(batch_run);
    stager->proto = run_batch_proto(batch_run);
    stager->runs_dir = g_strdup(runs_dir);
    stager->entries = g_ptr_array_new_with_free_func(entry_free);
    if (!stager->proto) {
        g_set_error(error, BATCH_ERROR, BATCH_ERROR_RUN,
                "%s is no batch run: it has no .guild/proto", run_dir(batch_run));
        return NULL;
    }
    return read_proto(stager, error) ? g_steal_pointer(&stager) : NULL;
}

gboolean trial_stager_is_long(const TrialStager *stager)
{
    return stager->entries->len > SHORT_LEN || stager->to_copy > SHORT_BYTES;
}

/* Writing a trial */

typedef struct {
    TrialStager *stager;
    const char *dir; /* of the trial */
    int fd;          /* the same, open */
} Trial;

static gboolean fail(const Trial *trial, const char *rel, GError **error)
{
    int err = errno;
    g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(err), "cannot write %s/%s: %s",
            trial->dir, rel, g_strerror(err));
    return FALSE;
}

static gboolean write_all(int fd, const char *data, gsize len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return FALSE;
        data += n;
        len -= (gsize)n;
    }
    return TRUE;
}

/* Writes a file; with `like` it gets the mode and the time of that entry. */
static gboolean put_file(const Trial *trial, const char *rel, const char *data, gsize len,
        const Entry *like, GError **error)
{
    mode_t mode = like ? like->mode & 07777 : 0666;
    int fd = openat(
            trial->fd, rel, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode | S_IWUSR);
    if (fd < 0)
        return fail(trial, rel, error);
    gboolean ok = write_all(fd, data, len);
    if (ok && like && !g_str_has_prefix(rel, ".guild/")) {
        const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, like->mtime};
        ok = futimens(fd, times) == 0;
    }
    if (ok && like && (mode & (S_IWGRP | S_IWOTH) || !(mode & S_IWUSR)))
        ok = fchmod(fd, mode) == 0; /* what the umask took or we added */
    if (!ok)
        fail(trial, rel, error);
    if (close(fd) != 0 && ok)
        return fail(trial, rel, error);
    return ok;
}

static gboolean put_text(const Trial *trial, const char *rel, const char *text, GError **error)
{
    return put_file(trial, rel, text, strlen(text), NULL, error);
}

static gboolean put_entry(const Trial *trial, const Entry *entry, GError **error)
{
    if (S_ISDIR(entry->mode))
        return mkdirat(trial->fd, entry->rel, 0777) == 0 || errno == EEXIST ||
               fail(trial, entry->rel, error);
    if (S_ISLNK(entry->mode))
        return symlinkat(entry->data ? entry->data : "", trial->fd, entry->rel) == 0 ||
               fail(trial, entry->rel, error);
    if (entry->data)
        return put_file(trial, entry->rel, entry->data, entry->len, entry, error);
    g_autofree char *from = fs_join(run_dir(trial->stager->proto), entry->rel);
    g_autofree char *to = fs_join(trial->dir, entry->rel);
    return fs_copy_file(from, to, error);
}

static gboolean put_attr(const Trial *trial, const char *name, const Value *v, GError **error)
{
    g_autofree char *rel = g_strconcat(ATTRS, name, NULL), *text = yaml_dump_attr(v);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    return put_text(trial, rel, line, error);
}

/* Attribute op with the trial's flags in the config of its dependencies. */
static Value *op_for_flags(const Value *op, const Value *flags)
{
    Value *copy = value_copy(op);
    const Value *deps = value_map_get(copy, "deps");
    for (gsize i = 0; i < value_list_size(deps); i++) {
        Value *config = value_map_get(value_list_at(deps, i), "config");
        for (gsize k = 0; k < value_map_size(config); k++) {
            const char *name = value_map_key_at(config, k);
            if (value_map_has(flags, name))
                value_map_set(config, name, value_ref(value_map_get(flags, name)));
        }
    }
    return copy;
}

static gboolean put_own_attrs(
        const Trial *trial, const char *id, const Value *flags, GError **error)
{
    const TrialStager *stager = trial->stager;
    g_autofree char *label = run_label(stager->label_template, flags);
    g_autoptr(Value) id_value = value_new_string(id);
    g_autoptr(Value) label_value = value_new_string(label);
    g_autoptr(Value) started = value_new_int(clock_timestamp_us());
    if (!put_attr(trial, "id", id_value, error) || !put_attr(trial, "flags", flags, error) ||
            !put_attr(trial, "label", label_value, error) ||
            !put_attr(trial, "started", started, error))
        return FALSE;
    if (stager->op_text)
        return put_text(trial, ATTRS "op", stager->op_text, error);
    g_autoptr(Value) op = op_for_flags(stager->op, flags);
    return put_attr(trial, "op", op, error);
}

static gboolean put_link(const Trial *trial, const char *id, GError **error)
{
    const char *batch_dir = run_dir(trial->stager->batch);
    g_autofree char *path = fs_join(batch_dir, id);
    g_autofree char *home = g_path_get_dirname(trial->dir),
                    *batch_home = g_path_get_dirname(batch_dir);
    g_autofree char *target = strcmp(home, batch_home) == 0 ? g_strconcat("../", id, NULL)
                                                            : fs_relpath(trial->dir, batch_dir);
    if (symlink(target, path) == 0)
        return TRUE;
    unlink(path);
    return fs_symlink(target, path, error);
}

/* The marker comes first and opref last (the link from the batch came before them): at no time is
 * there a run that seems to be something else than pending. */
static gboolean put_trial(const Trial *trial, const char *id, const Value *flags, GError **error)
{
    const TrialStager *stager = trial->stager;
    if ((mkdirat(trial->fd, ".guild", 0777) != 0 && errno != EEXIST) ||
            (mkdirat(trial->fd, ".guild/attrs", 0777) != 0 && errno != EEXIST))
        return fail(trial, ".guild", error);
    if (!put_text(trial, ".guild/PENDING", "", error))
        return FALSE;
    for (guint i = 0; i < stager->entries->len; i++)
        if (!put_entry(trial, stager->entries->pdata[i], error))
            return FALSE;
    return put_own_attrs(trial, id, flags, error) &&
           put_text(trial, ".guild/opref", stager->opref, error);
}

/* Makes the directory; *made tells whether it is new. The open descriptor, or -1. */
static int open_trial_dir(
        const TrialStager *stager, const char *dir, gboolean *made, GError **error)
{
    *made = mkdir(dir, 0777) == 0;
    if (!*made && errno == ENOENT) {
        g_autofree char *parent = g_path_get_dirname(dir);
        if (!fs_mkdirs(parent, error))
            return -1;
        *made = mkdir(dir, 0777) == 0;
    }
    int fd = *made || errno == EEXIST ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0)
        g_set_error(error, G_FILE_ERROR, g_file_error_from_errno(errno),
                "cannot make run directory %s: %s", dir, g_strerror(errno));
    return fd;
}

Run *trial_stager_stage(TrialStager *stager, const Value *flags, const char *where, GError **error)
{
    g_autofree char *id = where ? g_path_get_basename(where) : run_new_id();
    g_autofree char *dir = where ? g_strdup(where) : fs_join(stager->runs_dir, id);
    gboolean made = FALSE;
    Trial trial = {.stager = stager, .dir = dir, .fd = -1};
    /* The link is the first thing there is of a trial: who is killed here leaves nothing half-made
     * that could not be found again from the batch. */
    gboolean ok = put_link(&trial, id, error) &&
                  (trial.fd = open_trial_dir(stager, dir, &made, error)) >= 0 &&
                  put_trial(&trial, id, flags, error);
    if (trial.fd >= 0)
        close(trial.fd);
    if (ok)
        return run_new(dir, id);
    g_autofree char *link = fs_join(run_dir(stager->batch), id);
    unlink(link);
    if (made)
        fs_remove_tree(dir, NULL);
    return NULL;
}
