/* SPDX-License-Identifier: Apache-2.0 */
/* Event files: bytes that TensorFlow's format defines, our own round trip, damage, sources. */
#include <glib/gstdio.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "engine/run/scalars.h"
#include "engine/run/tfevents.h"

/* Written by a Python protobuf implementation: version, loss 0.5 at 1, loss nan at 2, acc/val -3.25
 * at -7, text note. */
static const guint8 foreign[] = {
    0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x6d, 0x53, 0x2b, 0x09, 0x1a, 0x0d,
    0x62, 0x72, 0x61, 0x69, 0x6e, 0x2e, 0x45, 0x76, 0x65, 0x6e, 0x74, 0x3a, 0x32, 0xfc,
    0x98, 0x51, 0x29, 0x1a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, 0x9b, 0xd8,
    0x2d, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xf8, 0x3f, 0x10, 0x01, 0x2a, 0x0d,
    0x0a, 0x0b, 0x0a, 0x04, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0x00, 0x3f, 0x18,
    0xa4, 0x43, 0x3d, 0x1a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x12, 0x9b, 0xd8,
    0x2d, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x40, 0x10, 0x02, 0x2a, 0x0d,
    0x0a, 0x0b, 0x0a, 0x04, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0xc0, 0x7f, 0xa7,
    0x54, 0xed, 0xb6, 0x26, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x73, 0x4f, 0xe3,
    0x00, 0x09, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x04, 0x40, 0x10, 0xf9, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0x2a, 0x10, 0x0a, 0x0e, 0x0a, 0x07, 0x61,
    0x63, 0x63, 0x2f, 0x76, 0x61, 0x6c, 0x15, 0x00, 0x00, 0x50, 0xc0, 0x92, 0xab, 0xdc,
    0x68, 0x2a, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xae, 0x8d, 0x91, 0xf5, 0x09,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x40, 0x2a, 0x1f, 0x0a, 0x1d, 0x0a, 0x04,
    0x6e, 0x6f, 0x74, 0x65, 0x42, 0x09, 0x08, 0x07, 0x12, 0x00, 0x42, 0x03, 0x68, 0xc3,
    0xa9, 0x4a, 0x0a, 0x0a, 0x06, 0x0a, 0x04, 0x74, 0x65, 0x78, 0x74, 0x20, 0x02, 0xc7,
    0x02, 0x4b, 0xc8,
};

static void note(const TfEvent *e, gpointer data)
{
    GString *s = data;
    if (e->text)
        g_string_append_printf(s, "%s=%s;", e->tag, e->text);
    else
        g_string_append_printf(s, "%s=%g@%d;", e->tag, e->value, (int)e->step);
}

static void test_foreign(void)
{
    g_autoptr(GString) s = g_string_new(NULL);
    g_assert_cmpuint(tfevents_read_bytes(foreign, sizeof foreign, note, s), ==, 5);
    g_assert_cmpstr(s->str, ==, "loss=0.5@1;loss=nan@2;acc/val=-3.25@-7;note=h\xc3\xa9;");
}

/* Cut anywhere: what stands before the cut, never more. One bit changed: never a crash, and
 * nothing from the changed record. */
static void test_damage(void)
{
    gsize last = 0;
    for (gsize len = 0; len <= sizeof foreign; len++) {
        g_autoptr(GString) s = g_string_new(NULL);
        g_autofree guint8 *copy = g_memdup2(foreign, len);
        gsize n = tfevents_read_bytes(copy, len, note, s);
        g_assert_cmpuint(n, >=, last);
        last = n;
    }
    g_assert_cmpuint(last, ==, 5);
    for (gsize at = 0; at < sizeof foreign; at++) {
        g_autoptr(GString) s = g_string_new(NULL);
        guint8 copy[sizeof foreign];
        memcpy(copy, foreign, sizeof foreign);
        copy[at] ^= 0x10;
        g_assert_cmpuint(tfevents_read_bytes(copy, sizeof copy, note, s), <, 5);
    }
}

static char *make_run_dir(void)
{
    char *dir = fs_mkdtemp("guild-test-", NULL);
    g_autofree char *guild = g_build_filename(dir, ".guild", NULL);
    g_assert_true(fs_mkdirs(guild, NULL));
    return dir;
}

static void write_scalars(const char *dir, const char *tag, const double *vals, const gint64 *steps,
        guint n)
{
    g_autoptr(GError) error = NULL;
    TfEventWriter *w = tfevent_writer_new(dir, "", &error);
    g_assert_no_error(error);
    for (guint i = 0; i < n; i++)
        g_assert_true(tfevent_writer_scalar(w, tag, (float)vals[i], steps[i], &error));
    tfevent_writer_free(w);
}

static void test_summary(void)
{
    g_autofree char *dir = make_run_dir();
    g_autofree char *guild = g_build_filename(dir, ".guild", NULL);
    const double vals[] = { 3, 1, 2, 8, 4 };
    const gint64 steps[] = { 5, 7, 2, 7, 6 };
    write_scalars(guild, "loss", vals, steps, 5);
    g_autoptr(GPtrArray) sums = scalars_read(dir);
    g_assert_cmpuint(sums->len, ==, 1);
    const ScalarSummary *s = sums->pdata[0];
    g_assert_cmpstr(s->prefix, ==, ".guild");
    g_assert_cmpstr(s->tag, ==, "loss");
    g_assert_cmpfloat(s->first_val, ==, 2);
    g_assert_cmpint(s->first_step, ==, 2);
    g_assert_cmpfloat(s->last_val, ==, 8); /* the later one of equal steps */
    g_assert_cmpint(s->last_step, ==, 7);
    g_assert_cmpfloat(s->min_val, ==, 1);
    g_assert_cmpint(s->min_step, ==, 7);
    g_assert_cmpfloat(s->max_val, ==, 8);
    g_assert_cmpfloat(s->total, ==, 18);
    g_assert_cmpfloat(s->avg_val, ==, 3.6);
    g_assert_cmpint(s->count, ==, 5);
    g_autoptr(Value) v = scalar_summary_value(s);
    g_assert_cmpint(value_map_int(v, "max_step", 0), ==, 7);
    g_autoptr(Value) col = scalar_summary_column(s, "min", TRUE);
    g_assert_cmpint(value_get_int(col), ==, 7);
    g_assert_null(scalar_summary_column(s, "avg", TRUE));
    g_assert_null(scalar_summary_column(s, "nonsense", FALSE));
    g_assert_true(fs_remove_tree(dir, NULL));
}

static void test_sources(void)
{
    g_autofree char *dir = make_run_dir();
    g_autofree char *other = make_run_dir();
    g_autofree char *logs = g_build_filename(dir, "logs", "a", NULL);
    g_autofree char *link = g_build_filename(dir, "step1", NULL);
    g_autofree char *back = g_build_filename(other, "back", NULL);
    g_autofree char *opref = g_build_filename(other, ".guild", "opref", NULL);
    g_autofree char *own_opref = g_build_filename(dir, ".guild", "opref", NULL);
    const double vals[] = { 1 };
    const gint64 steps[] = { 0 };
    g_assert_true(fs_mkdirs(logs, NULL));
    write_scalars(logs, "x", vals, steps, 1);
    write_scalars(other, "y", vals, steps, 1);
    g_assert_true(fs_symlink(other, link, NULL));
    g_assert_true(fs_symlink(dir, back, NULL));
    {
        g_autoptr(GPtrArray) sources = scalars_sources(dir, NULL);
        g_assert_cmpuint(sources->len, ==, 1); /* a link to what is no run is not followed */
    }
    g_assert_true(fs_write(opref, "x", -1, NULL));
    g_assert_true(fs_write(own_opref, "x", -1, NULL)); /* the links are a circle now */
    g_autoptr(GPtrArray) sources = scalars_sources(dir, NULL);
    g_autoptr(GString) prefixes = g_string_new(NULL);
    for (guint i = 0; i < sources->len; i++)
        g_string_append_printf(prefixes, "%s;", ((ScalarSource *)sources->pdata[i])->prefix);
    g_assert_cmpstr(prefixes->str, ==, "logs/a;step1;step1/back/logs/a;");
    g_assert_cmpuint(((ScalarSource *)sources->pdata[0])->files->len, ==, 1);
    write_scalars(logs, "x", vals, steps, 1);
    g_autoptr(GPtrArray) again = scalars_sources(dir, NULL);
    g_assert_cmpuint(((ScalarSource *)again->pdata[0])->files->len, ==, 2);
    g_autofree char *key = scalar_key("logs/a", "x"), *plain = scalar_key(".guild", "x");
    g_assert_cmpstr(key, ==, "logs/a#x");
    g_assert_cmpstr(plain, ==, "x");
    g_assert_true(fs_remove_tree(dir, NULL));
    g_assert_true(fs_remove_tree(other, NULL));
}

static void test_attrs(void)
{
    g_autofree char *dir = make_run_dir();
    g_autoptr(GError) error = NULL;
    TfEventWriter *w = tfevent_writer_new(dir, ".attrs", &error);
    g_assert_no_error(error);
    g_assert_true(tfevent_writer_text(w, "model", "resnet", &error));
    g_assert_true(tfevent_writer_text(w, "model/text_summary", "vgg", &error));
    tfevent_writer_free(w);
    g_autoptr(Value) attrs = scalars_read_attrs(dir);
    g_assert_cmpstr(value_map_string(attrs, "model", NULL), ==, "vgg");
    g_autoptr(GPtrArray) sums = scalars_read(dir);
    g_assert_cmpuint(sums->len, ==, 0);
    g_assert_true(fs_remove_tree(dir, NULL));
}

/* More than one read buffer, and a record that claims to be longer than the file. */
static void test_large(void)
{
    enum { N = 20000 };
    g_autofree char *dir = make_run_dir();
    g_autofree double *vals = g_new(double, N);
    g_autofree gint64 *steps = g_new(gint64, N);
    for (guint i = 0; i < N; i++) {
        vals[i] = i;
        steps[i] = i;
    }
    write_scalars(dir, "n", vals, steps, N);
    g_autofree char *cut = g_build_filename(dir, "z.tfevents.cut", NULL);
    g_assert_true(fs_write(cut, (const char *)foreign, 100, NULL));
    g_autoptr(GPtrArray) sums = scalars_read(dir);
    g_assert_cmpuint(sums->len, ==, 2);
    g_assert_cmpint(((ScalarSummary *)sums->pdata[0])->count, ==, N);
    g_assert_cmpint(((ScalarSummary *)sums->pdata[1])->count, ==, 1);
    g_assert_true(fs_remove_tree(dir, NULL));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scalars/foreign", test_foreign);
    g_test_add_func("/scalars/damage", test_damage);
    g_test_add_func("/scalars/summary", test_summary);
    g_test_add_func("/scalars/sources", test_sources);
    g_test_add_func("/scalars/attrs", test_attrs);
    g_test_add_func("/scalars/large", test_large);
    return g_test_run();
}
