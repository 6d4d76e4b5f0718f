/* SPDX-License-Identifier: Apache-2.0 */
/* What completion finds in the home: runs, what tells them apart, their files. */
#pragma once

#include "cli/cli.h"

typedef void (*CompleteOffer)(gpointer data, const char *word);

/* Offers the values of a kind (CliOption.complete, CliCommand.args_complete): "run", "deleted-run",
 * "run-op", "run-label", "run-tag", "run-digest", "run-attr", and "run-file", the entries of the
 * folder that `prefix` is in. `before` are the words between the command and the one to complete:
 * their filters, archive and RUN count. Nothing for runs of a remote, which nobody wants to wait
 * for, and where the words are wrong (messages on stderr). FALSE if the kind is none of these. */
gboolean complete_runs(const char *kind, const CliCommand *command, const char *const *before,
        const char *prefix, CompleteOffer offer, gpointer data);
