/* SPDX-License-Identifier: Apache-2.0 */
/* Flag values against definitions: reading, coercion, checks, choices, aliases. */
#include "engine/op/flags.h"
#include "tests/unit/op_fixture.h"

#include <string.h>

/* Flags of `op` defined by `flags_yaml` when the user gives `args` (words with blanks between). The
 * result in flow style, or the error's text. */
static char *resolve(const char *flags_yaml, const char *args, gboolean force)
{
    g_autofree char *yaml = g_strdup_printf("op: {exec: 'true', flags: %s}", flags_yaml);
    g_auto(OpFixture) f = op_fixture(yaml, NULL);
    g_auto(GStrv) words = *args ? g_strsplit(args, " ", -1) : g_new0(char *, 1);
    g_autoptr(GError) error = NULL;
    g_autoptr(Value) user = flags_parse_assigns((const char *const *)words, f.op, &error);
    g_autoptr(Value) flags = user ? flags_for_opdef(f.op, user, force, &error) : NULL;
    if (!flags)
        return g_strdup(error->message);
    value_map_sort(flags);
    return yaml_dump_flow(flags);
}

static void check(const char *flags_yaml, const char *args, const char *expected)
{
    g_autofree char *got = resolve(flags_yaml, args, FALSE);
    g_assert_cmpstr(got, ==, expected);
}

static void check_forced(const char *flags_yaml, const char *args, const char *expected)
{
    g_autofree char *got = resolve(flags_yaml, args, TRUE);
    g_assert_cmpstr(got, ==, expected);
}

static void defaults_fill_what_the_user_left(void)
{
    check("{a: 1, b: null}", "", "{a: 1, b: null}");
    check("{a: 1, b: x}", "a=2", "{a: 2, b: x}");
}

static void unknown_flags_are_refused_unless_forced(void)
{
    check("{a: 1}", "b=1",
            "unsupported flag 'b'\nTry 'guild run op --help-op' for a list of flags or use "
            "--force-flags to skip this check.");
    check_forced("{a: 1}", "b=1", "{a: 1, b: 1}");
}

static void arguments_must_be_assignments(void)
{
    check("{a: 1}", "x y a=1", "invalid argument(s):\nx\ny\nexpected NAME=VAL");
}

static void types_coerce(void)
{
    check("{a: {type: string}}", "a=1", "{a: '1'}");
    check("{a: {type: int}}", "a=1", "{a: 1}");
    check("{a: {type: float}}", "a=1", "{a: 1.0}");
    check("{a: {type: number}}", "a=1.5", "{a: 1.5}");
    check("{a: {type: int}}", "a=-1_000", "{a: -1000}");
    check("{a: {type: float}}", "a=1_0.5", "{a: 10.5}");
    check("{a: {type: number}}", "a=1_0e-1", "{a: 1.0}");
    check("{a: {type: float}}", "a=-inf", "{a: -.inf}");
    check("{a: {type: boolean}}", "a=yes", "{a: true}");
    check("{a: {type: boolean}}", "a=0", "{a: false}");
    check("{a: {type: int}}", "a=[1,2]", "{a: [1, 2]}");
}

static void wrong_types_are_refused(void)
{
    check("{a: {type: int}}", "a=abc", "invalid value abc for a: invalid value for type 'int'");
    check("{a: {type: int}}", "a=1.5", "invalid value 1.5 for a: invalid value for type 'int'");
    check("{a: {type: int}}", "a=1__0", "invalid value 1__0 for a: invalid value for type 'int'");
    check("{a: {type: float}}", "a=_1", "invalid value _1 for a: invalid value for type 'float'");
    check("{a: {type: float}}", "a=x", "invalid value x for a: invalid value for type 'float'");
    check_forced("{a: {type: int}}", "a=abc", "{a: abc}");
}

static void ranges_are_checked(void)
{
    check("{a: {default: 2, min: 1, max: 3}}", "a=1", "{a: 1}");
    check("{a: {default: 2, min: 1, max: 3}}", "a=0",
            "invalid value 0 for a: out of range (less than min 1)");
    check("{a: {default: 2, min: 1, max: 3}}", "a=[1,4]",
            "invalid value 4 for a: out of range (greater than max 3)");
    check("{a: {default: 2, min: 1}}", "a=text", "invalid value text for a: expected a number");
}

static void choices_are_checked_and_applied(void)
{
    const char *flags = "{a: {choices: [1, {value: 22, alias: two, flags: {b: 9}}]}, b: 3}";
    check(flags, "a=1", "{a: 1, b: 3}");
    check(flags, "a=two", "{a: 22, b: 9}");
    check(flags, "a=two b=4", "{a: 22, b: 4}");
    check("{a: {choices: [x, yy]}}", "a=3",
            "Unsupported value for 'a' - supported values are:\n\n  x   \n  yy  \n\n"
            "Run the command again using one of these options.");
    check("{a: {choices: [x], allow-other: yes}}", "a=3", "{a: 3}");
}

static void required_flags_must_have_a_value(void)
{
    check("{a: {required: yes, description: Sets a}}", "",
            "Operation requires the following missing flags:\n\n  a  Sets a\n\n"
            "Run the command again with these flags or try 'guild run op --help-op' for help.");
    check("{a: {required: yes}}", "a=1", "{a: 1}");
    check_forced("{a: {required: yes}}", "", "{a: null}");
}

static void aliases_stand_for_names(void)
{
    check("{long-name: {alias: n}}", "n=3", "{long-name: 3}");
    g_autofree char *both = resolve("{x: {alias: xx}}", "x=3 xx=4", FALSE);
    g_assert_cmpstr(both, ==,
            "cannot specify both alias 'x' and name for flag 'xx'\n"
            "Use --force-flags to skip this check.");
}

static void functions_pass_every_check(void)
{
    check("{a: {type: int, min: 3}}", "a=uniform[0:1]", "{a: 'uniform[0:1]'}");
}

static void batch_files_are_told_from_flags(void)
{
    const char *const args[] = {"a=1", "@x.csv", "b=@y", NULL};
    g_auto(GStrv) assigns = NULL, files = NULL;
    flags_split_args(args, &assigns, &files);
    g_assert_cmpuint(g_strv_length(assigns), ==, 2);
    g_assert_cmpstr(files[0], ==, "x.csv");
    g_assert_null(files[1]);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/flags/defaults-fill-what-the-user-left", defaults_fill_what_the_user_left);
    g_test_add_func("/flags/unknown-flags-are-refused-unless-forced",
            unknown_flags_are_refused_unless_forced);
    g_test_add_func("/flags/arguments-must-be-assignments", arguments_must_be_assignments);
    g_test_add_func("/flags/types-coerce", types_coerce);
    g_test_add_func("/flags/wrong-types-are-refused", wrong_types_are_refused);
    g_test_add_func("/flags/ranges-are-checked", ranges_are_checked);
    g_test_add_func("/flags/choices-are-checked-and-applied", choices_are_checked_and_applied);
    g_test_add_func("/flags/required-flags-must-have-a-value", required_flags_must_have_a_value);
    g_test_add_func("/flags/aliases-stand-for-names", aliases_stand_for_names);
    g_test_add_func("/flags/functions-pass-every-check", functions_pass_every_check);
    g_test_add_func("/flags/batch-files-are-told-from-flags", batch_files_are_told_from_flags);
    return g_test_run();
}
