# SPDX-License-Identifier: Apache-2.0
"""What the cases of edges.py are given: requests to the byte, over HTTP or TLS, and what came back."""
import base64
import datetime
import hashlib
import http.client
import re
import socket
import ssl
import xml.etree.ElementTree as tree
import zlib

from cases import equal, short
from wire import EMPTY, UNSIGNED, Answer, Signer, canonical_query, escape

SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_TRAILER = SIGNED_CHUNKS + "-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MIB = 1 << 20
PART = 5 * MIB


def registry():
    """A decorator that remembers what it marks."""
    def case(function):
        case.functions.append(function)
        return function
    case.functions = []
    return case


def now():
    return datetime.datetime.now(datetime.timezone.utc)


def md5(body):
    return hashlib.md5(body).hexdigest()


def base64_of(data):
    return base64.b64encode(data).decode()


def md5_header(body):
    return base64_of(hashlib.md5(body).digest())


def crc32(body):
    return base64_of(zlib.crc32(body).to_bytes(4, "big"))


def texts(answer, name):
    """The texts of all elements of this name, in the order of the document."""
    return [element.text or "" for element in tree.fromstring(answer.body).iter()
            if element.tag.rpartition("}")[2] == name]


def element(answer, name):
    found = texts(answer, name)
    if len(found) != 1:
        raise AssertionError(f"{len(found)} elements {name} in {answer.body[:1000]!r}")
    return found[0]


def refused(answer, status, code, **elements):
    """It is this error, with these elements in its document; None: with any text that is not empty."""
    if answer.status != status or answer.code != code:
        raise AssertionError(f"{answer}, not {status} {code}")
    equal(element(answer, "RequestId"), answer.headers["x-amz-request-id"])
    for name, value in elements.items():
        got = element(answer, name)
        if got == "" if value is None else got != value:
            raise AssertionError(f"{name} is {short(got)}, not {short(value)}")
    return answer


def fine(answer, status=200):
    if answer.status != status:
        raise AssertionError(f"{answer}, not {status}")
    return answer


def chunks_len(chunks, payload, trailers):
    """How long chunks_of() will be."""
    overhead = len(";chunk-signature=") + 64 if payload.startswith(SIGNED_CHUNKS) else 0
    length = sum(len(b"%x" % len(c)) + overhead + 2 + len(c) + (2 if c else 0) for c in [*chunks, b""])
    length += sum(len(line) + 2 for line in trailers or ()) + 2
    if payload == SIGNED_TRAILER and trailers is not None:
        length += len(b"x-amz-trailer-signature:") + 64 + 2
    return length


def chunks_of(chunks, payload, trailers, signer, stamp, signature, spoil=None):
    """A body in chunks of S3, whose signatures follow the one of the head."""
    signed = payload.startswith(SIGNED_CHUNKS)
    body = b""
    for i, chunk in enumerate([*chunks, b""]):
        if signed:
            signature = signer.signature(stamp, "AWS4-HMAC-SHA256-PAYLOAD", signature, EMPTY,
                                         hashlib.sha256(chunk).hexdigest())
        extension = f";chunk-signature={signature}".encode() if signed else b""
        data = b"%x%s\r\n%s%s" % (len(chunk), extension, chunk, b"\r\n" if chunk else b"")
        body += spoil(data, i) if spoil else data
    body += b"".join(line + b"\r\n" for line in trailers or ())
    if payload == SIGNED_TRAILER and trailers is not None:
        lines = b"".join(line + b"\n" for line in trailers)
        signature = signer.signature(stamp, "AWS4-HMAC-SHA256-TRAILER", signature, hashlib.sha256(lines).hexdigest())
        body += f"x-amz-trailer-signature:{signature}\r\n".encode()
    return body + b"\r\n"


class Edge:
    """One client of one node. A case has a bucket of its own, e.bucket; paths are of its keys."""

    def __init__(self, node, tls):
        self.node, self.tls = node, tls
        self.host = f"{node.host}:{node.s3_port}"
        self.signer = Signer(node.key, node.secret)
        self.context = ssl.create_default_context(cafile=node.certificate) if tls else None
        self.sock = None
        self.bucket_count = 0
        self.bucket = None
        self.others = {}

    def new_bucket(self, headers=(), body=b""):
        self.bucket_count += 1
        self.bucket = f"edge-{'tls' if self.tls else 'http'}-{self.bucket_count}"
        fine(self.call("PUT", headers=headers, body=body))
        return self.bucket

    # --- bytes --------------------------------------------------------------------------------------

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def connect(self):
        sock = socket.create_connection((self.node.host, self.node.s3_port), timeout=60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self.context.wrap_socket(sock, server_hostname=self.node.host) if self.tls else sock

    def receive(self, sock, method):
        response = http.client.HTTPResponse(sock, method=method)
        try:
            response.begin()
            body = response.read()
            will_close = response.will_close
        finally:
            response.close()
        return Answer(response.status, response.headers, body), will_close

    def exchange(self, data, method):
        """Sends bytes on the kept connection; a refusal may come before all are sent."""
        if not self.sock:
            self.sock = self.connect()
        try:
            try:
                self.sock.sendall(data)
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                pass
            answer, will_close = self.receive(self.sock, method)
        except BaseException:
            self.close()
            raise
        if will_close:
            self.close()
        return answer

    # --- requests -----------------------------------------------------------------------------------

    def path(self, key, bucket=None):
        """key None: of the bucket. It is escaped here."""
        path = "/" + (bucket or self.bucket)
        return path if key is None else path + "/" + escape(key, "-._~/")

    def head_of(self, method, path, query=(), headers=(), payload=EMPTY, unsigned=(), at=None, signer=None,
                anonymous=False, wire_query=None, edit=None):
        """The bytes of a head; path is escaped already. Returns them with stamp and signature. Headers
        are pairs, sent as they are; edit changes the Authorization header."""
        headers = [("host", self.host), *(headers.items() if isinstance(headers, dict) else headers)]
        stamp = signature = None
        if not anonymous:
            stamp, signature = self.sign(method, path, query, headers, payload, unsigned, at, signer, edit)
        text = canonical_query(query) if wire_query is None else wire_query
        lines = [f"{method} {path}{'?' + text if text else ''} HTTP/1.1"]
        lines += [f"{name}: {value}" for name, value in headers]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), stamp, signature

    def sign(self, method, path, query, headers, payload, unsigned, at, signer, edit):
        signer = signer or self.signer
        stamp = (at or now()).strftime("%Y%m%dT%H%M%SZ")
        headers.append(("x-amz-date", stamp))
        if payload is not None:
            headers.append(("x-amz-content-sha256", payload))
        values = {}
        for name, value in headers:
            if name.lower() not in ("content-length", "transfer-encoding", "expect", "connection", *unsigned):
                text = re.sub(" +", " ", value.strip())
                values[name.lower()] = values[name.lower()] + "," + text if name.lower() in values else text
        names = sorted(values)
        canonical = "\n".join([method, path, canonical_query(query),
                               *[f"{name}:{values[name]}" for name in names], "", ";".join(names),
                               payload or EMPTY])
        digest = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
        signature = signer.signature(stamp, "AWS4-HMAC-SHA256", digest)
        text = (f"AWS4-HMAC-SHA256 Credential={signer.key}/{stamp[:8]}/{signer.region}/s3/aws4_request, "
                f"SignedHeaders={';'.join(names)}, Signature={signature}")
        headers.append(("authorization", edit(text) if edit else text))
        return stamp, signature

    def call(self, method, key=None, body=b"", query=(), headers=(), payload=None, path=None, bucket=None, **how):
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        if payload is None:
            payload = hashlib.sha256(body).hexdigest() if len(body) < MIB else UNSIGNED
        if (method in ("PUT", "POST") or body) and "content-length" not in [name for name, _ in headers]:
            headers.append(("content-length", str(len(body))))
        head, _, _ = self.head_of(method, path or self.path(key, bucket), query, headers, payload, **how)
        return self.exchange(head + body, method)

    def put(self, key, body=b"", headers=(), **how):
        return self.call("PUT", key, body, headers=headers, **how)

    def get(self, key, headers=(), **how):
        return self.call("GET", key, headers=headers, **how)

    def head(self, key, headers=(), **how):
        return self.call("HEAD", key, headers=headers, **how)

    def delete(self, key, headers=(), **how):
        return self.call("DELETE", key, headers=headers, **how)

    def absent(self, key):
        """Nothing of a refused put can be seen."""
        fine(self.head(key), 404)

    def presign(self, method, path, query=(), headers=(), expires="3600", at=None, signer=None, signed=True):
        """The target of a presigned URL; headers are those it signs beside Host."""
        signer = signer or self.signer
        stamp = (at or now()).strftime("%Y%m%dT%H%M%SZ")
        values = {"host": self.host, **dict(headers)}
        names = sorted(values)
        query = [*query, ("X-Amz-Algorithm", "AWS4-HMAC-SHA256"),
                 ("X-Amz-Credential", f"{signer.key}/{stamp[:8]}/{signer.region}/s3/aws4_request"),
                 ("X-Amz-Date", stamp), ("X-Amz-Expires", expires), ("X-Amz-SignedHeaders", ";".join(names))]
        canonical = "\n".join([method, path, canonical_query(query),
                               *[f"{name}:{values[name]}" for name in names], "", ";".join(names), UNSIGNED])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        query.append(("X-Amz-Signature", signer.signature(stamp, "AWS4-HMAC-SHA256", digest)))
        return path + "?" + canonical_query(query)

    def plain(self, method, target, body=b"", headers=()):
        """A request whose credentials, if any, are in the target."""
        headers = list(headers.items() if isinstance(headers, dict) else headers)
        if (method in ("PUT", "POST") or body) and "content-length" not in [name for name, _ in headers]:
            headers.append(("content-length", str(len(body))))
        lines = [f"{method} {target} HTTP/1.1", f"host: {self.host}", *[f"{n}: {v}" for n, v in headers]]
        return self.exchange(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body, method)

    # --- bodies in chunks ---------------------------------------------------------------------------

    def chunked(self, key, chunks, payload=UNSIGNED_TRAILER, headers=(), trailers=None, decoded=None, framing="length",
                query=(), spoil=None):
        """A put in chunks of S3. trailers are lines without their end, of which the last may be signed;
        framing is how HTTP says how long the body is: "length", "chunked" or "both". spoil changes a
        chunk after it was signed."""
        text = b"".join(chunks)
        headers = [("content-encoding", "aws-chunked"), *headers]
        if decoded is not False:
            headers.append(("x-amz-decoded-content-length", str(len(text) if decoded is None else decoded)))
        if framing != "chunked":
            headers.append(("content-length", str(chunks_len(chunks, payload, trailers))))
        if framing != "length":
            headers.append(("transfer-encoding", "chunked"))
        head, stamp, signature = self.head_of("PUT", self.path(key), query, headers, payload)
        body = chunks_of(chunks, payload, trailers, self.signer, stamp, signature, spoil)
        if framing != "length":
            body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 70000]), body[i:i + 70000])
                            for i in range(0, len(body), 70000)) + b"0\r\n\r\n"
        return self.exchange(head + body, "PUT")

    # --- other people, and what is done often -------------------------------------------------------

    def other(self, owner):
        """A signer with a key of another owner."""
        if owner not in self.others:
            key = self.node.rubus("key", "create", "--owner", owner)
            self.others[owner] = Signer(key["id"], key["secret"])
        return self.others[owner]

    def put_many(self, keys, body=b""):
        for key in keys:
            fine(self.put(key, body))

    def list(self, **query):
        """A page; the names of parameters have underscores for hyphens. Raises if it is refused."""
        return fine(self.try_list(**query))

    def try_list(self, **query):
        return self.call("GET", query=[(name.replace("_", "-"), str(value)) for name, value in query.items()])

    def document(self, query, text, key=None, method="PUT", **how):
        """Sends a small document with its MD5."""
        body = text.encode() if isinstance(text, str) else text
        headers = [("content-md5", md5_header(body)), *how.pop("headers", ())]
        return self.call(method, key, body, query=[(query, "")], headers=headers, **how)

    def versioning(self, status):
        fine(self.document("versioning", f"<VersioningConfiguration><Status>{status}</Status></VersioningConfiguration>"))

    def start_upload(self, key, headers=()):
        return element(fine(self.call("POST", key, query=[("uploads", "")], headers=headers)), "UploadId")

    def part(self, key, upload, number, body, headers=(), **how):
        return self.call("PUT", key, body, query=[("partNumber", str(number)), ("uploadId", upload)],
                         headers=headers, **how)

    def complete(self, key, upload, parts, headers=(), root="CompleteMultipartUpload"):
        """parts are pairs of number and ETag, or texts of whole elements."""
        text = "".join(part if isinstance(part, str) else
                       f"<Part><PartNumber>{part[0]}</PartNumber><ETag>{part[1]}</ETag></Part>" for part in parts)
        return self.call("POST", key, f"<{root}>{text}</{root}>".encode(), query=[("uploadId", upload)], headers=headers)

    def upload(self, key, bodies, headers=()):
        """A whole upload in parts; the answer to its end."""
        upload = self.start_upload(key, headers)
        etags = [(number, fine(self.part(key, upload, number, body)).headers["etag"])
                 for number, body in enumerate(bodies, 1)]
        return fine(self.complete(key, upload, etags))
