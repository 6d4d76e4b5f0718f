/* SPDX-License-Identifier: Apache-2.0 */
/* `guild completion`: prints or installs a completion script. The scripts only ask `guild
 * _complete` with the words typed so far, which answers out of the command tables (complete.h), so
 * that they never fall behind the program. */
#include "cli/commands.h"

#include <stdio.h>
#include <string.h>

#include "cli/complete.h"
#include "engine/base/fs.h"
#include "engine/project/home.h"
#include "engine/project/userconfig.h"

static const char bash_script[] =
        "# Completes commands of guild.\n"
        "_guild_completion() {\n"
        "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" lead= glue= line word\n"
        "    local words=()\n"
        "    # Readline takes NAME=VALUE and MODEL:OP apart; guild wants them whole.\n"
        "    for word in \"${COMP_WORDS[@]:0:COMP_CWORD+1}\"; do\n"
        "        if [[ $word == [=:] && ${#words[@]} -gt 0 ]]; then\n"
        "            words[-1]+=$word glue=1\n"
        "        elif [[ $glue ]]; then\n"
        "            words[-1]+=$word glue=\n"
        "        else\n"
        "            words+=(\"$word\")\n"
        "        fi\n"
        "    done\n"
        "    [[ ${words[-1]} =~ ^.*[=:] ]] && lead=${BASH_REMATCH[0]}\n"
        "    [[ $cur == [=:] ]] && cur=\n"
        "    COMPREPLY=()\n"
        "    while IFS= read -r line; do\n"
        "        case \"$line\" in\n"
        "            '!!file') compopt -o filenames 2>/dev/null\n"
        "                mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$cur\") ;;\n"
        "            '!!batchfile') mapfile -t -O ${#COMPREPLY[@]} COMPREPLY \\\n"
        "                < <(compgen -P @ -f -- \"${cur#@}\") ;;\n"
        "            '!!dir') compopt -o filenames 2>/dev/null\n"
        "                mapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -d -- \"$cur\") ;;\n"
        "            *[=/]) compopt -o nospace 2>/dev/null; COMPREPLY+=(\"${line#\"$lead\"}\") ;;\n"
        "            *[[:space:]\\'\\\"]*) printf -v line %q \"${line#\"$lead\"}\"\n"
        "                COMPREPLY+=(\"$line\") ;;\n"
        "            *) COMPREPLY+=(\"${line#\"$lead\"}\") ;;\n"
        "        esac\n"
        "    done < <(\"${COMP_WORDS[0]}\" _complete -- \"${words[@]}\" 2>/dev/null)\n"
        "}\n"
        "complete -F _guild_completion guild\n";

static const char zsh_script[] =
        "#compdef guild\n"
        "# Completes commands of guild.\n"
        "_guild() {\n"
        "    local line\n"
        "    local -a plain open\n"
        "    for line in ${(f)\"$(${words[1]} _complete -- \"${(@)words[1,CURRENT]}\" "
        "2>/dev/null)\"}; do\n"
        "        case $line in\n"
        "            '!!file') _files ;;\n"
        "            '!!batchfile') compset -P @; _files ;;\n"
        "            '!!dir') _files -/ ;;\n"
        "            *[=/]) open+=(\"$line\") ;;\n"
        "            *) plain+=(\"$line\") ;;\n"
        "        esac\n"
        "    done\n"
        "    (( $#open )) && compadd -S '' -- $open\n"
        "    (( $#plain )) && compadd -- $plain\n"
        "}\n"
        "if [[ $funcstack[1] == _guild ]]; then _guild \"$@\"; else compdef _guild guild; fi\n";

static const char fish_script[] = "# Completes commands of guild.\n"
                                  "function __guild_complete\n"
                                  "    set -l words (commandline -opc) (commandline -ct)\n"
                                  "    for line in ($words[1] _complete -- $words 2>/dev/null)\n"
                                  "        switch $line\n"
                                  "            case '!!file'\n"
                                  "                __fish_complete_path (commandline -ct)\n"
                                  "            case '!!batchfile'\n"
                                  "                __fish_complete_path (string replace @ '' -- "
                                  "(commandline -ct)) | string replace -r '^' @\n"
                                  "            case '!!dir'\n"
                                  "                __fish_complete_directories (commandline -ct)\n"
                                  "            case '*'\n"
                                  "                echo $line\n"
                                  "        end\n"
                                  "    end\n"
                                  "end\n"
                                  "complete -c guild -f -a '(__guild_complete)'\n";

typedef struct {
    const char *name;
    const char *script;
    const char *init_file;
    const char *line; /* with the script's path, for the init file */
} Shell;

static const Shell shells[] = {
        {"bash", bash_script, "~/.bashrc",
                "[ -s %1$s ] && . %1$s  # Enable completion for guild\n"},
        {"zsh", zsh_script, "~/.zshrc", "[[ -s %1$s ]] && . %1$s  # Enable completion for guild\n"},
        {"fish", fish_script, "~/.config/fish/completions/guild.fish",
                "test -s %1$s; and . %1$s\n"},
};

static const CliOption completion_options[] = {
        {"shell", "-s, --shell", OPT_STRING, "NAME",
                "Shell to make the script for: bash, zsh or fish. Default is the current shell.",
                "choice:bash,zsh,fish"},
        {"shell_init", "--shell-init", OPT_STRING, "PATH",
                "Start-up file of the shell that --install adds a line to.", "file"},
        {"install", "-i, --install", OPT_FLAG, NULL,
                "Install the script for use in new terminals."},
        CLI_OPTIONS_END,
};

static const Shell *find_shell(const char *name)
{
    for (gsize i = 0; i < G_N_ELEMENTS(shells); i++)
        if (g_str_equal(shells[i].name, name))
            return &shells[i];
    return NULL;
}

static const Shell *wanted_shell(const CliArgs *args, int *status)
{
    const char *name = cli_string(args, "shell");
    const char *env = g_getenv("SHELL");
    g_autofree char *current = g_path_get_basename(env && *env ? env : "bash");
    const Shell *shell = find_shell(name ? name : current);
    if (!shell && name)
        *status = cli_usage_error(args,
                "Invalid value for '-s' / '--shell': '%s' is not one of 'bash', 'zsh', 'fish'.",
                name);
    else if (!shell)
        *status = cli_error("unsupported shell: %s", current);
    return shell;
}

/* Appends `line` to the file unless it mentions the script already. */
static int install_line(const Shell *shell, const char *init_path, const char *script_path)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *old =
            fs_exists(init_path) ? fs_read(init_path, 0, NULL, &error) : g_strdup("");
    if (!old)
        return cli_gerror(g_steal_pointer(&error));
    if (strstr(old, script_path)) {
        fprintf(stderr, "Guild completion is already installed in %s\n", init_path);
        return 0;
    }
    g_autofree char *dir = g_path_get_dirname(init_path);
    g_autofree char *line = NULL;
    g_autoptr(GString) text = g_string_new(old);
    g_auto(GStrv) parts = g_strsplit(shell->line, "%1$s", -1);
    line = g_strjoinv(script_path, parts);
    if (text->len && text->str[text->len - 1] != '\n')
        g_string_append_c(text, '\n');
    g_string_append(text, line);
    if (!fs_mkdirs(dir, &error) || !fs_write(init_path, text->str, -1, &error))
        return cli_gerror(g_steal_pointer(&error));
    puts("Guild command completion is installed - changes will take effect the next time you open "
         "a terminal session");
    return 0;
}

static int install(const Shell *shell, const char *init_file)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *config = userconfig_path(cli_cwd());
    g_autofree char *dir = g_path_get_dirname(config);
    g_autofree char *name = g_strdup_printf("%s_completion", shell->name);
    g_autofree char *path = g_build_filename(dir, name, NULL);
    fprintf(stderr, "Writing completion script to %s\n", path);
    if (!fs_mkdirs(dir, &error) || !fs_write(path, shell->script, -1, &error))
        return cli_gerror(g_steal_pointer(&error));
    g_autofree char *init_path = fs_expanduser(init_file ? init_file : shell->init_file);
    return install_line(shell, init_path, path);
}

static int completion_run(CliArgs *args)
{
    int status = 0;
    const Shell *shell = wanted_shell(args, &status);
    if (!shell)
        return status;
    if (cli_flag(args, "install"))
        return install(shell, cli_string(args, "shell_init"));
    fputs(shell->script, stdout);
    return 0;
}

const CliCommand cmd_completion = {
        .name = "completion",
        .args = "",
        .summary = "Generate a shell completion script.",
        .help = "Prints a script that makes the shell complete commands, options, operations, "
                "flags "
                "and runs. With --install it is kept beside the user's configuration and loaded in "
                "new terminals.",
        .options = (const CliOption *const[]){completion_options, NULL},
        .run = completion_run,
};

static int complete_run(CliArgs *args)
{
    g_autoptr(GPtrArray) found = complete_words(cli_positional(args));
    for (guint i = 0; i < found->len; i++)
        puts(found->pdata[i]);
    return 0;
}

const CliCommand cmd_complete = {
        .name = "_complete",
        .args = "WORD...",
        .summary = "Complete a command line.",
        .help = "Prints the candidates for the last WORD of a command line, for completion "
                "scripts.",
        .run = complete_run,
        .hidden = TRUE,
};
