/* SPDX-License-Identifier: Apache-2.0 */
/* libcurl's functions that we use, loaded on demand: see lazylib.h. */
#pragma once

#include <curl/curl.h>

#include "engine/base/lazylib.h"

#undef curl_easy_setopt /* a macro that checks types; it calls a function of its name */

#define LAZY_CURL(fn) LAZY("libcurl.so.4", fn)

#define curl_easy_cleanup LAZY_CURL(curl_easy_cleanup)
#define curl_easy_init LAZY_CURL(curl_easy_init)
#define curl_easy_perform LAZY_CURL(curl_easy_perform)
#define curl_easy_setopt LAZY_CURL(curl_easy_setopt)
#define curl_easy_strerror LAZY_CURL(curl_easy_strerror)
#define curl_global_init LAZY_CURL(curl_global_init)
