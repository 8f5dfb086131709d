/* SPDX-License-Identifier: Apache-2.0 */
#include "server/identity.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDENTITY_FORMAT 1
#define ORIGIN_FOUNDED "founded"
#define ORIGIN_JOINED "joined"
#define EPOCH_NAME "epoch"
#define FILE_LEN_MAX 1024

__attribute__((format(printf, 3, 4))) static enum err refuse(
	enum err err, char *message, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(message, IDENTITY_MESSAGE_LEN, format, args);
	va_end(args);
	return err;
}

static enum err refuse_errno(char *message, const char *path)
{
	int number = errno;
	if (number == EACCES || number == EPERM)
		return refuse(ERR_DENIED, message,
			"%.300s: no permission; try: sudo chown -R $USER %.100s", path, path);
	return refuse(err_from_errno(number), message, "%.300s: %s", path, strerror(number));
}

enum err identity_path(const char *state_dir, const char *name, char *ret_path)
{
	int len = snprintf(ret_path, IDENTITY_PATH_LEN, "%s/%s", state_dir, name);
	return len < IDENTITY_PATH_LEN ? ERR_OK : ERR_LIMIT;
}

/* --- small files ------------------------------------------------------------------------------ */

static enum err read_file(const char *state_dir, const char *name, char *text, char *message)
{
	char path[IDENTITY_PATH_LEN];
	enum err err = identity_path(state_dir, name, path);
	if (err)
		return refuse(err, message, "%.300s: the path is too long", state_dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return refuse_errno(message, path);
	ssize_t len = read(fd, text, FILE_LEN_MAX - 1);
	if (len < 0)
		err = refuse_errno(message, path);
	else
		text[len] = '\0';
	close(fd);
	return err;
}

static enum err sync_dir(const char *state_dir, char *message)
{
	int fd = open(state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fsync(fd) != 0) {
		enum err err = refuse_errno(message, state_dir);
		if (fd >= 0)
			close(fd);
		return err;
	}
	close(fd);
	return ERR_OK;
}

/* Writes a new file whole or not at all: under another name, flushed, renamed. */
static enum err write_file(const char *state_dir, const char *name, const char *text, char *message)
{
	char path[IDENTITY_PATH_LEN], part[IDENTITY_PATH_LEN];
	char part_name[64];
	snprintf(part_name, sizeof part_name, "%s.part", name);
	if (identity_path(state_dir, name, path) || identity_path(state_dir, part_name, part))
		return refuse(ERR_LIMIT, message, "%.300s: the path is too long", state_dir);
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return refuse_errno(message, part);
	size_t len = strlen(text);
	enum err err = ERR_OK;
	if (write(fd, text, len) != (ssize_t)len || fsync(fd) != 0)
		err = refuse_errno(message, part);
	close(fd);
	if (!err && rename(part, path) != 0)
		err = refuse_errno(message, path);
	return err ? err : sync_dir(state_dir, message);
}

/* The value of "name: value" in the text of a file. */
static bool find_value(const char *text, const char *name, char *value, size_t cap)
{
	size_t name_len = strlen(name);
	for (const char *line = text; line && *line;) {
		const char *end = line + strcspn(line, "\n");
		if (strncmp(line, name, name_len) == 0 && strncmp(line + name_len, ": ", 2) == 0) {
			size_t len = end - (line + name_len + 2);
			if (len >= cap)
				return false;
			memcpy(value, line + name_len + 2, len);
			value[len] = '\0';
			return true;
		}
		line = *end ? end + 1 : NULL;
	}
	return false;
}

static bool decode_hex(const char *text, uint8_t *out, size_t len)
{
	size_t got;
	return strlen(text) == 2 * len &&
		sodium_hex2bin(out, len, text, 2 * len, NULL, &got, NULL) == 0 && got == len;
}

/* --- keys ------------------------------------------------------------------------------------- */

static enum err load_key(const char *state_dir, const char *name, uint8_t *key, char *message)
{
	char text[FILE_LEN_MAX], value[2 * IDENTITY_KEY_LEN + 1];
	enum err err = read_file(state_dir, name, text, message);
	if (!err &&
		(!find_value(text, "key", value, sizeof value) ||
			!decode_hex(value, key, IDENTITY_KEY_LEN)))
		err = refuse(ERR_CORRUPT, message, "%.300s/%s is not a key file", state_dir, name);
	sodium_memzero(text, sizeof text);
	sodium_memzero(value, sizeof value);
	return err;
}

static enum err save_key(const char *state_dir, const char *name, const uint8_t *key, char *message)
{
	char hex[2 * IDENTITY_KEY_LEN + 1], text[FILE_LEN_MAX];
	sodium_bin2hex(hex, sizeof hex, key, IDENTITY_KEY_LEN);
	snprintf(text, sizeof text, "key: %s\n", hex);
	enum err err = write_file(state_dir, name, text, message);
	sodium_memzero(hex, sizeof hex);
	sodium_memzero(text, sizeof text);
	return err;
}

/* Reads a key, or makes it. */
static enum err need_key(const char *state_dir, const char *name, uint8_t *key, char *message)
{
	enum err err = load_key(state_dir, name, key, message);
	if (err != ERR_NOT_FOUND)
		return err;
	randombytes_buf(key, IDENTITY_KEY_LEN);
	return save_key(state_dir, name, key, message);
}

static void random_text(char *out, size_t len, const char *alphabet)
{
	uint32_t count = strlen(alphabet);
	for (size_t i = 0; i < len; i++)
		out[i] = alphabet[randombytes_uniform(count)];
	out[len] = '\0';
}

void identity_make_access_key(struct root_key *ret_key)
{
	memcpy(ret_key->id, "RB", 2);
	random_text(ret_key->id + 2, 18, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
	random_text(ret_key->secret, 40,
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789");
}

/* A value of the environment, or of the file that NAME_FILE names. False: neither is set. */
static bool environment_value(const char *name, char *value, size_t cap, bool *ret_is_bad)
{
	const char *text = getenv(name);
	char file_name[64];
	snprintf(file_name, sizeof file_name, "%s_FILE", name);
	const char *path = getenv(file_name);
	*ret_is_bad = false;
	if (text) {
		*ret_is_bad = strlen(text) >= cap;
		snprintf(value, cap, "%s", text);
		return true;
	}
	if (!path)
		return false;
	FILE *file = fopen(path, "re");
	*ret_is_bad = !file || !fgets(value, cap, file);
	if (file)
		fclose(file);
	if (!*ret_is_bad)
		value[strcspn(value, "\r\n")] = '\0';
	return true;
}

static bool is_plain(const char *text)
{
	for (const char *p = text; *p; p++)
		if (*p <= ' ' || *p > '~')
			return false;
	return true;
}

static enum err make_root(struct root_key *root, char *message)
{
	bool is_id_bad, is_secret_bad;
	bool has_id = environment_value(
		"RUBUS_ROOT_ACCESS_KEY", root->id, sizeof root->id, &is_id_bad);
	bool has_secret = environment_value(
		"RUBUS_ROOT_SECRET_KEY", root->secret, sizeof root->secret, &is_secret_bad);
	if (!has_id && !has_secret) {
		identity_make_access_key(root);
		return ERR_OK;
	}
	if (has_id != has_secret)
		return refuse(ERR_INVALID, message,
			"set both RUBUS_ROOT_ACCESS_KEY and RUBUS_ROOT_SECRET_KEY, or none");
	if (is_id_bad || strlen(root->id) < 3 || !is_plain(root->id) || strpbrk(root->id, "/,="))
		return refuse(ERR_INVALID, message,
			"RUBUS_ROOT_ACCESS_KEY: 3 to %d printable characters without / , =",
			ACCESS_KEY_ID_LEN_MAX);
	if (is_secret_bad || strlen(root->secret) < ACCESS_SECRET_LEN_MIN ||
		!is_plain(root->secret))
		return refuse(ERR_INVALID, message,
			"RUBUS_ROOT_SECRET_KEY: %d to %d printable characters",
			ACCESS_SECRET_LEN_MIN, ACCESS_SECRET_LEN_MAX);
	return ERR_OK;
}

enum err identity_load_root(const char *state_dir, struct root_key *ret_root, char *message)
{
	char text[FILE_LEN_MAX];
	enum err err = read_file(state_dir, "root.key", text, message);
	if (!err &&
		(!find_value(text, "access_key_id", ret_root->id, sizeof ret_root->id) ||
			!find_value(text, "secret_access_key", ret_root->secret,
				sizeof ret_root->secret)))
		err = refuse(ERR_CORRUPT, message, "%.300s/root.key is not a key file", state_dir);
	sodium_memzero(text, sizeof text);
	return err;
}

enum err identity_put_root(const char *state_dir, const struct root_key *root, char *message)
{
	char path[IDENTITY_PATH_LEN], text[FILE_LEN_MAX];
	if (!root) {
		enum err err = identity_path(state_dir, "root.key", path);
		if (err || unlink(path) == 0 || errno == ENOENT)
			return err;
		return refuse_errno(message, path);
	}
	snprintf(text, sizeof text, "access_key_id: %s\nsecret_access_key: %s\n", root->id,
		root->secret);
	enum err err = write_file(state_dir, "root.key", text, message);
	sodium_memzero(text, sizeof text);
	return err;
}

static enum err need_root(const char *state_dir, char *message)
{
	struct root_key root;
	enum err err = identity_load_root(state_dir, &root, message);
	if (err == ERR_NOT_FOUND) {
		err = make_root(&root, message);
		if (!err)
			err = identity_put_root(state_dir, &root, message);
	}
	sodium_memzero(&root, sizeof root);
	return err;
}

/* --- the end ---------------------------------------------------------------------------------- */

#define REMOVED_NAME "removed"

enum err identity_put_removed(const char *state_dir, char *message)
{
	return write_file(state_dir, REMOVED_NAME, "removed from its cluster\n", message);
}

bool identity_is_removed(const char *state_dir)
{
	char path[IDENTITY_PATH_LEN];
	return identity_path(state_dir, REMOVED_NAME, path) == ERR_OK && access(path, F_OK) == 0;
}

/* --- the whole -------------------------------------------------------------------------------- */

bool identity_is_there(const char *state_dir)
{
	char path[IDENTITY_PATH_LEN];
	return identity_path(state_dir, "identity", path) == ERR_OK && access(path, F_OK) == 0;
}

/* Does the directory hold nothing but what an interrupted init leaves? */
static bool is_ours_or_empty(const char *state_dir)
{
	static const char *const ours[] = {".", "..", "cluster.key", "node.key", "root.key",
		"cluster.secret", "machine", "identity.begun", "tls.crt", "tls.key", "index", "log",
		"log-state", "log-set", "nodes", "epoch", "lock", "lost+found", "rebuilt.json"};
	DIR *dir = opendir(state_dir);
	if (!dir)
		return false;
	bool is_fine = true;
	for (struct dirent *entry; is_fine && (entry = readdir(dir));) {
		bool is_known = strstr(entry->d_name, ".part") != NULL;
		for (size_t i = 0; i < ARRAY_COUNT(ours); i++)
			is_known |= strcmp(entry->d_name, ours[i]) == 0;
		is_fine = is_known;
	}
	closedir(dir);
	return is_fine;
}

static enum err parse_identity(
	const char *state_dir, const char *name, struct identity *ret_identity, char *message)
{
	char text[FILE_LEN_MAX], value[2 * ID_LEN + 1];
	enum err err = read_file(state_dir, name, text, message);
	if (err)
		return err;
	if (!find_value(text, "format", value, sizeof value))
		return refuse(ERR_CORRUPT, message, "%.300s/%s is damaged", state_dir, name);
	if (strcmp(value, "1") != 0)
		return refuse(ERR_VERSION, message,
			"%.300s is of format %s, newer than this program", state_dir, value);
	if (!find_value(text, "cluster", value, sizeof value) ||
		!decode_hex(value, ret_identity->cluster.bytes, ID_LEN) ||
		!find_value(text, "node", value, sizeof value) ||
		!decode_hex(value, ret_identity->node.bytes, ID_LEN))
		return refuse(ERR_CORRUPT, message, "%.300s/%s is damaged", state_dir, name);
	ret_identity->is_joined = find_value(text, "origin", value, sizeof value) &&
		strcmp(value, ORIGIN_JOINED) == 0;
	return ERR_OK;
}

static enum err write_identity(
	const char *state_dir, const char *name, const struct identity *identity, char *message)
{
	char cluster[2 * ID_LEN + 1], node[2 * ID_LEN + 1], text[FILE_LEN_MAX];
	sodium_bin2hex(cluster, sizeof cluster, identity->cluster.bytes, ID_LEN);
	sodium_bin2hex(node, sizeof node, identity->node.bytes, ID_LEN);
	snprintf(text, sizeof text, "format: %d\ncluster: %s\nnode: %s\norigin: %s\n",
		IDENTITY_FORMAT, cluster, node,
		identity->is_joined ? ORIGIN_JOINED : ORIGIN_FOUNDED);
	return write_file(state_dir, name, text, message);
}

/* Makes the directory, or sees that it is ours to use. */
static enum err begin_dir(const char *state_dir, char *message)
{
	if (sodium_init() < 0)
		return ERR_NO_MEMORY;
	if (identity_is_there(state_dir))
		return refuse(ERR_EXISTS, message,
			"%.300s is a node already; start it with rubus serve", state_dir);
	if (mkdir(state_dir, 0700) != 0 && errno != EEXIST)
		return refuse(err_from_errno(errno), message,
			"%.200s: %s; try: sudo install -d -o $USER -m 700 %.200s", state_dir,
			strerror(errno), state_dir);
	if (access(state_dir, R_OK | W_OK | X_OK) != 0)
		return refuse_errno(message, state_dir);
	if (!is_ours_or_empty(state_dir))
		return refuse(ERR_NOT_EMPTY, message,
			"%.300s holds files that are not ours; name an empty directory", state_dir);
	return ERR_OK;
}

/* An init that is run again must be of the same cluster: its drives have the name already. */
static enum err begin_identity(const char *state_dir, const struct identity *wanted,
	struct identity *ret_identity, char *message)
{
	enum err err = parse_identity(state_dir, "identity.begun", ret_identity, message);
	if (err == ERR_NOT_FOUND) {
		*ret_identity = *wanted;
		return write_identity(state_dir, "identity.begun", ret_identity, message);
	}
	if (err)
		return err;
	bool is_same = ret_identity->is_joined == wanted->is_joined &&
		(!wanted->is_joined ||
			memcmp(&ret_identity->cluster, &wanted->cluster, ID_LEN) == 0);
	return is_same ? ERR_OK
		       : refuse(ERR_FOREIGN, message,
				 "%.300s was begun for another cluster; name another state_dir, or "
				 "remove it",
				 state_dir);
}

enum err identity_begin(const char *state_dir, struct identity *ret_identity, char *message)
{
	enum err err = begin_dir(state_dir, message);
	struct identity wanted = {0};
	if (err)
		return err;
	randombytes_buf(wanted.cluster.bytes, ID_LEN);
	randombytes_buf(wanted.node.bytes, ID_LEN);
	err = begin_identity(state_dir, &wanted, ret_identity, message);
	if (!err)
		err = need_key(state_dir, "cluster.key", ret_identity->cluster_key, message);
	if (!err)
		err = need_key(state_dir, "node.key", ret_identity->node_key, message);
	return err ? err : need_root(state_dir, message);
}

enum err identity_begin_join(const char *state_dir, struct id cluster, const struct id *node,
	struct identity *ret_identity, char *message)
{
	enum err err = begin_dir(state_dir, message);
	struct identity wanted = {.cluster = cluster, .is_joined = true};
	if (err)
		return err;
	randombytes_buf(wanted.node.bytes, ID_LEN);
	wanted.node = node ? *node : wanted.node;
	err = begin_identity(state_dir, &wanted, ret_identity, message);
	return err ? err : need_key(state_dir, "node.key", ret_identity->node_key, message);
}

enum err identity_put_key(const char *state_dir, const struct identity *identity, char *message)
{
	return save_key(state_dir, "cluster.key", identity->cluster_key, message);
}

enum err identity_finish(const char *state_dir, const struct identity *identity, char *message)
{
	enum err err = write_identity(state_dir, "identity", identity, message);
	char path[IDENTITY_PATH_LEN];
	if (!err && identity_path(state_dir, "identity.begun", path) == ERR_OK)
		unlink(path);
	return err;
}

enum err identity_load(const char *state_dir, struct identity *ret_identity, char *message)
{
	if (sodium_init() < 0)
		return ERR_NO_MEMORY;
	enum err err = parse_identity(state_dir, "identity", ret_identity, message);
	if (err == ERR_NOT_FOUND)
		return refuse(err, message,
			"%.300s is not a node's state; run rubus init first, or rubus init "
			"--from-drives if it was lost and the drives are there",
			state_dir);
	if (!err)
		err = load_key(state_dir, "cluster.key", ret_identity->cluster_key, message);
	if (!err)
		err = load_key(state_dir, "node.key", ret_identity->node_key, message);
	return err;
}

/* --- of the node channel ---------------------------------------------------------------------- */

enum err identity_need_secret(
	const char *state_dir, uint8_t ret_secret[IDENTITY_KEY_LEN], char *message)
{
	return need_key(state_dir, "cluster.secret", ret_secret, message);
}

enum err identity_put_secret(
	const char *state_dir, const uint8_t secret[IDENTITY_KEY_LEN], char *message)
{
	return save_key(state_dir, "cluster.secret", secret, message);
}

/* --- the epoch -------------------------------------------------------------------------------- */

enum err identity_load_epoch(const char *state_dir, struct identity_epoch *ret_epoch, char *message)
{
	char text[FILE_LEN_MAX], value[24], *end;
	*ret_epoch = (struct identity_epoch){.number = 1};
	enum err err = read_file(state_dir, EPOCH_NAME, text, message);
	if (err) {
		message[0] = '\0';
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	if (!find_value(text, "epoch", value, sizeof value))
		return refuse(ERR_CORRUPT, message, "%.300s/" EPOCH_NAME " is damaged", state_dir);
	ret_epoch->number = strtoull(value, &end, 10);
	if (*end || ret_epoch->number == 0)
		return refuse(ERR_CORRUPT, message, "%.300s/" EPOCH_NAME " is damaged", state_dir);
	ret_epoch->is_recovery = find_value(text, "recovery", value, sizeof value);
	return ERR_OK;
}

enum err identity_put_epoch(
	const char *state_dir, const struct identity_epoch *epoch, char *message)
{
	char text[FILE_LEN_MAX];
	snprintf(text, sizeof text, "epoch: %llu\n%s", (unsigned long long)epoch->number,
		epoch->is_recovery ? "recovery: yes\n" : "");
	return write_file(state_dir, EPOCH_NAME, text, message);
}

/* The mark of this machine for this node, as hex; false: the machine has no id. */
static bool make_mark(const struct identity *identity, const char *machine_id_path,
	char ret_mark[2 * IDENTITY_KEY_LEN + 1])
{
	char id[128];
	uint8_t hash[IDENTITY_KEY_LEN];
	FILE *file = fopen(machine_id_path, "re");
	if (!file)
		return false;
	bool is_there = fgets(id, sizeof id, file) != NULL;
	fclose(file);
	if (!is_there)
		return false;
	id[strcspn(id, " \r\n")] = '\0';
	if (id[0] == '\0' || strcmp(id, "uninitialized") == 0)
		return false;
	int failed = crypto_generichash(hash, sizeof hash, (const uint8_t *)id, strlen(id),
		identity->node_key, IDENTITY_KEY_LEN);
	assert(!failed);
	sodium_bin2hex(ret_mark, 2 * IDENTITY_KEY_LEN + 1, hash, sizeof hash);
	return true;
}

enum err identity_bind_machine(const char *state_dir, const struct identity *identity,
	const char *machine_id_path, char *message)
{
	char mark[2 * IDENTITY_KEY_LEN + 1], kept[2 * IDENTITY_KEY_LEN + 1];
	char text[FILE_LEN_MAX];
	if (!make_mark(identity, machine_id_path, mark))
		return ERR_OK;
	enum err err = read_file(state_dir, "machine", text, message);
	if (err == ERR_NOT_FOUND) {
		snprintf(text, sizeof text, "machine: %s\n", mark);
		return write_file(state_dir, "machine", text, message);
	}
	if (err)
		return err;
	if (!find_value(text, "machine", kept, sizeof kept))
		return refuse(ERR_CORRUPT, message, "%.300s/machine is damaged", state_dir);
	if (strcmp(mark, kept) != 0)
		return refuse(ERR_FOREIGN, message,
			"%.100s is of another machine: give a copy a state_dir of its own with "
			"rubus init; if that machine is gone for good: rm %.100s/machine",
			state_dir, state_dir);
	return ERR_OK;
}

/* --- copies on drives ------------------------------------------------------------------------- */

/* What says who the node is; "identity" is the last one, as ever: a copy without it was never
 * finished. A node of before the node channel has no secret yet. */
static const char *const kept_files[] = {"cluster.key", "node.key", "cluster.secret", "identity"};

static enum err copy_file(const char *from, const char *to, const char *name, char *message)
{
	char text[FILE_LEN_MAX], there[FILE_LEN_MAX];
	enum err err = read_file(from, name, text, message);
	bool is_same = !err && read_file(to, name, there, message) == ERR_OK &&
		strcmp(text, there) == 0;
	if (err == ERR_NOT_FOUND && strcmp(name, "cluster.secret") == 0)
		err = ERR_OK;
	else if (!err && !is_same)
		err = write_file(to, name, text, message);
	sodium_memzero(text, sizeof text);
	sodium_memzero(there, sizeof there);
	return err;
}

enum err identity_copy(const char *state_dir, const char *drive, char *message)
{
	char dir[IDENTITY_PATH_LEN];
	if (identity_path(drive, "identity", dir))
		return refuse(ERR_LIMIT, message, "%.300s: the path is too long", drive);
	bool is_new = mkdir(dir, 0700) == 0;
	if (!is_new && errno != EEXIST)
		return refuse_errno(message, dir);
	enum err err = is_new ? sync_dir(drive, message) : ERR_OK;
	for (size_t i = 0; i < ARRAY_COUNT(kept_files) && !err; i++)
		err = copy_file(state_dir, dir, kept_files[i], message);
	return err;
}

enum err identity_restore(
	const char *state_dir, const char *drive, struct identity *ret_identity, char *message)
{
	char dir[IDENTITY_PATH_LEN];
	if (identity_path(drive, "identity", dir))
		return refuse(ERR_LIMIT, message, "%.300s: the path is too long", drive);
	enum err err = identity_load(dir, ret_identity, message);
	if (err == ERR_NOT_FOUND)
		return refuse(err, message, "%.300s has no copy of a node's identity", drive);
	err = err ? err : begin_dir(state_dir, message);
	for (size_t i = 0; i + 1 < ARRAY_COUNT(kept_files) && !err; i++)
		err = copy_file(dir, state_dir, kept_files[i], message);
	return err;
}

void identity_fini(struct identity *identity)
{
	sodium_memzero(identity, sizeof *identity);
}
