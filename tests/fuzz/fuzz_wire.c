/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the cluster: every kind, from a peer that may be anything. What is taken must pack to
 * bytes that give the same bytes again. */
#include "engine/wire/wire.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(GError) error = NULL;
    MsgKind kind = 0;
    void *msg = wire_unpack(data, size, &kind, &error);

    fuzz_check_result(msg, error);
    if (msg) {
        g_autoptr(GBytes) packed = wire_pack(kind, msg);
        MsgKind again_kind = 0;
        void *again = wire_unpack(
                g_bytes_get_data(packed, NULL), g_bytes_get_size(packed), &again_kind, NULL);

        g_assert_nonnull(again);
        g_assert_cmpint(kind, ==, again_kind);
        g_autoptr(GBytes) packed_again = wire_pack(again_kind, again);
        g_assert_true(g_bytes_equal(packed, packed_again));
        wire_free(again_kind, again);
        wire_free(kind, msg);
    }
    return 0;
}
