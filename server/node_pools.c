/* SPDX-License-Identifier: Apache-2.0 */
#include "server/node_pools.h"

#include "erasure/stripe.h"
#include "server/config.h"

#define SERVICE_LEN (8u << 20) /* on all loops */

/* A stripe of the widest code, which puts make of small units when memory is short; gets have to
 * read what there is. */
#define PUT_LEN_MIN ((size_t)CODE_UNITS_MAX * UNIT_LEN_SMALL)
#define GET_LEN_MIN ((size_t)CODE_DATA_MAX * UNIT_LEN)
#define PACK_LEN_MIN (1u << 20) /* twice a chunk and a stage */
#define UNPACK_LEN_MIN (256u << 10) /* twice two frames */
#define SERVICE_LEN_MIN UNIT_LEN

static size_t at_least(size_t len, size_t min)
{
	return len > min ? len : min;
}

struct node_pools node_pools_plan(const struct config *config)
{
	size_t upload_len = ((size_t)config->upload_memory_mib << 20) / config->loops;
	size_t download_len = ((size_t)config->download_memory_mib << 20) / config->loops;
	return (struct node_pools){
		.put_len = at_least(upload_len, PUT_LEN_MIN),
		.get_len = at_least(download_len * 2 / 3, GET_LEN_MIN),
		.decode_len = at_least(download_len / 3, GET_LEN_MIN),
		.pack_len = at_least(upload_len / 4, PACK_LEN_MIN),
		.unpack_len = at_least(download_len / 2, UNPACK_LEN_MIN),
		.service_len = at_least(SERVICE_LEN / config->loops, SERVICE_LEN_MIN),
	};
}
