/* SPDX-License-Identifier: Apache-2.0 */
/* Datagrams of server/sounding.h, and the sockets they go by. */
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/sounding.h"
#include "storage/bytes.h"

#define MAGIC_LEN 8

static const uint8_t question_magic[] = "rubus?mt";
static const uint8_t answer_magic[] = "rubus!mt";

void sounding_encode_question(const struct sounding_question *question, uint8_t *buf)
{
	memset(buf, 0, SOUNDING_LEN_MIN);
	memcpy(buf, question_magic, MAGIC_LEN);
	memcpy(buf + 8, question->secret, SOUNDING_SECRET_LEN);
	put_le64(buf + 24, question->number);
	put_le32(buf + 32, question->answer_len);
}

bool sounding_decode_question(
	const uint8_t *buf, size_t len, struct sounding_question *ret_question)
{
	if (len < SOUNDING_LEN_MIN || memcmp(buf, question_magic, MAGIC_LEN) != 0 ||
		get_le32(buf + 32) > SOUNDING_LEN_MAX)
		return false;
	memcpy(ret_question->secret, buf + 8, SOUNDING_SECRET_LEN);
	ret_question->number = get_le64(buf + 24);
	ret_question->answer_len = get_le32(buf + 32);
	return true;
}

void sounding_encode_answer(const struct sounding_answer *answer, uint8_t *buf)
{
	memset(buf, 0, SOUNDING_LEN_MIN);
	memcpy(buf, answer_magic, MAGIC_LEN);
	put_le64(buf + 8, answer->number);
	put_le32(buf + 16, answer->len);
	put_le32(buf + 20, answer->mtu);
	buf[24] = answer->is_told;
}

bool sounding_decode_answer(const uint8_t *buf, size_t len, struct sounding_answer *ret_answer)
{
	if (len < SOUNDING_LEN_MIN || memcmp(buf, answer_magic, MAGIC_LEN) != 0)
		return false;
	ret_answer->number = get_le64(buf + 8);
	ret_answer->len = get_le32(buf + 16);
	ret_answer->mtu = get_le32(buf + 20);
	ret_answer->is_told = buf[24] != 0;
	return true;
}

static bool set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

enum err sounding_socket(int family, int *ret_fd)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_from_errno(errno);
	/* A socket of IPv6 speaks IPv4 too, so that both are set. */
	bool is_set = set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE) &&
		set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	if (is_set && family == AF_INET6)
		is_set = set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) &&
			set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_PROBE) &&
			set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1) &&
			set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	if (!is_set) {
		enum err err = err_from_errno(errno);
		close(fd);
		return err;
	}
	*ret_fd = fd;
	return ERR_OK;
}

static unsigned find_device(struct msghdr *message)
{
	for (struct cmsghdr *head = CMSG_FIRSTHDR(message); head;
		head = CMSG_NXTHDR(message, head)) {
		struct in_pktinfo four;
		struct in6_pktinfo six;
		if (head->cmsg_level == IPPROTO_IP && head->cmsg_type == IP_PKTINFO) {
			memcpy(&four, CMSG_DATA(head), sizeof four);
			return (unsigned)four.ipi_ifindex;
		}
		if (head->cmsg_level == IPPROTO_IPV6 && head->cmsg_type == IPV6_PKTINFO) {
			memcpy(&six, CMSG_DATA(head), sizeof six);
			return six.ipi6_ifindex;
		}
	}
	return 0;
}

bool sounding_receive(int fd, struct msghdr *message, size_t *ret_len, unsigned *ret_device)
{
	ssize_t len = recvmsg(fd, message, MSG_TRUNC);
	if (len < 0)
		return false;
	*ret_len = (size_t)len;
	*ret_device = find_device(message);
	return true;
}

uint32_t sounding_mtu(int fd, unsigned device, char *name)
{
	struct ifreq request = {0};
	name[0] = '\0';
	if (device == 0 || !if_indextoname(device, request.ifr_name))
		return 0;
	memcpy(name, request.ifr_name, IF_NAMESIZE);
	if (ioctl(fd, SIOCGIFMTU, &request) != 0 || request.ifr_mtu < 0)
		return 0;
	return (uint32_t)request.ifr_mtu;
}
