/* SPDX-License-Identifier: Apache-2.0 */
/* What this machine has: cores that we may use, memory, GPUs as nvidia-smi lists them. What the
 * user says goes over what is found. */
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/fs.h"
#include "worker/internal.h"

static int usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

static gint64 memory_bytes(void)
{
    gint64 pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? pages * size : 0;
}

/* One index a line; none without the program. */
static Value *found_gpus(void)
{
    Value *list = value_new_list();
    g_autofree char *program = g_find_program_in_path("nvidia-smi");
    g_autofree char *out = NULL;
    if (!program || !g_spawn_command_line_sync("nvidia-smi --query-gpu=index --format=csv,noheader",
                            &out, NULL, NULL, NULL))
        return list;
    g_auto(GStrv) lines = g_strsplit(out ? out : "", "\n", -1);
    for (char **line = lines; *line && value_list_size(list) < RES_MAX_GPUS; line++)
        if (*g_strstrip(*line) && strlen(*line) < 8)
            value_list_append(list, value_new_string(*line));
    return list;
}

Value *machine_resources(int slots, const Value *have)
{
    Value *map = value_new_map();
    value_map_set_int(map, "cpus", slots > 0 ? slots : usable_cores());
    value_map_set_int(map, "mem", memory_bytes());
    if (!value_map_has(have, "gpus"))
        value_map_set(map, "gpus", found_gpus());
    if (value_is_map(have))
        value_map_update(map, have);
    const Value *gpus = value_map_get(map, "gpus");
    if (!value_is_list(gpus)) { /* a number of devices: 0, 1, ... */
        g_autofree char *text = value_str(gpus);
        gint64 n = CLAMP(g_ascii_strtoll(text, NULL, 10), 0, RES_MAX_GPUS);
        Value *list = value_new_list();
        for (gint64 i = 0; i < n; i++) {
            g_autofree char *name = g_strdup_printf("%" G_GINT64_FORMAT, i);
            value_list_append(list, value_new_string(name));
        }
        value_map_set(map, "gpus", list);
    }
    return map;
}

char *machine_name(void)
{
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) < 0 || !*name)
        return g_strdup("localhost");
    return g_strdup(name);
}
