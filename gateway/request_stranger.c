/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/request_stranger.h"

#include "gateway/request_priv.h"

static unsigned strangers_max(const struct gateway_loop *loop)
{
	unsigned max = loop->gateway->settings.requests_max / STRANGERS_PART;
	return max > 0 ? max : 1;
}

static void timer_fired(struct timer *timer)
{
	struct request *request = CONTAINER_OF(timer, struct request, stranger.timer);
	assert(request->magic == REQUEST_MAGIC && request->stranger.is_one);
	request->stranger.is_late = true;
	request_advance(request);
}

enum s3_code request_stranger_wait(struct request *request)
{
	struct gateway_loop *loop = request->loop;
	if (request->stranger.is_late)
		return S3_REQUEST_TIMEOUT;
	if (request->stranger.is_one)
		return S3_OK;
	if (loop->stranger_count >= strangers_max(loop))
		return S3_SLOW_DOWN;
	loop->stranger_count++;
	request->stranger.is_one = true;
	request->stranger.timer.fire = timer_fired;
	timer_set(loop->loop, &request->stranger.timer, STRANGER_MS_MAX);
	return S3_OK;
}

void request_stranger_end(struct request *request)
{
	if (!request->stranger.is_one)
		return;
	assert(request->loop->stranger_count > 0);
	request->loop->stranger_count--;
	request->stranger.is_one = false;
	timer_cancel(request->loop->loop, &request->stranger.timer);
}
