/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_META_COMMAND_PRIV_H
#define STORAGE_META_COMMAND_PRIV_H

#include "storage/meta/command.h"

/* Descriptors, command_fields.c. */
extern const struct fields command_extent_fields;
extern const struct fields command_delete_fields;
extern const struct fields command_shard_move_fields;
extern const struct fields command_ring_move_fields;
extern const struct fields command_event_fields;
extern const struct fields command_expire_item_fields;
extern const struct fields command_result_fields;
extern const struct fields *const command_type_fields[COMMAND_TYPE_COUNT];

/* Does a decoded command keep to the rules that can be judged without the index? command_check.c.
 */
bool command_is_valid(const struct command *command);

#endif
