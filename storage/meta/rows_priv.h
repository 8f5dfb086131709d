/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_ROWS_PRIV_H
#define STORAGE_META_ROWS_PRIV_H

#include "storage/meta/fields.h"

/* Descriptors of what rows and commands share. */
extern const struct fields row_version_id_fields;
extern const struct fields row_etag_fields;
extern const struct fields row_checksum_fields;
extern const struct fields row_extent_id_fields;
extern const struct fields row_quota_fields;

#endif
