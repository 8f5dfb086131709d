# SPDX-License-Identifier: Apache-2.0
"""How the cases of boto.py are marked, and what they ask."""
import random

from botocore.exceptions import ClientError

MIB = 1 << 20


def registry():
    """A decorator that remembers what it marks."""
    def case(function):
        case.functions.append(function)
        return function
    case.functions = []
    return case


def noise(length, seed=1):
    return random.Random(seed).randbytes(length)


def refused(status, code, function, **arguments):
    """The call must fail with this status and this code; code is one of several in a tuple. Returns
    the error's document."""
    codes = code if isinstance(code, tuple) else (code,)
    try:
        function(**arguments)
    except ClientError as error:
        answer = error.response
        got = answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]
        if got[0] != status or got[1] not in codes:
            raise AssertionError(f"{got}, not {(status, code)}") from None
        return answer
    raise AssertionError(f"was not refused with {status} {code}")


def keys_of(s3, bucket, operation="list_objects_v2", **arguments):
    pages = s3.get_paginator(operation).paginate(Bucket=bucket, **arguments)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]
