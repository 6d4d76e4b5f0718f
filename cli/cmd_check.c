/* SPDX-License-Identifier: Apache-2.0 */
/* `guild check`: what this program found on the machine, and whether it can work with it. */
#include "cli/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/child.h"
#include "config.h"
#include "engine/base/fs.h"
#include "engine/base/text.h"
#include "engine/project/guildfile.h"
#include "engine/project/plugins.h"
#include "engine/project/python_exe.h"
#include "engine/project/userconfig.h"
#include "engine/wire/lazy_zmq.h"

enum { NAME_WIDTH = 26 };

static const CliOption check_options[] = {
        {"env", "--env", OPT_FLAG, NULL, "Show only what Guild and Python are."},
        {"space", "--space", OPT_FLAG, NULL, "Show the disk space that the home takes."},
        {"version", "--version", OPT_STRING, "VERSION",
                "Fail unless this program is of VERSION or newer."},
        {"no_info", "-n, --no-info", OPT_FLAG, NULL, "Print nothing but problems."},
        {"verbose", "-v, --verbose", OPT_FLAG, NULL, "Show more."},
        CLI_OPTIONS_END,
};

typedef struct {
    gboolean quiet;
    gboolean failed;
} Check;

static void attr(const Check *c, const char *name, const char *val)
{
    if (!c->quiet)
        printf("%s:%*s%s\n", name, (int)(NAME_WIDTH - strlen(name)), "", val);
}

static void problem(Check *c, const char *name, const char *what)
{
    c->failed = TRUE;
    if (c->quiet)
        fprintf(stderr, "%s: %s\n", name, what);
    else
        attr(c, name, what);
}

/* First line of what a command prints; NULL if it can't be run. */
static char *first_line_of(const char *const *argv)
{
    g_autofree char *out = NULL;
    int status;
    if (!g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH | G_SPAWN_STDERR_TO_DEV_NULL,
                NULL, NULL, &out, NULL, &status, NULL) ||
            status != 0)
        return NULL;
    return g_strndup(out, strcspn(out, "\n"));
}

static void check_guild(Check *c)
{
    attr(c, "guild_version", GUILD_VERSION);
    attr(c, "guild_exe", child_guild_exe());
    attr(c, "guild_home", cli_home());
    g_autofree char *cache = g_build_filename(cli_home(), "cache", "resources", NULL);
    attr(c, "guild_resource_cache", cache);
    g_autofree char *config = userconfig_path(cli_cwd());
    attr(c, "user_config", fs_exists(config) ? config : "none");
    if (python_package_dir())
        attr(c, "python_package", python_package_dir());
    else
        problem(c, "python_package", "not found - Python operations cannot run");
}

/* The home, or the folder that it would be made in, must be ours to write. */
static void check_home(Check *c)
{
    g_autofree char *dir = g_strdup(cli_home());
    while (!fs_exists(dir) && !g_str_equal(dir, "/")) {
        char *parent = g_path_get_dirname(dir);
        g_free(dir);
        dir = parent;
    }
    if (access(dir, W_OK | X_OK) != 0) {
        g_autofree char *text = g_strdup_printf("cannot write to %s", dir);
        problem(c, "guild_home_writable", text);
    }
}

static void check_python(Check *c)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *python = python_exe(&error);
    if (!python) {
        problem(c, "python_exe", error->message);
        return;
    }
    const char *const argv[] = {
            python, "-c", "import sys; print(sys.version.replace('\\n', ''))", NULL};
    g_autofree char *version = first_line_of(argv);
    if (version)
        attr(c, "python_version", version);
    else
        problem(c, "python_version", "the interpreter does not run");
    attr(c, "python_exe", python);
}

static void check_platform(Check *c)
{
    struct utsname u;
    if (uname(&u) == 0) {
        g_autofree char *platform = g_strdup_printf("%s %s %s", u.sysname, u.release, u.machine);
        attr(c, "platform", platform);
    }
    g_autofree char *cores = g_strdup_printf("%u", g_get_num_processors());
    attr(c, "processors", cores);
    int major, minor, patch;
    zmq_version(&major, &minor, &patch);
    g_autofree char *zmq = g_strdup_printf("%i.%i.%i", major, minor, patch);
    attr(c, "zeromq_version", zmq);
    if (zmq_has("curve"))
        attr(c, "zeromq_curve", "yes");
    else
        problem(c, "zeromq_curve", "missing - this libzmq cannot talk to other machines");
    static const struct {
        const char *name;
        const char *argv[4];
    } tools[] = {
            {"git_version", {"git", "--version"}},
            {"nvidia_smi_version",
                    {"nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"}},
    };
    for (gsize i = 0; i < G_N_ELEMENTS(tools); i++) {
        g_autofree char *version = first_line_of(tools[i].argv);
        attr(c, tools[i].name, version ? version : "not installed");
    }
}

static void check_project(Check *c)
{
    if (!guildfile_is_dir(cli_cwd()))
        return;
    g_autoptr(GError) error = NULL;
    g_autoptr(Guildfile) g = guildfile_load_plain(cli_cwd(), &error);
    if (g)
        attr(c, "guildfile", g->src);
    else
        problem(c, "guildfile", error->message);
}

typedef struct {
    guint64 bytes;
} Usage;

static gboolean add_size(const char *root, const char *rel, const struct stat *st, gpointer data)
{
    ((Usage *)data)->bytes += (guint64)st->st_blocks * 512;
    return TRUE;
}

static void show_space(Check *c)
{
    static const char *const parts[] = {"runs", "trash", "cache", "."};
    for (gsize i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autofree char *dir = g_build_filename(cli_home(), parts[i], NULL);
        Usage usage = {0};
        fs_walk(dir, FALSE, add_size, &usage, NULL);
        g_autofree char *size = text_format_bytes(usage.bytes);
        g_autofree char *name =
                g_strdup_printf("%s_space", g_str_equal(parts[i], ".") ? "home" : parts[i]);
        attr(c, name, size);
    }
}

/* Numbers between dots, compared one by one. */
static int version_compare(const char *a, const char *b)
{
    while (*a || *b) {
        char *end_a, *end_b;
        long na = strtol(a, &end_a, 10), nb = strtol(b, &end_b, 10);
        if (na != nb)
            return na < nb ? -1 : 1;
        if (end_a == a && end_b == b)
            return 0;
        a = *end_a == '.' ? end_a + 1 : end_a;
        b = *end_b == '.' ? end_b + 1 : end_b;
    }
    return 0;
}

static int check_version(const char *wanted)
{
    const char *number = wanted + strspn(wanted, ">= ");
    if (!g_ascii_isdigit(*number) || strspn(number, "0123456789.") != strlen(number))
        return cli_error("invalid requirement spec '%s': expected a version like 0.1", wanted);
    if (version_compare(GUILD_VERSION, number) < 0)
        return cli_error("version mismatch: current version '%s' does not match '%s'",
                GUILD_VERSION, wanted);
    return 0;
}

static int check_run(CliArgs *args)
{
    Check c = {.quiet = cli_flag(args, "no_info")};
    const char *version = cli_string(args, "version");
    if (version && check_version(version) != 0)
        return 1;
    check_guild(&c);
    check_home(&c);
    check_python(&c);
    if (!cli_flag(args, "env")) {
        check_platform(&c);
        check_project(&c);
    }
    if (cli_flag(args, "space"))
        show_space(&c);
    return c.failed ? cli_error("there are problems with your setup\n"
                                "Refer to the issues above for more information.")
                    : 0;
}

const CliCommand cmd_check = {
        .name = "check",
        .args = "",
        .summary = "Check the setup.",
        .help = "Shows versions and places of what operations need, and fails if something is "
                "missing: a writable home, Python, our Python package, encryption for other "
                "machines, a sound guild.yml if the current folder has one.",
        .options = (const CliOption *const[]){check_options, NULL},
        .run = check_run,
};
