# SPDX-License-Identifier: Apache-2.0
"""Begins uploads that nobody ends, beside one and beyond it: what the registry's own leave.

usage: stale_uploads.py KEY COUNT       in the bucket and at the node of the environment
"""
import os
import sys
from types import SimpleNamespace

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from wire import Wire

host, port = os.environ["HOST_PORT"].split(":")
node = SimpleNamespace(host=host, s3_port=int(port), certificate=os.environ["CA"],
                       key=os.environ["AWS_ACCESS_KEY_ID"], secret=os.environ["AWS_SECRET_ACCESS_KEY"])
wire = Wire(node, bool(os.environ["CA"]))
key, count = sys.argv[1], int(sys.argv[2])
for i in range(count):
    # Half of them begin with its whole name.
    wire.start_upload(os.environ["BUCKET"], f"{key}-{i}" if i % 2 else f"{key[:-40]}{i:08d}/data")
