/* SPDX-License-Identifier: Apache-2.0 */
/* Archives from anywhere: whatever is in one, nothing is written outside of the folder that it is
 * unpacked into, and no link in there leads out of it. */
#include "engine/base/fs.h"
#include "engine/base/log.h"
#include "engine/deps/archive.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static gboolean check_entry(
        const char *root, const char *rel, const struct stat *st, gpointer inside)
{
    if (S_ISLNK(st->st_mode)) {
        g_autofree char *path = g_build_filename(root, rel, NULL);
        g_autofree char *real = fs_realpath(path);
        g_assert_true(g_str_has_prefix(real, inside));
    }
    return TRUE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static const char *const types[] = {"zip", "tar", "gzip"};
    log_set_level(LOG_ERROR);
    g_autofree char *dir = fs_mkdtemp("fuzz-archive-", NULL);
    g_autofree char *box = g_build_filename(dir, "box", NULL);
    g_autofree char *inside = g_build_filename(box, "inside", NULL);
    g_autofree char *path = g_build_filename(dir, "a.gz", NULL);
    g_assert_true(fs_mkdirs(inside, NULL));
    g_assert_true(fs_write(path, (const char *)data + 1, (gssize)size - 1, NULL));
    g_autoptr(GError) error = NULL;
    char **names = archive_unpack(path, types[data[0] % G_N_ELEMENTS(types)], inside, &error);
    fuzz_check_result(names, error);
    g_strfreev(names);
    g_auto(GStrv) beside = fs_list(box, NULL);
    g_assert_cmpuint(g_strv_length(beside), ==, 1);
    g_autofree char *real = fs_realpath(inside);
    fs_walk(inside, FALSE, check_entry, real, NULL);
    fs_remove_tree(dir, NULL);
    return 0;
}
