#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An image of five layers that do not compress, as an OCI layout.

usage: image.py DIR SEED BYTES
"""
import gzip
import hashlib
import io
import json
import os
import random
import sys
import tarfile


def make_image(folder, seed, length):
    """Layers of length bytes and more; the first is the same in all images, as a base is."""
    blobs = os.path.join(folder, "blobs", "sha256")
    os.makedirs(blobs)

    def add(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as file:
            file.write(data)
        return {"mediaType": "application/vnd.oci.image." + kind, "digest": "sha256:" + digest, "size": len(data)}

    layers, diff_ids = [], []
    for i in range(5):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            body = random.Random(i and seed * 100 + i).randbytes(length + i * 1234567)
            info = tarfile.TarInfo(f"layer-{i}")
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
        diff_ids.append("sha256:" + hashlib.sha256(buffer.getvalue()).hexdigest())
        # Compressed, or skopeo would do it and the digests would be others.
        layers.append(add(gzip.compress(buffer.getvalue(), 1, mtime=0), "layer.v1.tar+gzip"))
    config = {"architecture": "amd64", "os": "linux", "config": {},
              "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    config = add(json.dumps(config).encode(), "config.v1+json")
    manifest = {"schemaVersion": 2, "config": config, "layers": layers,
                "mediaType": "application/vnd.oci.image.manifest.v1+json"}
    manifest = add(json.dumps(manifest).encode(), "manifest.v1+json")
    manifest["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    with open(os.path.join(folder, "index.json"), "w") as file:
        json.dump({"schemaVersion": 2, "manifests": [manifest]}, file)
    with open(os.path.join(folder, "oci-layout"), "w") as file:
        file.write('{"imageLayoutVersion": "1.0.0"}')


if __name__ == "__main__":
    make_image(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
