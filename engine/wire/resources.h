/* SPDX-License-Identifier: Apache-2.0 */
/* What a trial asks of a machine and what a machine has, as data that the scheduler and the worker
 * count with in the same way. Pure: no I/O (worker/machine.h finds what is there).
 *
 * A request names resources and amounts: `cpus` (default 1), `mem` (bytes: 8G, 512M), `gpus`
 * (whole ones, or a fraction below 1 of one), others as workers have them (`--have license=2`);
 * `labels` that the worker must carry, and `time`, how long it takes at most (so that a worker
 * whose allocation ends sooner doesn't get it). In guild.yml a map under `request:`, on the command
 * line "cpus=4,gpus=0.5,mem=8G,license=1,labels=fast+big,time=1h". */
#pragma once

#include "engine/base/value.h"

/* Amounts are in 1/10,000 (so that thirds of a GPU add up within reason); of mem, in bytes. */
typedef gint64 Amount;
#define AMOUNT_ONE 10000
#define RES_MAX_NAMED 16
#define RES_MAX_GPUS 64

#define RESOURCES_ERROR resources_error_quark()
GQuark resources_error_quark(void);

typedef struct Request {
    Amount cpus;
    gint64 mem_bytes; /* 0: not asked */
    Amount gpus;
    guint n_named;
    struct {
        GQuark name;
        Amount amount;
    } named[RES_MAX_NAMED]; /* sorted by name */
    guint n_labels;
    GQuark labels[RES_MAX_NAMED]; /* sorted */
    gint64 time_us;               /* 0: not stated */
} Request;

/* The request of nothing in particular: one CPU. */
void request_init(Request *r);
/* From a map (NULL: the default). Unknown keys are named resources. The error names the key. */
gboolean request_from_value(const Value *map, Request *r, GError **error);
/* "cpus=4,gpus=0.5" as a map; values stay text. NULL with error. */
Value *request_parse_text(const char *text, GError **error);
/* `over` wins key by key. Either may be NULL. New reference. */
Value *request_merge(const Value *base, const Value *over);
gboolean request_equal(const Request *a, const Request *b);
guint request_hash(const Request *r);
char *request_describe(const Request *r); /* "4 cpus, 0.5 gpus, 8 GiB" */

/* What a worker has, and how much of it is free now. */
typedef struct Resources {
    Amount cpus, cpus_free;
    gint64 mem_bytes, mem_free_bytes;
    guint n_gpus;
    gint16 gpu_free[RES_MAX_GPUS]; /* a device each, AMOUNT_ONE when idle */
    guint n_named;
    struct {
        GQuark name;
        Amount total, free;
    } named[RES_MAX_NAMED];
    guint n_labels;
    GQuark labels[RES_MAX_NAMED];
} Resources;

/* From the map of HELLO: cpus, mem (bytes), gpus (list of names or a number), NAME: amount. */
gboolean resources_from_value(
        const Value *map, const char *const *labels, Resources *r, GError **error);

/* What was taken: needed to give it back, and for CUDA_VISIBLE_DEVICES. */
typedef struct Taken {
    guint64 gpu_mask;
    Amount gpu_amount; /* of each device in the mask */
} Taken;

/* TRUE if it fits now / would fit if all were free. */
gboolean resources_fit_now(const Resources *r, const Request *q);
gboolean resources_fit_ever(const Resources *r, const Request *q);
/* Why it would not ("4 gpus, it has 2"); newly allocated. Only if resources_fit_ever() is FALSE. */
char *resources_why_not(const Resources *r, const Request *q);
/* Counts it as used. Must fit. Fractions of a GPU are put where least is left over. */
void resources_take(Resources *r, const Request *q, Taken *taken);
void resources_give(Resources *r, const Request *q, const Taken *taken);
