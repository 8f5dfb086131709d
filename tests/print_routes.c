/* SPDX-License-Identifier: Apache-2.0 */

/* Prints docs/S3.md from the tables of routes and features. With --check FILE it prints nothing and
 * fails unless FILE is what it would have printed. With --json it prints the routes for
 * tests/s3/matrix.py. */
#include <stdio.h>
#include <stdlib.h>

#include "gateway/route.h"
#include "tests/s3_features.h"

static const char head[] =
	"# S3, as far as it goes\n"
	"\n"
	"<!-- Made by build/release/tests/print_routes >docs/S3.md; do not edit. -->\n"
	"\n"
	"Every operation of the S3 service model, and what Rubus does with it.\n"
	"\n"
	"- **yes**: it is there.\n"
	"- **stub**: it answers what S3 answers where the feature is not in use. Clients and\n"
	"  infrastructure tools that read everything get an answer they know.\n"
	"- **no**: `501 NotImplemented`.\n"
	"\n"
	"What holds for all of them:\n"
	"\n"
	"- Requests are signed with Signature Version 4, in a header or a presigned URL, for\n"
	"  any region, or only for the configured one if that is set to be strict. Every\n"
	"  `x-amz-*` header must be signed. Signature Version 2 is heard in presigned URLs, or\n"
	"  as the setting `signature_v2` says (`off`, `presigned`, `all`), and not for\n"
	"  sub-resources that it does not cover. Session tokens are refused.\n"
	"- Forms (`POST` to a bucket) may have 100 fields of 20 KiB in all before the file, and\n"
	"  16 KiB behind it, which are passed over. Each field is there once.\n"
	"  Requests without a signature are those of anybody: a policy of the bucket lets them\n"
	"  in, or nothing does.\n"
	"- Path style, and virtual-host style under the configured domains, of which the longest\n"
	"  that fits counts; case and port do not. Buckets with dots need a certificate of\n"
	"  their own there, since a wildcard stands for one label.\n"
	"- Bodies: a SHA-256 in the header, `UNSIGNED-PAYLOAD`, and the three streaming forms,\n"
	"  with trailers. `Content-MD5` and CRC32, CRC32C, CRC64NVME, SHA1 and SHA256 are\n"
	"  checked.\n"
	"- A bucket belongs to an owner, who may do everything with it; keys with the admin\n"
	"  role may do everything with all. What the policy of a bucket denies is denied to them\n"
	"  too, but for that policy itself.\n"
	"- ACLs, canned ones and up to 12 grants, count where the ownership of the bucket is\n"
	"  `BucketOwnerPreferred` or `ObjectWriter` (new buckets: the setting\n"
	"  `bucket_defaults`). Elsewhere `private` is accepted, and anything else answered with\n"
	"  `AccessControlListNotSupported`. The owner of a bucket may do everything with what\n"
	"  is in it, whoever owns that. Grants by e-mail address are refused.\n"
	"- Policies have up to 20 KiB: Effect, Principal (`*`, an owner,\n"
	"  `arn:aws:iam:::user/OWNER`, `arn:aws:iam::OWNER:root`), NotPrincipal with Deny,\n"
	"  Action, Resource, their negations, and Condition with the operators of strings,\n"
	"  ARNs, numbers, dates, booleans, addresses and Null, with IfExists,\n"
	"  ForAllValues, ForAnyValue and policy variables. A field, action, operator or\n"
	"  condition key that is not known is `MalformedPolicy`. Conditions know\n"
	"  `aws:CurrentTime`, `EpochTime`,\n"
	"  `PrincipalAccount`, `PrincipalArn`, `PrincipalType`, `Referer`,\n"
	"  `SecureTransport`, `SourceIp`, `UserAgent`, `userid` and `username`, and of `s3:`\n"
	"  `authType`, `delimiter`, `ExistingObjectTag`, `if-match`, `if-none-match`,\n"
	"  `max-keys`, `prefix`, `signatureAge`, `signatureversion`, `VersionId`, and the\n"
	"  headers of requests as `x-amz-...`. `aws:SourceIp` is the address that the\n"
	"  connection came from, so behind a proxy the proxy's.\n"
	"- Users may have policies too (`rubus user policy`), which add to what they own,\n"
	"  grants (`rubus bucket allow`), and quotas: what would be more is answered with\n"
	"  403 `QuotaExceeded`. A policy of a key (`rubus key policy`) only narrows. What any\n"
	"  of these policies denies is denied. Parts of an open upload are counted when it is\n"
	"  completed; one that alone is too much is refused before.\n"
	"- `AssumeRole`, `GetSessionToken` and `GetCallerIdentity` of the Security Token\n"
	"  Service are served at `/`. A session is the key that asked for it, narrowed by the\n"
	"  policy that it asked for; `RoleArn` is not looked at, since there are no roles.\n"
	"  Sessions end by themselves, and with their key; nothing is stored of them.\n"
	"- A bucket may have CORS rules: `OPTIONS` is answered by them, and all other\n"
	"  answers, errors too, carry `Access-Control-*` where a rule allows the origin.\n"
	"- Objects are encrypted where a request or `PutBucketEncryption` says `AES256`, or with\n"
	"  a key of the customer, taken over TLS only (setting `sse_c_without_tls`); then the\n"
	"  ETag is random. Keys of a KMS are refused with 501. A copy that asks for nothing\n"
	"  is encrypted as its source by the cluster's key, or not at all.\n"
	"- `x-amz-expected-bucket-owner` is honoured.\n"
	"- Sub-resources that are not in this table do not fall back to the plain operation.\n";

static const char *support_name(const struct route *route)
{
	switch (route->support) {
	case ROUTE_YES:
		return "yes";
	case ROUTE_STUB:
		return "stub";
	case ROUTE_NO:
		return "no";
	}
	return "";
}

static void print_note(FILE *out, const struct route *route)
{
	if (route->note)
		fputs(route->note, out);
	else if (route->support == ROUTE_STUB && !route->start)
		fprintf(out, "`%s`", s3_error_code(route->refusal));
	else if (route->support == ROUTE_STUB && route->method == HTTP_DELETE)
		fputs("204: there is none", out);
	else if (route->document)
		fputs("an empty configuration", out);
}

static const char *const methods[] = {
	[HTTP_GET] = "GET",
	[HTTP_HEAD] = "HEAD",
	[HTTP_PUT] = "PUT",
	[HTTP_POST] = "POST",
	[HTTP_DELETE] = "DELETE",
};

static const char *const scopes[] = {
	[ROUTE_SERVICE] = "/",
	[ROUTE_BUCKET] = "/bucket",
	[ROUTE_OBJECT] = "/bucket/key",
};

static void print_row(FILE *out, const char *operation, const struct route *route)
{
	fprintf(out, "| %s | %s %s", operation, methods[route->method], scopes[route->scope]);
	for (size_t i = 0; i < ROUTE_PARAMS_MAX && route->params[i]; i++)
		fprintf(out, "%c%s", i == 0 ? '?' : '&', route->params[i]);
	fprintf(out, " | %s | ", support_name(route));
	print_note(out, route);
	fputs(" |\n", out);
}

static void print_all(FILE *out)
{
	fputs(head, out);
	fputs("\n| operation | request | support | note |\n|---|---|---|---|\n", out);
	for (size_t i = 0; i < route_count; i++) {
		print_row(out, route_table[i].operation, &route_table[i]);
		if (route_table[i].legacy)
			print_row(out, route_table[i].legacy, &route_table[i]);
	}
	s3_features_print(out);
}

/* Is the file what print_all() prints? */
static int check(const char *path)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	FILE *in = fopen(path, "r");
	char *found = calloc(1, 1 << 20);

	if (!out || !in || !found)
		return 2;
	print_all(out);
	fclose(out);
	size_t found_len = fread(found, 1, 1 << 20, in);
	fclose(in);
	int status = found_len != len || memcmp(found, text, len) != 0;
	if (status)
		fprintf(stderr, "%s is not what print_routes prints\n", path);
	free(found);
	free(text);
	return status;
}

static void print_json_text(const char *name, const char *text)
{
	if (text)
		printf(", \"%s\": \"%s\"", name, text);
}

static void print_json(void)
{
	static const char *const bodies[] = {
		[ROUTE_BODY_NONE] = "none",
		[ROUTE_BODY_XML] = "document",
		[ROUTE_BODY_PAYLOAD] = "payload",
	};
	for (size_t i = 0; i < route_count; i++) {
		const struct route *route = &route_table[i];
		printf("%s{\"operation\": \"%s\", \"action\": \"%s\", \"method\": \"%s\"",
			i == 0 ? "[" : ",\n", route->operation, route->action,
			methods[route->method]);
		printf(", \"scope\": \"%s\", \"support\": \"%s\", \"body\": \"%s\"",
			scopes[route->scope], support_name(route), bodies[route->body]);
		printf(", \"needs_bucket\": %s",
			route->flags & ROUTE_BUCKET_MUST_BE ? "true" : "false");
		fputs(", \"params\": [", stdout);
		for (size_t j = 0; j < ROUTE_PARAMS_MAX && route->params[j]; j++)
			printf("%s\"%s\"", j == 0 ? "" : ", ", route->params[j]);
		fputs("]", stdout);
		print_json_text("header", route->header);
		print_json_text("refusal",
			route->support == ROUTE_STUB && !route->start
				? s3_error_code(route->refusal)
				: NULL);
		fputs("}", stdout);
	}
	fputs("]\n", stdout);
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--json") == 0) {
		print_json();
		return 0;
	}
	if (argc == 3 && strcmp(argv[1], "--check") == 0)
		return check(argv[2]);
	print_all(stdout);
	return 0;
}
