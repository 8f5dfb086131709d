/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_RANDOM_REAL_H
#define SERVER_RANDOM_REAL_H

#include "storage/err.h"
#include "storage/random.h"

/* libsodium's generator, seeded by the kernel. Gives a source that lives for ever and may be used
 * by any thread. May block while the kernel gathers entropy after boot.
 * Errors: ERR_UNAVAILABLE when the kernel gives no random bytes. */
MUST_USE enum err random_real_open(struct random_source **ret_random);

#endif
