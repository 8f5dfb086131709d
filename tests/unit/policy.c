/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/policy.h"

#include <stdio.h>
#include <stdlib.h>

#include "gateway/policy_priv.h"
#include "gateway/route.h"
#include "tests/lib/test.h"

#define BUCKET "garden"

/* --- a request made of words ------------------------------------------------------------------ */

struct words {
	struct policy_request request;
	const char *values; /* "s3:prefix=home/&aws:SourceIp=10.0.0.1" */
};

static bool find_value(const struct policy_request *request, enum policy_key key, struct bytes name,
	uint8_t *buf, struct bytes *ret_value)
{
	const struct words *words = CONTAINER_OF(request, struct words, request);
	const char *p = words->values;
	(void)buf;
	while (p && *p) {
		size_t len = strcspn(p, "&"), name_len = strcspn(p, "=");
		enum policy_key found;
		struct bytes rest;
		ck_assert_ok(policy_find_key(bytes_make(p, name_len), &found, &rest));
		if (found == key && bytes_is_equal(rest, name)) {
			*ret_value = bytes_make(p + name_len + 1, len - name_len - 1);
			return true;
		}
		p += len + (p[len] == '&');
	}
	return false;
}

static struct policy *compile(const char *json)
{
	struct policy *policy = NULL;
	const char *why = "";
	enum err err = policy_parse(
		POLICY_OF_BUCKET, bytes_of(json), bytes_of(BUCKET), &policy, &why);
	ck_assert_msg(err == ERR_OK, "%s: %s", json, why);
	return policy;
}

static enum policy_effect ask(const struct policy *policy, const char *who, const char *action,
	const char *key, const char *values)
{
	struct words words = {
		.request =
			{
				.is_anonymous = !who,
				.owner = bytes_of(who ? who : ""),
				.action = action,
				.bucket = bytes_of(BUCKET),
				.key = bytes_of(key),
				.value = find_value,
			},
		.values = values,
	};
	return policy_evaluate(policy, &words.request);
}

/* --- what a policy says ----------------------------------------------------------------------- */

#define POLICY(statements) "{\"Version\":\"2012-10-17\",\"Statement\":[" statements "]}"
#define STATEMENT(effect, principal, action, resource, rest) \
	"{\"Effect\":\"" effect "\",\"Principal\":" principal ",\"Action\":" action \
	",\"Resource\":" resource rest "}"
#define ANYBODY "\"*\""
#define USER(name) "{\"AWS\":\"" name "\"}"
#define BUCKET_ARN "\"arn:aws:s3:::garden\""
#define OBJECTS "\"arn:aws:s3:::garden/*\""
#define ARN(rest) "\"arn:aws:s3:::" rest "\""
#define GET "\"s3:GetObject\""
#define ALLOW(principal, action, resource) STATEMENT("Allow", principal, action, resource, "")
#define DENY(principal, action, resource) STATEMENT("Deny", principal, action, resource, "")
#define IF(operator, key, values) ",\"Condition\":{\"" operator"\":{\"" key "\":" values "}}"
#define GET_IF(operator, key, values) \
	POLICY(STATEMENT("Allow", ANYBODY, GET, OBJECTS, IF(operator, key, values)))
#define LIST_IF(operator, key, values) \
	POLICY(STATEMENT( \
		"Allow", ANYBODY, "\"s3:ListBucket\"", BUCKET_ARN, IF(operator, key, values)))
#define GET_DENY_IF(operator, key, values) \
	POLICY(ALLOW(ANYBODY, GET, OBJECTS) "," STATEMENT( \
		"Deny", ANYBODY, GET, OBJECTS, IF(operator, key, values)))

#define NOT_BOB \
	POLICY("{\"Effect\":\"Deny\",\"NotPrincipal\":" USER("bob") ",\"Action\":" GET \
								    ",\"Resource\":" OBJECTS "}")
#define NOT_PUT \
	POLICY("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"NotAction\":\"s3:Put*\"," \
	       "\"Resource\":" OBJECTS "}")
#define NOT_SECRET \
	POLICY("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":" GET \
	       ",\"NotResource\":" ARN("garden/secret*") "}")
#define G "s3:GetObject"
#define L "s3:ListBucket"
#define P "s3:PutObject"

#define N POLICY_NEUTRAL
#define A POLICY_ALLOW
#define D POLICY_DENY

static const struct row {
	const char *policy;
	const char *who, *action, *key, *values;
	enum policy_effect effect;
} rows[] = {
	/* Whom it speaks of. */
	{POLICY(ALLOW(ANYBODY, GET, OBJECTS)), NULL, G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, GET, OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW("{\"AWS\":\"*\"}", GET, OBJECTS)), NULL, G, "k", "", A},
	{POLICY(ALLOW("{\"AWS\":[\"bob\",\"*\"]}", GET, OBJECTS)), "eve", G, "k", "", A},
	{POLICY(ALLOW(USER("bob"), GET, OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW(USER("bob"), GET, OBJECTS)), "bobby", G, "k", "", N},
	{POLICY(ALLOW(USER("bob"), GET, OBJECTS)), "Bob", G, "k", "", N},
	{POLICY(ALLOW(USER("bob"), GET, OBJECTS)), NULL, G, "k", "", N},
	{POLICY(ALLOW(USER("arn:aws:iam::bob:root"), GET, OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW(USER("arn:aws:iam::bob:user/bob"), GET, OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW(USER("arn:aws:iam:::user/bob"), GET, OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW(USER("arn:aws:iam:::user/bob"), GET, OBJECTS)), "root", G, "k", "", N},
	{POLICY(ALLOW("{\"CanonicalUser\":\"bob\"}", GET, OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW("{\"AWS\":[\"bob\",\"eve\"]}", GET, OBJECTS)), "eve", G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, GET, OBJECTS) "," DENY(USER("eve"), GET, OBJECTS)), "eve", G, "k",
		"", D},
	{POLICY(DENY(USER("eve"), GET, OBJECTS) "," ALLOW(ANYBODY, GET, OBJECTS)), "eve", G, "k",
		"", D},
	{POLICY(ALLOW(ANYBODY, GET, OBJECTS) "," DENY(USER("eve"), GET, OBJECTS)), "bob", G, "k",
		"", A},
	{NOT_BOB, "bob", G, "k", "", N},
	{NOT_BOB, "eve", G, "k", "", D},
	{NOT_BOB, NULL, G, "k", "", D},

	/* What may be done. */
	{POLICY(ALLOW(ANYBODY, GET, OBJECTS)), "bob", P, "k", "", N},
	{POLICY(ALLOW(ANYBODY, GET, OBJECTS)), "bob", "s3:GetObjectVersion", "k", "", N},
	{POLICY(ALLOW(ANYBODY, "\"s3:getobject\"", OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, "\"S3:GetObject\"", OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, "\"s3:Get*\"", OBJECTS)), "bob", "s3:GetObjectTagging", "k", "", A},
	{POLICY(ALLOW(ANYBODY, "\"s3:?etObject\"", OBJECTS)), "bob", G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, "\"s3:*Object\"", OBJECTS)), "bob", "s3:DeleteObject", "k", "", A},
	{POLICY(ALLOW(ANYBODY, "\"s3:*\"", OBJECTS)), "bob", "s3:DeleteObject", "k", "", A},
	{POLICY(ALLOW(ANYBODY, "\"*\"", OBJECTS)), "bob", P, "k", "", A},
	{POLICY(ALLOW(ANYBODY, "[\"s3:GetObject\",\"s3:PutObject\"]", OBJECTS)), "bob", P, "k", "",
		A},
	{POLICY(ALLOW(ANYBODY, "\"s3:*\"", OBJECTS)), "bob", "s3:GetNothing", "k", "", D},
	{NOT_PUT, "bob", G, "k", "", A},
	{NOT_PUT, "bob", P, "k", "", N},

	/* To what. */
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/a*"))), "bob", G, "apple", "", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/a*"))), "bob", G, "pear", "", N},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/a?c"))), "bob", G, "abc", "", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/a?c"))), "bob", G,
		"a\xc3\xa9"
		"c",
		"", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/a?c"))), "bob", G, "ac", "", N},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/a*b*c"))), "bob", G, "a/b/b/c", "", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/*.jpg"))), "bob", G, "x.jpg.jpg", "", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/k"))), "bob", G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/k"))), "bob", G, "k/", "", N},
	{POLICY(ALLOW(ANYBODY, GET, ARN("*"))), "bob", G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("gar*"))), "bob", G, "k", "", A},
	{POLICY(ALLOW(ANYBODY, "\"s3:*\"", OBJECTS)), "bob", L, "", "", N},
	{POLICY(ALLOW(ANYBODY, "\"s3:*\"", BUCKET_ARN)), "bob", L, "", "", A},
	{POLICY(ALLOW(ANYBODY, "\"s3:*\"", BUCKET_ARN)), "bob", G, "k", "", N},
	{POLICY(ALLOW(ANYBODY, "\"s3:*\"", "[" BUCKET_ARN "," OBJECTS "]")), "bob", G, "k", "", A},
	{NOT_SECRET, "bob", G, "k", "", A},
	{NOT_SECRET, "bob", G, "secret/k", "", N},

	/* Texts. */
	{LIST_IF("StringEquals", "s3:prefix", "\"home/\""), "bob", L, "", "s3:prefix=home/", A},
	{LIST_IF("StringEquals", "s3:prefix", "\"home/\""), "bob", L, "", "", N},
	{LIST_IF("StringEquals", "s3:prefix", "[\"\",\"home/\"]"), "bob", L, "", "s3:prefix=", A},
	{LIST_IF("StringEquals", "s3:prefix", "\"h*\""), "bob", L, "", "s3:prefix=home", N},
	{LIST_IF("StringEquals", "s3:prefix", "\"h*\""), "bob", L, "", "s3:prefix=h*", A},
	{LIST_IF("StringEquals", "S3:PREFIX", "\"home/\""), "bob", L, "", "s3:prefix=home/", A},
	{LIST_IF("StringEqualsIfExists", "s3:prefix", "\"home/\""), "bob", L, "", "", A},
	{LIST_IF("StringEqualsIfExists", "s3:prefix", "\"home/\""), "bob", L, "", "s3:prefix=x", N},
	{LIST_IF("ForAllValues:StringEquals", "s3:prefix", "1"), "bob", L, "", "", A},
	{LIST_IF("ForAnyValue:StringNotEquals", "s3:prefix", "1"), "bob", L, "", "", N},
	{LIST_IF("StringNotEquals", "s3:prefix", "\"home/\""), "bob", L, "", "s3:prefix=x", A},
	{LIST_IF("StringNotEquals", "s3:prefix", "\"home/\""), "bob", L, "", "s3:prefix=home/", N},
	{LIST_IF("StringNotEquals", "s3:prefix", "\"home/\""), "bob", L, "", "", A},
	{LIST_IF("StringNotEquals", "s3:prefix", "[\"a\",\"b\"]"), "bob", L, "", "s3:prefix=b", N},
	{LIST_IF("StringEqualsIgnoreCase", "s3:prefix", "\"HOME/\""), "bob", L, "",
		"s3:prefix=home/", A},
	{LIST_IF("StringNotEqualsIgnoreCase", "s3:prefix", "\"HOME/\""), "bob", L, "",
		"s3:prefix=home/", N},
	{LIST_IF("StringLike", "s3:prefix", "\"home/*\""), "bob", L, "", "s3:prefix=home/bob", A},
	{LIST_IF("StringLike", "s3:prefix", "\"home/*\""), "bob", L, "", "s3:prefix=homes", N},
	{LIST_IF("StringEquals", "s3:delimiter", "\"/\""), "bob", L, "", "s3:delimiter=/", A},
	{GET_IF("StringLike", "aws:Referer", "\"https://example.org/*\""), NULL, G, "k",
		"aws:Referer=https://example.org/page", A},
	{GET_IF("StringLike", "aws:Referer", "\"https://example.org/*\""), NULL, G, "k", "", N},
	{GET_IF("StringEquals", "s3:ExistingObjectTag/public", "\"yes\""), NULL, G, "k",
		"s3:ExistingObjectTag/public=yes", A},
	{GET_IF("StringEquals", "s3:ExistingObjectTag/public", "\"yes\""), NULL, G, "k",
		"s3:ExistingObjectTag/other=yes", N},
	{GET_DENY_IF("StringNotEquals", "s3:authType", "\"REST-HEADER\""), "bob", G, "k",
		"s3:authType=REST-QUERY-STRING", D},
	{GET_IF("ArnLike", "aws:PrincipalArn", "\"arn:aws:iam::b*:root\""), "bob", G, "k",
		"aws:PrincipalArn=arn:aws:iam::bob:root", A},
	{GET_IF("ArnNotEquals", "aws:PrincipalArn", "\"arn:aws:iam::bob:root\""), "bob", G, "k",
		"aws:PrincipalArn=arn:aws:iam::bob:root", N},

	/* Numbers, dates, truth. */
	{LIST_IF("NumericEquals", "s3:max-keys", "\"10\""), "bob", L, "", "s3:max-keys=10", A},
	{LIST_IF("NumericEquals", "s3:max-keys", "10"), "bob", L, "", "s3:max-keys=010", A},
	{LIST_IF("NumericEquals", "s3:max-keys", "10"), "bob", L, "", "s3:max-keys=ten", N},
	{LIST_IF("NumericNotEquals", "s3:max-keys", "10"), "bob", L, "", "s3:max-keys=11", A},
	{LIST_IF("NumericLessThan", "s3:max-keys", "10"), "bob", L, "", "s3:max-keys=10", N},
	{LIST_IF("NumericLessThanEquals", "s3:max-keys", "10"), "bob", L, "", "s3:max-keys=10", A},
	{LIST_IF("NumericLessThanEquals", "s3:max-keys", "10"), "bob", L, "", "", N},
	{LIST_IF("NumericGreaterThan", "s3:max-keys", "10"), "bob", L, "", "s3:max-keys=11", A},
	{LIST_IF("NumericGreaterThanEquals", "s3:max-keys", "-1"), "bob", L, "", "s3:max-keys=0",
		A},
	{GET_IF("DateLessThan", "aws:CurrentTime", "\"2026-12-01T00:00:00Z\""), "bob", G, "k",
		"aws:CurrentTime=2026-11-21T23:00:00Z", A},
	{GET_IF("DateLessThan", "aws:CurrentTime", "\"2026-11-01T00:00:00Z\""), "bob", G, "k",
		"aws:CurrentTime=2026-11-21T23:00:00Z", N},
	{GET_IF("DateGreaterThan", "aws:EpochTime", "1700000000"), "bob", G, "k",
		"aws:EpochTime=1795000000", A},
	{GET_IF("NumericGreaterThan", "aws:EpochTime", "1700000000"), "bob", G, "k",
		"aws:EpochTime=1600000000", N},
	{GET_IF("DateEquals", "aws:CurrentTime", "\"1970-01-01T00:00:01Z\""), "bob", G, "k",
		"aws:CurrentTime=1", A},
	{GET_IF("Bool", "aws:SecureTransport", "\"true\""), "bob", G, "k",
		"aws:SecureTransport=true", A},
	{GET_DENY_IF("Bool", "aws:SecureTransport", "false"), "bob", G, "k",
		"aws:SecureTransport=false", D},
	{GET_DENY_IF("Bool", "aws:SecureTransport", "\"False\""), "bob", G, "k",
		"aws:SecureTransport=true", A},
	{GET_IF("Null", "aws:Referer", "true"), "bob", G, "k", "", A},
	{GET_IF("Null", "aws:Referer", "true"), "bob", G, "k", "aws:Referer=x", N},
	{GET_IF("Null", "aws:Referer", "\"false\""), "bob", G, "k", "", N},

	/* Networks. */
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.0.0.0/8\""), NULL, G, "k",
		"aws:SourceIp=10.1.2.3", A},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.0.0.0/8\""), NULL, G, "k",
		"aws:SourceIp=11.1.2.3", N},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.1.2.3\""), NULL, G, "k", "aws:SourceIp=10.1.2.3",
		A},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.1.2.3\""), NULL, G, "k", "aws:SourceIp=10.1.2.4",
		N},
	{GET_IF("IpAddress", "aws:SourceIp", "\"192.168.4.0/23\""), NULL, G, "k",
		"aws:SourceIp=192.168.5.255", A},
	{GET_IF("IpAddress", "aws:SourceIp", "\"192.168.4.0/23\""), NULL, G, "k",
		"aws:SourceIp=192.168.6.0", N},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.0.0.0/8\""), NULL, G, "k",
		"aws:SourceIp=::ffff:10.1.2.3", A},
	{GET_IF("IpAddress", "aws:SourceIp", "\"2001:db8::/33\""), NULL, G, "k",
		"aws:SourceIp=2001:db8:7fff::1", A},
	{GET_IF("IpAddress", "aws:SourceIp", "\"2001:db8::/33\""), NULL, G, "k",
		"aws:SourceIp=2001:db8:8000::1", N},
	{GET_IF("IpAddress", "aws:SourceIp", "\"0.0.0.0/0\""), NULL, G, "k",
		"aws:SourceIp=2001:db8::1", N},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.0.0.0/8\""), NULL, G, "k",
		"aws:SourceIp=10.1.2.3.4", N},
	{GET_IF("NotIpAddress", "aws:SourceIp", "\"10.0.0.0/8\""), NULL, G, "k",
		"aws:SourceIp=10.1.2.3", N},
	{GET_DENY_IF("NotIpAddress", "aws:SourceIp", "[\"10.0.0.0/8\",\"192.168.0.0/16\"]"), NULL,
		G, "k", "aws:SourceIp=192.168.1.1", A},
	{GET_DENY_IF("NotIpAddress", "aws:SourceIp", "[\"10.0.0.0/8\",\"192.168.0.0/16\"]"), NULL,
		G, "k", "aws:SourceIp=8.8.8.8", D},

	/* All conditions of a statement, any value of a condition. */
	{POLICY(STATEMENT("Allow", ANYBODY, GET, OBJECTS,
		 ",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":true},"
		 "\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}")),
		NULL, G, "k", "aws:SecureTransport=true&aws:SourceIp=10.0.0.1", A},
	{POLICY(STATEMENT("Allow", ANYBODY, GET, OBJECTS,
		 ",\"Condition\":{\"Bool\":{\"aws:SecureTransport\":true},"
		 "\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/8\"}}")),
		NULL, G, "k", "aws:SecureTransport=false&aws:SourceIp=10.0.0.1", N},

	/* Variables. */
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/home/${aws:username}/*"))), "bob", G, "home/bob/k",
		"aws:username=bob", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/home/${aws:username}/*"))), "bob", G, "home/eve/k",
		"aws:username=bob", N},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/home/${aws:username}/*"))), NULL, G, "home//k", "",
		N},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/home/${aws:username}/*"))), "*", G, "home/eve/k",
		"aws:username=*", N},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/${aws:UserAgent}/k"))), "bob", G, "home/k",
		"aws:UserAgent=\xff", N},
	{LIST_IF("StringLike", "s3:prefix", "\"home/${aws:username}/*\""), "bob", L, "",
		"aws:username=bob&s3:prefix=home/bob/", A},
	{LIST_IF("StringEquals", "s3:prefix", "\"${aws:username}\""), "bob", L, "",
		"aws:username=bob&s3:prefix=eve", N},
	{LIST_IF("StringNotLike", "s3:prefix", "\"${aws:username}\""), "bob", L, "",
		"s3:prefix=eve", N},
	{GET_DENY_IF("StringNotLike", "aws:Referer", "\"${aws:username}\""), "bob", G, "k",
		"aws:Referer=eve", D},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/${*}${?}${$}"))), "bob", G, "*?$", "", A},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/${*}"))), "bob", G, "x", "", N},
	{"{\"Version\":\"2008-10-17\",\"Statement\":" ALLOW(
		 ANYBODY, GET, ARN("garden/${aws:username}")) "}",
		"bob", G, "${aws:username}", "aws:username=bob", A},
	{"{\"Statement\":" ALLOW(ANYBODY, GET, ARN("garden/${aws:username}")) "}", "bob", G, "bob",
		"aws:username=bob", N},
};

START_TEST(a_policy_says_what_it_says)
{
	const struct row *row = &rows[_i];
	struct policy *policy = compile(row->policy);
	enum policy_effect effect = ask(policy, row->who, row->action, row->key, row->values);
	ck_assert_msg(effect == row->effect, "%s: %s %s %s %s: %d", row->policy,
		row->who ? row->who : "nobody", row->action, row->key, row->values, effect);
	policy_free(policy);
}
END_TEST

/* --- what is refused -------------------------------------------------------------------------- */

#define WITH(field) \
	POLICY("{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:GetObject\"," \
	       "\"Resource\":" OBJECTS "," field "}")

static const struct bad {
	const char *policy, *why;
} bads[] = {
	{"", "Policies must be valid JSON"},
	{"[]", "Policies must be valid JSON"},
	{" {}", "Policies must be valid JSON"},
	{"{", "Policies must be valid JSON"},
	{"{}x", "Policies must be valid JSON"},
	{"{\"a\":1,\"a\":2}", "Policies must be valid JSON"},
	{"{\"Statement\":[[[[[[[[[[]]]]]]]]]]}", "Policies must be valid JSON"},
	{"{\"Id\":\"\\u0000\",\"Statement\":[]}", "Policies must be valid JSON"},
	{"{}", "Missing required field Statement"},
	{"{\"Statement\":[]}", "Could not parse the policy"},
	{"{\"Statement\":\"x\"}", "Invalid policy syntax"},
	{"{\"Statement\":[1]}", "Invalid policy syntax"},
	{"{\"Version\":\"2026-01-01\",\"Statement\":[{}]}", "The policy must contain a valid"},
	{"{\"Version\":1,\"Statement\":[{}]}", "The policy must contain a valid"},
	{"{\"Id\":1,\"Statement\":[{}]}", "Invalid policy syntax"},
	{"{\"Comment\":\"x\",\"Statement\":[{}]}", "Unknown field"},
	{"{\"Statement\":{}}", "Missing required field Effect"},
	{WITH("\"Comment\":\"x\""), "Unknown field"},
	{WITH("\"effect\":\"Deny\""), "Unknown field"},
	{WITH("\"Sid\":1"), "Invalid policy syntax"},
	{WITH("\"Condition\":[]"), "Invalid policy syntax"},
	{WITH("\"NotPrincipal\":\"*\""), "Principal and NotPrincipal"},
	{WITH("\"NotAction\":\"s3:*\""), "Action and NotAction"},
	{WITH("\"NotResource\":" OBJECTS), "Resource and NotResource"},
	{POLICY(STATEMENT("allow", ANYBODY, GET, OBJECTS, "")), "Invalid effect"},
	{"{\"Statement\":{\"Effect\":\"Allow\"}}", "Missing required field Principal"},
	{"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\"}}",
		"Missing required field Resource"},
	{"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Resource\":" OBJECTS "}}",
		"Missing required field Action"},
	{POLICY("{\"Effect\":\"Allow\",\"NotPrincipal\":\"*\",\"Action\":" GET
		",\"Resource\":" OBJECTS "}"),
		"Allow with NotPrincipal"},
	{POLICY(STATEMENT("Allow", ANYBODY, GET, OBJECTS, ",\"Sid\":\"a\"") "," STATEMENT(
		 "Allow", ANYBODY, GET, OBJECTS, ",\"Sid\":\"a\"")),
		"Statement IDs"},
	{POLICY(ALLOW("\"bob\"", GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW("{\"AWS\":[]}", GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW("{\"AWS\":1}", GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW("{\"Service\":\"*\"}", GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW("{\"Federated\":\"*\"}", GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW(USER("b*"), GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW(USER(""), GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW(USER("arn:aws:iam::*:root"), GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW(USER("arn:aws:iam::bob:role/bob"), GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW(USER("arn:aws:iam::123456789012:user/bob"), GET, OBJECTS)),
		"Invalid principal"},
	{POLICY(ALLOW(USER("arn:aws:iam::bob"), GET, OBJECTS)), "Invalid principal"},
	{POLICY(ALLOW(ANYBODY, "\"s3:GetEverything\"", OBJECTS)), "Policy has invalid action"},
	{POLICY(ALLOW(ANYBODY, "\"ec2:GetObject\"", OBJECTS)), "Policy has invalid action"},
	{POLICY(ALLOW(ANYBODY, "\"GetObject\"", OBJECTS)), "Policy has invalid action"},
	{POLICY(ALLOW(ANYBODY, "[]", OBJECTS)), "Policy has invalid action"},
	{POLICY(ALLOW(ANYBODY, "[1]", OBJECTS)), "Policy has invalid action"},
	{POLICY(ALLOW(ANYBODY, GET, BUCKET_ARN)), "Action does not apply"},
	{POLICY(ALLOW(ANYBODY, "\"s3:ListBucket\"", OBJECTS)), "Action does not apply"},
	{POLICY(ALLOW(ANYBODY, "\"s3:ListAllMyBuckets\"", OBJECTS)), "Action does not apply"},
	{POLICY(ALLOW(ANYBODY, GET, ARN("meadow/*"))), "Policy has invalid resource"},
	{POLICY(ALLOW(ANYBODY, GET, ARN("gardens/*"))), "Policy has invalid resource"},
	{POLICY(ALLOW(ANYBODY, GET, "\"*\"")), "Policy has invalid resource"},
	{POLICY(ALLOW(ANYBODY, GET, "\"garden/*\"")), "Policy has invalid resource"},
	{POLICY(ALLOW(ANYBODY, GET, ARN(""))), "Policy has invalid resource"},
	{POLICY(ALLOW(ANYBODY, GET, "[]")), "Policy has invalid resource"},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/${aws:nobody}"))), "The policy has an unknown"},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/${aws:username"))), "A policy variable has no end"},
	{POLICY(ALLOW(ANYBODY, GET, ARN("garden/${aws:username, 'x'}"))),
		"The policy has an unknown"},
	{GET_IF("StringMatches", "s3:prefix", "\"x\""), "Invalid Condition type"},
	{GET_IF("stringequals", "s3:prefix", "\"x\""), "Invalid Condition type"},
	{GET_IF("ForAllValues:Null", "s3:prefix", "true"), "Invalid Condition type"},
	{GET_IF("NullIfExists", "s3:prefix", "true"), "Invalid Condition type"},
	{GET_IF("IfExists", "s3:prefix", "true"), "Invalid Condition type"},
	{GET_IF("StringEquals", "s3:unheard-of", "\"x\""), "Policy has an invalid condition key"},
	{GET_IF("StringEquals", "aws:SourceVpc", "\"x\""), "Policy has an invalid condition key"},
	{GET_IF("StringEquals", "s3:ExistingObjectTag/", "\"x\""),
		"Policy has an invalid condition key"},
	{GET_IF("StringEquals", "aws:SourceIp", "\"10.0.0.1\""),
		"Policy has an invalid condition key"},
	{GET_IF("IpAddress", "s3:prefix", "\"10.0.0.1\""), "Policy has an invalid condition key"},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.0.0.0/33\""), "Condition values"},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.0.0\""), "Condition values"},
	{GET_IF("IpAddress", "aws:SourceIp", "\"*\""), "Condition values"},
	{GET_IF("NumericEquals", "s3:max-keys", "\"ten\""), "Condition values"},
	{GET_IF("NumericEquals", "s3:max-keys", "1.5"), "Condition values"},
	{GET_IF("DateEquals", "aws:CurrentTime", "\"tomorrow\""), "Condition values"},
	{GET_IF("Bool", "aws:SecureTransport", "\"yes\""), "Condition values"},
	{GET_IF("StringEquals", "s3:prefix", "null"), "Condition values"},
	{GET_IF("StringEquals", "s3:prefix", "[]"), "Condition values"},
	{GET_IF("StringEquals", "s3:prefix", "[[\"x\"]]"), "Condition values"},
	{WITH("\"Condition\":{\"StringEquals\":{}}"), "Invalid policy syntax"},
	{WITH("\"Condition\":{\"StringEquals\":\"x\"}"), "Invalid policy syntax"},
};

START_TEST(what_is_not_understood_is_refused)
{
	struct policy *policy = NULL;
	const char *why = "";
	enum err err = policy_parse(
		POLICY_OF_BUCKET, bytes_of(bads[_i].policy), bytes_of(BUCKET), &policy, &why);
	ck_assert_msg(err == ERR_INVALID, "%s", bads[_i].policy);
	ck_assert_msg(strncmp(why, bads[_i].why, strlen(bads[_i].why)) == 0, "%s: %s",
		bads[_i].policy, why);
}
END_TEST

/* --- bounds ----------------------------------------------------------------------------------- */

static char large[POLICY_LEN_MAX + 4096];

static enum err parse_large(const char *head, const char *piece, unsigned count, const char *tail)
{
	struct policy *policy = NULL;
	const char *why = "";
	size_t len = snprintf(large, sizeof large, "%s", head);
	for (unsigned i = 0; i < count; i++)
		len += snprintf(large + len, sizeof large - len, "%s%s", i ? "," : "", piece);
	len += snprintf(large + len, sizeof large - len, "%s", tail);
	ck_assert(len < sizeof large);
	enum err err = policy_parse(
		POLICY_OF_BUCKET, bytes_make(large, len), bytes_of(BUCKET), &policy, &why);
	policy_free(policy);
	return err;
}

START_TEST(a_policy_has_a_bound)
{
	static const char head[] = "{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
				   "\"Resource\":" OBJECTS ",\"Action\":[";
	ck_assert_ok(parse_large(head, "\"s3:*\"", 1000, "]}}"));
	ck_assert_int_eq(parse_large(head, "\"s3:*\"", 1001, "]}}"), ERR_INVALID);
	ck_assert_int_eq(
		parse_large(head, "\"s3:GetObjectVersionTagging\"", 720, "]}}"), ERR_LIMIT);
	ck_assert_int_eq(parse_large("{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\","
				     "\"Action\":\"s3:*\",\"Resource\":" OBJECTS
				     ",\"Condition\":{\"StringLike\":{\"s3:prefix\":[",
				 "\"\"", 4096, "]}}}}"),
		ERR_INVALID);
}
END_TEST

START_TEST(a_pattern_that_looks_expensive_is_not)
{
	char key[1025];
	memset(key, 'a', sizeof key - 1);
	key[sizeof key - 1] = '\0';
	size_t len = snprintf(large, sizeof large, "%s",
		"{\"Statement\":{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:*\","
		"\"Resource\":[");
	for (unsigned i = 0; i < 9; i++) {
		len += snprintf(
			large + len, sizeof large - len, "%s\"arn:aws:s3:::garden/", i ? "," : "");
		for (unsigned j = 0; j < 500; j++)
			len += snprintf(large + len, sizeof large - len, "*a");
		len += snprintf(large + len, sizeof large - len, "b\"");
	}
	snprintf(large + len, sizeof large - len, "]}}");
	struct policy *policy = compile(large);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(ask(policy, "bob", G, key, ""), POLICY_NEUTRAL);
	policy_free(policy);
}
END_TEST

/* --- public ----------------------------------------------------------------------------------- */

static const struct {
	const char *policy;
	bool is_public;
} publics[] = {
	{POLICY(ALLOW(ANYBODY, GET, OBJECTS)), true},
	{POLICY(ALLOW("{\"AWS\":[\"bob\",\"*\"]}", GET, OBJECTS)), true},
	{POLICY(ALLOW(USER("bob"), GET, OBJECTS)), false},
	{POLICY(DENY(ANYBODY, GET, OBJECTS)), false},
	{POLICY(DENY(ANYBODY, GET, OBJECTS) "," ALLOW(ANYBODY, GET, OBJECTS)), true},
	{GET_IF("IpAddress", "aws:SourceIp", "\"10.0.0.0/8\""), false},
	{GET_IF("IpAddress", "aws:SourceIp", "\"0.0.0.0/1\""), true},
	{GET_IF("IpAddress", "aws:SourceIp", "[\"10.0.0.0/8\",\"0.0.0.0/0\"]"), true},
	{GET_IF("IpAddress", "aws:SourceIp", "\"2001:db8::/32\""), false},
	{GET_IF("IpAddress", "aws:SourceIp", "\"::/0\""), true},
	{GET_IF("NotIpAddress", "aws:SourceIp", "\"10.0.0.0/8\""), true},
	{GET_IF("StringEquals", "aws:username", "\"bob\""), false},
	{GET_IF("StringLike", "aws:username", "\"b*\""), true},
	{GET_IF("StringEquals", "aws:username", "\"${aws:userid}\""), true},
	{GET_IF("StringEqualsIfExists", "aws:username", "\"bob\""), true},
	{GET_IF("Null", "aws:username", "false"), true},
	{GET_IF("StringLike", "aws:Referer", "\"https://example.org/\""), true},
	{GET_IF("Bool", "aws:SecureTransport", "true"), true},
};

START_TEST(a_policy_is_public_unless_it_says_for_whom)
{
	struct policy *policy = compile(publics[_i].policy);
	ck_assert_msg(policy_is_public(policy) == publics[_i].is_public, "%s", publics[_i].policy);
	policy_free(policy);
}
END_TEST

/* --- policies of keys ------------------------------------------------------------------------- */

#define OF_KEY(effect, action, resource) \
	"{\"Version\":\"2012-10-17\",\"Statement\":{\"Effect\":\"" effect "\",\"Action\":" action \
	",\"Resource\":" resource "}}"

START_TEST(the_policy_of_a_key_speaks_of_any_bucket_and_nobody)
{
	struct policy *policy = NULL;
	const char *why;
	ck_assert_ok(policy_parse(POLICY_OF_KEY, bytes_of(OF_KEY("Allow", "\"s3:Get*\"", "\"*\"")),
		(struct bytes){0}, &policy, &why));
	ck_assert_int_eq(ask(policy, "bob", G, "k", ""), POLICY_ALLOW);
	ck_assert_int_eq(ask(policy, "bob", P, "k", ""), POLICY_NEUTRAL);
	policy_free(policy);
	ck_assert_ok(
		policy_parse(POLICY_OF_KEY, bytes_of(OF_KEY("Deny", "\"s3:*\"", ARN("meadow/*"))),
			(struct bytes){0}, &policy, &why));
	ck_assert_int_eq(ask(policy, "bob", G, "k", ""), POLICY_NEUTRAL);
	policy_free(policy);
	ck_assert_int_eq(policy_parse(POLICY_OF_KEY, bytes_of(rows[0].policy), (struct bytes){0},
				 &policy, &why),
		ERR_INVALID);
}
END_TEST

/* --- names ------------------------------------------------------------------------------------ */

START_TEST(actions_are_in_order_of_their_names)
{
	for (size_t i = 1; i < policy_action_count; i++)
		ck_assert_str_lt(policy_actions[i - 1].name, policy_actions[i].name);
}
END_TEST

START_TEST(every_operation_has_an_action_that_policies_know)
{
	for (size_t i = 0; i < route_count; i++)
		ck_assert_msg(policy_is_action(route_table[i].action), "%s: %s",
			route_table[i].operation, route_table[i].action);
}
END_TEST

START_TEST(a_policy_that_was_cut_off_is_refused)
{
	for (size_t len = 0; len < strlen(rows[100].policy); len++) {
		struct policy *policy = NULL;
		const char *why;
		ck_assert_int_eq(policy_parse(POLICY_OF_BUCKET, bytes_make(rows[100].policy, len),
					 bytes_of(BUCKET), &policy, &why),
			ERR_INVALID);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy");
	TCase *tc = tcase_create("says");
	suite_add_tcase(suite, tc);
	static_assert(ARRAY_COUNT(rows) >= 100, "a hundred cases");
	tcase_add_loop_test(tc, a_policy_says_what_it_says, 0, ARRAY_COUNT(rows));
	tcase_add_loop_test(tc, what_is_not_understood_is_refused, 0, ARRAY_COUNT(bads));
	tcase_add_loop_test(
		tc, a_policy_is_public_unless_it_says_for_whom, 0, ARRAY_COUNT(publics));
	tcase_add_test(tc, a_policy_has_a_bound);
	tcase_add_test(tc, a_pattern_that_looks_expensive_is_not);
	tcase_add_test(tc, the_policy_of_a_key_speaks_of_any_bucket_and_nobody);
	tcase_add_test(tc, actions_are_in_order_of_their_names);
	tcase_add_test(tc, every_operation_has_an_action_that_policies_know);
	tcase_add_test(tc, a_policy_that_was_cut_off_is_refused);
	return test_run(suite);
}
