/* SPDX-License-Identifier: Apache-2.0 */
/* Finding the processes of a run in /proc. */
#include "engine/exec/proctree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/exec/exec.h"

typedef struct Proc {
    ProcId id;
    pid_t parent;
    gboolean member;
} Proc;

/* At most `size` - 1 bytes of /proc/PID/NAME, NUL-terminated; 0 if it can't be read. */
static gsize read_proc(pid_t pid, const char *name, char *buf, gsize size)
{
    char path[64];
    g_snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return 0;
    gsize have = 0;
    for (gssize n; have < size - 1 && (n = read(fd, buf + have, size - 1 - have)) > 0;)
        have += (gsize)n;
    close(fd);
    buf[have] = '\0';
    return have;
}

/* Fields of /proc/PID/stat. FALSE for one that is gone or a zombie. */
static gboolean read_stat(pid_t pid, Proc *p)
{
    char buf[1024];
    if (!read_proc(pid, "stat", buf, sizeof buf))
        return FALSE;
    const char *rest = strrchr(buf, ')'); /* the name before it may hold anything */
    char state;
    int parent, group;
    unsigned long long start;
    if (!rest ||
            sscanf(rest + 1,
                    " %c %d %d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                    "%llu",
                    &state, &parent, &group, &start) != 4 ||
            state == 'Z' || state == 'X')
        return FALSE;
    *p = (Proc){{pid, group, start}, parent, FALSE};
    return TRUE;
}

#define ENVIRON_MAX (256 << 10)

static gboolean has_run_dir(pid_t pid, const char *run_dir, char *buf)
{
    gsize len = read_proc(pid, "environ", buf, ENVIRON_MAX);
    for (const char *p = buf; p < buf + len; p += strlen(p) + 1)
        if (g_str_has_prefix(p, "RUN_DIR=") && !strcmp(p + 8, run_dir))
            return TRUE;
    return FALSE;
}

static GArray *all_procs(void)
{
    GArray *procs = g_array_new(FALSE, FALSE, sizeof(Proc));
    DIR *d = opendir("/proc");
    for (struct dirent *e; d && (e = readdir(d));) {
        Proc p;
        pid_t pid = g_ascii_isdigit(*e->d_name) ? (pid_t)atoi(e->d_name) : 0;
        if (pid > 1 && pid != getpid() && read_stat(pid, &p))
            g_array_append_val(procs, p);
    }
    if (d)
        closedir(d);
    return procs;
}

static gboolean is_known(const GArray *known, const ProcId *id)
{
    for (guint i = 0; known && i < known->len; i++) {
        const ProcId *k = &g_array_index(known, ProcId, i);
        if (k->pid == id->pid && k->start == id->start)
            return TRUE;
    }
    return FALSE;
}

GArray *proctree_find(const ProcTree *tree)
{
    g_autoptr(GArray) procs = all_procs();
    g_autoptr(GHashTable) members = g_hash_table_new(NULL, NULL); /* pids */
    g_autofree char *buf = g_malloc(ENVIRON_MAX);
    for (guint i = 0; i < procs->len; i++) {
        Proc *p = &g_array_index(procs, Proc, i);
        p->member = (tree->root && p->id.pid == tree->root) ||
                    (tree->group && p->id.group == tree->group) || is_known(tree->known, &p->id) ||
                    (tree->run_dir && has_run_dir(p->id.pid, tree->run_dir, buf));
        if (p->member)
            g_hash_table_add(members, GINT_TO_POINTER(p->id.pid));
    }
    for (gboolean changed = TRUE; changed;) {
        changed = FALSE;
        for (guint i = 0; i < procs->len; i++) {
            Proc *p = &g_array_index(procs, Proc, i);
            if (!p->member && g_hash_table_contains(members, GINT_TO_POINTER(p->parent))) {
                p->member = changed = TRUE;
                g_hash_table_add(members, GINT_TO_POINTER(p->id.pid));
            }
        }
    }
    GArray *found = g_array_new(FALSE, FALSE, sizeof(ProcId));
    for (guint i = 0; i < procs->len; i++) {
        const Proc *p = &g_array_index(procs, Proc, i);
        if (p->member)
            g_array_append_val(found, p->id);
    }
    return found;
}

void proctree_signal(const GArray *procs, pid_t group, int sig)
{
    if (group)
        killpg(group, sig);
    for (guint i = 0; i < procs->len; i++) {
        const ProcId *id = &g_array_index(procs, ProcId, i);
        Proc now;
        if ((!group || id->group != group) && read_stat(id->pid, &now) && now.id.start == id->start)
            kill(id->pid, sig);
    }
}

guint exec_signal_tree(pid_t pid, const char *run_dir, int sig)
{
    ProcTree tree = {.root = pid, .run_dir = run_dir};
    g_autoptr(GArray) procs = proctree_find(&tree);
    proctree_signal(procs, 0, sig);
    return procs->len;
}
