/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/s3_time.h"

#define TIME_S_MAX 253402300799u /* 9999-12-31T23:59:59Z */

static const char month_names[12][4] = {
	"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};

struct civil {
	unsigned year, month, day; /* month and day from 1 */
	unsigned hour, minute, second;
	unsigned weekday; /* index of day_names: 0 is Thursday, the first day of 1970 */
};

/* Years begin in March here, so that the leap day is the last of its year; 400 of them are an era
 * of 146097 days. */
static struct civil civil_from_s(uint64_t time_s)
{
	uint32_t days = time_s / 86400;
	uint32_t second = time_s % 86400;
	uint32_t shifted = days + 719468; /* since 0000-03-01 */
	uint32_t era = shifted / 146097;
	uint32_t day_of_era = shifted % 146097;
	uint32_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
				       day_of_era / 146096) /
		365;
	uint32_t day_of_year = day_of_era -
		(365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	uint32_t month_from_march = (5 * day_of_year + 2) / 153;
	uint32_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
	return (struct civil){
		.year = era * 400 + year_of_era + (month <= 2),
		.month = month,
		.day = day_of_year - (153 * month_from_march + 2) / 5 + 1,
		.hour = second / 3600,
		.minute = second / 60 % 60,
		.second = second % 60,
		.weekday = days % 7,
	};
}

static bool is_leap(unsigned year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* The fields came from outside. A leap second is taken as the second before it. */
static enum err s_from_civil(const struct civil *civil, uint64_t *ret_s)
{
	static const uint8_t month_len[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	if (civil->year < 1970 || civil->year > 9999 || civil->month < 1 || civil->month > 12)
		return ERR_INVALID;
	unsigned last = month_len[civil->month - 1] + (civil->month == 2 && is_leap(civil->year));
	if (civil->day < 1 || civil->day > last)
		return ERR_INVALID;
	if (civil->hour > 23 || civil->minute > 59 || civil->second > 60)
		return ERR_INVALID;

	uint32_t year = civil->month <= 2 ? civil->year - 1 : civil->year;
	uint32_t month_from_march = (civil->month + 9) % 12;
	uint32_t days = year * 365 + year / 4 - year / 100 + year / 400 +
		(153 * month_from_march + 2) / 5 + civil->day - 1 - 719468;
	unsigned second = civil->second == 60 ? 59 : civil->second;
	*ret_s = (uint64_t)days * 86400 + civil->hour * 3600 + civil->minute * 60 + second;
	return ERR_OK;
}

static uint8_t *put_digits(uint8_t *p, unsigned value, unsigned count)
{
	for (unsigned i = count; i-- > 0; value /= 10)
		p[i] = '0' + value % 10;
	return p + count;
}

static uint8_t *put_literal(uint8_t *p, const char *text, size_t len)
{
	memcpy(p, text, len);
	return p + len;
}

void s3_time_format_iso8601(uint64_t time_ms, uint8_t ret_text[S3_TIME_ISO8601_LEN])
{
	if (time_ms / 1000 > TIME_S_MAX)
		time_ms = TIME_S_MAX * 1000 + 999;
	struct civil civil = civil_from_s(time_ms / 1000);
	uint8_t *p = put_digits(ret_text, civil.year, 4);
	*p++ = '-';
	p = put_digits(p, civil.month, 2);
	*p++ = '-';
	p = put_digits(p, civil.day, 2);
	*p++ = 'T';
	p = put_digits(p, civil.hour, 2);
	*p++ = ':';
	p = put_digits(p, civil.minute, 2);
	*p++ = ':';
	p = put_digits(p, civil.second, 2);
	*p++ = '.';
	p = put_digits(p, time_ms % 1000, 3);
	*p++ = 'Z';
	assert(p == ret_text + S3_TIME_ISO8601_LEN);
}

void s3_time_format_http(uint64_t time_s, uint8_t ret_text[S3_TIME_HTTP_LEN])
{
	struct civil civil = civil_from_s(time_s < TIME_S_MAX ? time_s : TIME_S_MAX);
	uint8_t *p = put_literal(ret_text, day_names[civil.weekday], 3);
	p = put_literal(p, ", ", 2);
	p = put_digits(p, civil.day, 2);
	*p++ = ' ';
	p = put_literal(p, month_names[civil.month - 1], 3);
	*p++ = ' ';
	p = put_digits(p, civil.year, 4);
	*p++ = ' ';
	p = put_digits(p, civil.hour, 2);
	*p++ = ':';
	p = put_digits(p, civil.minute, 2);
	*p++ = ':';
	p = put_digits(p, civil.second, 2);
	p = put_literal(p, " GMT", 4);
	assert(p == ret_text + S3_TIME_HTTP_LEN);
}

void s3_time_format_amz(uint64_t time_s, uint8_t ret_text[S3_TIME_AMZ_LEN])
{
	struct civil civil = civil_from_s(time_s < TIME_S_MAX ? time_s : TIME_S_MAX);
	uint8_t *p = put_digits(ret_text, civil.year, 4);
	p = put_digits(p, civil.month, 2);
	p = put_digits(p, civil.day, 2);
	*p++ = 'T';
	p = put_digits(p, civil.hour, 2);
	p = put_digits(p, civil.minute, 2);
	p = put_digits(p, civil.second, 2);
	*p++ = 'Z';
	assert(p == ret_text + S3_TIME_AMZ_LEN);
}

static bool take_char(struct bytes *text, char c)
{
	if (text->len == 0 || text->data[0] != (uint8_t)c)
		return false;
	*text = bytes_from(*text, 1);
	return true;
}

static bool take_digits(struct bytes *text, unsigned count, unsigned *ret_value)
{
	if (text->len < count)
		return false;
	unsigned value = 0;
	for (unsigned i = 0; i < count; i++) {
		unsigned digit = text->data[i] - (unsigned)'0';
		if (digit > 9)
			return false;
		value = value * 10 + digit;
	}
	*text = bytes_from(*text, count);
	*ret_value = value;
	return true;
}

static bool take_month(struct bytes *text, unsigned *ret_month)
{
	for (unsigned month = 0; month < 12 && text->len >= 3; month++) {
		const char *name = month_names[month];
		if ((text->data[0] | 0x20) == (name[0] | 0x20) &&
			(text->data[1] | 0x20) == name[1] && (text->data[2] | 0x20) == name[2]) {
			*text = bytes_from(*text, 3);
			*ret_month = month + 1;
			return true;
		}
	}
	return false;
}

static bool take_clock(struct bytes *text, struct civil *civil)
{
	return take_digits(text, 2, &civil->hour) && take_char(text, ':') &&
		take_digits(text, 2, &civil->minute) && take_char(text, ':') &&
		take_digits(text, 2, &civil->second);
}

static bool take_gmt(struct bytes *text)
{
	return take_char(text, ' ') && (bytes_is_text(*text, "GMT") || bytes_is_text(*text, "UTC"));
}

/* "21 Nov 2026 12:48:16 GMT" */
static bool take_imf(struct bytes text, struct civil *civil)
{
	return take_digits(&text, 2, &civil->day) && take_char(&text, ' ') &&
		take_month(&text, &civil->month) && take_char(&text, ' ') &&
		take_digits(&text, 4, &civil->year) && take_char(&text, ' ') &&
		take_clock(&text, civil) && take_gmt(&text);
}

/* "21-Nov-26 12:48:16 GMT" */
static bool take_rfc850(struct bytes text, struct civil *civil)
{
	bool is_taken = take_digits(&text, 2, &civil->day) && take_char(&text, '-') &&
		take_month(&text, &civil->month) && take_char(&text, '-') &&
		take_digits(&text, 2, &civil->year) && take_char(&text, ' ') &&
		take_clock(&text, civil) && take_gmt(&text);
	civil->year += civil->year >= 70 ? 1900 : 2000;
	return is_taken;
}

/* "Nov 21 12:48:16 2026", "Nov  1 12:48:16 2026" */
static bool take_asctime(struct bytes text, struct civil *civil)
{
	if (!take_month(&text, &civil->month) || !take_char(&text, ' '))
		return false;
	unsigned day_len = take_char(&text, ' ') ? 1 : 2;
	return take_digits(&text, day_len, &civil->day) && take_char(&text, ' ') &&
		take_clock(&text, civil) && take_char(&text, ' ') &&
		take_digits(&text, 4, &civil->year) && text.len == 0;
}

enum err s3_time_parse_http(struct bytes text, uint64_t *ret_s)
{
	size_t weekday_len = 0;
	while (weekday_len < text.len && weekday_len < 9 &&
		(text.data[weekday_len] | 0x20) >= 'a' && (text.data[weekday_len] | 0x20) <= 'z')
		weekday_len++;
	if (weekday_len < 3)
		return ERR_INVALID;
	struct bytes rest = bytes_from(text, weekday_len);
	bool has_comma = take_char(&rest, ',');
	if (!take_char(&rest, ' '))
		return ERR_INVALID;

	struct civil civil = {0};
	bool is_taken = !has_comma ? take_asctime(rest, &civil)
				   : take_imf(rest, &civil) || take_rfc850(rest, &civil);
	return is_taken ? s_from_civil(&civil, ret_s) : ERR_INVALID;
}

enum err s3_time_parse_amz(struct bytes text, uint64_t *ret_s)
{
	struct civil civil = {0};
	bool is_taken = take_digits(&text, 4, &civil.year) && take_digits(&text, 2, &civil.month) &&
		take_digits(&text, 2, &civil.day) && take_char(&text, 'T') &&
		take_digits(&text, 2, &civil.hour) && take_digits(&text, 2, &civil.minute) &&
		take_digits(&text, 2, &civil.second) && take_char(&text, 'Z') && text.len == 0;
	return is_taken ? s_from_civil(&civil, ret_s) : ERR_INVALID;
}

/* ".123456" as milliseconds; what is finer is cut off. */
static bool take_decimals(struct bytes *text, unsigned *ret_ms)
{
	unsigned ms = 0, digit, count = 0;
	if (take_char(text, '.')) {
		while (take_digits(text, 1, &digit)) {
			if (count < 3)
				ms = ms * 10 + digit;
			count++;
		}
		if (count == 0)
			return false;
		for (; count < 3; count++)
			ms *= 10;
	}
	*ret_ms = ms;
	return true;
}

/* "Z", "+01:00" or "-01:00", in seconds east of Greenwich. */
static bool take_offset(struct bytes *text, int *ret_offset_s)
{
	if (take_char(text, 'Z')) {
		*ret_offset_s = 0;
		return text->len == 0;
	}
	int sign = take_char(text, '+') ? 1 : take_char(text, '-') ? -1 : 0;
	unsigned hour, minute;
	if (sign == 0 || !take_digits(text, 2, &hour) || !take_char(text, ':') ||
		!take_digits(text, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*ret_offset_s = sign * (int)(hour * 3600 + minute * 60);
	return text->len == 0;
}

enum err s3_time_parse_iso8601(struct bytes text, uint64_t *ret_ms)
{
	struct civil civil = {0};
	unsigned ms;
	int offset_s;
	bool is_taken = take_digits(&text, 4, &civil.year) && take_char(&text, '-') &&
		take_digits(&text, 2, &civil.month) && take_char(&text, '-') &&
		take_digits(&text, 2, &civil.day) && take_char(&text, 'T') &&
		take_clock(&text, &civil) && take_decimals(&text, &ms) &&
		take_offset(&text, &offset_s);
	uint64_t time_s;
	if (!is_taken || s_from_civil(&civil, &time_s) != ERR_OK)
		return ERR_INVALID;
	int64_t utc_s = (int64_t)time_s - offset_s;
	if (utc_s < 0)
		return ERR_INVALID;
	*ret_ms = (uint64_t)utc_s * 1000 + ms;
	return ERR_OK;
}
