/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's functions that we use, loaded on demand: see lazylib.h. */
#pragma once

#include <sqlite3.h>

#include "engine/base/lazylib.h"

#define LAZY_SQLITE(fn) LAZY("libsqlite3.so.0", fn)

#define sqlite3_bind_int LAZY_SQLITE(sqlite3_bind_int)
#define sqlite3_bind_int64 LAZY_SQLITE(sqlite3_bind_int64)
#define sqlite3_bind_text LAZY_SQLITE(sqlite3_bind_text)
#define sqlite3_busy_timeout LAZY_SQLITE(sqlite3_busy_timeout)
#define sqlite3_clear_bindings LAZY_SQLITE(sqlite3_clear_bindings)
#define sqlite3_close LAZY_SQLITE(sqlite3_close)
#define sqlite3_column_int LAZY_SQLITE(sqlite3_column_int)
#define sqlite3_column_int64 LAZY_SQLITE(sqlite3_column_int64)
#define sqlite3_column_text LAZY_SQLITE(sqlite3_column_text)
#define sqlite3_errmsg LAZY_SQLITE(sqlite3_errmsg)
#define sqlite3_exec LAZY_SQLITE(sqlite3_exec)
#define sqlite3_finalize LAZY_SQLITE(sqlite3_finalize)
#define sqlite3_open_v2 LAZY_SQLITE(sqlite3_open_v2)
#define sqlite3_prepare_v2 LAZY_SQLITE(sqlite3_prepare_v2)
#define sqlite3_reset LAZY_SQLITE(sqlite3_reset)
#define sqlite3_step LAZY_SQLITE(sqlite3_step)
