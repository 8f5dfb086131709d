/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_RENAME_H
#define STORAGE_META_COMMAND_RENAME_H

#include "storage/meta/command_conditions.h"

/* An object gets another key, in a bucket that never had versions (else LOCKED). Conditions are
 * about the new key, where an object is replaced. NO_VERSION if the source is another by now. */
struct command_object_rename {
	uint64_t bucket;
	struct bytes source_key;
	struct version_id source_version;
	struct bytes key; /* another one */
	struct command_conditions conditions;
	struct bytes origin;
};

#endif
