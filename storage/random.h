/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_RANDOM_H
#define STORAGE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* The seam through which chance comes in: libsodium's generator in the server, a seeded one in the
 * simulator. Identities, generations, nonces and jitter all come from here. */
struct random_source;

struct random_ops {
	void (*fill)(struct random_source *random, void *buf, size_t len);
};

struct random_source {
	const struct random_ops *ops;
};

/* Fills buf with unpredictable bytes. Any thread. Does not fail. */
static inline void random_fill(struct random_source *random, void *buf, size_t len)
{
	random->ops->fill(random, buf, len);
}

static inline uint64_t random_u64(struct random_source *random)
{
	uint64_t v;
	random_fill(random, &v, sizeof v);
	return v;
}

#endif
