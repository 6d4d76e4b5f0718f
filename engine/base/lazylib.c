/* SPDX-License-Identifier: Apache-2.0 */
/* Loading of libraries on demand. */
#include "engine/base/lazylib.h"

#include <dlfcn.h>
#include <stdlib.h>

static GMutex lock;
static GHashTable *handles; /* soname -> handle */

static gpointer handle_for(const char *soname)
{
    if (!handles)
        handles = g_hash_table_new(g_str_hash, g_str_equal);
    gpointer handle = g_hash_table_lookup(handles, soname);
    if (!handle && (handle = dlopen(soname, RTLD_LAZY | RTLD_LOCAL)))
        g_hash_table_insert(handles, (gpointer)soname, handle);
    return handle;
}

gboolean lazy_load(const char *soname, GError **error)
{
    g_mutex_lock(&lock);
    gpointer handle = handle_for(soname);
    if (!handle)
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT,
                "cannot use %s: %s\nInstall the package that has it.", soname, dlerror());
    g_mutex_unlock(&lock);
    return handle != NULL;
}

gpointer lazy_find(const char *soname, const char *name)
{
    g_mutex_lock(&lock);
    gpointer handle = handle_for(soname);
    gpointer symbol = handle ? dlsym(handle, name) : NULL;
    g_mutex_unlock(&lock);
    return symbol;
}

gpointer lazy_symbol(const char *soname, const char *name)
{
    g_mutex_lock(&lock);
    gpointer handle = handle_for(soname);
    gpointer symbol = handle ? dlsym(handle, name) : NULL;
    g_mutex_unlock(&lock);
    if (symbol)
        return symbol;
    g_printerr("guild: cannot use %s: %s\nInstall the package that has it.\n", soname, dlerror());
    exit(1);
}
