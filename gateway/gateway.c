/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/gateway.h"

#include <stdlib.h>

#include "gateway/request.h"

enum err gateway_loop_init(struct gateway_loop *loop, struct gateway *gateway, struct loop *on,
	struct store_loop *store)
{
	assert(gateway->settings.requests_max > 0);
	assert(gateway->settings.text_len_max >= REQUEST_TEXT_LEN);
	assert(gateway->settings.host_id.len <= GATEWAY_HOST_ID_LEN_MAX);
	assert(route_count <= GATEWAY_ROUTES_MAX);

	*loop = (struct gateway_loop){
		.handler = {.start = request_start},
		.gateway = gateway,
		.loop = on,
		.store = store,
	};
	enum err err = auth_keys_init(&loop->keys);
	if (err != ERR_OK)
		return err;
	bucket_rules_init(&loop->rules);
	digest_lanes_init(&loop->lanes, &gateway->hall, on, gateway->worker);
	request_loop_init(loop);
	pool_init(&loop->text_pool, on, "text", gateway->settings.text_len_max);
	return ERR_OK;
}

void gateway_loop_fini(struct gateway_loop *loop)
{
	assert(loop->counters.in_progress == 0);
	assert(!loop->waiting.first && !loop->is_admit_posted);
	while (loop->free_requests) {
		struct request *request = loop->free_requests;
		loop->free_requests = request->next;
		loop->request_count--;
		free(request);
	}
	assert(loop->request_count == 0);
	pool_fini(&loop->text_pool);
	digest_lanes_fini(&loop->lanes);
	bucket_rules_fini(&loop->rules);
	auth_keys_fini(&loop->keys);
}
