/* SPDX-License-Identifier: Apache-2.0 */
/* See utf8_locale.h. */
#include "engine/base/utf8_locale.h"

Utf8Locale utf8_locale_enter(void)
{
    Utf8Locale locale = {.utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0)};
    if (locale.utf8)
        locale.before = uselocale(locale.utf8);
    return locale;
}

void utf8_locale_leave(Utf8Locale *locale)
{
    if (!locale->utf8)
        return;
    uselocale(locale->before);
    freelocale(locale->utf8);
    locale->utf8 = (locale_t)0;
}
