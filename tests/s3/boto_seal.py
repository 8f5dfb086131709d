# SPDX-License-Identifier: Apache-2.0
"""Cases of boto.py about bodies that are compressed, encrypted, or both."""
import base64
import os
import ssl
import urllib.request

from boto_case import MIB, noise, refused, registry
from boto_policies import other, set_policy, statement
from cases import equal

case = registry()

FRAME = 64 << 10
KEY, OTHER = b"k" * 32, b"x" * 32


def words(length):
    line = b"the raspberries grow by the wall, and nobody counts them; "
    return (line * (length // len(line) + 1))[:length]


def mixed(length):
    """Words, noise and zeros, in runs that no frame has."""
    runs = (words(300001), noise(300001), bytes(300001))
    return b"".join(runs[i % 3] for i in range(length // 300001 + 1))[:length]


def customer(key=KEY):
    return {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": key}


def source(key=KEY):
    return {"CopySourceSSECustomerAlgorithm": "AES256", "CopySourceSSECustomerKey": key}


def zip_bucket(c):
    c.node.rubus("bucket", "set", c.bucket, "compression=zstd")


def read(c, key, **more):
    return c.s3.get_object(Bucket=c.bucket, Key=key, **more)["Body"].read()


def check(c, key, data, **more):
    """The whole of it, and every range at a border of frames."""
    equal(read(c, key, **more), data)
    for at in range(0, len(data) + 1, FRAME):
        for first, last in ((at - 1, at - 1), (at, at), (at - 1, at), (at - 5, at + FRAME + 5)):
            if 0 <= first < len(data):
                got = read(c, key, Range=f"bytes={first}-{last}", **more)
                equal(got, data[first:last + 1])
    equal(read(c, key, Range="bytes=-7", **more), data[-7:])


def tls_only(c):
    """Keys of customers are taken over TLS alone."""
    if not c.tls:
        refused(400, "InvalidRequest", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"x", **customer())
    return not c.tls


@case
def compressed_objects_are_what_was_put(c):
    zip_bucket(c)
    before = c.node.metric("rubus_zipped_stored_bytes_total")
    for length in (1, 4096, FRAME, FRAME + 1, 700000):
        c.s3.put_object(Bucket=c.bucket, Key="k", Body=words(length))
        check(c, "k", words(length))
        equal(c.s3.head_object(Bucket=c.bucket, Key="k")["ContentLength"], length)
    c.s3.put_object(Bucket=c.bucket, Key="noise", Body=noise(MIB))
    check(c, "noise", noise(MIB))
    c.s3.put_object(Bucket=c.bucket, Key="mixed", Body=mixed(5 * MIB))
    check(c, "mixed", mixed(5 * MIB))
    stored = c.node.metric("rubus_zipped_stored_bytes_total") - before
    assert stored < 4.25 * MIB, f"{stored} bytes are stored of 6.8 MiB, of which 256 KiB of noise were tried"
    c.node.rubus("bucket", "set", c.bucket, "compression=none")
    check(c, "mixed", mixed(5 * MIB))


def drives_hold(c, text):
    for drive in c.node.drive_paths():
        for folder, _, files in os.walk(drive):
            for name in files:
                with open(os.path.join(folder, name), "rb") as file:
                    while piece := file.read(64 * MIB):
                        if text in piece:
                            return True
    return False


@case
def what_is_encrypted_is_not_on_the_drives(c):
    plain, sealed = b"canary-plain-%d-" % c.tls * 20000, b"canary-sealed-%d-" % c.tls * 20000
    c.s3.put_object(Bucket=c.bucket, Key="plain", Body=plain)
    equal(c.s3.put_object(Bucket=c.bucket, Key="sealed", Body=sealed,
                          ServerSideEncryption="AES256")["ServerSideEncryption"], "AES256")
    assert drives_hold(c, plain[:100]), "what is not encrypted was not found either"
    assert not drives_hold(c, sealed[:100])
    check(c, "sealed", sealed)
    equal(c.s3.head_object(Bucket=c.bucket, Key="sealed")["ServerSideEncryption"], "AES256")


@case
def a_bucket_encrypts_by_default(c):
    refused(404, "ServerSideEncryptionConfigurationNotFoundError", c.s3.get_bucket_encryption, Bucket=c.bucket)
    rules = [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": False}]
    c.s3.put_bucket_encryption(Bucket=c.bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    equal(c.s3.get_bucket_encryption(Bucket=c.bucket)["ServerSideEncryptionConfiguration"]["Rules"], rules)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=words(100000))
    equal(c.s3.head_object(Bucket=c.bucket, Key="k")["ServerSideEncryption"], "AES256")
    rules[0]["ApplyServerSideEncryptionByDefault"] = {"SSEAlgorithm": "aws:kms"}
    refused(501, "NotImplemented", c.s3.put_bucket_encryption, Bucket=c.bucket,
            ServerSideEncryptionConfiguration={"Rules": rules})
    post = c.s3.generate_presigned_post(c.bucket, "form")
    boundary = "rubusboundary"
    body = b"".join(f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
                    for name, value in post["fields"].items())
    body += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'.encode()
    body += mixed(700001) + f"\r\n--{boundary}--\r\n".encode()
    if not c.tls:
        urllib.request.urlopen(urllib.request.Request(post["url"], data=body, headers={
            "Content-Type": f"multipart/form-data; boundary={boundary}"})).read()
        check(c, "form", mixed(700001))
        equal(c.s3.head_object(Bucket=c.bucket, Key="form")["ServerSideEncryption"], "AES256")
    c.s3.delete_bucket_encryption(Bucket=c.bucket)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=b"x")
    assert "ServerSideEncryption" not in c.s3.head_object(Bucket=c.bucket, Key="k")


@case
def a_customers_key_opens_what_it_sealed(c):
    if tls_only(c):
        return
    data = mixed(700000)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=data, **customer())
    check(c, "k", data, **customer())
    refused(400, "InvalidRequest", c.s3.get_object, Bucket=c.bucket, Key="k")
    refused(403, "AccessDenied", c.s3.get_object, Bucket=c.bucket, Key="k", **customer(OTHER))
    refused(400, ("400", "InvalidRequest"), c.s3.head_object, Bucket=c.bucket, Key="k")
    refused(403, ("403", "AccessDenied"), c.s3.head_object, Bucket=c.bucket, Key="k", **customer(OTHER))
    refused(400, "InvalidArgument", c.s3.put_object, Bucket=c.bucket, Key="k", Body=b"x",
            **customer(base64.b64encode(KEY).decode()), SSECustomerKeyMD5="AAAAAAAAAAAAAAAAAAAAAA==")


@case
def copies_are_encrypted_as_is_asked_for(c):
    data = mixed(700000)
    zip_bucket(c)
    ways = {"plain": {}, "cluster": {"ServerSideEncryption": "AES256"}}
    if c.tls:
        ways["customer"] = customer()
    reading = {"plain": {}, "cluster": {}, "customer": customer()}
    for have, how in ways.items():
        c.s3.put_object(Bucket=c.bucket, Key=have, Body=data, **how)
        for want, more in ways.items():
            c.s3.copy_object(Bucket=c.bucket, Key="copy", CopySource={"Bucket": c.bucket, "Key": have},
                             **(source() if have == "customer" else {}), **more)
            equal(read(c, "copy", **reading[want]), data)


@case
def parts_are_encrypted_as_their_upload_was_begun(c):
    zip_bucket(c)
    data = mixed(12 * MIB)
    for how in ({"ServerSideEncryption": "AES256"}, customer() if c.tls else {}):
        parts_of = how if "SSECustomerKey" in how else {}
        c.s3.put_object(Bucket=c.bucket, Key="source", Body=data[5 * MIB - 3:10 * MIB + 3])
        upload = c.s3.create_multipart_upload(Bucket=c.bucket, Key="k", **how)["UploadId"]
        name = {"Bucket": c.bucket, "Key": "k", "UploadId": upload}
        etags = [c.s3.upload_part(PartNumber=1, Body=data[:5 * MIB], **name, **parts_of)["ETag"]]
        etags.append(c.s3.upload_part_copy(
            PartNumber=2, CopySource={"Bucket": c.bucket, "Key": "source"},
            CopySourceRange=f"bytes=3-{5 * MIB + 2}", **name, **parts_of)["CopyPartResult"]["ETag"])
        etags.append(c.s3.upload_part(PartNumber=3, Body=data[10 * MIB:], **name, **parts_of)["ETag"])
        c.s3.complete_multipart_upload(MultipartUpload={"Parts": [
            {"PartNumber": i + 1, "ETag": etag} for i, etag in enumerate(etags)]}, **name)
        equal(read(c, "k", **parts_of), data)
        for at in (5 * MIB, 10 * MIB):
            equal(read(c, "k", Range=f"bytes={at - 70000}-{at + 70000}", **parts_of),
                  data[at - 70000:at + 70001])


def unencrypted(how):
    """The denial that users write, of what does not ask for encryption."""
    return {"Null": {f"s3:x-amz-server-side-encryption{how}": "true"}}


@case
def a_policy_may_ask_for_encryption(c):
    eve = other(c)
    put = {"Bucket": c.bucket, "Key": "k", "Body": b"data"}
    allow = statement(c, action="s3:*")
    set_policy(c, allow, statement(c, "Deny", action="s3:PutObject", Condition=unencrypted("")))
    refused(403, "AccessDenied", eve.put_object, **put)
    eve.put_object(**put, ServerSideEncryption="AES256")
    set_policy(c, allow, statement(c, "Deny", action="s3:PutObject", Condition={
        "StringNotEquals": {"s3:x-amz-server-side-encryption": "AES256"}}))
    refused(403, "AccessDenied", eve.put_object, **put)
    refused(403, "AccessDenied", eve.put_object, **put, ServerSideEncryption="aws:kms")
    refused(403, "AccessDenied", eve.create_multipart_upload, Bucket=c.bucket, Key="k")
    eve.put_object(**put, ServerSideEncryption="AES256")
    set_policy(c, allow, statement(c, "Deny", action="s3:PutObject",
                                   Condition=unencrypted("-customer-algorithm")))
    refused(403, "AccessDenied", eve.put_object, **put)
    refused(403, "AccessDenied", eve.put_object, **put, ServerSideEncryption="AES256")
    if c.tls:
        eve.put_object(**put, **customer())
    set_policy(c, allow, statement(c, "Deny", action="s3:PutObject", Condition={
        "StringEquals": {"s3:x-amz-server-side-encryption-customer-algorithm": "AES256"}}))
    eve.put_object(**put)
    refused(403, "AccessDenied", eve.put_object, **put, **customer())


@case
def noise_of_unknown_length_is_left_alone(c):
    zip_bucket(c)
    before = c.node.metric("rubus_zipped_bytes_total")
    form = c.s3.generate_presigned_post(c.bucket, "form")
    parts = [f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
             for name, value in form["fields"].items()]
    parts.append(b'--edge\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n')
    body = b"".join(parts) + noise(3 * MIB + 1) + b"\r\n--edge--\r\n"
    context = ssl.create_default_context(cafile=c.node.certificate) if c.tls else None
    urllib.request.urlopen(urllib.request.Request(form["url"], data=body, headers={
        "Content-Type": "multipart/form-data; boundary=edge"}), context=context).read()
    check(c, "form", noise(3 * MIB + 1))
    tried = c.node.metric("rubus_zipped_bytes_total") - before
    equal(tried, 256 << 10)


@case
def keys_of_bodies_outlive_a_restart(c):
    zip_bucket(c)
    data = mixed(3 * MIB)
    c.s3.put_object(Bucket=c.bucket, Key="k", Body=data, ServerSideEncryption="AES256")
    c.s3.put_object(Bucket=c.bucket, Key="short", Body=words(2000), ServerSideEncryption="AES256")
    c.node.restart()
    check(c, "k", data)
    equal(read(c, "short"), words(2000))
