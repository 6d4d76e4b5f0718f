/* SPDX-License-Identifier: Apache-2.0 */
/* Counting what trials ask and machines have: see resources.h. */
#include "engine/wire/resources.h"

#include "engine/base/text.h"

#include <math.h>
#include <string.h>

GQuark resources_error_quark(void)
{
    return g_quark_from_static_string("guild-resources-error");
}

void request_init(Request *r)
{
    memset(r, 0, sizeof *r);
    r->cpus = AMOUNT_ONE;
}

/* ---- reading ---- */

typedef struct {
    const char *suffix;
    double factor;
} Unit;

static const Unit mem_units[] = {
        {"", 1},
        {"K", 1024.},
        {"KiB", 1024.},
        {"KB", 1000.},
        {"M", 1048576.},
        {"MiB", 1048576.},
        {"MB", 1e6},
        {"G", 1073741824.},
        {"GiB", 1073741824.},
        {"GB", 1e9},
        {"T", 1099511627776.},
        {"TiB", 1099511627776.},
        {"TB", 1e12},
        {NULL, 0},
};
static const Unit time_units[] = {
        {"", 1},
        {"s", 1},
        {"m", 60},
        {"min", 60},
        {"h", 3600},
        {"d", 86400},
        {NULL, 0},
};
static const Unit no_units[] = {{"", 1}, {NULL, 0}};

/* "8G" or a number; FALSE if it is neither, negative, or not finite. */
static gboolean read_quantity(const Value *v, const Unit *units, double *out)
{
    if (value_is_number(v)) {
        *out = value_get_float(v);
        return isfinite(*out) && *out >= 0;
    }
    if (!value_is_string(v))
        return FALSE;
    char *end = NULL;
    const char *text = value_get_string(v);
    double n = g_ascii_strtod(text, &end);
    if (end == text || !isfinite(n) || n < 0)
        return FALSE;
    while (*end == ' ')
        end++;
    for (const Unit *u = units; u->suffix; u++)
        if (!g_ascii_strcasecmp(end, u->suffix)) {
            *out = n * u->factor;
            return TRUE;
        }
    return FALSE;
}

static gboolean read_amount(const Value *v, Amount *out)
{
    double n;
    if (!read_quantity(v, no_units, &n) || n > 1e9)
        return FALSE;
    *out = (Amount)llround(n * AMOUNT_ONE);
    return TRUE;
}

static gint compare_quarks(gconstpointer a, gconstpointer b)
{
    return strcmp(g_quark_to_string(*(const GQuark *)a), g_quark_to_string(*(const GQuark *)b));
}

static gboolean add_label(GQuark *labels, guint *n, const char *text)
{
    if (*n == RES_MAX_NAMED || !*text)
        return FALSE;
    labels[(*n)++] = g_quark_from_string(text);
    qsort(labels, *n, sizeof *labels, compare_quarks);
    return TRUE;
}

/* A list of labels, or text with '+' or ',' between. */
static gboolean read_labels(const Value *v, Request *r)
{
    if (value_is_list(v)) {
        for (gsize i = 0; i < value_list_size(v); i++) {
            g_autofree char *s = value_str(value_list_at(v, i));
            if (!add_label(r->labels, &r->n_labels, s))
                return FALSE;
        }
        return TRUE;
    }
    g_autofree char *text = value_str(v);
    g_auto(GStrv) parts = g_strsplit_set(text, "+,", -1);
    for (char **p = parts; *p; p++)
        if (!add_label(r->labels, &r->n_labels, g_strstrip(*p)))
            return FALSE;
    return TRUE;
}

static gboolean add_named(Request *r, const char *key, Amount amount)
{
    if (r->n_named == RES_MAX_NAMED)
        return FALSE;
    guint i = r->n_named++;
    while (i > 0 && strcmp(g_quark_to_string(r->named[i - 1].name), key) > 0) {
        r->named[i] = r->named[i - 1];
        i--;
    }
    r->named[i].name = g_quark_from_string(key);
    r->named[i].amount = amount;
    return TRUE;
}

static gboolean read_key(Request *r, const char *key, const Value *v)
{
    double n;
    if (!strcmp(key, "cpus"))
        return read_amount(v, &r->cpus);
    if (!strcmp(key, "mem")) {
        if (!read_quantity(v, mem_units, &n) || n > 1e17)
            return FALSE;
        r->mem_bytes = (gint64)n;
        return TRUE;
    }
    if (!strcmp(key, "gpus"))
        return read_amount(v, &r->gpus) && (r->gpus < AMOUNT_ONE || r->gpus % AMOUNT_ONE == 0);
    if (!strcmp(key, "time")) {
        if (!read_quantity(v, time_units, &n) || n > 1e9)
            return FALSE;
        r->time_us = (gint64)(n * G_USEC_PER_SEC);
        return TRUE;
    }
    if (!strcmp(key, "labels"))
        return read_labels(v, r);
    Amount amount;
    return read_amount(v, &amount) && add_named(r, key, amount);
}

gboolean request_from_value(const Value *map, Request *r, GError **error)
{
    request_init(r);
    if (value_is_null(map))
        return TRUE;
    if (!value_is_map(map)) {
        g_set_error_literal(error, resources_error_quark(), 0, "'request' must be a map");
        return FALSE;
    }
    for (gsize i = 0; i < value_map_size(map); i++) {
        const Value *v = value_map_at(map, i);
        if (read_key(r, value_map_key_at(map, i), v))
            continue;
        g_autofree char *text = value_str(v);
        g_set_error(error, resources_error_quark(), 0,
                "invalid amount '%s' for '%s' in a request (examples: cpus=4, mem=8G, gpus=0.5 or "
                "gpus=2, license=1, labels=fast, time=1h)",
                text, value_map_key_at(map, i));
        return FALSE;
    }
    return TRUE;
}

Value *request_parse_text(const char *text, GError **error)
{
    g_autoptr(Value) map = value_new_map();
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    for (char **p = parts; *p; p++) {
        char *eq = strchr(*p, '=');
        if (!eq || eq == *p || !eq[1]) {
            g_set_error(error, resources_error_quark(), 0,
                    "invalid request '%s': '%s' is not NAME=AMOUNT", text, *p);
            return NULL;
        }
        *eq = 0;
        value_map_set_string(map, g_strstrip(*p), g_strstrip(eq + 1));
    }
    Request r;
    return request_from_value(map, &r, error) ? g_steal_pointer(&map) : NULL;
}

Value *request_merge(const Value *base, const Value *over)
{
    Value *map = value_new_map();
    if (value_is_map(base))
        value_map_update(map, base);
    if (value_is_map(over))
        value_map_update(map, over);
    return map;
}

/* ---- comparing, describing ---- */

gboolean request_equal(const Request *a, const Request *b)
{
    if (a->cpus != b->cpus || a->mem_bytes != b->mem_bytes || a->gpus != b->gpus ||
            a->n_named != b->n_named || a->n_labels != b->n_labels || a->time_us != b->time_us)
        return FALSE;
    for (guint i = 0; i < a->n_named; i++)
        if (a->named[i].name != b->named[i].name || a->named[i].amount != b->named[i].amount)
            return FALSE;
    return !memcmp(a->labels, b->labels, a->n_labels * sizeof *a->labels);
}

guint request_hash(const Request *r)
{
    guint64 h = (guint64)r->cpus * 31 + (guint64)r->mem_bytes * 17 + (guint64)r->gpus * 7 +
                (guint64)r->time_us;
    for (guint i = 0; i < r->n_named; i++)
        h = h * 131 + r->named[i].name + (guint64)r->named[i].amount;
    for (guint i = 0; i < r->n_labels; i++)
        h = h * 131 + r->labels[i];
    return (guint)(h ^ h >> 32);
}

static void say(GString *s, double n, const char *what)
{
    gboolean plural = n != 1 && (!strcmp(what, "cpu") || !strcmp(what, "gpu"));
    g_string_append_printf(s, "%s%.6g %s%s", s->len ? ", " : "", n, what, plural ? "s" : "");
}

char *request_describe(const Request *r)
{
    GString *s = g_string_new(NULL);
    say(s, (double)r->cpus / AMOUNT_ONE, "cpu");
    if (r->gpus)
        say(s, (double)r->gpus / AMOUNT_ONE, "gpu");
    if (r->mem_bytes) {
        g_autofree char *size = text_format_bytes(r->mem_bytes);
        g_string_append_printf(s, ", %s", size);
    }
    for (guint i = 0; i < r->n_named; i++)
        say(s, (double)r->named[i].amount / AMOUNT_ONE, g_quark_to_string(r->named[i].name));
    for (guint i = 0; i < r->n_labels; i++)
        g_string_append_printf(s, ", label %s", g_quark_to_string(r->labels[i]));
    if (r->time_us)
        g_string_append_printf(s, ", %.6g s", (double)r->time_us / G_USEC_PER_SEC);
    return g_string_free(s, FALSE);
}

/* ---- machines ---- */

static gboolean resource_key(Resources *r, const char *key, const Value *v)
{
    double n;
    if (!strcmp(key, "cpus"))
        return read_amount(v, &r->cpus);
    if (!strcmp(key, "mem")) {
        if (!read_quantity(v, mem_units, &n) || n > 1e17)
            return FALSE;
        r->mem_bytes = (gint64)n;
        return TRUE;
    }
    if (!strcmp(key, "gpus")) {
        if (value_is_list(v))
            r->n_gpus = (guint)MIN(value_list_size(v), RES_MAX_GPUS + 1);
        else if (read_quantity(v, no_units, &n))
            r->n_gpus = n > RES_MAX_GPUS ? RES_MAX_GPUS + 1 : (guint)n;
        else
            return FALSE;
        return r->n_gpus <= RES_MAX_GPUS;
    }
    if (r->n_named == RES_MAX_NAMED)
        return FALSE;
    Amount amount;
    if (!read_amount(v, &amount))
        return FALSE;
    r->named[r->n_named].name = g_quark_from_string(key);
    r->named[r->n_named++].total = amount;
    return TRUE;
}

gboolean resources_from_value(
        const Value *map, const char *const *labels, Resources *r, GError **error)
{
    memset(r, 0, sizeof *r);
    r->cpus = AMOUNT_ONE;
    for (gsize i = 0; value_is_map(map) && i < value_map_size(map); i++)
        if (!resource_key(r, value_map_key_at(map, i), value_map_at(map, i))) {
            g_autofree char *text = value_str(value_map_at(map, i));
            g_set_error(error, resources_error_quark(), 0, "invalid amount '%s' for resource '%s'",
                    text, value_map_key_at(map, i));
            return FALSE;
        }
    for (; labels && *labels; labels++)
        if (!add_label(r->labels, &r->n_labels, *labels)) {
            g_set_error_literal(error, resources_error_quark(), 0, "too many labels");
            return FALSE;
        }
    r->cpus_free = r->cpus;
    r->mem_free_bytes = r->mem_bytes;
    for (guint i = 0; i < r->n_gpus; i++)
        r->gpu_free[i] = AMOUNT_ONE;
    for (guint i = 0; i < r->n_named; i++)
        r->named[i].free = r->named[i].total;
    return TRUE;
}

static gboolean has_labels(const Resources *r, const Request *q)
{
    for (guint i = 0; i < q->n_labels; i++) {
        guint j = 0;
        while (j < r->n_labels && r->labels[j] != q->labels[i])
            j++;
        if (j == r->n_labels)
            return FALSE;
    }
    return TRUE;
}

static gboolean named_fit(const Resources *r, const Request *q, gboolean now)
{
    for (guint i = 0; i < q->n_named; i++) {
        guint j = 0;
        while (j < r->n_named && r->named[j].name != q->named[i].name)
            j++;
        if (j == r->n_named || (now ? r->named[j].free : r->named[j].total) < q->named[i].amount)
            return FALSE;
    }
    return TRUE;
}

static gboolean gpus_fit(const Resources *r, Amount gpus)
{
    Amount each = gpus < AMOUNT_ONE ? gpus : AMOUNT_ONE;
    Amount left = gpus;
    for (guint i = 0; i < r->n_gpus && left > 0; i++)
        if (r->gpu_free[i] >= each)
            left -= each;
    return left <= 0;
}

gboolean resources_fit_now(const Resources *r, const Request *q)
{
    return r->cpus_free >= q->cpus && (!q->mem_bytes || r->mem_free_bytes >= q->mem_bytes) &&
           (!q->gpus || gpus_fit(r, q->gpus)) && (!q->n_named || named_fit(r, q, TRUE)) &&
           (!q->n_labels || has_labels(r, q));
}

gboolean resources_fit_ever(const Resources *r, const Request *q)
{
    return r->cpus >= q->cpus && r->mem_bytes >= q->mem_bytes &&
           (Amount)r->n_gpus * AMOUNT_ONE >= q->gpus && named_fit(r, q, FALSE) && has_labels(r, q);
}

char *resources_why_not(const Resources *r, const Request *q)
{
    if (r->cpus < q->cpus)
        return g_strdup_printf(
                "%.6g cpus, of %.6g", (double)q->cpus / AMOUNT_ONE, (double)r->cpus / AMOUNT_ONE);
    if ((Amount)r->n_gpus * AMOUNT_ONE < q->gpus)
        return g_strdup_printf("%.6g gpus, of %u", (double)q->gpus / AMOUNT_ONE, r->n_gpus);
    if (r->mem_bytes < q->mem_bytes) {
        g_autofree char *want = text_format_bytes(q->mem_bytes);
        g_autofree char *has = text_format_bytes(r->mem_bytes);
        return g_strdup_printf("%s of memory, of %s", want, has);
    }
    if (!has_labels(r, q))
        return g_strdup("labels that it does not have");
    for (guint i = 0; i < q->n_named; i++) {
        Request one = {.n_named = 1};
        one.named[0] = q->named[i];
        if (!named_fit(r, &one, FALSE))
            return g_strdup_printf("%.6g %s", (double)q->named[i].amount / AMOUNT_ONE,
                    g_quark_to_string(q->named[i].name));
    }
    return g_strdup("nothing");
}

/* ---- taking and giving back ---- */

static void take_gpus(Resources *r, Amount gpus, Taken *taken)
{
    taken->gpu_amount = gpus < AMOUNT_ONE ? gpus : AMOUNT_ONE;
    if (gpus < AMOUNT_ONE) {
        guint best = RES_MAX_GPUS;
        for (guint i = 0; i < r->n_gpus; i++)
            if (r->gpu_free[i] >= gpus &&
                    (best == RES_MAX_GPUS || r->gpu_free[i] < r->gpu_free[best]))
                best = i;
        g_assert(best < RES_MAX_GPUS);
        r->gpu_free[best] -= gpus;
        taken->gpu_mask = G_GUINT64_CONSTANT(1) << best;
        return;
    }
    for (guint i = 0; i < r->n_gpus && gpus > 0; i++)
        if (r->gpu_free[i] == AMOUNT_ONE) {
            r->gpu_free[i] = 0;
            taken->gpu_mask |= G_GUINT64_CONSTANT(1) << i;
            gpus -= AMOUNT_ONE;
        }
}

static void count_named(Resources *r, const Request *q, int sign)
{
    for (guint i = 0; i < q->n_named; i++)
        for (guint j = 0; j < r->n_named; j++)
            if (r->named[j].name == q->named[i].name)
                r->named[j].free += sign * q->named[i].amount;
}

void resources_take(Resources *r, const Request *q, Taken *taken)
{
    *taken = (Taken){0};
    r->cpus_free -= q->cpus;
    r->mem_free_bytes -= q->mem_bytes;
    if (q->gpus)
        take_gpus(r, q->gpus, taken);
    if (q->n_named)
        count_named(r, q, -1);
}

void resources_give(Resources *r, const Request *q, const Taken *taken)
{
    r->cpus_free += q->cpus;
    r->mem_free_bytes += q->mem_bytes;
    for (guint i = 0; i < r->n_gpus && taken->gpu_mask; i++)
        if (taken->gpu_mask & (G_GUINT64_CONSTANT(1) << i))
            r->gpu_free[i] += taken->gpu_amount;
    if (q->n_named)
        count_named(r, q, 1);
}
