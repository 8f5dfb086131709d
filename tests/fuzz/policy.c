/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a policy: it is refused with a reason, or compiled and then evaluated for requests
 * with and without values, twice with the same result. */
#include <stdlib.h>

#include "gateway/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check(bool holds)
{
	if (!holds)
		abort();
}

struct asked {
	struct policy_request request;
	bool has_values;
	struct bytes value;
};

static bool value(const struct policy_request *request, enum policy_key key, struct bytes name,
	uint8_t *buf, struct bytes *ret_value)
{
	const struct asked *asked = (const struct asked *)(const void *)request;
	check(key < POLICY_KEY_COUNT);
	if (!asked->has_values)
		return false;
	/* Bytes of the policy itself are the likeliest to match it. */
	size_t len = asked->value.len < POLICY_VALUE_LEN_MAX ? asked->value.len : name.len;
	if (len > 0)
		memcpy(buf, asked->value.data, len < POLICY_VALUE_LEN_MAX ? len : 0);
	*ret_value = bytes_make(buf, len < POLICY_VALUE_LEN_MAX ? len : 0);
	return true;
}

static void evaluate(const struct policy *policy, struct bytes text)
{
	static const char *const actions[] = {"s3:GetObject", "s3:ListBucket", "s3:PutObject"};
	for (size_t i = 0; i < 3; i++) {
		struct asked asked = {
			.request =
				{
					.is_anonymous = i == 1,
					.owner = bytes_of("bob"),
					.action = actions[i],
					.bucket = bytes_of("garden"),
					.value = value,
				},
			.has_values = i != 2,
			.value = bytes_make(text.data, text.len < 40 ? text.len : 40),
		};
		if (i != 1)
			asked.request.key = bytes_of("home/bob/k");
		enum policy_effect effect = policy_evaluate(policy, &asked.request);
		check(effect <= POLICY_DENY && effect == policy_evaluate(policy, &asked.request));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	for (enum policy_kind kind = POLICY_OF_BUCKET; kind <= POLICY_OF_KEY; kind++) {
		struct policy *policy = NULL;
		const char *why = NULL;
		enum err err = policy_parse(
			kind, bytes_make(data, len), bytes_of("garden"), &policy, &why);
		check(err == ERR_OK || err == ERR_INVALID || err == ERR_LIMIT);
		check((err == ERR_OK) == (policy != NULL) && (err != ERR_INVALID || why));
		check((err == ERR_LIMIT) == (len > POLICY_LEN_MAX));
		if (policy)
			evaluate(policy, bytes_make(data, len));
		policy_free(policy);
	}
	return 0;
}
