/* SPDX-License-Identifier: Apache-2.0 */
/* Event files: a run's may come from any program, or end in the middle. */
#include "engine/run/tfevents.h"
#include "tests/fuzz/fuzz.h"

static void check_event(const TfEvent *event, gpointer data)
{
    g_assert_true(g_utf8_validate(event->tag, -1, NULL));
    g_assert_true(!event->text || g_utf8_validate(event->text, -1, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_assert_cmpuint(tfevents_read_bytes(data, size, check_event, NULL), <=, size);
    return 0;
}
