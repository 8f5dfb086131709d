# SPDX-License-Identifier: Apache-2.0
"""Clients of aws-sdk-go-v2 and of minio-go: Terraform's lock, Velero; Thanos and Loki, restic, k3s."""
import base64
import hashlib
import json
import threading
import time
import uuid

from cases import equal
from edge_case import MIB, UNSIGNED_TRAILER, base64_of, crc32, element, fine, md5, md5_header, refused, texts
from replay import Replay, key_path
from wire import UNSIGNED


class GoV2(Replay):
    """aws-sdk-go-v2: it signs what proxies like to change, and over TLS a body is one chunk with its
    checksum behind it."""

    def __init__(self, place, agent, node=None):
        super().__init__(place, agent + " aws-sdk-go-v2/1.41.0 lang/go#1.25 api/s3#1.97.0",
                         unsigned=("user-agent", "expect"), node=node)

    def api(self, method, target, headers=None, body=b"", **more):
        return self.ask(method, target, {
            "Accept-Encoding": "identity", "Amz-Sdk-Invocation-Id": str(uuid.uuid4()),
            "Amz-Sdk-Request": "attempt=1; max=3", **(headers or {})}, body, **more)

    def put_object(self, key, body, headers=None, algorithm="CRC32", value=crc32):
        target = f"/{self.place.bucket}/{key_path(key)}?x-id=PutObject"
        name = f"x-amz-checksum-{algorithm.lower()}"
        headers = {"Content-Type": "application/octet-stream", "X-Amz-Sdk-Checksum-Algorithm": algorithm, **(headers or {})}
        if not self.place.tls:
            return self.api("PUT", target, {**headers, name: value(body)}, body)
        return self.api("PUT", target, {
            **headers, "Content-Encoding": "aws-chunked", "X-Amz-Trailer": name}, payload=UNSIGNED_TRAILER,
            chunks=[body] if body else [], trailers=[f"{name}:{value(body)}".encode()])

    def get_object(self, key, **headers):
        return self.api("GET", f"/{self.place.bucket}/{key_path(key)}?x-id=GetObject",
                        {"X-Amz-Checksum-Mode": "ENABLED", **headers})


class MinioGo(Replay):
    """minio-go 7: signed chunks over HTTP, unsigned bodies over TLS, and an MD5 where it is asked for."""

    def __init__(self, place, agent):
        super().__init__(place, "MinIO (linux; amd64) minio-go/v7.0.95 " + agent,
                         unsigned=("user-agent", "content-length", "accept-encoding"))

    def put_object(self, key, body, query="", md5_too=True, **headers):
        target = f"/{self.place.bucket}/{key_path(key)}{query}"
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if md5_too:
            headers["Content-Md5"] = md5_header(body)
        if self.place.tls:
            return self.ask("PUT", target, headers, body, payload=UNSIGNED)
        pieces = [body[i:i + 65536] for i in range(0, len(body), 65536)]
        return self.ask("PUT", target, headers, payload="STREAMING-AWS4-HMAC-SHA256-PAYLOAD", chunks=pieces)

    def get(self, target, **headers):
        return self.ask("GET", f"/{self.place.bucket}/{target}", headers)

    def stat(self, key):
        return self.ask("HEAD", f"/{self.place.bucket}/{key_path(key)}")

    def upload(self, key, parts):
        """putObjectMultipartStream: create, parts in turns, complete."""
        path = f"/{self.place.bucket}/{key_path(key)}"
        upload = element(fine(self.ask("POST", path + "?uploads=")), "UploadId")
        tags = [fine(self.put_object(key, part, f"?partNumber={i}&uploadId={upload}")).headers["etag"]
                for i, part in enumerate(parts, 1)]
        document = '<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' + "".join(
            f"<Part><PartNumber>{i}</PartNumber><ETag>{tag[1:-1]}</ETag></Part>" for i, tag in enumerate(tags, 1)) + \
            "</CompleteMultipartUpload>"
        answer = fine(self.ask("POST", f"{path}?uploadId={upload}", {"Content-Type": "application/octet-stream"},
                               document.encode()))
        whole = hashlib.md5(b"".join(bytes.fromhex(md5(part)) for part in parts)).hexdigest()
        equal(element(answer, "ETag"), f'"{whole}-{len(parts)}"')

    def list(self, query):
        return fine(self.ask("GET", f"/{self.place.bucket}/?{query}"))


def sha256_of(body):
    return base64_of(hashlib.sha256(body).digest())


# --- Terraform ----------------------------------------------------------------------------------------

class Terraform(GoV2):
    state, lock = "env/prod/terraform.tfstate", "env/prod/terraform.tfstate.tflock"

    def __init__(self, place, node=None):
        super().__init__(place, "APN/1.0 HashiCorp/1.0 Terraform/1.14.0", node)

    def put_sha256(self, key, body, **headers):
        return self.put_object(key, body, {"Content-Type": "application/json", **headers}, "SHA256", sha256_of)

    def apply(self):
        """Takes the lock, adds one to what the state says, gives the lock back. Returns how often
        another had it."""
        mine = json.dumps({"ID": str(uuid.uuid4()), "Operation": "OperationTypeApply", "Who": "a@b"}).encode()
        refusals = 0
        while True:
            answer = self.put_sha256(self.lock, mine, **{"If-None-Match": "*"})
            if answer.status == 200:
                break
            assert answer.status in (409, 412), answer
            refusals += 1
            holder = self.get_object(self.lock)  # to say who has it; it may be gone by now
            assert holder.status in (200, 404), holder
            time.sleep(0.01)
        equal(fine(self.get_object(self.lock)).body, mine)
        answer = self.get_object(self.state)
        serial = json.loads(fine(answer).body)["serial"] if answer.status != 404 else 0
        fine(self.put_sha256(self.state, json.dumps({"version": 4, "serial": serial + 1}).encode()))
        fine(self.api("DELETE", f"/{self.place.bucket}/{self.lock}?x-id=DeleteObject"), 204)
        return refusals


def contest(place, rounds):
    """Two that want the lock at once, each of another node if there are several."""
    refusals, errors = [], []

    def write(node):
        try:
            terraform = Terraform(place, node)
            refusals.extend(terraform.apply() for _ in range(rounds))
        except Exception as error:
            errors.append(error)
    threads = [threading.Thread(target=write, args=[node]) for node in (place.node, place.other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    assert any(refusals), "they never met"


def terraform(place):
    one = Terraform(place)
    one.bucket(place.bucket)
    with place.case("two writers contend for the lock"):
        contest(place, 25)
    with place.case("finds a state that all of them wrote"):
        equal(json.loads(fine(one.get_object(one.state)).body)["serial"], 50)
    yield
    with place.case("two writers contend again"):
        contest(place, 25)
    with place.case("finds a state that all of them wrote then"):
        answer = fine(one.get_object(one.state))
        equal(json.loads(answer.body)["serial"], 100)
        equal(answer.headers["x-amz-checksum-sha256"], sha256_of(answer.body))
    with place.case("takes a lock where a delete marker lies"):
        fine(one.api("PUT", f"/{place.bucket}?versioning", {"Content-Md5": md5_header(VERSIONED)}, VERSIONED))
        for _ in range(2):
            fine(one.put_sha256(one.lock, b"{}", **{"If-None-Match": "*"}))
            equal(one.put_sha256(one.lock, b"{}", **{"If-None-Match": "*"}).status, 412)
            answer = fine(one.api("DELETE", f"/{place.bucket}/{one.lock}?x-id=DeleteObject"), 204)
            equal(answer.headers["x-amz-delete-marker"], "true")
    with place.case("finds its workspaces"):
        answer = fine(one.api("GET", f"/{place.bucket}?list-type=2&max-keys=1000&prefix=env%3A%2F"))
        equal(texts(answer, "Key"), [])


VERSIONED = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"


# --- Velero -------------------------------------------------------------------------------------------

def velero(place):
    one = GoV2(place, "velero-plugin-for-aws/1.13")
    one.bucket(place.bucket)
    names = [f"velero/backups/daily-{i}/" for i in range(3)]
    log = bytes(range(256)) * 40000
    with place.case("puts a backup, each file with its checksum"):
        for name in names:
            fine(one.put_object(name + "velero-backup.json", b"{}"))
            fine(one.put_object(name + "logs.gz", log))
            fine(one.put_object(name + "empty", b""))
    yield
    with place.case("finds the backups by their prefixes"):
        answer = fine(one.api("GET", f"/{place.bucket}?delimiter=%2F&list-type=2&prefix=velero%2Fbackups%2F"))
        equal(texts(answer, "Prefix"), ["velero/backups/", *names])
    with place.case("sees whether a file is there"):
        fine(one.api("HEAD", f"/{place.bucket}/{names[0]}velero-backup.json"))
        equal(one.api("HEAD", f"/{place.bucket}/{names[0]}none").status, 404)
    with place.case("reads them without the framing, with their checksums"):
        answer = fine(one.get_object(names[1] + "logs.gz"))
        equal((answer.body, answer.headers["x-amz-checksum-crc32"]), (log, crc32(log)))
        assert "aws-chunked" not in answer.headers.get("content-encoding", "")
        equal(fine(one.get_object(names[1] + "empty")).body, b"")
    with place.case("refuses a framing that it does not know, and stores nothing"):
        answer = one.api("PUT", f"/{place.bucket}/new", {"X-Amz-Decoded-Content-Length": "1"},
                         b"1\r\nx\r\n0\r\n\r\n", payload="STREAMING-SOMETHING-NEW")
        assert answer.status in (400, 501), answer
        equal(one.api("HEAD", f"/{place.bucket}/new").status, 404)
    with place.case("gives URLs for logs"):
        answer = one.plain("GET", one.presign("GET", f"/{place.bucket}/{names[2]}logs.gz?x-id=GetObject", 600))
        equal(fine(answer).body, log)
    with place.case("deletes a backup"):
        for file in ("velero-backup.json", "logs.gz", "empty"):
            fine(one.api("DELETE", f"/{place.bucket}/{names[0]}{file}?x-id=DeleteObject"), 204)
        answer = fine(one.api("GET", f"/{place.bucket}?delimiter=%2F&list-type=2&prefix=velero%2Fbackups%2F"))
        equal(texts(answer, "Prefix"), ["velero/backups/", *names[1:]])


# --- Thanos and Loki ----------------------------------------------------------------------------------

def thanos(place):
    one = MinioGo(place, "thanos-sidecar/0.39.2 (go1.25)")
    one.bucket(place.bucket)
    blocks = [f"01K{i:023d}" for i in range(3)]
    part_len = (64 if place.full else 5) * MIB
    part = bytes(range(256)) * (part_len // 256)
    index = [part, b"the rest of the index"]
    with place.case("asks where the bucket is"):
        equal(element(fine(one.ask("GET", f"/{place.bucket}/?location=")), "LocationConstraint"), "rubus")
    with place.case("puts blocks, with MD5"):
        for block in blocks:
            fine(one.put_object(f"{block}/meta.json", b'{"version":1}', Content_Type="application/octet-stream"))
            fine(one.put_object(f"{block}/chunks/000001", bytes(200000)))
        fine(one.put_object(f"{blocks[0]}/deletion-mark.json", b"{}", md5_too=False))
    with place.case(f"puts an index in parts of {part_len // MIB} MiB"):
        one.upload(f"{blocks[0]}/index", index)
    yield
    with place.case("finds the blocks, by both lists"):
        for kind in ("list-type=2&fetch-owner=true&", ""):
            answer = one.list(f"delimiter=%2F&encoding-type=url&{kind}prefix=")
            equal([text for text in texts(answer, "Prefix") if text], [block + "/" for block in blocks])
    with place.case("lists a block, with what owns it"):
        answer = one.list(f"delimiter=&encoding-type=url&fetch-owner=true&list-type=2&prefix={blocks[0]}%2F")
        equal(texts(answer, "Key"), [f"{blocks[0]}/{name}" for name in
                                     ("chunks/000001", "deletion-mark.json", "index", "meta.json")])
        equal(len(texts(answer, "Owner")), 4)
    with place.case("knows the size of an index, and reads ranges of it"):
        head = fine(one.stat(f"{blocks[0]}/index"))
        equal(head.headers["content-length"], str(part_len + len(index[1])))
        answer = fine(one.get(f"{blocks[0]}/index", Range=f"bytes={part_len - 10}-{part_len + 9}"), 206)
        equal(answer.body, (part[-10:] + index[1])[:20])
        answer = fine(one.get(f"{blocks[0]}/index", Range=f"bytes={part_len}-"), 206)
        equal(answer.body, index[1])
    with place.case("is told what is not there, and what lies beyond the end"):
        refused(one.get(f"{blocks[1]}/none"), 404, "NoSuchKey")
        refused(one.get(f"{blocks[1]}/meta.json", Range="bytes=13-"), 416, "InvalidRange")
    with place.case("refuses what came otherwise than its MD5 says"):
        answer = one.ask("PUT", f"/{place.bucket}/bad", {"Content-Md5": md5_header(b"other")}, b"body", payload=UNSIGNED)
        refused(answer, 400, "BadDigest")
        equal(one.stat("bad").status, 404)
    with place.case("removes a block"):
        for key in texts(one.list(f"list-type=2&prefix={blocks[0]}%2F"), "Key"):
            fine(one.ask("DELETE", f"/{place.bucket}/{key}"), 204)
        equal(texts(one.list(f"list-type=2&prefix={blocks[0]}%2F"), "Key"), [])


# --- restic 0.19 --------------------------------------------------------------------------------------

def restic(place):
    """What the one of Debian does not do: it stores packs as they are, and lists with an empty delimiter."""
    one = MinioGo(place, "restic/0.19.0")
    one.bucket(place.bucket)
    part = bytes(range(256)) * ((200 if place.full else 6) * MIB // 256)
    with place.case("sees that the bucket is there, and where"):
        fine(one.ask("HEAD", f"/{place.bucket}/"))
        equal(one.ask("HEAD", f"/{place.bucket}/config").status, 404)
    with place.case(f"puts a pack in parts of {len(part) // MIB} MiB, with MD5"):
        one.upload("data/00/0011", [part, part[:MIB]])
        fine(one.put_object("config", b"config"))
        fine(one.put_object("locks/aa", b"lock"))
    yield
    with place.case("lists with a delimiter and with an empty one"):
        answer = one.list("delimiter=%2F&encoding-type=url&fetch-owner=true&list-type=2&prefix=locks%2F")
        equal(texts(answer, "Key"), ["locks/aa"])
        answer = one.list("delimiter=&encoding-type=url&fetch-owner=true&list-type=2&prefix=data%2F")
        equal((texts(answer, "Key"), texts(answer, "Size")), (["data/00/0011"], [str(len(part) + MIB)]))
    with place.case("reads ranges of a pack"):
        answer = fine(one.get("data/00/0011", Range=f"bytes={len(part) - 5}-{len(part) + 4}"), 206)
        equal(answer.body, part[-5:] + part[:5])
        refused(one.get("data/00/0011", Range=f"bytes={len(part) + MIB}-"), 416, "InvalidRange")
        refused(one.get("data/00/none", Range="bytes=0-9"), 404, "NoSuchKey")
    with place.case("removes a lock"):
        fine(one.ask("DELETE", f"/{place.bucket}/locks/aa"), 204)
        equal(one.stat("locks/aa").status, 404)


# --- k3s ----------------------------------------------------------------------------------------------

def k3s(place):
    one = MinioGo(place, "k3s/v1.34")
    one.bucket(place.bucket)
    files = [f"etcd-snapshot-node{i}-1763800000" for i in range(3)]
    body = bytes(range(251)) * 50000
    with place.case("sees that the bucket is there"):
        fine(one.ask("HEAD", f"/{place.bucket}/"))
        equal(one.ask("HEAD", f"/{place.bucket}-none/").status, 404)
    with place.case("puts snapshots with their metadata"):
        for name in files:
            fine(one.put_object("snapshots/" + name, body, Content_Type="application/zip",
                                X_Amz_Meta_Cluster_Id="a b", X_Amz_Meta_Token_Hash=base64.b64encode(b"hash").decode()))
            fine(one.put_object("snapshots/.metadata/" + name, b'{"a":1}'))
    yield
    with place.case("knows a snapshot and its metadata"):
        head = fine(one.stat("snapshots/" + files[0]))
        equal((head.headers["x-amz-meta-cluster-id"], head.headers["x-amz-meta-token-hash"]), ("a b", "aGFzaA=="))
        equal(head.headers["content-length"], str(len(body)))
    with place.case("lists snapshots, in the manner of MinIO too"):
        for more in ("", "&metadata=true"):
            answer = one.list(f"encoding-type=url&fetch-owner=true&list-type=2{more}&prefix=snapshots%2Fetcd")
            equal(texts(answer, "Key"), ["snapshots/" + name for name in files])
    with place.case("reads a snapshot"):
        equal(fine(one.get("snapshots/" + files[1])).body, body)
    with place.case("prunes"):
        fine(one.ask("DELETE", f"/{place.bucket}/snapshots/{files[0]}"), 204)
        fine(one.ask("DELETE", f"/{place.bucket}/snapshots/{files[0]}"), 204)
        equal(texts(one.list("list-type=2&prefix=snapshots%2Fetcd"), "Key"), ["snapshots/" + name for name in files[1:]])
