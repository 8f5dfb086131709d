# SPDX-License-Identifier: Apache-2.0
"""Clients that cannot be installed here, played from what their sources send: the spelling of targets,
headers, digests and bodies is theirs. replay_*.py say what each asks; clients_replayed.py runs them."""
import hashlib
import http.client
from urllib.parse import unquote

from cases import equal
from edge_case import chunks_len, chunks_of, fine, now
from wire import Wire, canonical_query, escape


class Replay(Wire):
    """One client of one node, over one connection. agent, separator and unsigned are how it spells its
    Authorization: Proxmox puts no space behind commas, Go does; few sign everything they send."""

    def __init__(self, place, agent, separator=", ", unsigned=("user-agent", "content-length", "expect"), node=None):
        super().__init__(node or place.node, place.tls)
        self.place, self.agent = place, agent
        self.separator, self.unsigned = separator, unsigned

    def send(self, *words):
        """Again, if the node had ended a connection that was kept: every HTTP library does that."""
        was_kept = self.connection is not None
        try:
            return super().send(*words)
        except (http.client.RemoteDisconnected, ConnectionError):
            if not was_kept:
                raise
            return super().send(*words)

    def ask(self, method, target, headers=None, body=b"", payload=None, chunks=None, trailers=None,
            encoded=False):
        """target is as on the wire. chunks: the body's, framed as payload says. encoded: in HTTP chunks
        instead of with a length."""
        path, _, text = target.partition("?")
        query = pairs_of(text)
        headers = {"Host": f"{self.host}:{self.port}", "User-Agent": self.agent, **(headers or {})}
        if chunks is not None:
            headers["X-Amz-Decoded-Content-Length"] = str(sum(map(len, chunks)))
            length = chunks_len(chunks, payload, trailers)
        else:
            length = len(body)
        if encoded:
            headers["Transfer-Encoding"] = "chunked"
        elif method in ("PUT", "POST"):
            headers["Content-Length"] = str(length)
        stamp, signature = self.signer.sign(
            method, path, query, headers, payload or sha256(body), unsigned=(*self.unsigned, "transfer-encoding"))
        headers["authorization"] = headers["authorization"].replace(",", self.separator)
        if chunks is not None:
            body = chunks_of(chunks, payload, trailers, self.signer, stamp, signature)
            equal(len(body), length)
        if encoded:
            body = b"".join(b"%x\r\n%s\r\n" % (len(body[i:i + 50000]), body[i:i + 50000])
                            for i in range(0, len(body), 50000)) + b"0\r\n\r\n"
        return self.send(method, target, body, headers)

    def presign(self, method, target, expires=900, headers=("host",), **values):
        """The target with what signs it: the host, and the headers of these names and values."""
        path, _, text = target.partition("?")
        query = pairs_of(text)
        stamp = now().strftime("%Y%m%dT%H%M%SZ")
        query += [("X-Amz-Algorithm", "AWS4-HMAC-SHA256"), ("X-Amz-Date", stamp), ("X-Amz-Expires", str(expires)),
                  ("X-Amz-Credential", f"{self.signer.key}/{stamp[:8]}/{self.signer.region}/s3/aws4_request"),
                  ("X-Amz-SignedHeaders", ";".join(headers))]
        values = {"host": f"{self.host}:{self.port}", **values}
        canonical = "\n".join([method, path, canonical_query(query), *[f"{name}:{values[name]}" for name in headers],
                               "", ";".join(headers), "UNSIGNED-PAYLOAD"])
        query.append(("X-Amz-Signature", self.signer.signature(
            stamp, "AWS4-HMAC-SHA256", sha256(canonical.encode()))))
        return f"{path}?{canonical_query(query)}"

    def plain(self, method, target, body=b"", headers=None):
        """A request that is not signed but by its target, as an HTTP library sends it."""
        return self.send(method, target, body, {
            "Host": f"{self.host}:{self.port}", **(headers or {}),
            **({"Content-Length": str(len(body))} if method in ("PUT", "POST") else {})})

    def bucket(self, name):
        """Makes one, which most of them leave to the user."""
        fine(Wire.request(self, "PUT", "/" + name))
        return name


def pairs_of(query):
    return [tuple(unquote(word) for word in (*pair.split("=", 1), "")[:2]) for pair in query.split("&") if pair]


def sha256(body):
    return hashlib.sha256(body).hexdigest()


def key_path(key):
    return escape(key, "/-._~")
