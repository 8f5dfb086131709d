/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_DRIVE_READ_AGAIN_H
#define STORAGE_DRIVE_READ_AGAIN_H

#include <stdatomic.h>

#include "storage/id.h"

/* Which ranges of shards were read lately. What is read for the first time goes around the page
 * cache: to bring it in costs as much CPU as to check and send it, and pushes out what is read
 * often. What is read again is brought in.
 *
 * A table of marks, one for each place that a range is hashed to; the newer displaces the older. So
 * it forgets, and now and then takes one range for another: both cost time and nothing else. Any
 * thread. */
#define READ_AGAIN_COUNT 32768

struct read_again {
	_Atomic uint32_t marks[READ_AGAIN_COUNT];
};

/* Was the range that begins at start read before? Now it was. */
bool read_again_note(
	struct read_again *again, struct extent_id extent, uint8_t index, uint64_t start);

#endif
