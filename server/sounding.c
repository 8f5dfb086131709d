/* SPDX-License-Identifier: Apache-2.0 */
/* The side of server/sounding.h that asks: in a thread that may wait. */
#include "server/sounding.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/listen.h"
#include "server/loop_call.h"
#include "server/node.h"
#include "storage/bytes.h"

#define ASK_DEADLINE_MS 2000
#define ASKS 10
#define ASK_AGAIN_MS 200
#define TRIES 3
#define TRY_MS 150
#define ETHERNET_MTU 1500 /* guessed first */
#define FLOOR 576 /* IP has to carry that */
#define KNOCKS 5
#define KNOCK_MS 40

/* A measurement on its way. */
struct lead {
	int fd;
	uint32_t overhead; /* bytes of a packet that are not the datagram's */
	struct sounding_question question;
	struct sounding_answer answer; /* the last one */
	unsigned device; /* that it came by; 0: there was none */
	bool is_told; /* the last question was too long for a router that said so */
	const _Atomic bool *is_canceled;
};

/* --- one length ------------------------------------------------------------------------------- */

/* Waits for the answer to the question that was sent last. */
static bool await(struct lead *lead, struct clock *clock)
{
	uint64_t until_ns = clock_mono_ns(clock) + TRY_MS * UINT64_C(1000000);
	for (;;) {
		uint8_t buf[SOUNDING_LEN_MIN], control[256];
		struct iovec part = {buf, sizeof buf};
		struct msghdr message = {.msg_iov = &part,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof control};
		struct sounding_answer answer;
		size_t len;
		unsigned device;
		if (sounding_receive(lead->fd, &message, &len, &device)) {
			if (!sounding_decode_answer(buf, len, &answer) ||
				answer.number != lead->question.number ||
				len < lead->question.answer_len)
				continue;
			lead->answer = answer;
			lead->device = device;
			return true;
		}
		if (errno == EMSGSIZE)
			lead->is_told = true;
		uint64_t now_ns = clock_mono_ns(clock);
		if (errno != EAGAIN || now_ns >= until_ns)
			return false;
		struct pollfd wanted = {.fd = lead->fd, .events = POLLIN};
		poll(&wanted, 1, (int)((until_ns - now_ns) / 1000000) + 1);
	}
}

/* Does a question of so long a packet arrive, and is it answered by one? 0: as short as can be. */
static bool try_lens(struct lead *lead, struct clock *clock, uint32_t there, uint32_t back)
{
	static uint8_t zeros[SOUNDING_LEN_MAX]; /* never written: takes no memory */
	uint8_t head[SOUNDING_LEN_MIN];
	struct iovec parts[2] = {{head, sizeof head}, {zeros, 0}};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
	if (there > lead->overhead + sizeof head)
		parts[1].iov_len = there - lead->overhead - sizeof head;
	lead->question.answer_len = back > lead->overhead + SOUNDING_LEN_MIN ? back - lead->overhead
									     : 0;
	lead->is_told = false;
	for (unsigned i = 0; i < TRIES && !lead->is_told && !atomic_load(lead->is_canceled); i++) {
		lead->question.number++;
		sounding_encode_question(&lead->question, head);
		/* An error may be left of the question before. */
		if (sendmsg(lead->fd, &message, 0) < 0 && sendmsg(lead->fd, &message, 0) < 0)
			continue;
		if (await(lead, clock))
			return true;
	}
	return false;
}

/* Where to try next between what passes and what does not: what is usual comes first. */
static uint32_t guess(uint32_t passes, uint32_t fails)
{
	if (passes < ETHERNET_MTU && fails > ETHERNET_MTU)
		return ETHERNET_MTU;
	if (passes == ETHERNET_MTU)
		return ETHERNET_MTU + 1;
	return passes + (fails - passes) / 2;
}

/* The longest packet up to max that passes, there or back. */
static uint32_t find_longest(
	struct lead *lead, struct clock *clock, uint32_t max, bool is_back, bool *ret_is_told)
{
	uint32_t passes = FLOOR, fails = max + 1, len = max;
	*ret_is_told = false;
	if (max <= FLOOR)
		return max;
	while (passes + 1 < fails) {
		assert(passes < len && len < fails);
		if (try_lens(lead, clock, is_back ? 0 : len, is_back ? len : 0))
			passes = len;
		else
			fails = len;
		*ret_is_told |= lead->is_told;
		len = guess(passes, fails);
	}
	return passes;
}

/* --- one way ---------------------------------------------------------------------------------- */

static uint32_t cap(uint32_t mtu)
{
	return mtu < IP_MAXPACKET ? mtu : IP_MAXPACKET;
}

static void measure(struct lead *lead, struct clock *clock, struct sounding *sounding)
{
	sounding->mtu_here = sounding_mtu(lead->fd, lead->device, sounding->device);
	sounding->mtu_there = lead->answer.mtu;
	if (sounding->mtu_here == 0 || sounding->mtu_there == 0)
		return;
	sounding->there = find_longest(
		lead, clock, cap(sounding->mtu_here), false, &sounding->is_told_there);
	bool is_told;
	sounding->back = find_longest(lead, clock, cap(sounding->mtu_there), true, &is_told);
	/* Devices take a few bytes more than they say. */
	if (sounding->there > sounding->mtu_there)
		sounding->there = sounding->mtu_there;
	if (sounding->back > sounding->mtu_here)
		sounding->back = sounding->mtu_here;
	/* That short ones still pass is what makes the lost ones say something (S3). */
	sounding->is_known = try_lens(lead, clock, 0, 0);
	sounding->is_told_back = lead->answer.is_told;
}

bool sounding_is_mismatch(const struct sounding *sounding)
{
	return sounding->is_known &&
		((sounding->there < cap(sounding->mtu_here) && !sounding->is_told_there) ||
			(sounding->back < cap(sounding->mtu_there) && !sounding->is_told_back));
}

static enum err connect_to(const struct channel_address *address, struct lead *lead)
{
	struct sockaddr_storage sockaddr;
	socklen_t len;
	int fd;
	if (!listen_parse_address(address->host, address->port, &sockaddr, &len))
		return ERR_INVALID;
	enum err err = sounding_socket(sockaddr.ss_family, &fd);
	if (err)
		return err;
	if (connect(fd, (const struct sockaddr *)&sockaddr, len) != 0) {
		err = err_from_errno(errno);
		close(fd);
		return err;
	}
	lead->fd = fd;
	lead->overhead = sockaddr.ss_family == AF_INET6 ? SOUNDING_OVERHEAD_SIX
							: SOUNDING_OVERHEAD_FOUR;
	return ERR_OK;
}

/* The other may still be about to open its door. */
static bool knock(struct lead *lead, struct clock *clock)
{
	for (unsigned i = 0; i < KNOCKS && !atomic_load(lead->is_canceled); i++) {
		if (try_lens(lead, clock, 0, 0))
			return true;
		poll(NULL, 0, KNOCK_MS);
	}
	return false;
}

/* --- asking ----------------------------------------------------------------------------------- */

struct ask {
	struct peer_call call;
	struct cluster *cluster;
	struct completion completion;
};

static void answered(struct peer_call *call)
{
	struct ask *ask = CONTAINER_OF(call, struct ask, call);
	completion_end(&ask->completion, call->err ? call->err : call->answer_err);
}

static enum err begin(void *arg)
{
	struct ask *ask = arg;
	peer_call_start(ask->cluster->loop_peers[0], &ask->call);
	return ERR_OK;
}

static enum err ask_once(struct cluster *cluster, struct id node, const uint8_t *secret)
{
	struct ask ask = {.cluster = cluster};
	ask.call = (struct peer_call){.node = node,
		.kind = PEER_SOUND,
		.deadline_ms = ASK_DEADLINE_MS,
		.head = bytes_make(secret, SOUNDING_SECRET_LEN),
		.done = answered};
	completion_init(&ask.completion);
	err_ignore(loop_call(cluster->loop, begin, &ask)); /* never fails */
	return completion_wait(&ask.completion);
}

/* A link on which long messages are lost breaks and is made again, again and again: there may be
 * one in a moment. */
static enum err open_door(struct cluster *cluster, struct id node, const uint8_t *secret,
	const _Atomic bool *is_canceled)
{
	enum err err = ask_once(cluster, node, secret);
	for (unsigned i = 0; i < ASKS && (err == ERR_UNAVAILABLE || err == ERR_CLOSED); i++) {
		if (atomic_load(is_canceled))
			break;
		poll(NULL, 0, ASK_AGAIN_MS);
		err = ask_once(cluster, node, secret);
	}
	return err;
}

enum err sounding_measure(struct cluster *cluster, const struct channel_node *node,
	const _Atomic bool *is_canceled, struct sounding *ret_sounding)
{
	struct lead lead = {.is_canceled = is_canceled};
	struct clock *clock = cluster->node->clock;
	random_fill(cluster->node->random, lead.question.secret, SOUNDING_SECRET_LEN);
	lead.question.number = random_u64(cluster->node->random);
	enum err err = open_door(cluster, node->id, lead.question.secret, is_canceled);
	if (err)
		return err;
	*ret_sounding = (struct sounding){0};
	for (unsigned i = 0; i < node->address_count && !ret_sounding->is_known; i++) {
		/* An address that leads nowhere is none of ours to complain about. */
		if (connect_to(&node->addresses[i], &lead) != ERR_OK)
			continue;
		if (knock(&lead, clock))
			measure(&lead, clock, ret_sounding);
		close(lead.fd);
	}
	return ERR_OK;
}
