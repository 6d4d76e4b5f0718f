/* SPDX-License-Identifier: Apache-2.0 */
/* The commands, each defined in cli/cmd_<name>.c. */
#pragma once

#include "cli/cli.h"

extern const CliCommand cmd_coordinator;
extern const CliCommand cmd_worker;
extern const CliCommand cmd_workers;
extern const CliCommand cmd_queue;
extern const CliCommand cmd_pull;
extern const CliCommand cmd_push;
extern const CliCommand cmd_sync;
extern const CliCommand cmd_remotes;
extern const CliCommand cmd_man;
extern const CliCommand cmd_run;
extern const CliCommand cmd_api;
extern const CliCommand cmd_batch;
extern const CliCommand cmd_queue_op;
extern const CliCommand cmd_resolve;
extern const CliCommand cmd_steps;
extern const CliCommand cmd_archive;
extern const CliCommand cmd_cat;
extern const CliCommand cmd_comment;
extern const CliCommand cmd_compare;
extern const CliCommand cmd_delete;
extern const CliCommand cmd_diff;
extern const CliCommand cmd_export;
extern const CliCommand cmd_import;
extern const CliCommand cmd_info;
extern const CliCommand cmd_label;
extern const CliCommand cmd_ls;
extern const CliCommand cmd_mark;
extern const CliCommand cmd_open;
extern const CliCommand cmd_purge;
extern const CliCommand cmd_restore;
extern const CliCommand cmd_runs;
extern const CliCommand cmd_select;
extern const CliCommand cmd_stop;
extern const CliCommand cmd_watch;
extern const CliCommand cmd_tag;
extern const CliCommand cmd_operations;
extern const CliCommand cmd_models;
extern const CliCommand cmd_help;
extern const CliCommand cmd_check;
extern const CliCommand cmd_init;
extern const CliCommand cmd_completion;
extern const CliCommand cmd_complete;
