/* SPDX-License-Identifier: Apache-2.0 */
/* See room.h. */
#include "worker/room.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/log.h"

/* Less can't hold what guild itself writes into some runs. */
#define ROOM_BYTES (256 * 1024)

static gboolean has_room(const char *dir)
{
    struct statvfs s;
    if (statvfs(dir, &s) < 0)
        return TRUE;                /* nobody can say; who writes there hears it */
    gboolean root = geteuid() == 0; /* to whom also what is reserved belongs */
    fsfilcnt_t files = root ? s.f_ffree : s.f_favail;
    fsblkcnt_t blocks = root ? s.f_bfree : s.f_bavail;
    if (s.f_files && !files) /* some file systems don't count them */
        return FALSE;
    return (guint64)blocks * s.f_frsize >= ROOM_BYTES;
}

gboolean room_is_short(Worker *w)
{
    gboolean is = !has_room(w->home);
    if (is && !w->room_short)
        log_warning("%s: nothing begins here until there is room", room_short_text(w));
    else if (!is && w->room_short)
        log_info("there is room in %s again", w->home);
    w->room_short = is;
    return is;
}

const char *room_short_text(Worker *w)
{
    if (!w->room_text)
        w->room_text =
                g_strdup_printf("No space left on device: %s of worker %s", w->home, w->name);
    return w->room_text;
}
