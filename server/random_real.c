/* SPDX-License-Identifier: Apache-2.0 */
#include "server/random_real.h"

#include <sodium.h>

static void fill(struct random_source *random, void *buf, size_t len)
{
	(void)random;
	randombytes_buf(buf, len);
}

static const struct random_ops ops = {.fill = fill};
static struct random_source source = {.ops = &ops};

enum err random_real_open(struct random_source **ret_random)
{
	if (sodium_init() < 0)
		return ERR_UNAVAILABLE;
	*ret_random = &source;
	return ERR_OK;
}
