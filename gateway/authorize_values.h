/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_AUTHORIZE_VALUES_H
#define GATEWAY_AUTHORIZE_VALUES_H

#include "gateway/authorize.h"

/* What conditions of policies ask about, taken from a request. */
struct authorize_values {
	struct policy_request policy;
	struct request *request;
	const struct authorize_target *target;
};

/* policy_request.value of one that is in a struct authorize_values. */
bool authorize_value(const struct policy_request *policy, enum policy_key key, struct bytes name,
	uint8_t *buf, struct bytes *ret_value);

#endif
