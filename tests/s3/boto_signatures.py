# SPDX-License-Identifier: Apache-2.0
"""Cases of forms.py about signatures of version 2, as botocore makes them."""
import re
import time

from boto_case import keys_of, noise, refused, registry
from cases import equal

case = registry()  # with the defaults
case_all = registry()  # signature_v2: all
case_off = registry()  # signature_v2: off

KEY = "a dir/ü+k%20=&?"


def presigned(c, operation, method, expires=60, signer=None, **parameters):
    signer = signer or c.client(signature_version="s3-query")
    return signer.generate_presigned_url(
        operation, Params={"Bucket": c.bucket, **parameters}, ExpiresIn=expires, HttpMethod=method)


def code_of(answer):
    found = re.search(rb"<Code>([^<]*)</Code>", answer[2])
    return answer[0], found[1].decode() if found else None


@case
def presigned_requests_of_version_2_do_what_they_say(c):
    url = presigned(c, "put_object", "PUT", Key=KEY)
    assert "AWSAccessKeyId=" in url and "X-Amz-" not in url, url
    equal(c.fetch(url, "PUT", b"data", {"Content-Type": ""})[0], 200)
    equal(c.s3.get_object(Bucket=c.bucket, Key=KEY)["Body"].read(), b"data")
    status, headers, body = c.fetch(presigned(
        c, "get_object", "GET", Key=KEY, ResponseContentType="text/x", ResponseContentDisposition="a; b=\"c\""))
    equal((status, headers["Content-Type"], headers["Content-Disposition"], body),
          (200, "text/x", "a; b=\"c\"", b"data"))
    equal(c.fetch(presigned(c, "list_objects_v2", "GET", Prefix="a "))[0], 200)
    equal(c.fetch(presigned(c, "get_bucket_acl", "GET"))[0], 200)
    equal(c.fetch(presigned(c, "delete_object", "DELETE", Key=KEY), "DELETE")[0], 204)
    equal(keys_of(c.s3, c.bucket), [])


@case
def a_presigned_request_of_version_2_is_for_what_was_signed(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    c.s3.put_object(Bucket=c.bucket, Key="other", Body=b"data")
    url = presigned(c, "get_object", "GET", Key="k")
    equal(c.fetch(url)[0], 200)
    wrong = (403, "SignatureDoesNotMatch")
    equal(code_of(c.fetch(url.replace("/k?", "/other?"))), wrong)
    equal(code_of(c.fetch(url, "DELETE")), wrong)
    equal(code_of(c.fetch(url + "&acl")), wrong)
    equal(code_of(c.fetch(url, headers={"x-amz-meta-a": "b"})), wrong)
    equal(code_of(c.fetch(url.replace("Expires=", "Expires=1"))), wrong)
    equal(code_of(c.fetch(url.replace("Signature=", "Signature=AAAA"))), wrong)
    equal(code_of(c.fetch(url.replace("AWSAccessKeyId=", "AWSAccessKeyId=x"))), (403, "InvalidAccessKeyId"))
    old = presigned(c, "get_object", "GET", expires=-1, Key="k")
    time.sleep(1)
    equal(code_of(c.fetch(old)), (403, "AccessDenied"))
    # What version 2 does not sign is not acted upon.
    equal(code_of(c.fetch(url + "&legal-hold")), (400, "InvalidRequest"))
    equal(code_of(c.fetch(url + "&retention")), (400, "InvalidRequest"))
    equal(c.fetch(url + "&x=1")[0], 200)


@case
def headers_of_version_2_are_refused_by_default(c):
    refused(400, "InvalidRequest", c.client(signature_version="s3").list_objects_v2, Bucket=c.bucket)


@case_all
def a_client_may_sign_its_headers_with_version_2(c):
    s3 = c.client(signature_version="s3")
    data = noise(300_000)
    s3.put_object(Bucket=c.bucket, Key=KEY, Body=data, Metadata={"a": "b  c"}, ContentType="text/x")
    answer = s3.get_object(Bucket=c.bucket, Key=KEY)
    equal((answer["Body"].read(), answer["Metadata"], answer["ContentType"]), (data, {"a": "b  c"}, "text/x"))
    s3.put_object_tagging(Bucket=c.bucket, Key=KEY, Tagging={"TagSet": [{"Key": "t", "Value": "v"}]})
    equal(s3.get_object_tagging(Bucket=c.bucket, Key=KEY)["TagSet"], [{"Key": "t", "Value": "v"}])
    upload = s3.create_multipart_upload(Bucket=c.bucket, Key="m")["UploadId"]
    part = s3.upload_part(Bucket=c.bucket, Key="m", UploadId=upload, PartNumber=1, Body=b"part")
    s3.complete_multipart_upload(Bucket=c.bucket, Key="m", UploadId=upload, MultipartUpload={
        "Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]})
    equal(sorted(keys_of(s3, c.bucket)), sorted([KEY, "m"]))
    s3.delete_objects(Bucket=c.bucket, Delete={"Objects": [{"Key": KEY}, {"Key": "m"}]})
    equal(keys_of(s3, c.bucket), [])
    wrong = c.client(secret="x" * 40, signature_version="s3")
    refused(403, "SignatureDoesNotMatch", wrong.list_objects_v2, Bucket=c.bucket)
    refused(403, "InvalidAccessKeyId", c.client(key="nobody", signature_version="s3").list_objects_v2,
            Bucket=c.bucket)


@case_off
def version_2_is_refused_where_it_is_off(c):
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"data")
    equal(code_of(c.fetch(presigned(c, "get_object", "GET", Key="k"))), (400, "InvalidRequest"))
    refused(400, "InvalidRequest", c.client(signature_version="s3").list_objects_v2, Bucket=c.bucket)
