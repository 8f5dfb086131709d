/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/s3_features.h"

#include <string.h>

#include "gateway/route.h"

enum support {
	BY_ROUTES, /* that of the operations in `where` */
	YES,
	PARTLY,
	NO,
};

struct feature {
	const char *name;
	const char *tier; /* "0", "1", "2"; "-": S3 has it, and it is not wanted here */
	enum support support;
	const char *where; /* operations, or files */
	const char *note;
};

#define ROUTES(n, t, operations, ...) \
	{ \
		.name = n, .tier = t, .support = BY_ROUTES, .where = operations, __VA_ARGS__ \
	}
#define HAS(n, t, file, ...) \
	{ \
		.name = n, .tier = t, .support = YES, .where = file, __VA_ARGS__ \
	}
#define SOME(n, t, file, ...) \
	{ \
		.name = n, .tier = t, .support = PARTLY, .where = file, __VA_ARGS__ \
	}
#define LACKS(n, t, ...) \
	{ \
		.name = n, .tier = t, .support = NO, .where = "", __VA_ARGS__ \
	}

enum { FEATURES_MAX = 40 };

static const struct {
	const char *title;
	struct feature rows[FEATURES_MAX]; /* up to one without a name */
} sections[] = {
	{"Authentication and transport",
		{
			HAS("SigV4 header, SHA-256 of the payload", "0", "gateway/sigv4.c"),
			HAS("SigV4 header, `UNSIGNED-PAYLOAD`", "0", "gateway/sigv4.c"),
			HAS("SigV4 presigned URLs", "0", "gateway/sigv4.c"),
			HAS("`STREAMING-AWS4-HMAC-SHA256-PAYLOAD`", "0", "gateway/chunked.c"),
			HAS("`STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER`", "0",
				"gateway/chunked.c"),
			HAS("`STREAMING-UNSIGNED-PAYLOAD-TRAILER`", "0", "gateway/chunked.c"),
			HAS("SigV2 header", "2", "gateway/sigv2.c",
				.note = "with `signature_v2: all`"),
			HAS("SigV2 query and forms", "1", "gateway/sigv2.c"),
			ROUTES("Forms with a policy, SigV4", "1", "PostObject"),
			HAS("Strangers by policy or ACL", "2", "gateway/authorize.c"),
			HAS("STS AssumeRole, GetSessionToken", "2", "gateway/op_sts.c"),
			LACKS("STS with web identities, LDAP", "-"),
			LACKS("IAM API", "2", .note = "users and keys are made by `rubus user`"),
			HAS("Path style and virtual-host style", "0", "gateway/uri.c"),
			HAS("`x-amz-*` that is not signed is refused", "0", "gateway/sigv4.c"),
			HAS("`100 Continue` after authentication", "0", "server/http_conn.c"),
			HAS("`x-amz-request-id` is the RequestId of the document", "0",
				"gateway/response.c"),
		}},
	{"Buckets",
		{
			ROUTES("Make, look, delete", "0", "CreateBucket HeadBucket DeleteBucket"),
			ROUTES("ListBuckets", "0", "ListBuckets"),
			HAS("ListBuckets in pages", "1", "gateway/op_bucket.c"),
			ROUTES("Location", "0", "GetBucketLocation"),
			HAS("`x-amz-bucket-region`, for strangers too", "0", "gateway/op_bucket.c"),
			HAS("`x-amz-expected-bucket-owner`", "1", "gateway/request.c"),
			ROUTES("Versioning", "1", "PutBucketVersioning GetBucketVersioning"),
			ROUTES("Lifecycle: days, dates, uploads", "1",
				"PutBucketLifecycleConfiguration GetBucketLifecycleConfiguration "
				"DeleteBucketLifecycle"),
			HAS("Lifecycle: noncurrent versions, delete markers", "1",
				"storage/meta/lifecycle.c"),
			ROUTES("Lifecycle: transition; restore", "-", "RestoreObject"),
			ROUTES("Policy", "2",
				"PutBucketPolicy GetBucketPolicy DeleteBucketPolicy "
				"GetBucketPolicyStatus"),
			ROUTES("ACL of buckets and objects", "1",
				"PutBucketAcl GetBucketAcl PutObjectAcl GetObjectAcl"),
			ROUTES("CORS", "2", "PutBucketCors GetBucketCors DeleteBucketCors"),
			ROUTES("Tags of buckets", "2",
				"PutBucketTagging GetBucketTagging DeleteBucketTagging"),
			ROUTES("Object lock configuration", "1",
				"PutObjectLockConfiguration GetObjectLockConfiguration"),
			ROUTES("Default encryption", "1",
				"PutBucketEncryption GetBucketEncryption DeleteBucketEncryption"),
			ROUTES("Website", "2",
				"PutBucketWebsite GetBucketWebsite DeleteBucketWebsite"),
			ROUTES("Notifications", "2",
				"PutBucketNotificationConfiguration "
				"GetBucketNotificationConfiguration"),
			ROUTES("Logging", "2", "PutBucketLogging GetBucketLogging"),
			ROUTES("Replication", "-", "PutBucketReplication GetBucketReplication"),
			ROUTES("Public access block, ownership controls", "1",
				"PutPublicAccessBlock GetPublicAccessBlock DeletePublicAccessBlock "
				"PutBucketOwnershipControls GetBucketOwnershipControls"),
			ROUTES("Inventory, metrics, analytics, tiering", "-",
				"PutBucketInventoryConfiguration PutBucketMetricsConfiguration "
				"PutBucketAnalyticsConfiguration "
				"PutBucketIntelligentTieringConfiguration"),
			ROUTES("Acceleration, requester pays, torrent, Select, SigV4A", "-",
				"PutBucketAccelerateConfiguration PutBucketRequestPayment "
				"GetObjectTorrent SelectObjectContent"),
		}},
	{"Objects and listing",
		{
			ROUTES("Put, get, look, delete", "0",
				"PutObject GetObject HeadObject DeleteObject"),
			HAS("One range: from-to, suffix, open", "0", "gateway/range.c"),
			HAS("Several ranges", "0", "gateway/range.c",
				.note = "ignored, as S3 does: 200 and all"),
			HAS("Conditional GET and HEAD", "0", "gateway/conditional.c"),
			HAS("`response-*`", "0", "gateway/op_get_plan.c"),
			HAS("`partNumber` of GET and HEAD", "0", "gateway/op_get_plan.c"),
			ROUTES("CopyObject, directives for metadata and tags", "0", "CopyObject"),
			HAS("Conditions on the source of a copy", "0", "gateway/op_copy_source.c"),
			HAS("Conditions on the target of a copy", "1",
				"gateway/op_put_conditions.c"),
			ROUTES("DeleteObjects, Quiet", "0", "DeleteObjects"),
			ROUTES("ListObjects", "0", "ListObjects"),
			ROUTES("ListObjectsV2", "0", "ListObjectsV2"),
			HAS("`encoding-type=url`", "0", "gateway/op_list_page.c"),
			ROUTES("ListObjectVersions", "0", "ListObjectVersions"),
			HAS("`If-None-Match: *` of PUT and Complete", "0",
				"storage/meta/apply_version.c"),
			HAS("`If-Match` of PUT and Complete", "0", "storage/meta/apply_version.c"),
			HAS("Conditional DELETE", "1", "gateway/op_delete.c"),
			HAS("Conditional DeleteObjects", "1", "gateway/op_delete_items.c"),
			ROUTES("Tags of objects, in a header too", "1",
				"PutObjectTagging GetObjectTagging DeleteObjectTagging"),
			ROUTES("GetObjectAttributes", "1", "GetObjectAttributes"),
			HAS("User metadata, 2 KiB", "0", "gateway/metadata_headers.c"),
			HAS("Storage classes are accepted", "0", "gateway/metadata_headers.c"),
			LACKS("Append (`x-amz-write-offset-bytes`)", "2",
				.note = "`501 NotImplemented`"),
			ROUTES("RenameObject", "2", "RenameObject"),
			ROUTES("Retention, legal hold, governance bypass", "1",
				"PutObjectRetention GetObjectRetention PutObjectLegalHold "
				"GetObjectLegalHold"),
			ROUTES("Annotations", "-", "PutObjectAnnotation GetObjectAnnotation",
				.note = "the directive of copies is ignored"),
			ROUTES("RestoreObject", "-", "RestoreObject"),
			LACKS("SSE-KMS", "-", .note = "`501 NotImplemented`"),
		}},
	{"Parts and checksums",
		{
			ROUTES("Create, upload, complete, abort", "0",
				"CreateMultipartUpload UploadPart CompleteMultipartUpload "
				"AbortMultipartUpload"),
			ROUTES("UploadPartCopy, ranges and conditions", "0", "UploadPartCopy"),
			ROUTES("ListParts in pages", "0", "ListParts"),
			ROUTES("ListMultipartUploads, prefix, markers, delimiter", "0",
				"ListMultipartUploads"),
			HAS("ETag: MD5 of the MD5s, `-N`", "0", "gateway/op_upload_complete.c"),
			HAS("A second Complete has the same answer", "0",
				"gateway/op_upload_complete.c"),
			HAS("Complete that takes long", "1", "gateway/op_upload_complete.c",
				.note = "it changes the index alone"),
			HAS("`x-amz-mp-object-size`", "1", "gateway/op_upload_complete.c"),
			HAS("CRC32, CRC32C, SHA1, SHA256", "0", "gateway/checksum_s3.c"),
			HAS("CRC64NVME", "0", "gateway/checksum_s3.c"),
			LACKS("SHA512, MD5, XXHASH64, XXHASH3, XXHASH128", "2",
				.note = "`400 InvalidRequest`"),
			HAS("FULL_OBJECT and COMPOSITE", "0", "gateway/checksum_s3.c"),
			HAS("CRC64NVME where the client sends none", "1", "gateway/body.c"),
			HAS("`x-amz-checksum-mode`", "0", "gateway/op_get_plan.c"),
			HAS("SSE-C", "2", "gateway/sse.c"),
			HAS("SSE-S3", "1", "gateway/sse.c"),
			HAS("Lone `upload-id-marker` is ignored", "0", "gateway/op_upload_list.c"),
			HAS("Keep-alive while Complete works", "1", "gateway/op_upload_complete.c",
				.note = "not needed: see above"),
			HAS("Composite values with their suffix", "0", "gateway/checksum_s3.c"),
		}},
};

/* Where the sources of what S3 does disagree, or leave it open. The numbers are those of the cases
 * of tests/s3/edges.py. */
static const struct {
	const char *edge;
	const char *choice;
} choices[] = {
	{"9",
		"Any region is accepted unless the setting says otherwise: s3cmd begins "
		"with us-east-1, others with the region of another provider, and the region "
		"protects nothing here."},
	{"10",
		"A signed request without `x-amz-content-sha256` is InvalidRequest, as with "
		"AWS; that it be an unsigned payload, as RGW has it, would let a proxy "
		"change the body."},
	{"12",
		"Content-Length and chunked at once, as botocore sent them for a year, is "
		"taken as chunked where `x-amz-decoded-content-length` is there, and ends "
		"the connection."},
	{"13",
		"The Chunk of InvalidChunkSizeError is the number of the chunk that is too "
		"short, counted from 1."},
	{"15",
		"`x-amz-sdk-checksum-algorithm` without a checksum is InvalidRequest, as "
		"AWS says it."},
	{"17",
		"A body that ends before its length, by a connection that ends, has no "
		"answer: nobody is there to read it. One whose chunks end early is "
		"IncompleteBody."},
	{"20",
		"`X-Amz-Expires` beyond a week is AuthorizationQueryParametersError (400) "
		"as with AWS, not AccessDenied."},
	{"22",
		"`x-amz-checksum-*` in a query is ignored: SDKs for JavaScript put that of "
		"an empty body there, and the URL is sent with another one."},
	{"26, 28",
		"A marker or `start-after` inside a common prefix has passed it: a client "
		"that goes on from its last key would be told the same prefix twice."},
	{"27",
		"An empty continuation token is the beginning; any other that was not given "
		"out is InvalidArgument."},
	{"30",
		"A space is `%20` and a plus is `%2B`: it decodes to the same in clients "
		"that know forms and in those that do not."},
	{"31",
		"Characters that XML 1.0 has not are character references, as with AWS; "
		"parsers may refuse them, while a substitute would be another key."},
	{"39", "User metadata beyond ASCII comes back byte for byte, not as RFC 2047."},
	{"43", "`If-Modified-Since` in the future is a date like others."},
	{"44",
		"Several ranges, and what is no range, are ignored: 200 and the whole "
		"object."},
	{"46", "A part number beyond the last is 416 InvalidPartNumber as with AWS."},
	{"49", "ExpectedDigest and CalculatedDigest are both base64, as the header is."},
	{"59",
		"Who loses a race of `If-None-Match: *` is told 412 when the winner is "
		"committed; 409 when the index did not know yet."},
	{"60",
		"`If-Match` on a key that is not there is 404 NoSuchKey as with AWS, not "
		"412."},
	{"61",
		"A condition that PUT does not have, such as `If-None-Match` with an ETag, "
		"is 501 and names the header: to pass it over would overwrite what was to "
		"be kept."},
	{"66",
		"A Complete that is repeated has the same answer while its object is the "
		"newest one."},
	{"67",
		"Complete has no white space ahead of its document: it changes the index "
		"alone and is answered in milliseconds."},
	{"73",
		"A range outside of the source of UploadPartCopy is 400 InvalidArgument as "
		"with AWS, or 416 where it begins behind its end."},
	{"77",
		"NextVersionIdMarker names a null version by its place, so that the next "
		"page begins behind it even if it is gone; a marker `null` of a version that "
		"is gone tells the key from the newest on: some twice, none never."},
	{"79",
		"What will be retained, also by the default of its bucket alone, comes with "
		"Content-MD5 or a checksum, as with AWS; a signed payload is not enough."},
	{"80",
		"A bucket of one's own that is made again is 409 BucketAlreadyOwnedByYou, "
		"or 200 where the region is us-east-1, and stays as it is."},
	{"82",
		"The region is called `rubus` unless configured: boto3 presigns with SigV2 "
		"for old names of AWS."},
};

static const struct route *find(const char *name, size_t len)
{
	for (size_t i = 0; i < route_count; i++)
		if (strlen(route_table[i].operation) == len &&
			memcmp(route_table[i].operation, name, len) == 0)
			return &route_table[i];
	return NULL;
}

/* Of the operations in `where`. One that is not in the table is a mistake of this file: it is
 * printed, and the document differs. */
static const char *support_of_routes(const char *where)
{
	bool are_all = true, is_any = false;
	for (const char *name = where; *name;) {
		size_t len = strcspn(name, " ");
		const struct route *route = find(name, len);
		if (!route)
			return "unknown operation";
		are_all = are_all && route->support == ROUTE_YES;
		is_any = is_any || route->support != ROUTE_NO;
		name += len + strspn(name + len, " ");
	}
	return are_all ? "yes" : is_any ? "partly" : "no";
}

static const char *support_of(const struct feature *feature)
{
	switch (feature->support) {
	case BY_ROUTES:
		return support_of_routes(feature->where);
	case YES:
		return "yes";
	case PARTLY:
		return "partly";
	case NO:
		return "no";
	}
	return "";
}

static void print_feature(FILE *out, const struct feature *feature)
{
	fprintf(out, "| %s | %s | %s | ", feature->name, feature->tier, support_of(feature));
	for (const char *name = feature->where; *name;) {
		size_t len = strcspn(name, " ");
		fprintf(out, "%s%.*s", name == feature->where ? "" : ", ", (int)len, name);
		name += len + strspn(name + len, " ");
	}
	if (feature->note)
		fprintf(out, "%s%s", *feature->where ? "; " : "", feature->note);
	fputs(" |\n", out);
}

/* What is missing of the tiers that are wanted. */
static void print_gaps(FILE *out, const char *tier)
{
	bool is_first = true;
	fprintf(out, "- Not all of tier %s:", tier);
	for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
		for (size_t j = 0; j < FEATURES_MAX && sections[i].rows[j].name; j++) {
			const struct feature *feature = &sections[i].rows[j];
			if (strcmp(feature->tier, tier) != 0 ||
				strcmp(support_of(feature), "yes") == 0)
				continue;
			fprintf(out, "%s %s (%s)", is_first ? "" : ";", feature->name,
				support_of(feature));
			is_first = false;
		}
	fputs(is_first ? " nothing.\n" : ".\n", out);
}

void s3_features_print(FILE *out)
{
	fputs("\n## Features\n\n"
	      "What S3 is beyond its operations. Tier 0 is what every client needs, tier 1 what a\n"
	      "target of backups has, tier 2 what some ask for; `-` is not wanted here. Where a\n"
	      "line names operations, it says what the table above says of them: *partly* is that\n"
	      "some are no or only stubs.\n\n",
		out);
	print_gaps(out, "0");
	print_gaps(out, "1");
	print_gaps(out, "2");
	for (size_t i = 0; i < sizeof sections / sizeof *sections; i++) {
		fprintf(out,
			"\n### %s\n\n| feature | tier | support | where |\n|---|---|---|---|\n",
			sections[i].title);
		for (size_t j = 0; j < FEATURES_MAX && sections[i].rows[j].name; j++)
			print_feature(out, &sections[i].rows[j]);
	}
	fputs("\n## Choices\n\n"
	      "Where sources of what S3 does disagree, or are silent. The numbers are those of\n"
	      "the cases of `tests/s3/edges.py`.\n\n| edge | what holds, and why |\n|---|---|\n",
		out);
	for (size_t i = 0; i < sizeof choices / sizeof *choices; i++)
		fprintf(out, "| %s | %s |\n", choices[i].edge, choices[i].choice);
}
