/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_GATEWAY_RIG_H
#define TESTS_LIB_GATEWAY_RIG_H

#include "gateway/gateway.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/index_rig.h"
#include "tests/lib/sign.h"

/* A gateway on an index of one thread: whole requests in, whole answers out. Objects are made
 * without drives, as inline bodies, straight in the index. */
struct gateway_rig {
	struct rig rig;
	struct clock clock;
	int64_t wall_ms;
	struct secrets secrets; /* "sealed:" before the secret is the seal */
	struct worker worker;
	struct store store;
	struct store_loop store_loop;
	struct gateway gateway;
	struct gateway_loop loop;
	struct sign sign; /* of alice, whose bucket names have no owner in them */
	struct fake_exchange fake; /* the last request */
	bool has_fake;
};

#define RIG_REGION "garden"

/* With the keys of alice (AKALICE, secret-alice), bob (AKBOB) and admin (AKADMIN, with that role).
 */
void gateway_rig_open(struct gateway_rig *rig);
void gateway_rig_close(struct gateway_rig *rig);

/* Signs as "alice", "bob" or "admin" from here on. */
void gateway_rig_be(struct gateway_rig *rig, const char *name);

/* Puts or replaces a key. */
void gateway_rig_key(struct gateway_rig *rig, const char *name, enum access_key_state state,
	enum auth_role role, uint64_t expires_ms, const char *policy);

/* Starts a request that the caller adds to; gateway_rig_run() hands it over and runs all there is.
 * The answer is in rig->fake until the next one. */
struct fake_exchange *gateway_rig_make(
	struct gateway_rig *rig, const char *method, const char *target);
void gateway_rig_run(struct gateway_rig *rig);

/* Both, signed; returns the status. */
unsigned gateway_rig_ask(struct gateway_rig *rig, const char *method, const char *target);

/* The same with a body. */
unsigned gateway_rig_send(
	struct gateway_rig *rig, const char *method, const char *target, const char *body);

/* Makes a bucket of alice; returns its id. */
uint64_t gateway_rig_bucket(struct gateway_rig *rig, const char *name);

/* Puts an object, or a delete marker in its place. */
void gateway_rig_put(struct gateway_rig *rig, uint64_t bucket, const char *key, const char *data);
void gateway_rig_delete(struct gateway_rig *rig, uint64_t bucket, const char *key);

/* Code in the error document of the last answer; "" if there is none. */
const char *gateway_rig_code(struct gateway_rig *rig);

#endif
