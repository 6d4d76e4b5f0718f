/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries that only some commands need are loaded when their first function is called, since
 * loading libcurl, libarchive, libzmq and libmicrohttpd with all that they need takes several
 * milliseconds, which is more than `guild run` itself.
 *
 * A header of ours includes the library's and then maps each function that we use:
 *
 *   #include <curl/curl.h>
 *   #define curl_easy_init LAZY("libcurl.so.4", curl_easy_init)
 *
 * after which calls look and are checked as ever. The program is not linked to such a library, so
 * a function that is not mapped is an error of the linker. */
#pragma once

#include <glib.h>

/* The function's address. A library that can't be loaded ends the process with a message, as it
 * would end it at its start were it linked. */
gpointer lazy_symbol(const char *soname, const char *name);

/* For whom can do without: FALSE, with what to install, if the library can't be loaded; */
gboolean lazy_load(const char *soname, GError **error);
/* and a function that the library or one below it may have, or NULL. */
gpointer lazy_find(const char *soname, const char *name);

#define LAZY(soname, fn)                                                                           \
    (*({                                                                                           \
        static __typeof__(&fn) lazy_fn_;                                                           \
        if (!lazy_fn_)                                                                             \
            lazy_fn_ = (__typeof__(&fn))lazy_symbol(soname, #fn);                                  \
        lazy_fn_;                                                                                  \
    }))
