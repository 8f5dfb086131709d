# SPDX-License-Identifier: Apache-2.0
"""GitLab: Workhorse with presigned URLs, fog in its Ruby with chunks inside chunks, and its registry's
driver s3_v2."""
import base64

from awscrt import checksums

from cases import equal
from edge_case import MIB, SIGNED_CHUNKS, UNSIGNED_TRAILER, base64_of, crc32, element, fine, md5, md5_header, texts
from replay import Replay, key_path
from replay_go import GoV2

PART = 5 * MIB


def crc64(body):
    return base64_of(checksums.crc64nvme(body).to_bytes(8, "big"))


class Workhorse:
    """It is given URLs by Rails and compares the ETag with the MD5 that it made while it sent."""

    def __init__(self, rails):
        self.rails = rails

    def ask(self, method, target, body=b"", **headers):
        return self.rails.plain(method, self.rails.presign(method, target), body, {
            name.replace("_", "-"): value for name, value in headers.items()})

    def put(self, target, body):
        answer = fine(self.ask("PUT", target, body, Content_Type="application/octet-stream"))
        equal(answer.headers["etag"], f'"{md5(body)}"')
        return answer.headers["etag"]

    def upload(self, target, parts):
        upload = element(fine(self.rails.ask("POST", target + "?uploads")), "UploadId")
        tags = [self.put(f"{target}?partNumber={i}&uploadId={upload}", part) for i, part in enumerate(parts, 1)]
        document = "<CompleteMultipartUpload>" + "".join(
            f"<Part><PartNumber>{i}</PartNumber><ETag>{tag}</ETag></Part>" for i, tag in enumerate(tags, 1)) + \
            "</CompleteMultipartUpload>"
        fine(self.ask("POST", f"{target}?uploadId={upload}", document.encode(), Content_Type="application/xml"))

    def give_up(self, target):
        upload = element(fine(self.rails.ask("POST", target + "?uploads")), "UploadId")
        self.put(f"{target}?partNumber=1&uploadId={upload}", b"x")
        fine(self.ask("DELETE", f"{target}?uploadId={upload}"), 204)
        equal(self.ask("DELETE", f"{target}?uploadId={upload}").status, 404)


def fog_put(rails, target, body):
    """Signed chunks of S3 within the chunks of HTTP, so that no length is said but the decoded one."""
    pieces = [body[i:i + MIB] for i in range(0, len(body), MIB)]
    return rails.ask("PUT", target, {"Content-Type": "image/png", "x-amz-meta-a": "b"},
                     payload=SIGNED_CHUNKS, chunks=pieces, encoded=True)


def delete_document(keys):
    return ("<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>").encode()


def play(place):
    rails = Replay(place, "fog-core/2.6.0", unsigned=("user-agent", "content-length"))
    rails.bucket(place.bucket)
    workhorse = Workhorse(rails)
    big = bytes(range(256)) * (3 * MIB // 256) + b"end"
    at = f"/{place.bucket}/tmp/uploads/1763800000-42"
    with place.case("Workhorse puts by an URL and finds the MD5 in the ETag"):
        workhorse.put(at, big)
        workhorse.put(at + "-empty", b"")
    with place.case("Workhorse puts parts by URLs and completes by one"):
        workhorse.upload(at + "-parts", [bytes(PART), big])
    with place.case("Workhorse gives up an upload by an URL"):
        workhorse.give_up(at + "-none")
    with place.case("fog puts with chunks within chunks"):
        for body in (b"", b"x", big):
            fine(fog_put(rails, at + "-fog", body))
    yield
    with place.case("Rails moves what Workhorse put"):
        fine(rails.ask("PUT", f"/{place.bucket}/artifacts/1.zip", {"x-amz-copy-source": at}))
        fine(rails.ask("DELETE", at), 204)
        equal(fine(rails.ask("GET", f"/{place.bucket}/artifacts/1.zip")).body, big)
        equal(fine(rails.ask("GET", at + "-parts")).body, bytes(PART) + big)
    with place.case("fog's bodies lie without their framing"):
        answer = fine(rails.ask("GET", at + "-fog"))
        equal((answer.body, answer.headers["content-type"], answer.headers["x-amz-meta-a"]), (big, "image/png", "b"))
        assert "aws-chunked" not in answer.headers.get("content-encoding", "")
    with place.case("a browser downloads under another name"):
        name = key_path('attachment; filename="größe 1.zip"')
        answer = fine(rails.plain("GET", rails.presign(
            "GET", f"/{place.bucket}/artifacts/1.zip?response-content-disposition={name}")))
        equal(answer.body, big)
        assert answer.headers["content-disposition"].startswith("attachment; filename="), answer.headers.items()
    registry(place)


class Registry(GoV2):
    """Its driver s3_v2, whose checksum is CRC64NVME."""

    def put_crc64(self, target, body):
        return self.api("PUT", target, {
            "Content-Type": "application/octet-stream", "Content-Encoding": "aws-chunked", "X-Amz-Acl": "private",
            "X-Amz-Sdk-Checksum-Algorithm": "CRC64NVME", "X-Amz-Trailer": "x-amz-checksum-crc64nvme",
        }, payload=UNSIGNED_TRAILER, chunks=[body], trailers=[b"x-amz-checksum-crc64nvme:" + crc64(body).encode()])


def registry(place):
    if not place.tls:
        return
    one = Registry(place, "gitlab-container-registry/v4.31")
    root = f"/{place.bucket}/docker/registry/v2"
    body = bytes(PART) + b"tail"
    with place.case("its registry uploads a layer with CRC64NVME"):
        create = {"X-Amz-Acl": "private", "X-Amz-Checksum-Algorithm": "CRC64NVME",
                  "Content-Type": "application/octet-stream"}
        upload = element(fine(one.api("POST", root + "/up?uploads=&x-id=CreateMultipartUpload", create)), "UploadId")
        for i, part in enumerate((body[:PART], body[PART:]), 1):
            fine(one.put_crc64(f"{root}/up?partNumber={i}&uploadId={upload}&x-id=UploadPart", part))
        prefix = "docker%2Fregistry%2Fv2%2Fup"
        listed = fine(one.api("GET", f"/{place.bucket}?prefix={prefix}&uploads"))
        equal(texts(listed, "UploadId"), [upload])
        parts = fine(one.api("GET", f"{root}/up?uploadId={upload}&x-id=ListParts"))
        document = "<CompleteMultipartUpload>" + "".join(
            f"<Part><ChecksumCRC64NVME>{value}</ChecksumCRC64NVME><ETag>{tag}</ETag><PartNumber>{i}</PartNumber></Part>"
            for i, (value, tag) in enumerate(zip(texts(parts, "ChecksumCRC64NVME"), texts(parts, "ETag")), 1)
        ) + "</CompleteMultipartUpload>"
        fine(one.api("POST", f"{root}/up?uploadId={upload}", {"Content-Type": "application/xml"}, document.encode()))
        answer = fine(one.get_object("docker/registry/v2/up"))
        equal((answer.body, base64.b64decode(answer.headers["x-amz-checksum-crc64nvme"])),
              (body, base64.b64decode(crc64(body))))
    with place.case("its registry deletes with a CRC32, with an MD5, and with both"):
        for digests in ({"x-amz-checksum-crc32": crc32, "X-Amz-Sdk-Checksum-Algorithm": lambda _: "CRC32"}, {"Content-Md5": md5_header},
                        {"x-amz-checksum-crc32": crc32, "Content-Md5": md5_header}):
            fine(one.put_crc64(root + "/gone", b"x"))
            document = delete_document(["docker/registry/v2/gone", "docker/registry/v2/none"])
            answer = fine(one.api("POST", f"/{place.bucket}?delete=", {
                "Content-Type": "application/xml",
                **{name: of(document) for name, of in digests.items()}}, document))
            equal(len(texts(answer, "Deleted")), 2)
            equal(one.api("HEAD", root + "/gone").status, 404)
