/* SPDX-License-Identifier: Apache-2.0 */
/* Changing a label word by word, which `guild label` and `guild tag --sync-labels` share. */
#pragma once

#include <glib.h>

/* The label without the words that the regular expression `part` matches; what is left is joined
 * by single spaces. NULL if it is no regular expression. Newly allocated. */
char *runs_label_remove(const char *label, const char *part, GError **error);
