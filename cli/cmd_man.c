/* SPDX-License-Identifier: Apache-2.0 */
/* `guild _man DIR`: writes a man page a command (guild.1, guild-run.1, guild-runs-info.1, ...) in
 * mdoc(7), from the tables that parse the command line and print --help. The build runs it, so that
 * a page cannot say other than the program does. Hidden from users. */
#include "cli/commands.h"

#include "cli/help.h"
#include "cli/parse.h"
#include "config.h"
#include "engine/base/fs.h"

#include <string.h>

/* Text for a line that is no macro: roff's own characters are escaped. */
static void append_text(GString *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        g_string_append(out, "\\&");
    for (const char *c = text; *c; c++) {
        if (*c == '\\')
            g_string_append(out, "\\e");
        else if (*c == '-')
            g_string_append(out, "\\-");
        else
            g_string_append_c(out, *c);
        if (*c == '\n' && (c[1] == '.' || c[1] == '\''))
            g_string_append(out, "\\&");
    }
}

/* One argument of a macro. A short word could be a macro's name itself, and punctuation would be
 * set outside of the macro; a zero-width character in front prevents both. */
static void append_arg(GString *out, const char *word)
{
    g_string_append(out, " \"\\&");
    for (const char *c = word; *c; c++) {
        if (*c == '\\')
            g_string_append(out, "\\e");
        else if (*c == '"')
            g_string_append(out, "\\(dq");
        else
            g_string_append_c(out, *c);
    }
    g_string_append_c(out, '"');
}

/* Sentences each on a line of its own, as mdoc wants them; runs of spaces and newlines are one. */
static void append_sentences(GString *out, const char *paragraph)
{
    g_auto(GStrv) words = g_strsplit_set(paragraph, " \n", -1);
    gboolean line_start = TRUE;
    for (gsize i = 0; words[i]; i++) {
        if (!*words[i])
            continue;
        if (!line_start)
            g_string_append_c(out, ' ');
        append_text(out, words[i]);
        line_start = g_str_has_suffix(words[i], ".") && words[i + 1];
        if (line_start)
            g_string_append_c(out, '\n');
    }
    if (out->str[out->len - 1] != '\n')
        g_string_append_c(out, '\n');
}

/* As --help shows them: a paragraph that begins with a space is an example and is kept as it is. */
static void append_paragraphs(GString *out, const char *text)
{
    g_auto(GStrv) paragraphs = g_strsplit(text, "\n\n", -1);
    for (gsize i = 0; paragraphs[i]; i++) {
        if (paragraphs[i][0] == ' ') {
            g_string_append(out, ".Bd -literal -offset indent\n");
            g_auto(GStrv) lines = g_strsplit(paragraphs[i], "\n", -1);
            for (gsize l = 0; lines[l]; l++) {
                append_text(out, g_strchug(lines[l]));
                g_string_append_c(out, '\n');
            }
            g_string_append(out, ".Ed\n");
        } else if (*g_strstrip(paragraphs[i])) {
            g_string_append(out, i > 0 ? ".Pp\n" : "");
            append_sentences(out, paragraphs[i]);
        }
    }
}

static gboolean append_option(const CliOption *option, gpointer data)
{
    GString *out = data;
    if (option->hidden)
        return FALSE;
    g_string_append(out, ".It");
    g_auto(GStrv) names = cli_option_names(option);
    for (gsize i = 0; names[i]; i++) {
        g_string_append(out, i > 0 ? " , Fl" : " Fl");
        append_arg(out, names[i] + (names[i][0] == '-'));
    }
    if (option->metavar) {
        g_string_append(out, " Ar");
        append_arg(out, option->metavar);
    }
    g_string_append_c(out, '\n');
    append_sentences(out, option->help ? option->help : "");
    return FALSE;
}

static void append_options(GString *out, const CliOption *const *tables)
{
    static const CliOption help[] = {
            {"help", "--help", OPT_FLAG, NULL, "Show this message and exit."},
            CLI_OPTIONS_END,
    };
    g_string_append(out, "The options are:\n.Bl -tag -width Ds\n");
    cli_each_option(tables, append_option, out);
    append_option(help, out);
    g_string_append(out, ".El\n");
}

/* "runs|r" of path "guild" gives "guild-runs": the page's name without its section. */
static char *page_name(const char *parent, const CliCommand *command)
{
    g_auto(GStrv) names = g_strsplit(command->name, "|", 2);
    return g_strdup_printf("%s-%s", parent, names[0]);
}

static void append_commands(GString *out, const char *parent, const CliCommand *const *commands)
{
    g_string_append(out, ".Pp\nThe commands are:\n.Bl -tag -width Ds\n");
    for (gsize i = 0; commands[i]; i++) {
        if (commands[i]->hidden)
            continue;
        g_autofree char *name = page_name(parent, commands[i]);
        g_string_append_printf(out, ".It Xr %s 1\n", name);
        append_sentences(out, commands[i]->summary);
    }
    g_string_append(out, ".El\n");
}

/* .Nd takes a phrase: no final dot. */
static char *phrase(const char *summary)
{
    g_autofree char *copy = g_strdup(summary);
    gsize n = strlen(copy);
    if (n > 0 && copy[n - 1] == '.')
        copy[n - 1] = '\0';
    GString *out = g_string_new(NULL);
    append_text(out, copy);
    return g_string_free(out, FALSE);
}

/* The day of the build; of the source where a packager wants the same page from every build. */
static char *page_date(void)
{
    const char *epoch = g_getenv("SOURCE_DATE_EPOCH");
    g_autoptr(GDateTime) day =
            epoch ? g_date_time_new_from_unix_utc(g_ascii_strtoll(epoch, NULL, 10))
                  : g_date_time_new_now_utc();
    return day ? g_date_time_format(day, "%B %-d, %Y") : g_strdup("");
}

static gboolean write_page(
        const char *dir, const char *name, const CliCommand *command, GError **error)
{
    GString *out = g_string_new(".\\\" Made by the build from the program's option tables.\n");
    g_autofree char *date = page_date();
    g_autofree char *upper = g_ascii_strup(name, -1);
    g_autofree char *summary = phrase(command->summary);
    g_auto(GStrv) words = g_strsplit(name, "-", -1);
    g_autofree char *typed = g_strjoinv(" ", words);
    g_string_append_printf(out,
            ".Dd %s\n.Dt %s 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n.Sh SYNOPSIS\n.Nm \"%s\"\n"
            ".Op Ar OPTIONS\n",
            date, upper, name, summary, typed);
    if (command->args && *command->args) {
        g_string_append(out, ".Li");
        append_arg(out, command->args);
        g_string_append_c(out, '\n');
    }
    if (command->sub)
        g_string_append(out, ".Ar COMMAND ...\n");
    g_string_append(out, ".Sh DESCRIPTION\n");
    append_paragraphs(out, command->help ? command->help : command->summary);
    g_string_append(out, ".Pp\n");
    append_options(out, command->options);
    if (command->sub)
        append_commands(out, name, command->sub);
    g_autofree char *file = g_strdup_printf("%s.1", name);
    g_autofree char *path = fs_join(dir, file);
    gboolean ok = fs_write(path, out->str, (gssize)out->len, error);
    g_string_free(out, TRUE);
    return ok;
}

static gboolean write_pages(
        const char *dir, const char *parent, const CliCommand *const *commands, GError **error)
{
    for (gsize i = 0; commands && commands[i]; i++) {
        if (commands[i]->hidden)
            continue;
        g_autofree char *name = page_name(parent, commands[i]);
        if (!write_page(dir, name, commands[i], error) ||
                !write_pages(dir, name, commands[i]->sub, error))
            return FALSE;
    }
    return TRUE;
}

static int run_man(CliArgs *args)
{
    static const CliOption *const tables[] = {cli_global_options, NULL};
    const CliCommand guild = {
            .name = "guild",
            .summary = CLI_MAIN_SUMMARY,
            .options = tables,
            .sub = cli_commands,
    };
    const char *dir = cli_positional(args)[0];
    g_autoptr(GError) error = NULL;
    if (!dir)
        return cli_usage_error(args, "missing argument DIR");
    if (!fs_mkdirs(dir, &error) || !write_page(dir, "guild", &guild, &error) ||
            !write_pages(dir, "guild", cli_commands, &error))
        return cli_gerror(g_steal_pointer(&error));
    return 0;
}

const CliCommand cmd_man = {
        .name = "_man",
        .args = "DIR",
        .summary = "Writes the man pages into a folder.",
        .run = run_man,
        .hidden = TRUE,
};
