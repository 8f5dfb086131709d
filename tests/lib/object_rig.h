/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_LIB_OBJECT_RIG_H
#define TESTS_LIB_OBJECT_RIG_H

#include "gateway/gateway.h"
#include "storage/meta/consensus.h"
#include "tests/lib/fake_exchange.h"
#include "tests/lib/sign.h"
#include "tests/lib/sim_disk.h"
#include "tests/lib/sim_kv.h"

/* A whole node without sockets: gateway, index, log and three drives (2 + 1) in the simulator.
 * Whole requests in, whole answers out. */
#define OBJECT_RIG_DRIVES 3
#define OBJECT_RIG_REGION "garden"

struct object_rig {
	struct sim *sim;
	struct sim_node *node;
	struct loop *client, *apply, *owner;
	struct sim_disk *log_disk, *disks[OBJECT_RIG_DRIVES];
	struct sim_kv *rows, *locations[OBJECT_RIG_DRIVES];
	struct consensus *consensus;
	struct index *index;
	struct store store;
	struct store_loop store_loop;
	struct secrets secrets;
	struct gateway gateway;
	struct gateway_loop loop;
	struct sign sign;
	struct fake_exchange fake; /* the last request */
	bool has_fake, is_opened;
	uint64_t bucket; /* the id of "bkt" */
	uint8_t *bytes; /* of a command */
};

/* With the key of alice and her bucket "b". */
void object_rig_open(struct object_rig *rig, uint64_t seed);

/* Sees that nothing is held any more. */
void object_rig_close(struct object_rig *rig);

struct command_result object_rig_propose(struct object_rig *rig, const struct command *command);

/* Starts a request, to which headers and a body may be added. */
struct fake_exchange *object_rig_make(
	struct object_rig *rig, const char *method, const char *target);

/* Signs it (payload as for sign_request()) and runs it to its end; the status, or 0 if there was no
 * answer. */
unsigned object_rig_run(struct object_rig *rig, const char *payload);

/* All at once. */
unsigned object_rig_ask(struct object_rig *rig, const char *method, const char *target);
unsigned object_rig_send(struct object_rig *rig, const char *method, const char *target,
	const void *body, size_t len);

/* A header of the last answer, or "". The Code of its error document, or "". */
const char *object_rig_header(struct object_rig *rig, const char *name);
const char *object_rig_code(struct object_rig *rig);

/* Of other requests beside the last: given to the gateway, and run until they have ended. */
void object_rig_start(struct object_rig *rig, struct fake_exchange *fake);
void object_rig_wait(struct object_rig *rig, struct fake_exchange *fake);

#endif
