/* SPDX-License-Identifier: Apache-2.0 */
/* Commands as they stand in a log: whatever the bytes, they are read or refused, and what was read
 * and written again reads the same. */
#include "storage/meta/command.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t again[COMMAND_LEN_MAX];
	static uint8_t third[COMMAND_LEN_MAX];
	struct command command, copy;
	size_t again_len, third_len;
	if (command_decode(bytes_make(data, len), &command) != ERR_OK)
		return 0;
	if (command_encode(&command, again, sizeof again, &again_len) != ERR_OK)
		abort();
	if (command_decode(bytes_make(again, again_len), &copy) != ERR_OK)
		abort();
	if (command_encode(&copy, third, sizeof third, &third_len) != ERR_OK)
		abort();
	if (third_len != again_len || memcmp(again, third, again_len) != 0)
		abort();
	return 0;
}
