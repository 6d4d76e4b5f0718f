/* SPDX-License-Identifier: Apache-2.0 */
/* Flags into trials: grids, samples, functions, random search, batch files, tables, and trial runs
 * staged from a proto. */
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/base/fs.h"
#include "engine/base/json.h"
#include "engine/base/yaml.h"
#include "engine/batch/batchfile.h"
#include "engine/batch/optimizer.h"
#include "engine/batch/trials.h"
#include "engine/batch/trialstage.h"
#include "engine/batch/trialtable.h"

static Value *parse(const char *text)
{
    GError *error = NULL;
    Value *v = text ? yaml_parse(text, -1, NULL, &error) : NULL;
    g_assert_no_error(error);
    return v;
}

/* All trials as one line of JSON. */
static char *grid_text(const char *flags, const char *user_flags, const char *rows, guint64 seed,
        gint64 max_trials)
{
    g_autoptr(Value) f = parse(flags), u = parse(user_flags), r = parse(rows);
    TrialSpec spec = {f, u, r, seed, max_trials};
    GError *error = NULL;
    g_autoptr(TrialSource) src = trial_source_new(&spec, &error);
    g_assert_no_error(error);
    g_autoptr(Value) all = value_new_list();
    for (Value *trial; (trial = trial_source_next(src));)
        value_list_append(all, trial);
    g_assert_cmpint((gint64)value_list_size(all), ==, trial_source_count(src));
    return json_dump(all, 0, TRUE);
}

static void check_grid(
        const char *flags, const char *user_flags, const char *rows, const char *expected)
{
    g_autofree char *text = grid_text(flags, user_flags, rows, 1, 0);
    g_assert_cmpstr(text, ==, expected);
}

static void test_grid(void)
{
    check_grid("{y: [a, b], x: [1, 2], z: 0}", NULL, NULL,
            "[{\"x\": 1, \"y\": \"a\", \"z\": 0}, {\"x\": 1, \"y\": \"b\", \"z\": 0}, "
            "{\"x\": 2, \"y\": \"a\", \"z\": 0}, {\"x\": 2, \"y\": \"b\", \"z\": 0}]");
    check_grid("{x: 1}", NULL, NULL, "[{\"x\": 1}]");
    check_grid("{}", NULL, NULL, "[{}]");
    check_grid("{x: [], y: [1, 2]}", NULL, NULL, "[]");
    check_grid("{x: [[1, 2], [3]]}", NULL, NULL, "[{\"x\": [1, 2]}, {\"x\": [3]}]");
}

static void test_rows(void)
{
    check_grid("{x: 1, y: 2, z: 3}", "{z: [8, 9]}", "[{x: 5, z: 0}, {y: 6}]",
            "[{\"x\": 5, \"y\": 2, \"z\": 8}, {\"x\": 5, \"y\": 2, \"z\": 9}, "
            "{\"x\": 1, \"y\": 6, \"z\": 8}, {\"x\": 1, \"y\": 6, \"z\": 9}]");
    check_grid("{x: 1}", NULL, "[{x: [1, 2]}, {x: []}, {x: 3}]",
            "[{\"x\": 1}, {\"x\": 2}, {\"x\": 3}]");
    check_grid("{x: [1, 2]}", NULL, "[]", "[{\"x\": 1}, {\"x\": 2}]");
}

static void test_sample(void)
{
    static const char grid[] =
            "{x: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], y: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}";
    g_autofree char *a = grid_text(grid, NULL, NULL, 7, 30),
                    *b = grid_text(grid, NULL, NULL, 7, 30);
    g_autofree char *c = grid_text(grid, NULL, NULL, 8, 30);
    g_assert_cmpstr(a, ==, b);
    g_assert_cmpstr(a, !=, c);
    g_autoptr(Value) trials = json_parse(a, -1, NULL, NULL);
    g_assert_cmpuint(value_list_size(trials), ==, 30);
    gint64 last = -1;
    for (gsize i = 0; i < 30; i++) { /* in the grid's order, none twice */
        const Value *trial = value_list_at(trials, i);
        gint64 number = value_map_int(trial, "x", -1) * 10 + value_map_int(trial, "y", -1);
        g_assert_cmpint(number, >, last);
        last = number;
    }
    g_autofree char *all = grid_text(grid, NULL, NULL, 7, 100),
                    *more = grid_text(grid, NULL, NULL, 7, 0);
    g_assert_cmpstr(all, ==, more);
}

/* A grid that no memory could hold is counted, sampled and walked. */
static void test_huge_grid(void)
{
    g_autoptr(Value) flags = value_new_map();
    g_autoptr(Value) list = value_new_list();
    for (int i = 0; i < 1000; i++)
        value_list_append(list, value_new_int(i));
    for (int i = 0; i < 8; i++) {
        g_autofree char *name = g_strdup_printf("f%d", i);
        value_map_set(flags, name, value_ref(list));
    }
    TrialSpec spec = {flags, NULL, NULL, 3, 0};
    g_autoptr(TrialSource) all = trial_source_new(&spec, NULL);
    g_assert_cmpint(trial_source_count(all), ==, G_MAXINT64);
    g_autoptr(Value) first = trial_source_next(all);
    g_assert_cmpint(value_map_int(first, "f7", -1), ==, 0);
    spec.max_trials = 5;
    g_autoptr(TrialSource) some = trial_source_new(&spec, NULL);
    g_assert_cmpint(trial_source_count(some), ==, 5);
    for (int i = 0; i < 5; i++) {
        g_autoptr(Value) trial = trial_source_next(some);
        g_assert_cmpuint(value_map_size(trial), ==, 8);
    }
    g_assert_null(trial_source_next(some));
}

static void test_grid_functions(void)
{
    g_autofree char *a = grid_text("{x: 'uniform[1:2:1.5]', y: [a, b]}", NULL, NULL, 5, 0);
    g_autofree char *b = grid_text("{x: 'uniform[1:2:1.5]', y: [a, b]}", NULL, NULL, 5, 0);
    g_assert_cmpstr(a, ==, b);
    g_autoptr(Value) trials = json_parse(a, -1, NULL, NULL);
    double first = value_get_float(value_map_get(value_list_at(trials, 0), "x"));
    double second = value_get_float(value_map_get(value_list_at(trials, 1), "x"));
    g_assert_cmpfloat(first, ==, 1.5); /* the initial value, once */
    g_assert_cmpfloat(second, !=, 1.5);
    g_assert_true(second >= 1 && second <= 2);
}

static void test_seek(void)
{
    g_autoptr(Value) flags = parse("{x: [1, 2, 3], y: '[0.0:1.0]'}");
    TrialSpec spec = {flags, NULL, NULL, 11, 0};
    g_autoptr(TrialSource) src = trial_source_new(&spec, NULL);
    g_autoptr(Value) a = trial_source_next(src), b = trial_source_next(src);
    g_assert_nonnull(a);
    trial_source_seek(src, 1);
    g_autoptr(Value) again = trial_source_next(src);
    g_assert_true(value_equal(b, again));
}

static void check_dim_error(const char *value, int code, const char *message)
{
    g_autoptr(Value) v = value_new_string(value);
    GError *error = NULL;
    g_autoptr(Dim) dim = dim_for_value("x", v, TRUE, &error);
    g_assert_null(dim);
    g_assert_error(error, BATCH_ERROR, code);
    g_assert_cmpstr(error->message, ==, message);
    g_clear_error(&error);
}

static void test_dim_errors(void)
{
    check_dim_error("floop[1:10]", BATCH_ERROR_DIMS, "unknown function 'floop' used for flag x");
    check_dim_error("[1:2:3:4]", BATCH_ERROR_DIMS,
            "uniform requires 2 or 3 args, got (1, 2, 3, 4) for flag x");
    check_dim_error(
            "uniform[1]", BATCH_ERROR_DIMS, "uniform requires 2 or 3 args, got (1,) for flag x");
    check_dim_error("loguniform[1.2:1.1]", BATCH_ERROR_ARGS,
            "invalid function args in 'x=loguniform[1.2:1.1]': the lower bound 1.2 has to be less "
            "than the upper bound 1.1");
    check_dim_error("[4:1]", BATCH_ERROR_ARGS,
            "invalid function args in 'x=uniform[4:1]': the lower bound 4 has to be less than the "
            "upper bound 1");
    check_dim_error("loguniform[0:1]", BATCH_ERROR_ARGS,
            "invalid function args in 'x=loguniform[0:1]': the lower bound has to be greater than "
            "0");
    check_dim_error("uniform[0:inf]", BATCH_ERROR_ARGS,
            "invalid function args in 'x=uniform[0:inf]': the bounds have to be finite");
}

/* Draws from a dimension and gives how many times each tenth of its range came up. */
static void histogram(const char *value, guint tenths[10], gboolean log_scale)
{
    g_autoptr(Value) v = value_new_string(value);
    g_autoptr(Dim) dim = dim_for_value("x", v, TRUE, NULL);
    g_assert_nonnull(dim);
    memset(tenths, 0, 10 * sizeof *tenths);
    for (guint64 trial = 0; trial < 10000; trial++) {
        g_autoptr(Value) sample = dim_sample(dim, 42, trial);
        double d = value_get_float(sample), low = dim->low, high = dim->high;
        g_assert_true(d >= low && d <= high);
        double at = log_scale ? g_ascii_strtod("0", NULL) : (d - low) / (high - low);
        if (log_scale)
            for (double edge = low * 10; d >= edge && at < 0.9; edge *= 10)
                at += 0.1;
        tenths[CLAMP((int)(at * 10 + 1e-9), 0, 9)]++;
    }
}

static void test_distributions(void)
{
    guint n[10];
    histogram("uniform[-1.0:3]", n, FALSE);
    for (int i = 0; i < 10; i++)
        g_assert_true(n[i] > 850 && n[i] < 1150);
    histogram("[0:9]", n, FALSE);
    for (int i = 0; i < 10; i++) /* ten integers, the last with the one before in the top tenth */
        g_assert_true(n[i] > 800 && n[i] < 2200);
    histogram("loguniform[1e-5:1e5]", n, TRUE);
    for (int i = 0; i < 10; i++)
        g_assert_true(n[i] > 850 && n[i] < 1150);
}

static void test_int_bounds(void)
{
    g_autoptr(Value) v = value_new_string("[1:3]");
    g_autoptr(Dim) dim = dim_for_value("x", v, TRUE, NULL);
    gboolean seen[5] = {FALSE};
    for (guint64 trial = 0; trial < 200; trial++) {
        g_autoptr(Value) sample = dim_sample(dim, 1, trial);
        g_assert_true(value_kind(sample) == VALUE_INT);
        gint64 i = value_get_int(sample);
        g_assert_true(i >= 1 && i <= 3);
        seen[i] = TRUE;
    }
    g_assert_true(seen[1] && seen[2] && seen[3]);
}

static char *random_text(const char *flags, guint64 seed, gint64 max_trials, GError **error)
{
    g_autoptr(Value) f = parse(flags);
    OptimizerSpec spec = {.flags = f, .seed = seed, .max_trials = max_trials};
    const OptimizerClass *klass = optimizer_class_find("skopt:random");
    g_assert_true(klass == optimizer_class_find("random"));
    g_autoptr(Optimizer) o = optimizer_new(klass, &spec, error);
    if (!o)
        return NULL;
    g_autoptr(Value) all = value_new_list();
    OptimizerState state;
    for (Value *trial; (trial = optimizer_ask(o, &state, error));) {
        g_assert_cmpint(state, ==, OPTIMIZER_READY);
        value_list_append(all, trial);
    }
    g_assert_cmpint(state, ==, OPTIMIZER_DONE);
    g_assert_cmpint(optimizer_count(o), ==, (gint64)value_list_size(all));
    return json_dump(all, 0, TRUE);
}

static void test_random(void)
{
    static const char flags[] = "{x: '[1:100:50]', y: [a, b, c], z: 'loguniform[1e-5:0.1]', w: 1}";
    g_autofree char *a = random_text(flags, 1, 0, NULL), *b = random_text(flags, 1, 0, NULL);
    g_autofree char *c = random_text(flags, 2, 0, NULL), *few = random_text(flags, 1, 3, NULL);
    g_assert_cmpstr(a, ==, b);
    g_assert_cmpstr(a, !=, c);
    g_autoptr(Value) all = json_parse(a, -1, NULL, NULL), three = json_parse(few, -1, NULL, NULL);
    g_assert_cmpuint(value_list_size(all), ==, OPTIMIZER_DEFAULT_MAX_TRIALS);
    g_assert_cmpint(value_map_int(value_list_at(all, 0), "x", 0), ==, 50);
    g_assert_cmpint(value_map_int(value_list_at(all, 0), "w", 0), ==, 1);
    for (gsize i = 0; i < 3; i++) /* fewer trials are the first of them */
        g_assert_true(value_equal(value_list_at(all, i), value_list_at(three, i)));
}

static void test_random_errors(void)
{
    GError *error = NULL;
    g_assert_null(random_text("{x: 1, y: a, n: }", 1, 0, &error));
    g_assert_error(error, BATCH_ERROR, BATCH_ERROR_DIMS);
    g_assert_cmpstr(error->message, ==,
            "flags for batch (n=null, x=1, y=a) do not contain any search dimensions\n"
            "Try specifying a range for one or more flags as NAME=[MIN:MAX].");
    g_clear_error(&error);
    g_assert_null(optimizer_class_find("tpe"));
}

static void check_objective(const char *text, const char *name, const char *problem)
{
    g_autoptr(GError) error = NULL;
    g_autoptr(Objective) o = objective_new(text, &error);
    g_assert_cmpstr(o ? objective_name(o) : NULL, ==, name);
    g_assert_cmpstr(error ? error->message : NULL, ==, problem);
}

static void test_objective(void)
{
    check_objective(NULL, "loss", NULL);
    check_objective("-acc", "acc", NULL);
    check_objective("-max eval#acc", "eval#acc", NULL);
    check_objective("a, b", NULL, "invalid objective 'a, b': too many columns");
    check_objective("=x", NULL, "invalid objective '=x': not a scalar");
    check_objective("-the quick brown fox", NULL,
            "invalid objective 'the quick brown fox': unexpected token 'quick', line 1, pos 11");
}

static void check_file(const char *text, const char *format, const char *expected)
{
    GError *error = NULL;
    g_autoptr(Value) trials = batchfile_parse(text, strlen(text), format, "t.csv", &error);
    g_autofree char *json = trials ? json_dump(trials, 0, FALSE) : NULL;
    g_assert_cmpstr(json ? json : error->message, ==, expected);
    g_clear_error(&error);
}

static void test_batch_files(void)
{
    check_file("x,y,z\n1,a b,\n[1;2],\"q,\"\"r\"\"\",1e-3\r\n", ".csv",
            "[{\"x\": 1, \"y\": \"a b\", \"z\": \"\"}, "
            "{\"x\": [\"1;2\"], \"y\": \"q,\\\"r\\\"\", \"z\": 0.001}]");
    check_file("x,y\n1\n\n2,3", "", "[{\"x\": 1}, {\"x\": 2, \"y\": 3}]");
    check_file("\xef\xbb\xbfx\n1\n", ".csv", "[{\"x\": 1}]");
    check_file("x, y\n1, b\n", ".csv", "[{\"x\": 1, \" y\": \"b\"}]");
    check_file("", ".csv", "[]");
    check_file("x,y\n", ".csv", "[]");
    check_file("x,y\n1,2\n1,2,3\n", ".csv",
            "cannot read trials for t.csv: row 3: 3 cells, but the first row has only 2 names");
    check_file("x\n\xff\n", ".csv", "cannot read trials for t.csv: the file is not UTF-8 text");
    check_file("[{\"x\": 1}, {\"x\": [1, 2]}]", ".json", "[{\"x\": 1}, {\"x\": [1, 2]}]");
    check_file("x: 1\ny: yes\n", ".yaml", "[{\"x\": 1, \"y\": true}]");
    check_file("- x: 1\n- 2\n", ".yml",
            "cannot read trials for t.csv: invalid data type for trial 2: expected dict");
    check_file("abc", ".json",
            "cannot read trials for t.csv: invalid data type for trials: expected list or dict, "
            "got "
            "string");
    check_file("x", ".txt", "cannot read trials for t.csv: unsupported extension");
    GError *error = NULL;
    g_assert_null(batchfile_parse("[{", 2, ".json", "t.json", &error));
    g_assert_true(
            error && g_str_has_prefix(error->message, "cannot read trials for t.json: line "));
    g_clear_error(&error);
    g_assert_null(batchfile_read("/nonexistent/t.csv", &error));
    g_assert_error(error, BATCH_ERROR, BATCH_ERROR_FILE);
    g_assert_nonnull(strstr(error->message, "/nonexistent/t.csv"));
    g_clear_error(&error);
}

static void test_tables(void)
{
    g_autoptr(Value) trials = parse("[{x: 1, y: a}, {x: 1.0e-05, z: 'a,b'}, {x: null, y: 'q\"'}]");
    g_autofree char *text = trial_table_text(trials), *csv = trial_table_csv(trials);
    g_autofree char *json = trial_table_json(trials);
    g_assert_cmpstr(text, ==,
            "#  x        y   z\n"
            "1  1        a   \n"
            "2  1.0e-05      a,b\n"
            "3  null     q\"  \n");
    g_assert_cmpstr(csv, ==, "x,y,z\n1,a,\n1.0e-05,,\"a,b\"\nnull,\"q\"\"\",\n");
    g_assert_cmpstr(json, ==,
            "[{\"x\": 1, \"y\": \"a\"}, {\"x\": 1e-05, \"z\": \"a,b\"}, {\"x\": null, \"y\": "
            "\"q\\\"\"}]");
    GError *error = NULL;
    g_assert_null(trial_table_for_path(trials, "t.xxx", &error));
    g_assert_cmpstr(error->message, ==,
            "Unsupported extension '.xxx' - use '.csv', '.json', or no extension");
    g_clear_error(&error);
}

/* A batch run with a proto, below a new home. */
static char *make_batch(const char *op, Run **batch)
{
    char *home = fs_mkdtemp("test-batch-", NULL);
    g_autofree char *dir = g_build_filename(home, "runs", "b0", NULL);
    g_autofree char *proto_dir = g_build_filename(dir, ".guild", "proto", NULL);
    g_autofree char *script = g_build_filename(proto_dir, "src", "train.py", NULL);
    g_autofree char *src = g_path_get_dirname(script),
                    *link = g_build_filename(proto_dir, "link", NULL);
    g_autoptr(Run) proto = run_new(proto_dir, NULL);
    g_autoptr(OpRef) ref = opref_new("guildfile", "/p/guild.yml", "1", "", "train");
    g_autoptr(OpRef) batch_ref = opref_new("builtin", "guildai", "0", "", "+");
    g_autoptr(Value) flags = parse("{x: [1, 2], y: a}"), op_value = parse(op);
    *batch = run_new(dir, NULL);
    g_assert_true(run_init_skel(*batch, NULL) && run_write_opref(*batch, batch_ref, NULL));
    g_assert_true(run_init_skel(proto, NULL) && run_write_opref(proto, ref, NULL));
    g_assert_true(run_write_attr(proto, "flags", flags, NULL));
    g_assert_true(run_write_attr(proto, "op", op_value, NULL));
    g_assert_true(run_set_marker(proto, "STAGED", NULL));
    g_assert_true(fs_mkdirs(src, NULL) && fs_write(script, "print(1)\n", -1, NULL));
    g_assert_cmpint(g_chmod(script, 0755), ==, 0);
    g_assert_true(fs_symlink("src/train.py", link, NULL));
    return home;
}

static void check_attr(Run *run, const char *name, const char *expected)
{
    g_autoptr(Value) v = run_get_attr(run, name, NULL);
    g_autofree char *repr = value_repr(v);
    g_assert_cmpstr(repr, ==, expected);
}

static void test_stage(void)
{
    g_autoptr(Run) batch = NULL;
    g_autofree char *home = make_batch(
            "{label-template: 'x is ${x}', deps: [{name: d, config: {y: z, q: 1}}]}", &batch);
    g_autofree char *runs = g_build_filename(home, "runs", NULL);
    g_autoptr(TrialStager) stager = trial_stager_new(batch, runs, NULL);
    g_assert_nonnull(stager);
    g_autoptr(Optimizer) o = optimizer_for_run(batch, runs, NULL);
    g_assert_cmpint(optimizer_count(o), ==, 2);
    OptimizerState state;
    g_autoptr(Value) flags = optimizer_ask(o, &state, NULL);
    GError *error = NULL;
    g_autoptr(Run) run = trial_stager_stage(stager, flags, NULL, &error);
    g_assert_no_error(error);
    g_assert_cmpint(run_status(run), ==, RUN_PENDING);
    g_assert_false(run_has_marker(run, "STAGED"));
    check_attr(run, "flags", "{'x': 1, 'y': 'a'}");
    check_attr(run, "label", "'x is 1'");
    check_attr(run, "op",
            "{'deps': [{'config': {'q': 1, 'y': 'a'}, 'name': 'd'}], 'label-template': 'x is "
            "${x}'}");
    g_autofree char *id = run_attr_text(run, "id");
    g_assert_cmpstr(id, ==, run_id(run));
    g_assert_cmpint(run_attr_int(run, "started", 0), >, 0);
    g_assert_cmpstr(run_peek_opref(run)->op_name, ==, "train");
    g_autofree char *script = fs_join(run_dir(run), "src/train.py");
    g_autofree char *link = fs_join(run_dir(run), "link"), *target = fs_read_link(link, NULL);
    struct stat st;
    g_assert_cmpint(stat(script, &st), ==, 0);
    g_assert_cmpint(st.st_mode & 0777, ==, 0755);
    g_assert_cmpint(st.st_nlink, ==, 1);
    g_assert_cmpstr(target, ==, "src/train.py");
    g_autofree char *batch_link = fs_join(run_dir(batch), id), *to = fs_read_link(batch_link, NULL);
    g_autofree char *expected = g_strconcat("../", id, NULL);
    g_assert_cmpstr(to, ==, expected);
    g_assert_true(fs_remove_tree(home, NULL));
}

/* A trial that can't be written leaves nothing. */
static void test_stage_fails(void)
{
    g_autoptr(Run) batch = NULL;
    g_autofree char *home = make_batch("{}", &batch), *runs = g_build_filename(home, "runs", NULL);
    g_autofree char *where = g_build_filename(runs, "t1", NULL);
    g_autofree char *blocked = g_build_filename(home, "file", NULL);
    g_autofree char *below = g_build_filename(blocked, "t2", NULL);
    g_autoptr(TrialStager) stager = trial_stager_new(batch, runs, NULL);
    g_autoptr(Value) flags = value_new_map();
    GError *error = NULL;
    g_assert_true(fs_write(blocked, "", -1, NULL));
    g_assert_null(trial_stager_stage(stager, flags, below, &error));
    g_assert_nonnull(strstr(error->message, blocked));
    g_clear_error(&error);
    g_autoptr(Run) run = trial_stager_stage(stager, flags, where, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(run_id(run), ==, "t1");
    g_assert_true(fs_remove_tree(home, NULL));
    g_assert_null(trial_stager_new(batch, runs, &error));
    g_assert_error(error, BATCH_ERROR, BATCH_ERROR_RUN);
    g_clear_error(&error);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/batch/grid", test_grid);
    g_test_add_func("/batch/rows", test_rows);
    g_test_add_func("/batch/sample", test_sample);
    g_test_add_func("/batch/huge-grid", test_huge_grid);
    g_test_add_func("/batch/grid-functions", test_grid_functions);
    g_test_add_func("/batch/seek", test_seek);
    g_test_add_func("/batch/dim-errors", test_dim_errors);
    g_test_add_func("/batch/distributions", test_distributions);
    g_test_add_func("/batch/int-bounds", test_int_bounds);
    g_test_add_func("/batch/random", test_random);
    g_test_add_func("/batch/random-errors", test_random_errors);
    g_test_add_func("/batch/objective", test_objective);
    g_test_add_func("/batch/files", test_batch_files);
    g_test_add_func("/batch/tables", test_tables);
    g_test_add_func("/batch/stage", test_stage);
    g_test_add_func("/batch/stage-fails", test_stage_fails);
    return g_test_run();
}
