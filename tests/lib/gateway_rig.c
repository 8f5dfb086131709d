/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/lib/gateway_rig.h"

#include <stdio.h>

#include "gateway/request.h"
#include "tests/lib/test.h"

#define SEAL "sealed:"

/* --- seams ------------------------------------------------------------------------------------ */

static uint64_t mono_ns(struct clock *clock)
{
	(void)clock;
	return 0;
}

static int64_t wall_ms(struct clock *clock)
{
	return CONTAINER_OF(clock, struct gateway_rig, clock)->wall_ms;
}

static const struct clock_ops clock_ops = {mono_ns, wall_ms};

static enum err open_secret(
	struct secrets *secrets, struct bytes sealed, uint8_t *buf, size_t cap, size_t *ret_len)
{
	(void)secrets;
	if (!bytes_has_prefix(sealed, bytes_of(SEAL)))
		return ERR_CORRUPT;
	struct bytes secret = bytes_from(sealed, strlen(SEAL));
	if (secret.len > cap)
		return ERR_LIMIT;
	memcpy(buf, secret.data, secret.len);
	*ret_len = secret.len;
	return ERR_OK;
}

static enum err seal_secret(
	struct secrets *secrets, struct bytes plain, uint8_t *buf, size_t cap, size_t *ret_len)
{
	(void)secrets;
	if (strlen(SEAL) + plain.len > cap)
		return ERR_LIMIT;
	memcpy(buf, SEAL, strlen(SEAL));
	memcpy(buf + strlen(SEAL), plain.data, plain.len);
	*ret_len = strlen(SEAL) + plain.len;
	return ERR_OK;
}

static const struct secrets_ops secrets_ops = {open_secret, seal_secret};

/* --- keys and objects ------------------------------------------------------------------------- */

void gateway_rig_key(struct gateway_rig *rig, const char *name, enum access_key_state state,
	enum auth_role role, uint64_t expires_ms, const char *policy)
{
	char id[64], secret[64];
	struct command command = {.type = COMMAND_KEY_PUT};
	size_t len = snprintf(id, sizeof id, "AK%s", name);
	for (size_t i = 0; i < len; i++)
		id[i] = id[i] >= 'a' && id[i] <= 'z' ? id[i] - 32 : id[i];
	snprintf(secret, sizeof secret, SEAL "secret-%s", name);
	command.key_put = (struct command_key_put){
		.id = bytes_of(id),
		.secret = bytes_of(secret),
		.owner = bytes_of(name),
		.policy = bytes_of(policy),
		.state = state,
		.role = role,
		.expires_ms = expires_ms,
	};
	ck_assert_uint_eq(rig_code(&rig->rig, &command), COMMAND_OK);
}

void gateway_rig_be(struct gateway_rig *rig, const char *name)
{
	static const struct sign signs[] = {
		{"AKALICE", "secret-alice", RIG_REGION, 0},
		{"AKBOB", "secret-bob", RIG_REGION, 0},
		{"AKADMIN", "secret-admin", RIG_REGION, 0},
	};
	rig->sign = signs[strcmp(name, "alice") == 0 ? 0 : strcmp(name, "bob") == 0 ? 1 : 2];
}

uint64_t gateway_rig_bucket(struct gateway_rig *rig, const char *name)
{
	struct command command = {.type = COMMAND_BUCKET_CREATE};
	command.bucket_create.name = bytes_of(name);
	command.bucket_create.owner = bytes_of("alice");
	struct command_result result = rig_propose(&rig->rig, &command);
	ck_assert_uint_eq(result.code, COMMAND_OK);
	return result.id;
}

void gateway_rig_put(struct gateway_rig *rig, uint64_t bucket, const char *key, const char *data)
{
	struct command command = {.type = COMMAND_OBJECT_PUT};
	struct command_object_put *put = &command.object_put;
	put->bucket = bucket;
	put->key = bytes_of(key);
	put->attributes.owner = bytes_of("alice");
	put->body.inline_data = bytes_of(data);
	put->body.len = strlen(data);
	digest_md5(data, strlen(data), put->body.etag.md5);
	ck_assert_uint_eq(rig_code(&rig->rig, &command), COMMAND_OK);
}

void gateway_rig_delete(struct gateway_rig *rig, uint64_t bucket, const char *key)
{
	uint8_t list[2048];
	struct fields_out out = {.data = list, .cap = sizeof list};
	struct command_delete item = {.key = bytes_of(key)};
	struct command command = {.type = COMMAND_OBJECT_DELETE};
	command_delete_append(&out, &item);
	command.object_delete.bucket = bucket;
	command.object_delete.deletes = bytes_make(list, out.len);
	ck_assert_uint_eq(rig_code(&rig->rig, &command), COMMAND_OK);
}

/* --- the rig ---------------------------------------------------------------------------------- */

void gateway_rig_open(struct gateway_rig *rig)
{
	memset(rig, 0, sizeof *rig);
	rig_open(&rig->rig);
	rig->clock.ops = &clock_ops;
	rig->wall_ms = INT64_C(1795000000000); /* November 2026 */
	rig->secrets.ops = &secrets_ops;
	rig->store = (struct store){
		.index = rig->rig.index,
		.clock = &rig->clock,
		.random = &rig->rig.random,
		.trace = &rig->rig.trace,
	};
	rig->store_loop = (struct store_loop){
		.store = &rig->store,
		.loop = &rig->rig.loop.loop,
		.reader = rig->rig.reader,
	};
	rig->gateway = (struct gateway){
		.settings =
			{
				.region = bytes_of(RIG_REGION),
				.host_id = bytes_of("node-1"),
				.requests_max = 4,
				.buckets_max = 4,
				.text_len_max = POOL_SLAB_LEN,
				.object_len_max = UINT64_C(5) << 30,
			},
		.store = &rig->store,
		.secrets = &rig->secrets,
		.worker = &rig->worker,
		.clock = &rig->clock,
		.trace = &rig->rig.trace,
	};
	digest_hall_init(&rig->gateway.hall);
	ck_assert_ok(gateway_loop_init(
		&rig->loop, &rig->gateway, &rig->rig.loop.loop, &rig->store_loop));
	gateway_rig_key(rig, "alice", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0, "");
	gateway_rig_key(rig, "bob", ACCESS_KEY_ENABLED, AUTH_ROLE_OWNER, 0, "");
	gateway_rig_key(rig, "admin", ACCESS_KEY_ENABLED, AUTH_ROLE_ADMIN, 0, "");
	gateway_rig_be(rig, "alice");
}

static void drop_fake(struct gateway_rig *rig)
{
	if (rig->has_fake)
		fake_exchange_fini(&rig->fake);
	rig->has_fake = false;
}

void gateway_rig_close(struct gateway_rig *rig)
{
	drop_fake(rig);
	ck_assert_uint_eq(rig->loop.text_pool.lent_len, 0);
	gateway_loop_fini(&rig->loop);
	digest_hall_fini(&rig->gateway.hall);
	rig_close(&rig->rig);
}

struct fake_exchange *gateway_rig_make(
	struct gateway_rig *rig, const char *method, const char *target)
{
	drop_fake(rig);
	rig->sign.wall_ms = rig->wall_ms;
	fake_exchange_init(&rig->fake, &rig->rig.loop.loop, method, target);
	rig->has_fake = true;
	return &rig->fake;
}

void gateway_rig_run(struct gateway_rig *rig)
{
	fake_exchange_start(&rig->fake, &rig->loop.handler);
	rig_run(&rig->rig);
	ck_assert(rig->fake.is_ended);
}

unsigned gateway_rig_send(
	struct gateway_rig *rig, const char *method, const char *target, const char *body)
{
	gateway_rig_make(rig, method, target);
	if (body)
		fake_exchange_body(&rig->fake, body, strlen(body));
	sign_request(&rig->fake, &rig->sign, NULL);
	gateway_rig_run(rig);
	ck_assert(rig->fake.is_answered && rig->fake.is_whole);
	return rig->fake.response.status;
}

unsigned gateway_rig_ask(struct gateway_rig *rig, const char *method, const char *target)
{
	return gateway_rig_send(rig, method, target, NULL);
}

const char *gateway_rig_code(struct gateway_rig *rig)
{
	const char *code = fake_exchange_element(&rig->fake, "Code");
	return code ? code : "";
}
