/* SPDX-License-Identifier: Apache-2.0 */
/* libarchive's functions that we use, loaded on demand: see lazylib.h. */
#pragma once

#include <archive.h>
#include <archive_entry.h>

#include "engine/base/lazylib.h"

#define LAZY_ARCHIVE(fn) LAZY("libarchive.so.13", fn)

#define archive_entry_copy_stat LAZY_ARCHIVE(archive_entry_copy_stat)
#define archive_entry_filetype LAZY_ARCHIVE(archive_entry_filetype)
#define archive_entry_free LAZY_ARCHIVE(archive_entry_free)
#define archive_entry_hardlink LAZY_ARCHIVE(archive_entry_hardlink)
#define archive_entry_new LAZY_ARCHIVE(archive_entry_new)
#define archive_entry_pathname LAZY_ARCHIVE(archive_entry_pathname)
#define archive_entry_perm LAZY_ARCHIVE(archive_entry_perm)
#define archive_entry_set_filetype LAZY_ARCHIVE(archive_entry_set_filetype)
#define archive_entry_set_hardlink LAZY_ARCHIVE(archive_entry_set_hardlink)
#define archive_entry_set_pathname LAZY_ARCHIVE(archive_entry_set_pathname)
#define archive_entry_set_perm LAZY_ARCHIVE(archive_entry_set_perm)
#define archive_entry_set_size LAZY_ARCHIVE(archive_entry_set_size)
#define archive_entry_set_symlink LAZY_ARCHIVE(archive_entry_set_symlink)
#define archive_entry_symlink LAZY_ARCHIVE(archive_entry_symlink)
#define archive_error_string LAZY_ARCHIVE(archive_error_string)
#define archive_read_data LAZY_ARCHIVE(archive_read_data)
#define archive_read_data_block LAZY_ARCHIVE(archive_read_data_block)
#define archive_read_free LAZY_ARCHIVE(archive_read_free)
#define archive_read_new LAZY_ARCHIVE(archive_read_new)
#define archive_read_next_header LAZY_ARCHIVE(archive_read_next_header)
#define archive_read_open_filename LAZY_ARCHIVE(archive_read_open_filename)
#define archive_read_support_filter_all LAZY_ARCHIVE(archive_read_support_filter_all)
#define archive_read_support_format_raw LAZY_ARCHIVE(archive_read_support_format_raw)
#define archive_read_support_format_tar LAZY_ARCHIVE(archive_read_support_format_tar)
#define archive_read_support_format_zip LAZY_ARCHIVE(archive_read_support_format_zip)
#define archive_read_support_format_zip_seekable                                                   \
    LAZY_ARCHIVE(archive_read_support_format_zip_seekable)
#define archive_write_close LAZY_ARCHIVE(archive_write_close)
#define archive_write_data LAZY_ARCHIVE(archive_write_data)
#define archive_write_data_block LAZY_ARCHIVE(archive_write_data_block)
#define archive_write_disk_new LAZY_ARCHIVE(archive_write_disk_new)
#define archive_write_disk_set_options LAZY_ARCHIVE(archive_write_disk_set_options)
#define archive_write_finish_entry LAZY_ARCHIVE(archive_write_finish_entry)
#define archive_write_free LAZY_ARCHIVE(archive_write_free)
#define archive_write_header LAZY_ARCHIVE(archive_write_header)
#define archive_write_new LAZY_ARCHIVE(archive_write_new)
#define archive_write_open_filename LAZY_ARCHIVE(archive_write_open_filename)
#define archive_write_set_format_pax_restricted                                                    \
    LAZY_ARCHIVE(archive_write_set_format_pax_restricted)
#define archive_write_set_format_zip LAZY_ARCHIVE(archive_write_set_format_zip)
