/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/op_stub.h"

#include "gateway/op_get_plan.h"
#include "gateway/request_document.h"
#include "gateway/response.h"
#include "gateway/xml_body.h"
#include "gateway/xml_out.h"

#define ACL_LEN_MAX (64u << 10) /* of an AccessControlPolicy */

void op_stub_document(struct request *request)
{
	request_answer_document(request, bytes_of(request->route->document));
}

/* --- objects ---------------------------------------------------------------------------------- */

/* Calls what writes the answer, under the view that has the object. */
static void answer_about_object(struct request *request,
	void (*write)(
		struct request *request, struct text_out *out, const struct object_info *object))
{
	struct response_headers headers = {0};
	struct object_info object;
	struct text_out out;

	enum err err = index_view_begin(request_reader(request));
	if (err != ERR_OK) {
		request_fail_err(request, err, S3_INTERNAL_ERROR);
		return;
	}
	enum s3_code code = op_get_find_object(request, &headers, &object);
	request_note_begin(request, &out);
	if (code == S3_OK && write)
		write(request, &out, &object);
	index_view_end(request_reader(request));
	if (code == S3_OK && out.overflowed)
		code = S3_INTERNAL_ERROR;
	if (code != S3_OK)
		request_fail_with(request, code, headers.list, headers.count);
	else if (write)
		request_answer_document(request, request_note_end(request, &out));
	else
		request_answer(request, 200, NULL, 0);
}

/* --- ACLs ------------------------------------------------------------------------------------- */

enum s3_code op_stub_check_acl(const struct request *request)
{
	const struct exchange *x = request->exchange;
	struct bytes acl;

	if (request_header(request, "x-amz-acl", &acl) && !bytes_is_text(acl, "private") &&
		!bytes_is_text(acl, "bucket-owner-full-control"))
		return S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED;
	for (size_t i = 0; i < x->header_count; i++)
		if (bytes_has_prefix(x->headers[i].name, bytes_of("x-amz-grant-")))
			return S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED;
	return S3_OK;
}

static void write_acl(struct text_out *out, struct bytes owner)
{
	text_put_text(out, XML_DECLARATION "<AccessControlPolicy" XML_NAMESPACE ">");
	response_put_owner(out, owner);
	text_put_text(out,
		"<AccessControlList><Grant><Grantee "
		"xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
		"xsi:type=\"CanonicalUser\"><ID>");
	xml_put_any(out, owner);
	text_put_text(out, "</ID><DisplayName>");
	xml_put_any(out, owner);
	text_put_text(out,
		"</DisplayName></Grantee><Permission>FULL_CONTROL</Permission></Grant>"
		"</AccessControlList></AccessControlPolicy>");
}

void op_stub_bucket_acl(struct request *request)
{
	struct text_out out;
	request_note_begin(request, &out);
	write_acl(&out, request->bucket.owner);
	request_answer_document(request, request_note_end(request, &out));
}

static void write_object_acl(
	struct request *request, struct text_out *out, const struct object_info *object)
{
	(void)object; /* objects belong to the owner of their bucket */
	write_acl(out, request->bucket.owner);
}

void op_stub_object_acl(struct request *request)
{
	answer_about_object(request, write_object_acl);
}

struct put_acl {
	struct request_document document;
	bool has_document, has_xml;
	struct xml_acl xml;
};

static enum s3_code feed_acl(struct request_document *document, struct bytes piece)
{
	return xml_in_feed(&CONTAINER_OF(document, struct put_acl, document)->xml.in, piece);
}

static void fini_put_acl(struct request *request)
{
	struct put_acl *put = REQUEST_OP(request, struct put_acl);
	if (put->has_document)
		request_document_fini(&put->document);
	if (put->has_xml)
		xml_in_fini(&put->xml.in);
}

/* Does the document say what is the case anyway? */
static enum s3_code check_document(struct request *request, struct put_acl *put)
{
	struct bytes owner = bytes_make(put->xml.owner, put->xml.owner_len);
	struct bytes grantee = bytes_make(put->xml.grantee, put->xml.grantee_len);

	if (put->document.body.taken_len == 0)
		return S3_OK;
	enum s3_code code = xml_in_finish(&put->xml.in);
	if (code != S3_OK)
		return code;
	bool is_ours = (owner.len == 0 || bytes_is_equal(owner, request->bucket.owner)) &&
		(grantee.len == 0 || bytes_is_equal(grantee, request->bucket.owner));
	return is_ours && xml_acl_is_private(&put->xml) ? S3_OK
							: S3_ACCESS_CONTROL_LIST_NOT_SUPPORTED;
}

static void advance_put_acl(struct request *request)
{
	struct put_acl *put = REQUEST_OP(request, struct put_acl);
	enum s3_code code = S3_OK;

	if (request->is_gone) {
		request_abandon(request);
		return;
	}
	enum err err = request_document_read(&put->document, &code);
	if (err == ERR_BUSY)
		return;
	if (err == ERR_OK)
		code = check_document(request, put);
	if (code != S3_OK)
		request_fail(request, code);
	else if (request->route->scope == ROUTE_OBJECT)
		answer_about_object(request, NULL);
	else
		request_answer(request, 200, NULL, 0);
}

void op_stub_put_acl(struct request *request)
{
	struct put_acl *put = REQUEST_OP(request, struct put_acl);
	put->has_document = put->has_xml = false;
	enum s3_code code = op_stub_check_acl(request);
	if (code != S3_OK) {
		request_fail(request, code);
		return;
	}
	request->fini = fini_put_acl;
	request->advance = advance_put_acl;
	put->has_document = true;
	code = request_document_init(&put->document, request, ACL_LEN_MAX, feed_acl);
	if (code == S3_OK) {
		put->has_xml = xml_acl_init(&put->xml) == ERR_OK;
		code = put->has_xml ? S3_OK : S3_SLOW_DOWN;
	}
	if (code != S3_OK)
		request_fail(request, code);
	else
		advance_put_acl(request);
}
