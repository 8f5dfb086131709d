/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_INDEX_MAKE_H
#define TESTS_LIB_INDEX_MAKE_H

#include "tests/lib/index_rig.h"

/* Commands and looks in few words, for tests of one index with one bucket and three drives. Bytes
 * are borrowed by the commands that are made of them; a list of extents until the next is made. */
extern struct rig rig;
extern uint64_t bucket;
extern uint64_t next_counter; /* of the next extent */

struct etag etag_of(uint8_t n);
struct command create_command(const char *name, const char *owner);
struct command put_command(const char *key, const char *text, uint8_t etag);
struct command_body extents_body(size_t count, uint32_t len, uint8_t etag);
struct command put_extents_command(const char *key, size_t count, uint8_t etag);
struct command_result put(const char *key, const char *text, uint8_t etag);
struct command_result put_extents(const char *key, size_t count, uint8_t etag);
struct command_result delete_one(const struct command_delete *item);
struct command_result delete_key(const char *key);
struct command copy_command(const char *from, const struct object_info *source, const char *to);
void set_versioning(enum bucket_versioning versioning);
enum err find(const char *key, struct object_info *object);
bool is_there(const char *key);
void check_counts(uint64_t objects, uint64_t versions, uint64_t len, uint64_t uploads);
enum err body_of(uint64_t body, struct row_body *row);
bool has_rows(enum row_table table);
void check_hash(void);
void rig_setup(void);
void rig_teardown(void);

#endif
