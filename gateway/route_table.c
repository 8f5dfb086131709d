/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_acl.h"
#include "gateway/op_attributes.h"
#include "gateway/op_bucket.h"
#include "gateway/op_bucket_config.h"
#include "gateway/op_bucket_lock.h"
#include "gateway/op_copy.h"
#include "gateway/op_delete.h"
#include "gateway/op_get.h"
#include "gateway/op_list.h"
#include "gateway/op_object_lock.h"
#include "gateway/op_object_tags.h"
#include "gateway/op_post.h"
#include "gateway/op_put.h"
#include "gateway/op_rename.h"
#include "gateway/op_stub.h"
#include "gateway/op_upload.h"
#include "gateway/route.h"
#include "gateway/xml_out.h"

/* Every operation of S3's service model, and the one that is only a form (PostObject). */

#define LOOK ROUTE_BUCKET_MUST_BE
#define EDIT (ROUTE_BUCKET_MUST_BE | ROUTE_WRITE)
#define FREES (EDIT | ROUTE_FREES)
#define CHECKED (EDIT | ROUTE_CHECKSUM)

/* A route that is served. */
#define SERVED(name, right, m, s, ...) \
	{ \
		.operation = name, .action = "s3:" right, .method = HTTP_##m, .scope = ROUTE_##s, \
		.support = ROUTE_YES, __VA_ARGS__ \
	}

/* One that answers as a service does where the feature is not used. */
#define STUB(name, right, m, s, ...) \
	{ \
		.operation = name, .action = "s3:" right, .method = HTTP_##m, .scope = ROUTE_##s, \
		.support = ROUTE_STUB, __VA_ARGS__ \
	}

/* One of an empty configuration: a GET that says so with an error. */
#define UNSET(name, right, s, param, code) \
	STUB(name, right, GET, s, .params = {param}, .flags = LOOK, .refusal = S3_##code)

/* One that is refused with 501. */
#define REFUSED(name, right, m, s, ...) \
	{ \
		.operation = name, .action = "s3:" right, .method = HTTP_##m, .scope = ROUTE_##s, \
		.support = ROUTE_NO, .refusal = S3_NOT_IMPLEMENTED, __VA_ARGS__ \
	}

/* The same for a sub-resource of a bucket. */
#define REFUSED_PARAM(name, right, m, s, ...) \
	REFUSED(name, right, m, s, .params = {__VA_ARGS__}, .flags = EDIT)

/* A configuration of a bucket, which may be read, set (`put_flags`: CHECKED, or EDIT where clients
 * send it without a digest) and removed; `code` says that it is not set. */
#define CONFIG_PUT(noun, get, put, put_flags, remove, param, kind, code) \
	SERVED("Get" noun, get, GET, BUCKET, .params = {param}, .flags = LOOK, \
		.start = op_bucket_config_get, .config = BUCKET_CONFIG_##kind, \
		.missing = S3_##code), \
		SERVED("Put" noun, put, PUT, BUCKET, .params = {param}, .body = ROUTE_BODY_XML, \
			.flags = put_flags, .start = op_bucket_config_put, \
			.config = BUCKET_CONFIG_##kind), \
		SERVED("Delete" noun, remove, DELETE, BUCKET, .params = {param}, .flags = FREES, \
			.start = op_bucket_config_delete, .config = BUCKET_CONFIG_##kind)

#define CONFIG(noun, get, put, remove, param, kind, code) \
	CONFIG_PUT(noun, get, put, CHECKED, remove, param, kind, code)

#define DOCUMENT(text) .start = op_stub_document, .document = text

#define COPY "x-amz-copy-source"

const struct route route_table[] = {
	/* --- the service --- */
	SERVED("ListBuckets", "ListAllMyBuckets", GET, SERVICE, .start = op_bucket_list),
	REFUSED("ListDirectoryBuckets", "ListAllMyDirectoryBuckets", GET, SERVICE,
		.params = {"max-directory-buckets"}, .note = "there are no directory buckets"),

	/* --- buckets --- */
	SERVED("CreateBucket", "CreateBucket", PUT, BUCKET, .body = ROUTE_BODY_XML,
		.flags = ROUTE_WRITE, .start = op_bucket_create, .note = "ACLs: private only"),
	SERVED("HeadBucket", "ListBucket", HEAD, BUCKET, .flags = LOOK, .start = op_bucket_head),
	SERVED("DeleteBucket", "DeleteBucket", DELETE, BUCKET, .flags = FREES,
		.start = op_bucket_delete),
	SERVED("GetBucketLocation", "GetBucketLocation", GET, BUCKET, .params = {"location"},
		.flags = LOOK, .start = op_bucket_location),
	SERVED("GetBucketVersioning", "GetBucketVersioning", GET, BUCKET, .params = {"versioning"},
		.flags = LOOK, .start = op_bucket_versioning),
	SERVED("PutBucketVersioning", "PutBucketVersioning", PUT, BUCKET, .params = {"versioning"},
		.body = ROUTE_BODY_XML, .flags = EDIT, .start = op_bucket_lock_put_versioning,
		.note = "without MFA delete"),
	SERVED("GetBucketAcl", "GetBucketAcl", GET, BUCKET, .params = {"acl"}, .flags = LOOK,
		.start = op_acl_get_bucket, .note = "private, where ACLs are off"),
	SERVED("PutBucketAcl", "PutBucketAcl", PUT, BUCKET, .params = {"acl"},
		.body = ROUTE_BODY_XML, .flags = EDIT, .start = op_acl_put_bucket,
		.note = "where the ownership of the bucket allows ACLs"),
	CONFIG_PUT("BucketPolicy", "GetBucketPolicy", "PutBucketPolicy", EDIT, "DeleteBucketPolicy",
		"policy", POLICY, NO_SUCH_BUCKET_POLICY),
	SERVED("GetBucketPolicyStatus", "GetBucketPolicyStatus", GET, BUCKET,
		.params = {"policyStatus"}, .flags = LOOK, .start = op_bucket_config_policy_status),
	CONFIG("BucketCors", "GetBucketCORS", "PutBucketCORS", "PutBucketCORS", "cors", CORS,
		CORS_CONFIGURATION_NOT_FOUND),
	CONFIG("BucketTagging", "GetBucketTagging", "PutBucketTagging", "PutBucketTagging",
		"tagging", TAGS, NO_SUCH_TAG_SET),
	SERVED("GetBucketLifecycleConfiguration", "GetLifecycleConfiguration", GET, BUCKET,
		.params = {"lifecycle"}, .flags = LOOK, .start = op_bucket_config_get,
		.config = BUCKET_CONFIG_LIFECYCLE, .missing = S3_LIFECYCLE_NOT_FOUND,
		.legacy = "GetBucketLifecycle", .note = "a day ends at midnight UTC"),
	SERVED("PutBucketLifecycleConfiguration", "PutLifecycleConfiguration", PUT, BUCKET,
		.params = {"lifecycle"}, .body = ROUTE_BODY_XML, .flags = CHECKED,
		.start = op_bucket_config_put, .config = BUCKET_CONFIG_LIFECYCLE,
		.legacy = "PutBucketLifecycle", .note = "transitions are refused"),
	SERVED("DeleteBucketLifecycle", "PutLifecycleConfiguration", DELETE, BUCKET,
		.params = {"lifecycle"}, .flags = FREES, .start = op_bucket_config_delete,
		.config = BUCKET_CONFIG_LIFECYCLE),
	CONFIG("BucketEncryption", "GetEncryptionConfiguration", "PutEncryptionConfiguration",
		"PutEncryptionConfiguration", "encryption", ENCRYPTION,
		ENCRYPTION_CONFIGURATION_NOT_FOUND),
	CONFIG("PublicAccessBlock", "GetBucketPublicAccessBlock", "PutBucketPublicAccessBlock",
		"PutBucketPublicAccessBlock", "publicAccessBlock", PUBLIC_ACCESS,
		NO_SUCH_PUBLIC_ACCESS_BLOCK),
	CONFIG("BucketOwnershipControls", "GetBucketOwnershipControls",
		"PutBucketOwnershipControls", "PutBucketOwnershipControls", "ownershipControls",
		OWNERSHIP, OWNERSHIP_CONTROLS_NOT_FOUND),
	SERVED("GetObjectLockConfiguration", "GetBucketObjectLockConfiguration", GET, BUCKET,
		.params = {"object-lock"}, .flags = LOOK, .start = op_bucket_lock_get),
	SERVED("PutObjectLockConfiguration", "PutBucketObjectLockConfiguration", PUT, BUCKET,
		.params = {"object-lock"}, .body = ROUTE_BODY_XML, .flags = CHECKED,
		.start = op_bucket_lock_put),
	SERVED("GetBucketNotificationConfiguration", "GetBucketNotification", GET, BUCKET,
		.params = {"notification"}, .flags = LOOK, .legacy = "GetBucketNotification",
		.start = op_bucket_config_get, .config = BUCKET_CONFIG_NOTIFICATION),
	SERVED("PutBucketNotificationConfiguration", "PutBucketNotification", PUT, BUCKET,
		.params = {"notification"}, .body = ROUTE_BODY_XML, .flags = EDIT,
		.start = op_bucket_config_put, .config = BUCKET_CONFIG_NOTIFICATION,
		.legacy = "PutBucketNotification", .note = "to webhooks; no test event"),
	UNSET("GetBucketReplication", "GetReplicationConfiguration", BUCKET, "replication",
		REPLICATION_NOT_FOUND),
	REFUSED_PARAM(
		"PutBucketReplication", "PutReplicationConfiguration", PUT, BUCKET, "replication"),
	REFUSED_PARAM("DeleteBucketReplication", "PutReplicationConfiguration", DELETE, BUCKET,
		"replication"),
	CONFIG("BucketWebsite", "GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite",
		"website", WEBSITE, NO_SUCH_WEBSITE),
	STUB("GetBucketLogging", "GetBucketLogging", GET, BUCKET, .params = {"logging"},
		.flags = LOOK, DOCUMENT("<BucketLoggingStatus" XML_NAMESPACE "/>")),
	REFUSED_PARAM("PutBucketLogging", "PutBucketLogging", PUT, BUCKET, "logging"),
	STUB("GetBucketAccelerateConfiguration", "GetAccelerateConfiguration", GET, BUCKET,
		.params = {"accelerate"}, .flags = LOOK,
		DOCUMENT("<AccelerateConfiguration" XML_NAMESPACE "/>")),
	REFUSED_PARAM("PutBucketAccelerateConfiguration", "PutAccelerateConfiguration", PUT, BUCKET,
		"accelerate"),
	STUB("GetBucketRequestPayment", "GetBucketRequestPayment", GET, BUCKET,
		.params = {"requestPayment"}, .flags = LOOK,
		DOCUMENT("<RequestPaymentConfiguration" XML_NAMESPACE
			 "><Payer>BucketOwner</Payer></RequestPaymentConfiguration>")),
	REFUSED_PARAM("PutBucketRequestPayment", "PutBucketRequestPayment", PUT, BUCKET,
		"requestPayment"),
	STUB("GetBucketAbac", "GetBucketAbac", GET, BUCKET, .params = {"abac"}, .flags = LOOK,
		DOCUMENT("<AbacStatus" XML_NAMESPACE "><Status>Disabled</Status></AbacStatus>")),
	REFUSED_PARAM("PutBucketAbac", "PutBucketAbac", PUT, BUCKET, "abac"),

/* Configurations with ids, of which there may be many in a bucket and are none. */
#define NUMBERED(name, right, param, list, document_text) \
	STUB("GetBucket" name "Configuration", "Get" right "Configuration", GET, BUCKET, \
		.params = {param, "id"}, .flags = LOOK, .refusal = S3_NOT_FOUND_CONFIGURATION), \
		STUB("ListBucket" list, "Get" right "Configuration", GET, BUCKET, \
			.params = {param}, .flags = LOOK, DOCUMENT(document_text)), \
		REFUSED_PARAM("PutBucket" name "Configuration", "Put" right "Configuration", PUT, \
			BUCKET, param, "id"), \
		REFUSED_PARAM("DeleteBucket" name "Configuration", "Put" right "Configuration", \
			DELETE, BUCKET, param, "id")
#define NONE_OF(root) "<" root XML_NAMESPACE "><IsTruncated>false</IsTruncated></" root ">"
	NUMBERED("Analytics", "Analytics", "analytics", "AnalyticsConfigurations",
		NONE_OF("ListBucketAnalyticsConfigurationResult")),
	NUMBERED("IntelligentTiering", "IntelligentTiering", "intelligent-tiering",
		"IntelligentTieringConfigurations",
		NONE_OF("ListBucketIntelligentTieringConfigurationsOutput")),
	NUMBERED("Inventory", "Inventory", "inventory", "InventoryConfigurations",
		NONE_OF("ListInventoryConfigurationsResult")),
	NUMBERED("Metrics", "Metrics", "metrics", "MetricsConfigurations",
		NONE_OF("ListMetricsConfigurationsResult")),

	REFUSED_PARAM("CreateBucketMetadataConfiguration", "CreateBucketMetadataTableConfiguration",
		POST, BUCKET, "metadataConfiguration"),
	UNSET("GetBucketMetadataConfiguration", "GetBucketMetadataTableConfiguration", BUCKET,
		"metadataConfiguration", NOT_FOUND_CONFIGURATION),
	REFUSED_PARAM("DeleteBucketMetadataConfiguration", "DeleteBucketMetadataTableConfiguration",
		DELETE, BUCKET, "metadataConfiguration"),
	REFUSED_PARAM("CreateBucketMetadataTableConfiguration",
		"CreateBucketMetadataTableConfiguration", POST, BUCKET, "metadataTable"),
	UNSET("GetBucketMetadataTableConfiguration", "GetBucketMetadataTableConfiguration", BUCKET,
		"metadataTable", NOT_FOUND_CONFIGURATION),
	REFUSED_PARAM("DeleteBucketMetadataTableConfiguration",
		"DeleteBucketMetadataTableConfiguration", DELETE, BUCKET, "metadataTable"),
	REFUSED_PARAM("UpdateBucketMetadataAnnotationTableConfiguration",
		"UpdateBucketMetadataAnnotationTableConfiguration", PUT, BUCKET,
		"metadataAnnotationTable"),
	REFUSED_PARAM("UpdateBucketMetadataInventoryTableConfiguration",
		"UpdateBucketMetadataInventoryTableConfiguration", PUT, BUCKET,
		"metadataInventoryTable"),
	REFUSED_PARAM("UpdateBucketMetadataJournalTableConfiguration",
		"UpdateBucketMetadataJournalTableConfiguration", PUT, BUCKET,
		"metadataJournalTable"),
	REFUSED("CreateSession", "CreateSession", GET, BUCKET, .params = {"session"}, .flags = LOOK,
		.note = "there are no directory buckets"),
	SERVED("PostObject", "PutObject", POST, BUCKET, .without_header = "x-amz-request-route",
		.body = ROUTE_BODY_PAYLOAD, .flags = EDIT | ROUTE_FORM, .start = op_post_start,
		.note = "uploads by HTML forms"),
	REFUSED("WriteGetObjectResponse", "WriteGetObjectResponse", POST, BUCKET,
		.header = "x-amz-request-route", .flags = ROUTE_WRITE),

	/* --- listings --- */
	SERVED("ListObjects", "ListBucket", GET, BUCKET, .optional = "id", .flags = LOOK,
		.start = op_list_objects),
	SERVED("ListObjectsV2", "ListBucket", GET, BUCKET, .params = {"list-type=2"},
		.optional = "id", .flags = LOOK, .start = op_list_objects_v2),
	SERVED("ListObjectVersions", "ListBucketVersions", GET, BUCKET, .params = {"versions"},
		.flags = LOOK, .start = op_list_versions),
	SERVED("ListMultipartUploads", "ListBucketMultipartUploads", GET, BUCKET,
		.params = {"uploads"}, .flags = LOOK, .start = op_upload_list),

	/* --- objects --- */
	SERVED("GetObject", "GetObject", GET, OBJECT, .optional = "partNumber", .flags = LOOK,
		.start = op_get_start),
	SERVED("HeadObject", "GetObject", HEAD, OBJECT, .optional = "partNumber", .flags = LOOK,
		.start = op_get_start),
	SERVED("PutObject", "PutObject", PUT, OBJECT, .without_header = COPY,
		.body = ROUTE_BODY_PAYLOAD, .flags = EDIT, .start = op_put_start,
		.note = "keys of a KMS are refused"),
	SERVED("CopyObject", "PutObject", PUT, OBJECT, .header = COPY, .flags = EDIT,
		.start = op_copy_start, .note = "by reference; ETag and checksum of the source"),
	SERVED("DeleteObject", "DeleteObject", DELETE, OBJECT, .flags = FREES,
		.start = op_delete_start),
	SERVED("DeleteObjects", "DeleteObject", POST, BUCKET, .params = {"delete"},
		.body = ROUTE_BODY_XML, .flags = CHECKED | ROUTE_FREES,
		.start = op_delete_many_start),
	SERVED("GetObjectAttributes", "GetObjectAttributes", GET, OBJECT, .params = {"attributes"},
		.flags = LOOK, .start = op_attributes_get),
	SERVED("GetObjectAcl", "GetObjectAcl", GET, OBJECT, .params = {"acl"}, .flags = LOOK,
		.start = op_acl_get_object, .note = "private, where ACLs are off"),
	SERVED("PutObjectAcl", "PutObjectAcl", PUT, OBJECT, .params = {"acl"},
		.body = ROUTE_BODY_XML, .flags = EDIT, .start = op_acl_put_object,
		.note = "where the ownership of the bucket allows ACLs"),
	SERVED("GetObjectTagging", "GetObjectTagging", GET, OBJECT, .params = {"tagging"},
		.flags = LOOK, .start = op_object_tags_get),
	SERVED("PutObjectTagging", "PutObjectTagging", PUT, OBJECT, .params = {"tagging"},
		.body = ROUTE_BODY_XML, .flags = CHECKED, .start = op_object_tags_put),
	SERVED("DeleteObjectTagging", "DeleteObjectTagging", DELETE, OBJECT, .params = {"tagging"},
		.flags = FREES, .start = op_object_tags_delete),
	SERVED("GetObjectRetention", "GetObjectRetention", GET, OBJECT, .params = {"retention"},
		.flags = LOOK, .start = op_object_lock_get_retention),
	SERVED("PutObjectRetention", "PutObjectRetention", PUT, OBJECT, .params = {"retention"},
		.body = ROUTE_BODY_XML, .flags = CHECKED, .start = op_object_lock_put_retention),
	SERVED("GetObjectLegalHold", "GetObjectLegalHold", GET, OBJECT, .params = {"legal-hold"},
		.flags = LOOK, .start = op_object_lock_get_legal_hold),
	SERVED("PutObjectLegalHold", "PutObjectLegalHold", PUT, OBJECT, .params = {"legal-hold"},
		.body = ROUTE_BODY_XML, .flags = CHECKED, .start = op_object_lock_put_legal_hold),
	REFUSED_PARAM("GetObjectTorrent", "GetObjectTorrent", GET, OBJECT, "torrent"),
	REFUSED_PARAM("RestoreObject", "RestoreObject", POST, OBJECT, "restore"),
	REFUSED_PARAM("SelectObjectContent", "GetObject", POST, OBJECT, "select", "select-type=2"),
	SERVED("RenameObject", "PutObject", PUT, OBJECT, .params = {"renameObject"}, .flags = EDIT,
		.start = op_rename_start, .note = "in buckets without versions"),
	REFUSED_PARAM(
		"UpdateObjectEncryption", "UpdateObjectEncryption", PUT, OBJECT, "encryption"),
	REFUSED_PARAM("PutObjectAnnotation", "PutObjectAnnotation", PUT, OBJECT, "annotation"),
	REFUSED_PARAM("GetObjectAnnotation", "GetObjectAnnotation", GET, OBJECT, "annotation"),
	REFUSED_PARAM(
		"DeleteObjectAnnotation", "DeleteObjectAnnotation", DELETE, OBJECT, "annotation"),
	REFUSED_PARAM("ListObjectAnnotations", "ListObjectAnnotations", GET, OBJECT, "annotations"),

	/* --- uploads in parts --- */
	SERVED("CreateMultipartUpload", "PutObject", POST, OBJECT, .params = {"uploads"},
		.flags = EDIT, .start = op_upload_create),
	SERVED("UploadPart", "PutObject", PUT, OBJECT, .params = {"partNumber", "uploadId"},
		.without_header = COPY, .body = ROUTE_BODY_PAYLOAD, .flags = EDIT,
		.start = op_upload_part),
	SERVED("UploadPartCopy", "PutObject", PUT, OBJECT, .params = {"partNumber", "uploadId"},
		.header = COPY, .flags = EDIT, .start = op_upload_part_copy,
		.note = "by reference"),
	SERVED("CompleteMultipartUpload", "PutObject", POST, OBJECT, .params = {"uploadId"},
		.body = ROUTE_BODY_XML, .flags = EDIT | ROUTE_OBJECT_CHECKSUM,
		.start = op_upload_complete),
	SERVED("AbortMultipartUpload", "AbortMultipartUpload", DELETE, OBJECT,
		.params = {"uploadId"}, .flags = FREES, .start = op_upload_abort),
	SERVED("ListParts", "ListMultipartUploadParts", GET, OBJECT, .params = {"uploadId"},
		.flags = LOOK, .start = op_upload_list_parts),
};

const size_t route_count = ARRAY_COUNT(route_table);
