/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GATEWAY_S3_ERROR_H
#define GATEWAY_S3_ERROR_H

#include "gateway/text_out.h"
#include "storage/err.h"

/* The errors of S3, one table: our name, the Code that clients branch on, the HTTP status, and the
 * Message when nobody has a better one. */
#define S3_ERROR_TABLE(X) \
	X(OK, "", 200, "") \
	X(NOT_MODIFIED, "NotModified", 304, "The object has not changed.") \
	X(ACCESS_CONTROL_LIST_NOT_SUPPORTED, "AccessControlListNotSupported", 400, \
		"The bucket does not allow ACLs.") \
	X(ACCESS_DENIED, "AccessDenied", 403, "Access Denied") \
	X(ACCESS_FORBIDDEN, "AccessForbidden", 403, \
		"CORSResponse: This CORS request is not allowed. This is usually because the " \
		"evaluation of Origin, request method / Access-Control-Request-Method or " \
		"Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.") \
	X(AUTHORIZATION_HEADER_MALFORMED, "AuthorizationHeaderMalformed", 400, \
		"The authorization header that you provided is not valid.") \
	X(AUTHORIZATION_QUERY_PARAMETERS_ERROR, "AuthorizationQueryParametersError", 400, \
		"The authorization query parameters that you provided are not valid.") \
	X(BAD_DIGEST, "BadDigest", 400, \
		"The Content-MD5 or checksum value that you specified did not match what " \
		"we received.") \
	X(BAD_REQUEST, "BadRequest", 400, "Bad Request") \
	X(BUCKET_ALREADY_EXISTS, "BucketAlreadyExists", 409, \
		"The requested bucket name is not available. Please select a different " \
		"name and try " \
		"again.") \
	X(BUCKET_ALREADY_OWNED_BY_YOU, "BucketAlreadyOwnedByYou", 409, \
		"The bucket that you tried to create already exists, and you own it.") \
	X(BUCKET_NOT_EMPTY, "BucketNotEmpty", 409, \
		"The bucket that you tried to delete is not empty.") \
	X(CONDITIONAL_REQUEST_CONFLICT, "ConditionalRequestConflict", 409, \
		"A conflicting operation occurred during the processing of this request.") \
	X(CORS_CONFIGURATION_NOT_FOUND, "NoSuchCORSConfiguration", 404, \
		"The CORS configuration does not exist.") \
	X(ENCRYPTION_CONFIGURATION_NOT_FOUND, "ServerSideEncryptionConfigurationNotFoundError", \
		404, "The server side encryption configuration was not found.") \
	X(ENTITY_TOO_LARGE, "EntityTooLarge", 400, \
		"Your proposed upload exceeds the maximum allowed object size.") \
	X(ENTITY_TOO_SMALL, "EntityTooSmall", 400, \
		"Your proposed upload is smaller than the minimum allowed object size.") \
	X(EXPIRED_TOKEN, "ExpiredToken", 400, "The provided token has expired.") \
	X(ILLEGAL_LOCATION_CONSTRAINT, "IllegalLocationConstraintException", 400, \
		"The specified location constraint is not valid for this server.") \
	X(ILLEGAL_VERSIONING_CONFIGURATION, "IllegalVersioningConfigurationException", 400, \
		"The versioning configuration specified in the request is not valid.") \
	X(INCOMPLETE_BODY, "IncompleteBody", 400, \
		"You did not provide the number of bytes specified by the Content-Length " \
		"HTTP header.") \
	X(INCORRECT_NUMBER_OF_FILES, "IncorrectNumberOfFilesInPostRequest", 400, \
		"POST requires exactly one file upload per request.") \
	X(INTERNAL_ERROR, "InternalError", 500, \
		"We encountered an internal error. Please try again.") \
	X(INVALID_ACCESS_KEY_ID, "InvalidAccessKeyId", 403, \
		"The access key ID that you provided does not exist in our records.") \
	X(INVALID_ARGUMENT, "InvalidArgument", 400, "Invalid Argument") \
	X(INVALID_BUCKET_ACL, "InvalidBucketAclWithObjectOwnership", 400, \
		"Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting") \
	X(INVALID_BUCKET_NAME, "InvalidBucketName", 400, "The specified bucket is not valid.") \
	X(INVALID_BUCKET_STATE, "InvalidBucketState", 409, \
		"The request is not valid for the current state of the bucket.") \
	X(INVALID_CHUNK_SIZE, "InvalidChunkSizeError", 403, \
		"Only the last chunk is allowed to have a size less than 8192 bytes.") \
	X(INVALID_DIGEST, "InvalidDigest", 400, \
		"The Content-MD5 or checksum value that you specified is not valid.") \
	X(INVALID_LOCATION_CONSTRAINT, "InvalidLocationConstraint", 400, \
		"The specified location constraint is not valid.") \
	X(INVALID_OBJECT_STATE, "InvalidObjectState", 403, \
		"The operation is not valid for the current state of the object.") \
	X(INVALID_PART, "InvalidPart", 400, \
		"One or more of the specified parts could not be found. The part may not " \
		"have been " \
		"uploaded, or the specified entity tag may not match the part's entity tag.") \
	X(INVALID_PART_NUMBER, "InvalidPartNumber", 416, \
		"The requested partnumber is not satisfiable.") \
	X(INVALID_PART_ORDER, "InvalidPartOrder", 400, \
		"The list of parts was not in ascending order. Parts must be ordered by " \
		"part number.") \
	X(INVALID_POLICY_DOCUMENT, "InvalidPolicyDocument", 400, \
		"The content of the form does not meet the conditions specified in the " \
		"policy document.") \
	X(INVALID_RANGE, "InvalidRange", 416, "The requested range is not satisfiable.") \
	X(INVALID_REQUEST, "InvalidRequest", 400, "The request is not valid.") \
	X(INVALID_RETENTION_PERIOD, "InvalidRetentionPeriod", 400, \
		"Default retention period must be a positive integer value of at most 36500 days " \
		"or 100 years.") \
	X(INVALID_STORAGE_CLASS, "InvalidStorageClass", 400, \
		"The storage class that you specified is not valid.") \
	X(INVALID_TAG, "InvalidTag", 400, "The tag provided was not a valid tag.") \
	X(INVALID_TOKEN, "InvalidToken", 400, \
		"The provided token is malformed or otherwise not valid.") \
	X(INVALID_URI, "InvalidURI", 400, "The specified URI could not be parsed.") \
	X(KEY_TOO_LONG, "KeyTooLongError", 400, "Your key is too long.") \
	X(LIFECYCLE_NOT_FOUND, "NoSuchLifecycleConfiguration", 404, \
		"The lifecycle configuration does not exist.") \
	X(MALFORMED_ACL, "MalformedACLError", 400, \
		"The XML you provided was not well-formed or did not validate against our " \
		"published " \
		"schema.") \
	X(MALFORMED_POLICY, "MalformedPolicy", 400, "Policies must be valid JSON.") \
	X(MALFORMED_POST_REQUEST, "MalformedPOSTRequest", 400, \
		"The body of your POST request is not well-formed multipart/form-data.") \
	X(MALFORMED_TRAILER, "MalformedTrailerError", 400, \
		"The request contained trailing data that was not well-formed or did not " \
		"conform to our " \
		"published schema.") \
	X(MALFORMED_XML, "MalformedXML", 400, \
		"The XML you provided was not well-formed or did not validate against our " \
		"published " \
		"schema.") \
	X(MAX_MESSAGE_LENGTH_EXCEEDED, "MaxMessageLengthExceeded", 400, \
		"Your request was too large.") \
	X(MAX_POST_PRE_DATA_LENGTH_EXCEEDED, "MaxPostPreDataLengthExceededError", 400, \
		"Your POST request fields preceding the upload file were too large.") \
	X(METADATA_TOO_LARGE, "MetadataTooLarge", 400, \
		"Your metadata headers exceed the maximum allowed metadata size.") \
	X(METHOD_NOT_ALLOWED, "MethodNotAllowed", 405, \
		"The specified method is not allowed against this resource.") \
	X(MISSING_CONTENT_LENGTH, "MissingContentLength", 411, \
		"You must provide the Content-Length HTTP header.") \
	X(MISSING_REQUEST_BODY, "MissingRequestBodyError", 400, "Request body is empty.") \
	X(NO_SUCH_BUCKET, "NoSuchBucket", 404, "The specified bucket does not exist") \
	X(NO_SUCH_BUCKET_POLICY, "NoSuchBucketPolicy", 404, "The bucket policy does not exist") \
	X(NO_SUCH_KEY, "NoSuchKey", 404, "The specified key does not exist.") \
	X(NO_SUCH_PUBLIC_ACCESS_BLOCK, "NoSuchPublicAccessBlockConfiguration", 404, \
		"The public access block configuration was not found") \
	X(NO_SUCH_TAG_SET, "NoSuchTagSet", 404, "The TagSet does not exist") \
	X(NO_SUCH_UPLOAD, "NoSuchUpload", 404, \
		"The specified multipart upload does not exist. The upload ID might be " \
		"invalid, or the " \
		"multipart upload might have been aborted or completed.") \
	X(NO_SUCH_VERSION, "NoSuchVersion", 404, \
		"The version ID specified in the request does not match an existing version.") \
	X(NO_SUCH_WEBSITE, "NoSuchWebsiteConfiguration", 404, \
		"The specified bucket does not have a website configuration") \
	X(NOT_FOUND_CONFIGURATION, "NoSuchConfiguration", 404, \
		"The specified configuration does not exist.") \
	X(NOT_IMPLEMENTED, "NotImplemented", 501, \
		"A header you provided implies functionality that is not implemented.") \
	X(OBJECT_LOCK_NOT_FOUND, "ObjectLockConfigurationNotFoundError", 404, \
		"Object Lock configuration does not exist for this bucket") \
	X(NO_SUCH_OBJECT_LOCK, "NoSuchObjectLockConfiguration", 404, \
		"The specified object does not have an Object Lock configuration.") \
	X(OWNERSHIP_CONTROLS_NOT_FOUND, "OwnershipControlsNotFoundError", 404, \
		"The bucket ownership controls were not found") \
	X(OPERATION_ABORTED, "OperationAborted", 409, \
		"A conflicting conditional operation is currently in progress against this " \
		"resource. Please try again.") \
	X(PERMANENT_REDIRECT, "PermanentRedirect", 301, \
		"The bucket that you are attempting to access must be addressed using the " \
		"specified " \
		"endpoint.") \
	X(PRECONDITION_FAILED, "PreconditionFailed", 412, \
		"At least one of the preconditions you specified did not hold.") \
	X(QUOTA_EXCEEDED, "QuotaExceeded", 403, "The quota of this bucket or account is used up.") \
	X(REPLICATION_NOT_FOUND, "ReplicationConfigurationNotFoundError", 404, \
		"There is no replication configuration for this bucket.") \
	X(REQUEST_TIME_TOO_SKEWED, "RequestTimeTooSkewed", 403, \
		"The difference between the request time and the server's time is too large.") \
	X(REQUEST_TIMEOUT, "RequestTimeout", 400, \
		"Your socket connection to the server was not read from or written to " \
		"within the timeout " \
		"period.") \
	X(SERVICE_UNAVAILABLE, "ServiceUnavailable", 503, \
		"Service is unable to handle the request now.") \
	X(SIGNATURE_DOES_NOT_MATCH, "SignatureDoesNotMatch", 403, \
		"The request signature we calculated does not match the signature you " \
		"provided. Check " \
		"your key and signing method.") \
	X(SLOW_DOWN, "SlowDown", 503, "Please reduce your request rate.") \
	X(STORAGE_FULL, "XRubusStorageFull", 507, "There is no space left on the drives.") \
	X(TOO_MANY_BUCKETS, "TooManyBuckets", 400, \
		"You have attempted to create more buckets than allowed.") \
	X(UNRESOLVABLE_GRANT, "UnresolvableGrantByEmailAddress", 405, \
		"Grants by e-mail address are not supported.") \
	X(CONTENT_SHA256_MISMATCH, "XAmzContentSHA256Mismatch", 400, \
		"The provided 'x-amz-content-sha256' header does not match what was computed.")

enum s3_code {
#define X(name, code, status, message) S3_##name,
	S3_ERROR_TABLE(X)
#undef X
		S3_CODE_COUNT
};

/* The Code ("NoSuchKey"), the HTTP status, and the usual Message. */
const char *s3_error_code(enum s3_code code);
unsigned s3_error_status(enum s3_code code);
const char *s3_error_message(enum s3_code code);

/* The one way from our errors to S3's. ERR_NOT_FOUND has no good answer in general (key, bucket,
 * version, or upload?): the caller says what was looked for. ERR_UNKNOWN has none either: the
 * outcome is not known, so the connection is to be closed without a status; this gives
 * S3_INTERNAL_ERROR for those that cannot. */
enum s3_code s3_error_from_err(enum err err, enum s3_code not_found);

/* One more element of the error document, e.g. BucketName. */
struct s3_error_field {
	const char *name; /* a literal */
	struct bytes value; /* any bytes; what XML cannot carry is replaced */
};

enum { S3_ERROR_FIELDS_MAX = 8, S3_ERROR_TEXT_MAX = 512 };

/* What a failed check adds to the bare code. Values that are not the caller's live in `text`, so
 * the struct is copied with care: values may point into it. All zero is empty. */
struct s3_error_detail {
	const char *message; /* a literal; NULL means the table's */
	size_t field_count;
	struct s3_error_field fields[S3_ERROR_FIELDS_MAX];
	size_t text_len;
	uint8_t text[S3_ERROR_TEXT_MAX];
};

void s3_error_detail_init(struct s3_error_detail *detail);

/* Adds an element. `value` is borrowed for as long as the detail lives; the second copies it into
 * detail->text (cut when that is full), the third writes a number. Fields beyond the bound are left
 * out: they only explain. */
void s3_error_add(struct s3_error_detail *detail, const char *name, struct bytes value);
void s3_error_add_copy(struct s3_error_detail *detail, const char *name, struct bytes value);
void s3_error_add_uint(struct s3_error_detail *detail, const char *name, uint64_t value);

/* Writes the error document. detail may be NULL. resource, request_id and host_id are text;
 * request_id must be the one of the x-amz-request-id header. */
void s3_error_format(struct text_out *out, enum s3_code code, const struct s3_error_detail *detail,
	struct bytes resource, struct bytes request_id, struct bytes host_id);

#endif
