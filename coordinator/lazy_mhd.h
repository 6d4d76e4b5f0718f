/* SPDX-License-Identifier: Apache-2.0 */
/* libmicrohttpd's functions that we use, loaded on demand: see lazylib.h. */
#pragma once

#include <microhttpd.h>

#include "engine/base/lazylib.h"

#define LAZY_MHD(fn) LAZY("libmicrohttpd.so.12", fn)

#define MHD_add_response_header LAZY_MHD(MHD_add_response_header)
#define MHD_create_response_from_buffer LAZY_MHD(MHD_create_response_from_buffer)
#define MHD_destroy_response LAZY_MHD(MHD_destroy_response)
#define MHD_get_daemon_info LAZY_MHD(MHD_get_daemon_info)
#define MHD_queue_response LAZY_MHD(MHD_queue_response)
#define MHD_run LAZY_MHD(MHD_run)
#define MHD_start_daemon LAZY_MHD(MHD_start_daemon)
#define MHD_stop_daemon LAZY_MHD(MHD_stop_daemon)
