/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_KV_RANDOM_H
#define TESTS_LIB_KV_RANDOM_H

#include "storage/kv.h"
#include "tests/lib/model.h"

/* Random rows in a kv and in a model of it. */

/* Keys that share much: chunks of a few letters, so that prefixes of all lengths meet. buf has
 * KV_KEY_LEN_MAX bytes. */
struct bytes kv_random_key(uint64_t *random, uint8_t *buf);

/* Puts and removes, inside a write transaction. */
void kv_random_change(struct kv *kv, uint64_t *random, struct model *model, int changes);

/* The whole map from a key on is the model's, by cursor. */
void kv_random_scan(struct kv_reader *reader, const struct model *model, struct bytes from);

#endif
