/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_NODE_H
#define SERVER_NODE_H

#include <signal.h>

#include "gateway/gateway.h"
#include "server/admin.h"
#include "server/config.h"
#include "server/http_listener.h"
#include "server/http_metrics.h"
#include "server/identity.h"
#include "server/logger.h"
#include "server/loop.h"
#include "server/loop_call.h"
#include "server/metrics.h"
#include "server/node_claims.h"
#include "server/secret_box.h"
#include "server/tls.h"
#include "server/worker_threads.h"
#include "storage/meta/consensus.h"
#include "storage/meta/index_archive.h"
#include "storage/meta/index_copy.h"
#include "storage/meta/index_snapshot.h"
#include "storage/meta/log_mirror.h"
#include "storage/repair/collect.h"
#include "server/node_webhooks.h"
#include "storage/repair/expire.h"
#include "storage/repair/fare.h"
#include "storage/repair/mender.h"
#include "storage/shard/shard_service.h"

/* One node: everything that one process of `rubus serve` consists of, put together and taken apart.
 *
 *	threads		what runs there
 *	s3-0 …		loops for clients; each drive belongs to one of them
 *	log		the log of the index
 *	apply		the state machine
 *	commit		commits of the index to LMDB
 *	locate		commits of the drives' tables of locations
 *	worker-0 …	calls that block; digests of lone streams
 *	copy-0		copies of the index, where the log is mirrored
 *	archive-0	the archive of the index on the drives
 *	main		starts, waits for signals, stops; the control socket has a thread of its own
 *
 * Where other nodes are, the loops for clients and that of the log speak to theirs, each by links
 * of its own.
 *
 * Opening goes from the bottom up, closing from the top down. What fails on the way leaves a
 * message of one line, and what was opened is closed again. */
#define NODE_MESSAGE_LEN 768
#define NODE_LOOPS_MAX 64
#define NODE_WORKERS 2
#define NODE_LOG_SEGMENT_LEN (64u << 20)
#define NODE_SETTLE_ROUNDS 16
#define NODE_SIGNAL SIGUSR2 /* to itself: the index was replaced */
#define NODE_STOP_MS 10000 /* running exchanges get so long to end */

/* Before this nobody's clock is right: signatures and certificates would be judged wrongly. */
#define NODE_EARLIEST_MS INT64_C(1767225600000) /* 2026-01-01 */

/* A directory; its files go through a wrapper that counts. All NULL: not open. */
struct node_disk {
	struct disk *disk; /* what others use */
	struct disk_count *count;
	struct disk *files;
};

struct node_drive {
	char *path; /* owned */
	bool is_added; /* while the node ran: the configuration does not name it */
	struct node_disk disk;
	struct kv *locations;
	struct drive *drive; /* NULL: not in service, and why says so */
	char why[NODE_MESSAGE_LEN];
	uint16_t number; /* in the index; 0: not known there */
};

struct node {
	const struct config *config;
	struct logger *logger;
	struct trace *trace;
	struct clock *clock;
	struct random_source *random;
	struct identity identity;
	struct secret_box box;
	int lock_fd; /* on the state directory */

	struct cluster *cluster; /* server/cluster.h; NULL: this node is alone */
	struct worker_threads *workers;
	struct server_loop *loops[NODE_LOOPS_MAX]; /* for clients */
	struct server_loop *log_loop, *apply_loop, *commit_loop, *locate_loop;
	bool is_running; /* the loops' threads are started */

	struct node_disk state_disk;
	struct log_home homes[LOG_HOMES_MAX]; /* the state directory, and drives that were there */
	unsigned home_count;
	struct log_mirror *mirror; /* NULL: the log is in the state directory */
	struct index_copies copies;
	struct worker_threads *copier; /* makes them */
	struct kv *index_kv;
	struct index_archive *archive; /* NULL: no drive is there for one */
	struct worker_threads *archivist; /* writes it */
	struct snapshot_stage stage;
	struct index_snapshots *snapshots; /* NULL: this node is alone */
	struct consensus *consensus;
	struct index *index;
	_Atomic bool is_index_started;
	struct completion opened; /* of its first session */
	struct index_reader *reader; /* of the main thread */
	_Atomic bool has_failed; /* the index stopped: the node leaves service */
	enum err failure; /* written before */
	char failure_text[NODE_MESSAGE_LEN]; /* likewise, by node_fail() */

	/* Those of the configuration, then those that were added (node_drives.h); only the control
	 * thread adds any, and counts what is ready to be used. */
	struct node_drive drives[STORE_DRIVES_MAX];
	_Atomic unsigned drive_count;
	struct store store;
	struct store_loop store_loops[NODE_LOOPS_MAX];
	unsigned store_loop_count;
	struct shard_service services[NODE_LOOPS_MAX]; /* for other nodes */
	unsigned service_count;
	struct owed owed[NODE_LOOPS_MAX]; /* of a node alone; else those of the services */
	unsigned owed_count;
	struct collector collector;
	bool is_collecting;
	struct expirer expirer;
	bool is_expiring;
	struct node_webhooks webhooks;
	struct mender mender;
	struct fare fare; /* of clients, for the mender */
	_Atomic bool is_mending;
	struct node_claims claims;

	struct gateway gateway;
	struct gateway_loop gateway_loops[NODE_LOOPS_MAX];
	unsigned gateway_loop_count;

	struct tls *tls;
	struct metrics *metrics;
	struct admin *admin;
	struct admin_aliases s3_aliases[NODE_LOOPS_MAX];
	struct http_hub *s3_hubs[NODE_LOOPS_MAX];
	struct http_hub *admin_hub;
	struct http_metrics http_metrics[3];
	struct http_listener *s3_listener, *admin_listener;
	struct control *control;
	struct salvage *salvage; /* the control thread's; NULL: none was asked for */
	struct net_test *net_test; /* likewise */
	_Atomic bool is_ready; /* it serves; the control thread has reader from then on */
	int64_t started_ms;
};

/* Puts a node together up to the point where it serves. Blocks. config and logger are borrowed
 * until node_stop(). On failure message (NODE_MESSAGE_LEN bytes) says in one line what is wrong and
 * what to do. Errors: ERR_END, another member's snapshot took the place of the index: start again.
 */
MUST_USE enum err node_start(
	const struct config *config, struct logger *logger, struct node **ret_node, char *message);

/* Opens identity, log and index of a node that does not run, which must be one of a cluster, for
 * looking at them: no thread runs, nothing listens. node_stop() ends it. Errors: as node_start();
 * ERR_UNSUPPORTED, it is alone. */
MUST_USE enum err node_look(
	const struct config *config, struct logger *logger, struct node **ret_node, char *message);

/* Waits for SIGINT or SIGTERM, or until the node fails; reloads the certificate on SIGHUP. These
 * signals, and NODE_SIGNAL, must be blocked in all threads before node_start(). Returns ERR_OK for
 * a signal. Errors: ERR_END, as node_start(). */
MUST_USE enum err node_wait(struct node *node);

/* Ends running exchanges, commits, and takes the node apart. NULL is fine. Blocks. */
void node_stop(struct node *node);

/* Proposes a command and waits for its result. Not on a loop. Errors: those of the index; those of
 * the command's code (command_code_err()). */
MUST_USE enum err node_propose(
	struct node *node, const struct command *command, struct command_result *ret_result);

/* The same for what may be done twice: tries again for some seconds while the lead changes hands.
 */
MUST_USE enum err node_propose_until(
	struct node *node, const struct command *command, struct command_result *ret_result);

/* Adds this node's drives, a first ring and the root key to the index, where they are not there
 * yet, and gives the drives their numbers. Blocks. */
MUST_USE enum err node_bootstrap(struct node *node, char *message);

/* Prints the bounds of all pools and queues as log lines. */
void node_print_limits(const struct node *node);

/* Has the node leave service and node_wait() return err, which is said in one line of the log. Any
 * thread; the first one counts. */
__attribute__((format(printf, 3, 4))) void node_fail(
	struct node *node, enum err err, const char *format, ...);

/* One line of why, for messages. */
__attribute__((format(printf, 3, 4))) enum err node_refuse(
	char *message, enum err err, const char *format, ...);

#endif
