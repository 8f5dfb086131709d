/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_S3_TIME_H
#define GATEWAY_S3_TIME_H

#include "storage/bytes.h"
#include "storage/err.h"

/* Dates as S3 writes them. Integer arithmetic on the proleptic Gregorian calendar, UTC; no libc, no
 * locale. Times are milliseconds (_ms) or seconds (_s) since 1970, years 1970 to 9999. */
enum {
	S3_TIME_ISO8601_LEN = 24, /* 2026-11-21T12:48:16.000Z, in XML */
	S3_TIME_HTTP_LEN = 29, /* Sat, 21 Nov 2026 12:48:16 GMT, in headers */
	S3_TIME_AMZ_LEN = 16, /* 20261121T124816Z, in signatures */
};

/* Later times than the year 9999 are written as its last moment. No NUL is added. */
void s3_time_format_iso8601(uint64_t time_ms, uint8_t ret_text[S3_TIME_ISO8601_LEN]);
void s3_time_format_http(uint64_t time_s, uint8_t ret_text[S3_TIME_HTTP_LEN]);
void s3_time_format_amz(uint64_t time_s, uint8_t ret_text[S3_TIME_AMZ_LEN]);

/* The three forms of RFC 9110: IMF-fixdate, RFC 850 with two digits of the year (70 to 99 are
 * 19xx), asctime. Names of days and months in any case; the day of the week need not fit.
 * Errors: ERR_INVALID. */
enum err s3_time_parse_http(struct bytes text, uint64_t *ret_s) MUST_USE;

/* 20261121T124816Z. Errors: ERR_INVALID. */
enum err s3_time_parse_amz(struct bytes text, uint64_t *ret_s) MUST_USE;

/* 2026-11-21T12:48:16Z with any number of decimals, "Z" or an offset like +01:00.
 * Errors: ERR_INVALID. */
enum err s3_time_parse_iso8601(struct bytes text, uint64_t *ret_ms) MUST_USE;

#endif
