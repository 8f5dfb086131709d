# SPDX-License-Identifier: Apache-2.0
"""Proxmox Backup Server 4 (proxmox-s3-client): one object for each chunk, written only if it is not
there, and a garbage collection that lists all of them and deletes in batches."""
import concurrent.futures
import email.utils
import hashlib
import re
import ssl
import threading

from cases import equal, say
from edge_case import element, fine, md5_header, texts
from replay import Replay, key_path, sha256
from wire import Signer

AGENT = "proxmox-s3-client/1.0"
NOTE = "store/.cnt/vm/100/2026-11-22T00:00:00Z/drive-scsi0.img.fidx"
TEXT = re.compile(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT")


def chunk_body(i):
    return b"%d " % i * 60


def chunk_key(i):
    digest = hashlib.sha256(b"chunk %d" % i).hexdigest()
    return f"store/.chunks/{digest[:4]}/{digest}"


class Server:
    """What it asks of a bucket; it signs all that it sends, and spells its commas without spaces. It is
    a user of its own, who was made as docs/clients/pbs.md says."""

    def __init__(self, place):
        made = place.rubus("user", "create", "--id", "pbs")
        place.rubus("bucket", "create", place.bucket, "--user", "pbs")
        self.place, self.user = place, Signer(made["access_key"], made["secret_key"])
        self.own = threading.local()

    def ask(self, method, target, body=b"", **headers):
        if not hasattr(self.own, "wire"):
            self.own.wire = Replay(self.place, AGENT, separator=",", unsigned=("user-agent",))
            self.own.wire.signer = self.user
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body:
            named["content-md5"] = md5_header(body)
        if method in ("PUT", "POST"):
            named["content-type"] = "application/octet-stream"
        return self.own.wire.ask(method, target, named, body, payload=sha256(body))

    def put(self, key, body, **headers):
        """200 with nothing in it, or 412: it is there already."""
        answer = self.ask("PUT", f"/{self.place.bucket}/{key_path(key)}", body, **headers)
        if answer.status != 412:
            fine(answer)
            equal(answer.body, b"")
            equal(answer.headers["etag"], f'"{hashlib.md5(body).hexdigest()}"')
        return answer.status

    def put_chunks(self, numbers, status):
        """In eight at a time, as its upload does."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for got in pool.map(lambda i: self.put(chunk_key(i), chunk_body(i), if_none_match="*"), numbers):
                equal(got, status)

    def headers_of(self, method, key):
        """Of a GET or HEAD; those without which it gives up."""
        answer = fine(self.ask(method, f"/{self.place.bucket}/{key_path(key)}"))
        assert TEXT.fullmatch(answer.headers["last-modified"]), answer.headers["last-modified"]
        email.utils.parsedate_to_datetime(answer.headers["date"])
        return answer

    def chunks(self):
        """All, page by page; each must have what it parses."""
        token = ""
        while True:
            answer = fine(self.ask("GET", f"/{self.place.bucket}/?list-type=2{token}&prefix=store%2F.chunks%2F"))
            keys = texts(answer, "Key")
            for name in ("LastModified", "ETag", "Size", "StorageClass"):
                equal(len(texts(answer, name)), len(keys))
            equal(element(answer, "KeyCount"), str(len(keys)))
            yield keys
            if element(answer, "IsTruncated") == "false":
                return
            equal(len(keys), 1000)
            token = "&continuation-token=" + key_path(element(answer, "NextContinuationToken")).replace("/", "%2F")

    def delete(self, keys):
        body = "<Delete>" + "".join(f"<Object><Key>{key}</Key></Object>" for key in keys) + "</Delete>"
        return fine(self.ask("POST", f"/{self.place.bucket}/?delete", body.encode()))


def runs_of(answer):
    """The names of what lies in the document, each once for as long as it is repeated."""
    names = re.findall(rb"<(Deleted|Error)>", answer.body)
    return [name for i, name in enumerate(names) if i == 0 or names[i - 1] != name]


def play(place):
    server = Server(place)
    count = 20000 if place.full else 2000
    case = place.case
    with case("finds the fingerprint of the certificate in rubus status"):
        leaf = ssl.get_server_certificate((place.node.host, place.node.s3_port))
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(leaf)).hexdigest()
        equal(place.rubus("status")["tls_fingerprint"].lower().replace(":", ""), digest)
    with case("finds the bucket and lists buckets"):
        fine(server.ask("HEAD", f"/{place.bucket}/"))
        assert place.bucket in texts(fine(server.ask("GET", "/")), "Name")
    with case(f"puts {count // 2} chunks if they are not there"):
        server.put_chunks(range(count // 2), 200)
    with case("is told of chunks that are there"):
        server.put_chunks(range(0, count // 2, count // 200), 412)
    with case("puts an index, a name with colons and an empty marker"):
        equal(server.put(NOTE, b"index" * 1000), 200)
        equal(server.put("store/.in-use", b"", if_none_match="*"), 200)
        equal(server.put("store/.in-use", b"", if_none_match="*"), 412)

    yield

    with case("puts as many again, some of which are there"):
        server.put_chunks(range(count // 2, count), 200)
        server.put_chunks(range(0, count, count // 100), 412)
    with case("reads chunks, the index and the marker, with all headers that it wants"):
        for key, body in [(chunk_key(i), chunk_body(i)) for i in range(0, count, count // 50)] + [
                (NOTE, b"index" * 1000), ("store/.in-use", b"")]:
            equal(server.headers_of("GET", key).body, body)
            head = server.headers_of("HEAD", key)
            equal(head.headers["content-length"], str(len(body)))
            equal(head.headers["content-type"], "application/octet-stream")
            equal(head.headers["etag"], f'"{hashlib.md5(body).hexdigest()}"')
    with case("copies over itself with another type"):
        where = f"/{place.bucket}/{key_path(NOTE)}"
        fine(server.ask("PUT", where, x_amz_copy_source=where[1:], x_amz_metadata_directive="REPLACE"))
        equal(server.headers_of("GET", NOTE).body, b"index" * 1000)
    with case("is told with 204 of a key that was never there"):
        fine(server.ask("DELETE", f"/{place.bucket}/store/none"), 204)
    with case(f"lists {count} chunks in pages"):
        pages = list(server.chunks())
        equal([key for page in pages for key in page], sorted(chunk_key(i) for i in range(count)))
    collect(place, server, pages)


def collect(place, server, pages):
    """The garbage collection: every other page goes."""
    with place.case("deletes in batches of 1000"):
        for page in pages[::2]:
            answer = server.delete(page)
            equal(sorted(texts(answer, "Key")), page)
            equal(runs_of(answer), [b"Deleted"])
        left = [key for page in pages[1::2] for key in page]
        equal([key for page in server.chunks() for key in page], left)
    with place.case("has the deleted before the errors, though they were asked for in turns"):
        place.policy('{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject",'
                     f'"Resource":"arn:aws:s3:::{place.bucket}/store/.chunks/*"}}]}}')
        kept = left[:100]
        answer = server.delete([key for pair in zip(kept, (f"store/none-{i}" for i in range(100))) for key in pair])
        equal(runs_of(answer), [b"Deleted", b"Error"])
        equal(texts(answer, "Code"), ["AccessDenied"] * 100)
    say(f"Proxmox Backup Server: {len(pages)} pages of chunks")
