/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_IDENTITY_H
#define SERVER_IDENTITY_H

#include "storage/err.h"
#include "storage/id.h"

/* Who this node is: files in the state directory, each 0600.
 *
 *	identity        cluster and node, and the number of the format
 *	cluster.key     seals the secrets that the index holds
 *	node.key        seed of the node's Ed25519 key
 *	cluster.secret  what nodes of one cluster know; made when the node channel first needs it
 *	machine         which machine node.key is for; likewise
 *	root.key        access key and secret of the first user
 *	epoch           of the cluster, where a forced recovery has raised it
 *	removed         it is there when the cluster has removed the node
 *
 * "identity" is written last, by a rename: a state directory without it was never finished, and an
 * init that was interrupted is simply run again. */
#define IDENTITY_KEY_LEN 32
#define IDENTITY_PATH_LEN 4096
#define ACCESS_KEY_ID_LEN_MAX 128
#define ACCESS_SECRET_LEN_MAX 128
#define ACCESS_SECRET_LEN_MIN 8
#define IDENTITY_MESSAGE_LEN 512

struct identity {
	struct id cluster;
	struct id node;
	uint8_t cluster_key[IDENTITY_KEY_LEN];
	uint8_t node_key[IDENTITY_KEY_LEN];
	bool is_joined; /* it came to a cluster that was there; else it founded its own */
};

struct root_key {
	char id[ACCESS_KEY_ID_LEN_MAX + 1];
	char secret[ACCESS_SECRET_LEN_MAX + 1];
};

/* Writes the path of a file in the state directory. Errors: ERR_LIMIT, too long. */
MUST_USE enum err identity_path(const char *state_dir, const char *name, char *ret_path);

/* Was init finished here? */
bool identity_is_there(const char *state_dir);

/* Begins an init: makes the directory (0700) and the keys that are not there yet, and root.key from
 * RUBUS_ROOT_ACCESS_KEY and RUBUS_ROOT_SECRET_KEY (or their _FILE), or anew. Blocks. Errors:
 * ERR_EXISTS, init was finished here; ERR_NOT_EMPTY, the directory holds something else;
 * ERR_INVALID, a root key of the environment; those of files. message says it in one line. */
MUST_USE enum err identity_begin(
	const char *state_dir, struct identity *ret_identity, char *message);

/* Begins an init of a node that joins a cluster: as identity_begin(), but the keys of the cluster
 * are to come and there is no root key. node is who it is, NULL for a new one. A join that is run
 * again is of the same node. Errors too:
 * ERR_FOREIGN, one was begun for another cluster, or as a cluster of its own. */
MUST_USE enum err identity_begin_join(const char *state_dir, struct id cluster,
	const struct id *node, struct identity *ret_identity, char *message);

/* Writes the key of the cluster that identity has now. */
MUST_USE enum err identity_put_key(
	const char *state_dir, const struct identity *identity, char *message);

/* Ends an init: from now on the directory is a node's. */
MUST_USE enum err identity_finish(
	const char *state_dir, const struct identity *identity, char *message);

/* Reads who this node is. Errors: ERR_NOT_FOUND, no init was finished here; ERR_CORRUPT;
 * ERR_VERSION; ERR_DENIED. */
MUST_USE enum err identity_load(
	const char *state_dir, struct identity *ret_identity, char *message);

/* Reads root.key. Errors: ERR_NOT_FOUND, ERR_CORRUPT, ERR_DENIED. */
MUST_USE enum err identity_load_root(
	const char *state_dir, struct root_key *ret_root, char *message);

/* Writes root.key anew; root is NULL: the key is gone and the file goes too. */
MUST_USE enum err identity_put_root(
	const char *state_dir, const struct root_key *root, char *message);

/* Makes an access key id (20 characters) or a secret (40) of random letters and digits. */
void identity_make_access_key(struct root_key *ret_key);

/* Reads the secret that the nodes of the cluster share, or makes it. A node that joins gets the
 * cluster's instead: it is put before it is first asked for. Errors: those of files. */
MUST_USE enum err identity_need_secret(
	const char *state_dir, uint8_t ret_secret[IDENTITY_KEY_LEN], char *message);
MUST_USE enum err identity_put_secret(
	const char *state_dir, const uint8_t secret[IDENTITY_KEY_LEN], char *message);

/* The epoch of the cluster as this node knew it last; 1 where nobody raised it. is_recovery: the
 * next start makes this node's log the whole group, by forced recovery. Errors: ERR_CORRUPT; those
 * of files. */
struct identity_epoch {
	uint64_t number;
	bool is_recovery;
};
MUST_USE enum err identity_load_epoch(
	const char *state_dir, struct identity_epoch *ret_epoch, char *message);
MUST_USE enum err identity_put_epoch(
	const char *state_dir, const struct identity_epoch *epoch, char *message);

/* Binds the state directory to this machine the first time, and sees later that it is still there:
 * two machines must not be one node. machine_id_path is "/etc/machine-id"; where it is missing or
 * empty nothing is bound. What is kept does not tell the id. Errors: ERR_FOREIGN, a copy; those of
 * files. */
MUST_USE enum err identity_bind_machine(const char *state_dir, const struct identity *identity,
	const char *machine_id_path, char *message);

/* Keeps a copy of identity and keys in DRIVE/identity (0700, files 0600), unless it is there.
 * Blocks. Errors: those of files. */
MUST_USE enum err identity_copy(const char *state_dir, const char *drive, char *message);

/* Makes a state directory of the copy in DRIVE/identity; there must be no identity yet. Blocks.
 * Errors: as identity_begin(); ERR_NOT_FOUND, the drive has no copy; ERR_CORRUPT. */
MUST_USE enum err identity_restore(
	const char *state_dir, const char *drive, struct identity *ret_identity, char *message);

/* Notes that this node was removed from its cluster: it does not start any more. Blocks. Errors:
 * those of files. */
MUST_USE enum err identity_put_removed(const char *state_dir, char *message);
bool identity_is_removed(const char *state_dir);

/* Wipes the keys. */
void identity_fini(struct identity *identity);

#endif
