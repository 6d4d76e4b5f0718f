/* SPDX-License-Identifier: Apache-2.0 */
/* Names of files are UTF-8 for this program whatever the user's locale is, and it never calls
 * setlocale(). libarchive asks the thread's locale how names are encoded, so calls of it that read or
 * write names run inside one of these. */
#pragma once

#include <glib.h>
#include <locale.h>

typedef struct Utf8Locale {
    locale_t utf8;   /* 0 if the system has none: then nothing was changed */
    locale_t before; /* the thread's, to come back to */
} Utf8Locale;

/* This thread's characters are UTF-8 from here to utf8_locale_leave() (or the end of the scope, with
 * g_auto()); numbers, messages and the order of words stay as they are. */
Utf8Locale utf8_locale_enter(void);
void utf8_locale_leave(Utf8Locale *locale);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Utf8Locale, utf8_locale_leave)
