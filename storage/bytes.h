/* SPDX-License-Identifier: Apache-2.0 */
#ifndef STORAGE_BYTES_H
#define STORAGE_BYTES_H

#include <assert.h>
#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A run of bytes that somebody else owns. Borrowed, unless a comment says otherwise. */
struct bytes {
	const uint8_t *data;
	size_t len;
};

/* The bytes of a C string, without its end. */
static inline struct bytes bytes_of(const char *text)
{
	return (struct bytes){(const uint8_t *)text, strlen(text)};
}

static inline struct bytes bytes_make(const void *data, size_t len)
{
	return (struct bytes){data, len};
}

static inline bool bytes_is_equal(struct bytes a, struct bytes b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool bytes_is_text(struct bytes a, const char *text)
{
	return bytes_is_equal(a, bytes_of(text));
}

/* Order of unsigned bytes, a prefix first: the order of every key in this program. */
static inline int bytes_compare(struct bytes a, struct bytes b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.data, b.data, len) : 0;
	if (order != 0)
		return order;
	return a.len < b.len ? -1 : a.len > b.len;
}

static inline bool bytes_has_prefix(struct bytes a, struct bytes prefix)
{
	return a.len >= prefix.len &&
		(prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

/* The rest of a from offset on. */
static inline struct bytes bytes_from(struct bytes a, size_t offset)
{
	assert(offset <= a.len);
	return (struct bytes){a.data + offset, a.len - offset};
}

/* Without the bytes of chars at both ends. */
static inline struct bytes bytes_trim(struct bytes text, const char *chars)
{
	size_t count = strlen(chars);
	while (text.len > 0 && memchr(chars, text.data[0], count))
		text = bytes_from(text, 1);
	while (text.len > 0 && memchr(chars, text.data[text.len - 1], count))
		text.len--;
	return text;
}

/* Integers on disk and wire are little-endian; inside keys they are big-endian, so that byte order
 * is numeric order. */
static inline void put_le16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_le32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_le64(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_be16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_be32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, sizeof v);
}

static inline void put_be64(uint8_t *p, uint64_t v)
{
	v = htobe64(v);
	memcpy(p, &v, sizeof v);
}

static inline uint16_t get_le16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return le16toh(v);
}

static inline uint32_t get_le32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return le32toh(v);
}

static inline uint64_t get_le64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static inline uint16_t get_be16(const uint8_t *p)
{
	uint16_t v;
	memcpy(&v, p, sizeof v);
	return be16toh(v);
}

static inline uint32_t get_be32(const uint8_t *p)
{
	uint32_t v;
	memcpy(&v, p, sizeof v);
	return be32toh(v);
}

static inline uint64_t get_be64(const uint8_t *p)
{
	uint64_t v;
	memcpy(&v, p, sizeof v);
	return be64toh(v);
}

/* The struct that contains a member, from a pointer to the member. */
#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t round_up(uint64_t value, uint64_t grain)
{
	return (value + grain - 1) / grain * grain;
}

#endif
