# SPDX-License-Identifier: Apache-2.0
"""S3 spoken by hand: a signer of Signature Version 4 and one kept connection. It is small, fast, and
lets a test say what no client would."""
import datetime
import hashlib
import hmac
import http.client
import re
import ssl
import time
from urllib.parse import quote

EMPTY = hashlib.sha256(b"").hexdigest()
UNSIGNED = "UNSIGNED-PAYLOAD"


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def code(self):
        """The code of an S3 error document, or None."""
        found = re.search(rb"<Code>([^<]*)</Code>", self.body)
        return found[1].decode() if found else None

    def __repr__(self):
        return f"{self.status} {self.code or self.body[:100]!r}"


def escape(text, safe="-._~"):
    return quote(text, safe=safe)


def canonical_query(query):
    pairs = sorted((escape(name), escape(value)) for name, value in query)
    return "&".join(f"{name}={value}" for name, value in pairs)


class Signer:
    def __init__(self, key, secret, region="us-east-1"):
        self.key, self.secret, self.region = key, secret, region
        self.signing_keys = {}

    def signing_key(self, day):
        if day not in self.signing_keys:
            key = ("AWS4" + self.secret).encode()
            for part in (day, self.region, "s3", "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self.signing_keys = {day: key}
        return self.signing_keys[day]

    def signature(self, stamp, *lines):
        """Of a string to sign whose scope is that of the stamp's day."""
        scope = f"{stamp[:8]}/{self.region}/s3/aws4_request"
        text = "\n".join([lines[0], stamp, scope, *lines[1:]])
        return hmac.digest(self.signing_key(stamp[:8]), text.encode(), "sha256").hex()

    def sign(self, method, path, query, headers, payload, at=None, unsigned=()):
        """Adds date, digest and authorization to headers. path is escaped already. Headers named in
        unsigned are sent and not signed. Returns the stamp and the signature, for chunks."""
        at = at or datetime.datetime.now(datetime.timezone.utc)
        stamp = at.strftime("%Y%m%dT%H%M%SZ")
        headers["x-amz-date"] = stamp
        headers["x-amz-content-sha256"] = payload
        lower = {name.lower(): " ".join(value.split()) for name, value in headers.items()}
        names = sorted(name for name in lower if name not in unsigned)
        canonical = "\n".join([
            method, path, canonical_query(query), *[f"{name}:{lower[name]}" for name in names], "",
            ";".join(names), payload])
        signature = self.signature(
            stamp, "AWS4-HMAC-SHA256", hashlib.sha256(canonical.encode()).hexdigest())
        headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.key}/{stamp[:8]}/{self.region}/s3/aws4_request,"
            f"SignedHeaders={';'.join(names)},Signature={signature}")
        return stamp, signature


class Wire:
    """One client with one connection, opened when it is needed and again after an error."""

    def __init__(self, node, tls=False, timeout=60):
        self.host, self.port = node.host, node.s3_port
        self.signer = Signer(node.key, node.secret)
        self.context = ssl.create_default_context(cafile=node.certificate) if tls else None
        self.timeout = timeout
        self.connection = None
        self.hurry = None  # seconds after which the next request is left alone, without its answer

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def connect(self):
        if not self.connection and self.context:
            self.connection = http.client.HTTPSConnection(
                self.host, self.port, timeout=self.timeout, context=self.context)
        elif not self.connection:
            self.connection = http.client.HTTPConnection(self.host, self.port, timeout=self.timeout)
        return self.connection

    def request(self, method, path, body=b"", query=(), headers=None, payload=None, **how):
        """path is not escaped: "/bucket/key". Raises OSError or HTTPException if the answer does not
        come whole; then nobody knows what became of it."""
        escaped = escape(path, "/-._~")
        headers = {"host": f"{self.host}:{self.port}", **(headers or {})}
        if payload is None:
            payload = hashlib.sha256(body).hexdigest() if len(body) < 65536 else UNSIGNED
        self.signer.sign(method, escaped, query, headers, payload, **how)
        if method in ("PUT", "POST") or body:
            headers["content-length"] = str(len(body))
        text = canonical_query(query)
        return self.send(method, escaped + ("?" + text if text else ""), body, headers)

    def send(self, method, target, body, headers):
        connection = self.connect()
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            connection.endheaders(body or None)
            if self.hurry is not None:
                time.sleep(self.hurry)
                raise TimeoutError("left alone")
            response = connection.getresponse()
            data = response.read()
        except BaseException:
            self.close()
            raise
        finally:
            self.hurry = None
        if response.will_close:
            self.close()
        return Answer(response.status, response.headers, data)

    # --- the few operations that tests need ---------------------------------------------------------

    def put(self, bucket, key, body, **more):
        return self.request("PUT", f"/{bucket}/{key}", body, **more)

    def get(self, bucket, key, **more):
        return self.request("GET", f"/{bucket}/{key}", **more)

    def head(self, bucket, key, **more):
        return self.request("HEAD", f"/{bucket}/{key}", **more)

    def delete(self, bucket, key, **more):
        return self.request("DELETE", f"/{bucket}/{key}", **more)

    def make_bucket(self, bucket):
        answer = self.request("PUT", f"/{bucket}")
        if answer.status != 200:
            raise AssertionError(f"bucket {bucket}: {answer}")

    def list(self, bucket, prefix=""):
        """All keys with size and ETag, page by page."""
        token = None
        while True:
            query = [("list-type", "2"), ("prefix", prefix)]
            if token:
                query.append(("continuation-token", token))
            answer = self.request("GET", f"/{bucket}", query=query)
            if answer.status != 200:
                raise AssertionError(f"list: {answer}")
            for item in re.findall(rb"<Contents>.*?</Contents>", answer.body, re.S):
                key, size, etag = (re.search(b"<%s>(.*?)</%s>" % (n, n), item, re.S)[1].decode()
                                   for n in (b"Key", b"Size", b"ETag"))
                yield key, int(size), etag.replace("&quot;", "").strip('"')
            found = re.search(rb"<NextContinuationToken>(.*?)</", answer.body)
            if not found:
                return
            token = found[1].decode()

    def try_upload(self, bucket, key):
        """The id of a new upload, or None if it is refused."""
        answer = self.request("POST", f"/{bucket}/{key}", query=[("uploads", "")])
        found = re.search(rb"<UploadId>(.*?)</UploadId>", answer.body)
        return found[1].decode() if answer.status == 200 and found else None

    def start_upload(self, bucket, key):
        upload = self.try_upload(bucket, key)
        if not upload:
            raise AssertionError(f"no upload of {key} begins")
        return upload

    def put_part(self, bucket, key, upload, number, body):
        query = [("partNumber", str(number)), ("uploadId", upload)]
        return self.request("PUT", f"/{bucket}/{key}", body, query=query)

    def complete_upload(self, bucket, key, upload, etags, **more):
        body = "<CompleteMultipartUpload>" + "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
            for number, etag in enumerate(etags, 1)) + "</CompleteMultipartUpload>"
        query = [("uploadId", upload)]
        return self.request("POST", f"/{bucket}/{key}", body.encode(), query=query, **more)


def read_all(node, bucket, bodies):
    """The bucket has these keys, with these bodies, and no others."""
    wire = Wire(node, timeout=40)
    keys = {key for key, _, _ in wire.list(bucket, "")}
    assert keys == set(bodies), keys ^ set(bodies)
    for key, body in bodies.items():
        answer = wire.get(bucket, key)
        assert answer.status == 200 and answer.body == body, (key, answer)
    wire.close()
