/* SPDX-License-Identifier: Apache-2.0 */
/* One queued run, and workers that report of it under this lease or that: on the peers of
 * peer_fixture.h. */
#pragma once

#include "engine/wire/filelist.h"
#include "tests/unit/peer_fixture.h"

typedef struct {
    guint times;
    int status;
} Ended;

static inline void on_ended(Job *job, int exit_status, gpointer data)
{
    Ended *e = data;
    (void)job;
    e->times++;
    e->status = exit_status;
}

/* A pending run of this home, queued. */
static inline Run *add_run(PeerFixture *f, Ended *ended)
{
    static const JobListener listener = {.ended = on_ended};
    g_autoptr(GError) error = NULL;
    Run *run = run_fixture_run(&f->base, "11111111111111111111111111111111", "op", 1, 0);
    run_del_attr(run, "exit_status");
    g_assert_true(run_set_marker(run, "PENDING", &error));
    JobOptions o = {.retries = -1};
    *ended = (Ended){0};
    g_assert_nonnull(coordinator_add(f->c, run, &o, &listener, ended, &error));
    g_assert_no_error(error);
    return run;
}

static inline MsgStart await_start(TestPeer *p)
{
    MsgStart *m = peer_await(p, MSG_START),
             numbers = {.task = m->task, .lease = m->lease, .attempt = m->attempt};
    wire_free(MSG_START, m);
    return numbers;
}

static inline void say_started(TestPeer *p, const MsgStart *s)
{
    MsgStarted m = {.task = s->task, .lease = s->lease, .started_us = 1};
    peer_say(p, MSG_STARTED, &m);
}

/* Reports the end; TRUE if the report was taken. */
static inline gboolean report(TestPeer *p, guint64 task, guint64 lease, int exit_status)
{
    MsgDone m = {.task = task,
            .lease = lease,
            .exit_status = exit_status,
            .cause = DONE_EXITED,
            .started_us = 1,
            .stopped_us = 2};
    peer_say(p, MSG_DONE, &m);
    MsgAck *ack = peer_await(p, MSG_ACK);
    gboolean accepted = ack->accepted;
    g_assert_cmpuint(ack->task, ==, task);
    g_assert_cmpuint(ack->lease, ==, lease);
    wire_free(MSG_ACK, ack);
    return accepted;
}

/* The worker process says HELLO again and knows nothing of what it was given. */
static inline void lose(PeerFixture *f, TestPeer *p)
{
    wire_free(MSG_WELCOME, peer_hello_worker(f, p, NULL));
}

/* What a coordinator would find that is started on this home now. */
static inline gboolean recorded_as_ended(const char *home)
{
    g_autoptr(GError) error = NULL;
    Queue *q = queue_open(home, NULL, 0, &error);
    g_assert_no_error(error);
    g_autoptr(GPtrArray) jobs = queue_load_jobs(q, NULL);
    gboolean ended = jobs->len == 1;
    for (guint i = 0; i < jobs->len; i++) {
        g_autoptr(GPtrArray) tasks = queue_load_tasks(q, ((QueueJob *)jobs->pdata[i])->id, NULL);
        for (guint k = 0; k < tasks->len; k++)
            ended &= ((QueueTask *)tasks->pdata[k])->state == TASK_DONE;
    }
    queue_close(q);
    return ended;
}

/* A small file as a peer sends it. */
static inline FileEntry *text_file(const char *path, const char *text)
{
    FileEntry *e = file_entry_new(path, FILE_REGULAR);
    e->size = strlen(text);
    e->data = g_bytes_new(text, e->size);
    e->mode = 0644;
    return e;
}

static inline FileEntry *file(const char *path)
{
    return text_file(path, "content");
}

/* HELLO of a worker that does not see the home: its files travel. `held` may be NULL. */
static inline void hello_elsewhere(TestPeer *w, GPtrArray *held)
{
    g_autoptr(Value) resources = value_new_map();
    MsgHello hello = {.version = WIRE_VERSION,
            .role = (char *)"worker",
            .name = (char *)"w1",
            .session = (char *)"w1",
            .resources = resources,
            .held = held};
    value_map_set_int(resources, "cpus", 1);
    peer_say(w, MSG_HELLO, &hello);
}

static inline TestPeer *worker_elsewhere(PeerFixture *f)
{
    g_autoptr(AccessKey) key = peer_key(f, ROLE_WORKER, "w1");
    TestPeer *w = peer_connect(f, key, "w1");
    hello_elsewhere(w, NULL);
    return w;
}

static inline void say_files(TestPeer *w, const MsgStart *start, const char *path)
{
    g_autoptr(GPtrArray) files = g_ptr_array_new_with_free_func(file_entry_free);
    g_ptr_array_add(files, file(path));
    MsgFiles m = {.task = start->task, .lease = start->lease, .files = files, .last = TRUE};
    peer_say(w, MSG_FILES, &m);
}
