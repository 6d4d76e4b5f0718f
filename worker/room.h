/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the disk of a worker's home has room for trials. One that has none takes nothing: what it
 * would begin could only fail, and cost the trial an attempt. */
#pragma once

#include "worker/internal.h"

/* Next to nothing is left. Says so in the log when that begins, and when it is over. */
gboolean room_is_short(Worker *w);
/* The reason, naming the home; good as long as the worker. */
const char *room_short_text(Worker *w);
