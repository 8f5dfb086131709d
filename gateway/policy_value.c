/* SPDX-License-Identifier: Apache-2.0 */
/* Values in policies: patterns, numbers, dates, networks. */
#include <arpa/inet.h>

#include "gateway/policy_priv.h"
#include "gateway/s3_time.h"

/* --- patterns --------------------------------------------------------------------------------- */

static bool is_continuation(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* Where the next character begins. */
static size_t next_character(struct bytes text, size_t i)
{
	i++;
	while (i < text.len && is_continuation(text.data[i]))
		i++;
	return i;
}

/* What stands between two stars is searched from left to right, and never looked for again: of all
 * places that match, the first leaves most for the rest. */
bool policy_is_match(struct bytes pattern, struct bytes text)
{
	size_t p = 0, t = 0;
	size_t star = SIZE_MAX, star_text = 0;

	while (t < text.len) {
		uint8_t c = p < pattern.len ? pattern.data[p] : 0;
		if (p < pattern.len && c == POLICY_ANY_RUN) {
			star = p++;
			star_text = t;
		} else if (p < pattern.len && c == POLICY_ANY_ONE) {
			p++;
			t = next_character(text, t);
		} else if (p < pattern.len && c == text.data[t]) {
			p++;
			t++;
		} else if (star != SIZE_MAX) {
			p = star + 1;
			t = ++star_text;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.data[p] == POLICY_ANY_RUN)
		p++;
	return p == pattern.len;
}

/* All places in `bucket/` that the pattern can have come to, as bits, pattern byte by byte. */
unsigned policy_reach(struct bytes pattern, struct bytes bucket)
{
	assert(bucket.len < 64);
	unsigned __int128 places = 1, all = ((unsigned __int128)1 << (bucket.len + 2)) - 1;
	const unsigned __int128 end = (unsigned __int128)1 << (bucket.len + 1);

	for (size_t p = 0; p < pattern.len && places; p++) {
		uint8_t c = pattern.data[p];
		unsigned __int128 next = 0;
		if (places & end)
			return POLICY_OBJECT |
				(policy_is_match(pattern, bucket) ? POLICY_BUCKET : 0);
		if (c == POLICY_ANY_RUN) {
			next = all & ~((places & -places) - 1);
		} else if (c == POLICY_VARIABLE) {
			next = all & ~((places & -places) - 1); /* it may be anything */
			p++;
		} else {
			for (size_t i = 0; i <= bucket.len; i++) {
				uint8_t there = i < bucket.len ? bucket.data[i] : '/';
				if ((places >> i & 1) && (c == POLICY_ANY_ONE || c == there))
					next |= (unsigned __int128)1 << (i + 1);
			}
		}
		places = next;
	}
	unsigned reach = places & end ? POLICY_OBJECT : 0;
	return reach | (places & end >> 1 ? POLICY_BUCKET : 0);
}

static uint8_t fold(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? c + 32 : c;
}

bool policy_is_equal_ignoring_case(struct bytes a, struct bytes b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++)
		if (fold(a.data[i]) != fold(b.data[i]))
			return false;
	return true;
}

/* --- numbers and dates ------------------------------------------------------------------------ */

bool policy_parse_number(struct bytes text, int64_t *ret_value)
{
	bool is_negative = text.len > 0 && text.data[0] == '-';
	int64_t value = 0;

	if (is_negative)
		text = bytes_from(text, 1);
	if (text.len == 0 || text.len > 18)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		value = value * 10 + (text.data[i] - '0');
	}
	*ret_value = is_negative ? -value : value;
	return true;
}

bool policy_parse_date(struct bytes text, int64_t *ret_ms)
{
	uint64_t time_ms;
	int64_t time_s;

	if (text.len <= 12 && policy_parse_number(text, &time_s)) {
		*ret_ms = time_s * 1000;
		return true;
	}
	if (s3_time_parse_iso8601(text, &time_ms) != ERR_OK || time_ms > INT64_MAX)
		return false;
	*ret_ms = time_ms;
	return true;
}

bool policy_parse_bool(struct bytes text, bool *ret_value)
{
	*ret_value = policy_is_equal_ignoring_case(text, bytes_of("true"));
	return *ret_value || policy_is_equal_ignoring_case(text, bytes_of("false"));
}

/* --- networks --------------------------------------------------------------------------------- */

static bool parse_address(struct bytes text, struct policy_network *ret_network)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	char address[INET6_ADDRSTRLEN];

	if (text.len == 0 || text.len >= sizeof address || memchr(text.data, 0, text.len))
		return false;
	memcpy(address, text.data, text.len);
	address[text.len] = '\0';
	if (inet_pton(AF_INET, address, ret_network->address + sizeof mapped) == 1) {
		memcpy(ret_network->address, mapped, sizeof mapped);
		ret_network->bits = 32;
		return true;
	}
	ret_network->bits = 128;
	return inet_pton(AF_INET6, address, ret_network->address) == 1;
}

/* An address, or one with the number of bits that count: 10.0.0.0/8. */
bool policy_parse_network(struct bytes text, struct policy_network *ret_network)
{
	const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
	size_t address_len = slash ? (size_t)(slash - text.data) : text.len;
	int64_t bits;

	if (!parse_address(bytes_make(text.data, address_len), ret_network))
		return false;
	uint8_t bits_max = ret_network->bits;
	bits = bits_max;
	if (slash &&
		(!policy_parse_number(bytes_from(text, address_len + 1), &bits) || bits < 0 ||
			bits > bits_max))
		return false;
	ret_network->bits = 128 - bits_max + bits;
	return true;
}

bool policy_is_inside(const struct policy_network *network, const struct policy_network *address)
{
	size_t whole = network->bits / 8, rest = network->bits % 8;
	if (memcmp(network->address, address->address, whole) != 0)
		return false;
	return rest == 0 ||
		((network->address[whole] ^ address->address[whole]) >> (8 - rest)) == 0;
}
