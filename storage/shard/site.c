/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/shard/site.h"

/* --- writing ---------------------------------------------------------------------------------- */

static void local_ready(struct shard_write *local, enum err err)
{
	struct site_write *write = CONTAINER_OF(local, struct site_write, local);
	write->ready(write, err);
}

static void local_sealed(struct shard_write *local, enum err err)
{
	struct site_write *write = CONTAINER_OF(local, struct site_write, local);
	write->sealed(write, err);
}

static void remote_ready(struct remote_write *remote, enum err err)
{
	struct site_write *write = CONTAINER_OF(remote, struct site_write, remote);
	write->ready(write, err);
}

static void remote_sealed(struct remote_write *remote, enum err err)
{
	struct site_write *write = CONTAINER_OF(remote, struct site_write, remote);
	write->sealed(write, err);
}

enum err site_write_open(
	struct site_write *write, const struct site *site, const struct shard_info *info)
{
	assert(write->loop && write->ready && write->sealed && site_is_there(site));
	write->is_remote = !site->drive;
	if (write->is_remote) {
		write->remote.ready = remote_ready;
		write->remote.sealed = remote_sealed;
		write->remote.is_calling = false;
		remote_write_open(&write->remote, site->peers, site->node, site->number, info);
		return ERR_BUSY;
	}
	write->local.loop = write->loop;
	write->local.ready = local_ready;
	write->local.sealed = local_sealed;
	return shard_write_open(&write->local, site->drive, info);
}

static void local_append_done(struct shard_append *local, enum err err)
{
	struct site_append *append = CONTAINER_OF(local, struct site_append, local);
	append->done(append, err);
}

static void remote_append_done(struct remote_append *remote, enum err err)
{
	struct site_append *append = CONTAINER_OF(remote, struct site_append, remote);
	append->done(append, err);
}

void site_write_append(struct site_write *write, struct site_append *append, const uint8_t *buf,
	size_t len, const uint64_t *checksums, size_t checksum_count)
{
	append->write = write;
	if (write->is_remote) {
		append->remote.done = remote_append_done;
		remote_write_append(
			&write->remote, &append->remote, buf, len, checksums, checksum_count);
	} else {
		append->local.done = local_append_done;
		shard_write_append(
			&write->local, &append->local, buf, len, checksums, checksum_count);
	}
}

void site_write_seal(struct site_write *write)
{
	if (write->is_remote)
		remote_write_seal(&write->remote);
	else
		shard_write_seal(&write->local);
}

void site_write_abort(struct site_write *write)
{
	if (write->is_remote)
		remote_write_abort(&write->remote);
	else
		shard_write_abort(&write->local);
}

void site_write_cancel(struct site_write *write)
{
	if (write->is_remote)
		remote_write_cancel(&write->remote);
}

void site_append_cancel(struct site_append *append)
{
	if (append->write->is_remote)
		remote_append_cancel(&append->remote);
}

/* --- reading ---------------------------------------------------------------------------------- */

static void local_read_done(struct shard_read *local, enum err err)
{
	struct site_read *read = CONTAINER_OF(local, struct site_read, local);
	read->done(read, err);
}

static void remote_read_done(struct remote_read *remote, enum err err)
{
	struct site_read *read = CONTAINER_OF(remote, struct site_read, remote);
	read->done(read, err);
}

void site_read_init(
	struct site_read *read, const struct site *site, struct extent_id extent, uint8_t index)
{
	assert(site_is_there(site));
	read->is_remote = !site->drive;
	if (read->is_remote) {
		read->remote.done = remote_read_done;
		remote_read_init(
			&read->remote, site->peers, site->node, site->number, extent, index);
	} else {
		read->local.done = local_read_done;
		shard_read_init(&read->local, read->loop, site->drive, extent, index);
	}
}

void site_read_start(struct site_read *read, uint64_t start, size_t len, uint8_t *buf, bool cached)
{
	if (read->is_remote)
		remote_read_start(&read->remote, start, len, buf, cached);
	else
		shard_read_start(&read->local, start, len, buf, cached);
}

void site_read_cancel(struct site_read *read)
{
	if (read->is_remote)
		remote_read_cancel(&read->remote);
}

void site_read_fini(struct site_read *read)
{
	if (!read->is_remote)
		shard_read_fini(&read->local);
}

/* --- freeing ---------------------------------------------------------------------------------- */

static void local_free_done(struct shard_free *local, enum err err)
{
	struct site_free *op = CONTAINER_OF(local, struct site_free, local);
	op->done(op, err);
}

static void remote_free_done(struct remote_free *remote, enum err err)
{
	struct site_free *op = CONTAINER_OF(remote, struct site_free, remote);
	op->done(op, err);
}

void site_free_start(
	struct site_free *op, const struct site *site, struct extent_id extent, uint8_t index)
{
	assert(op->loop && op->done && site_is_there(site));
	op->is_remote = !site->drive;
	if (op->is_remote) {
		op->remote.done = remote_free_done;
		remote_free_start(
			&op->remote, site->peers, site->node, site->number, extent, index);
		return;
	}
	op->local = (struct shard_free){
		.loop = op->loop,
		.done = local_free_done,
		.drive = site->drive,
		.extent = extent,
		.index = index,
	};
	shard_free_start(&op->local);
}
