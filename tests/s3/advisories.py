#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What went wrong in servers like this one, class by class, and the test that would have caught it here.

usage: advisories.py BUILD [WORD]...        only cases whose name has one of the words

CLASSES names the tests of each class; a name that is not there any more fails. Those that had none
elsewhere are below. Where a class cannot be, it says why.
"""
import json
import os
import re
import stat
import sys
import tempfile

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from cases import Cases, equal
from edge_case import Edge, element, fine, md5_header, refused, registry, texts
from node import Node

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# class: (what it is, tests as "file: name", or why there is none)
CLASSES = {
    "A1": ("a form of payload skips the signature",
           "tests/s3/matrix.py: main; tests/unit/sigv4.c: no_payload_mode_lets_a_wrong_signature_in"),
    "A2": ("a chunk's signature is skipped",
           "tests/unit/chunked.c: a_signed_body_that_was_changed_is_refused, a_body_cut_anywhere_is_incomplete, "
           "chunks_cannot_be_swapped_dropped_or_repeated, the_payload_has_exactly_the_announced_length; "
           "tests/fuzz/chunked.c: LLVMFuzzerTestOneInput"),
    "A3": ("a decoder of chunks hangs",
           "tests/unit/chunked.c: any_split_of_a_body_gives_the_same; tests/fuzz/chunked.c: LLVMFuzzerTestOneInput; "
           "tests/s3/hostile.py: broken_framing_of_chunks_is_refused"),
    "A4": ("a header that is not signed changes the meaning",
           "tests/unit/sigv4.c: an_added_amz_header_is_refused_and_others_are_not, "
           "a_signed_amz_header_that_was_taken_away_is_missed; "
           "tests/s3/edges_transport.py: edge_21_every_amz_header_is_signed; tests/s3/signed.py: main"),
    "A5": ("clients set what is internal", "tests/s3/advisories.py: A5_no_header_sets_what_is_internal"),
    "A6": ("forms pass without a proof, or against their policy",
           "tests/s3/advisories.py: A6_a_form_opens_no_route; "
           "tests/s3/boto_forms.py: a_policy_must_hold, a_form_that_nobody_signed_or_wrongly_is_refused, "
           "two_files_are_refused; tests/unit/form.c: every_field_is_covered_and_every_condition_holds"),
    "A7": ("who is asked for the right sees another path than who opens it",
           "tests/s3/advisories.py: A7_a_key_is_the_same_to_the_policy_and_to_the_store; "
           "tests/s3/hostile.py: names_that_are_odd_are_kept_or_refused; tests/fuzz/uri.c: LLVMFuzzerTestOneInput"),
    "A8": ("the source of a copy, or a version, is not weighed",
           "tests/unit/authorize.c: every_operation_is_open_to_whom_it_ought_to_be, "
           "a_copy_needs_the_right_to_read_its_source, a_version_needs_the_right_to_versions; "
           "tests/s3/advisories.py: A8_a_part_that_is_copied_needs_the_right_to_its_source"),
    "A9": ("rights grow by making keys or by policies",
           "tests/unit/policy.c: what_is_not_understood_is_refused, the_policy_of_a_key_speaks_of_any_bucket_and_nobody; "
           "tests/unit/authorize_user.c: a_grant_gives_its_rights_and_no_more, a_policy_of_a_key_only_narrows, "
           "a_policy_that_does_not_compile_denies, all_keys_of_a_disabled_user_are_refused; "
           "tests/s3/boto_users.py: a_session_is_its_key_narrowed_by_its_policy"),
    "A10": ("secrets in logs, metrics and errors", "tests/s3/advisories.py: A10_secrets_are_in_no_log_metric_or_error"),
    "A11": ("nodes talk to strangers",
            "tests/unit/channel_hostile.c: garbage_gets_no_byte, a_hello_that_is_played_again_leads_nowhere, "
            "a_proof_by_another_key_is_refused, a_frame_that_is_played_again_or_altered_ends_the_link, "
            "random_frames_of_a_member_do_no_harm; tests/unit/join.c: a_token_of_another_secret_opens_nothing"),
    "A12": ("a handshake is played again, a nonce used twice",
            "tests/unit/channel_seal.c: a_record_opens_as_it_was_and_only_in_its_place, "
            "a_direction_ends_before_its_counter_wraps; "
            "tests/unit/channel_hostile.c: a_hello_with_any_bit_changed_gets_no_accept"),
    "A13": ("tokens are confused, or changed",
            "tests/s3/boto_users.py: a_token_that_was_changed_opens_nothing"),
    "A14": ("keys are found out by what a refusal says or how long it takes",
            "tests/unit/sigv4.c: an_unknown_key_is_told_apart_in_the_answer_only"),
    "A15": ("timing of comparisons", "tests/s3/advisories.py: A15_nothing_secret_is_compared_by_memcmp"),
    "A16": ("conditions answer before rights do",
            "tests/s3/advisories.py: A16_no_condition_answers_before_the_right; "
            "tests/unit/authorize.c: who_may_not_list_does_not_learn_what_is_not_there"),
    "A17": ("headers of proxies are believed", "tests/s3/advisories.py: A17_nobody_says_where_they_come_from"),
    "A18": ("policies mean something else",
            "tests/unit/policy.c: a_policy_says_what_it_says, what_is_not_understood_is_refused; "
            "tests/fuzz/policy.c: LLVMFuzzerTestOneInput; "
            "tests/s3/advisories.py: A18_no_header_is_a_key_of_conditions"),
    "A19": ("memory and time without bound",
            "tests/unit/xml_in.c: every_bound_ends_the_parse; "
            "tests/unit/policy.c: a_policy_has_a_bound, a_pattern_that_looks_expensive_is_not; "
            "tests/s3/hostile.py: heads_that_are_too_long_are_refused"),
    "A20": ("connections without bound",
            "tests/s3/framing.py: check_stalled, check_slow, check_eviction; tests/s3/stalled.py: main"),
    "A21": ("XML", "tests/unit/xml_in.c: documents_with_a_type_are_refused; "
            "tests/s3/hostile.py: documents_with_entities_are_refused; tests/fuzz/xml.c: LLVMFuzzerTestOneInput"),
    "A22": ("lines are put into answers",
            "tests/s3/framing.py: check_injection; "
            "tests/s3/advisories.py: A22_nothing_of_a_request_begins_a_line_of_an_answer"),
    "A23": ("a malformed request ends the process",
            "tests/s3/advisories.py: A23_every_header_may_be_empty_double_long_or_no_text; "
            "tests/fuzz/http.c: LLVMFuzzerTestOneInput"),
    "A24": ("the server fetches what it is told", "nothing is fetched by URL but what an administrator names"),
    "A25": ("default credentials",
            "tests/unit/identity.c: the_first_key_is_random_and_long, only_the_owner_may_read_the_keys; "
            "tests/s3/advisories.py: A25_the_first_key_is_another_one_each_time"),
    "A26": ("retention is passed by",
            "tests/unit/apply_lock.c: compliance_ends_by_time_alone, governance_gives_way_to_a_bypass, "
            "a_legal_hold_gives_way_to_nobody, one_locked_version_of_many_deletes_stays_alone, "
            "governance_is_changed_by_a_bypass_alone"),
    "A27": ("encryption is silently off",
            "tests/s3/advisories.py: A27_who_asks_for_encryption_gets_it_or_a_refusal; "
            "tests/unit/op_sse.c: half_a_customer_s_key_is_refused, parts_of_all_modes_become_an_object_of_one"),
    "A28": ("keys become statements of a database", "there is none: keys are bytes of an ordered map"),
}

case = registry()


def allow(e, *rows):
    """A policy of rows: principal, actions, resource behind the bucket's name, and conditions."""
    statements = [{"Effect": "Allow", "Principal": principal, "Action": actions,
                   "Resource": f"arn:aws:s3:::{e.bucket}{resource}", **({"Condition": more[0]} if more else {})}
                  for principal, actions, resource, *more in rows]
    fine(e.document("policy", json.dumps({"Version": "2012-10-17", "Statement": statements})), 204)


@case
def A5_no_header_sets_what_is_internal(e):
    names = ["x-rubus-owner", "x-rubus-etag", "x-minio-replication-ssec-crc", "x-minio-internal-actual-size", "etag",
             "last-modified", "x-amz-version-id", "x-amz-delete-marker", "x-amz-replication-status",
             "x-amz-mp-parts-count", "x-amz-restore", "x-amz-expiration", "x-amz-server-side-encryption-bucket",
             "x-amz-meta-x-amz-server-side-encryption", "x-object-manifest", "x-symlink-target", "x-amz-id-2",
             "x-amz-request-id", "x-amz-object-size", "x-amz-source-mtime"]
    plain = fine(e.put("plain", b"hello"))
    for name in names:
        answer = e.put("k", b"hello", [(name, "canary")])
        if answer.status == 501:
            continue
        fine(answer)
        equal((name, answer.headers["etag"]), (name, plain.headers["etag"]))
        headers = fine(e.head("k")).headers
        for got, value in headers.items():
            assert "canary" not in value or got.lower() == name and name.startswith("x-amz-meta-"), (name, got, value)
        equal(headers["x-amz-server-side-encryption"], None)


FORM = (b"--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\nformed\r\n--b\r\nContent-Disposition: form-data; "
        b"name=\"file\"; filename=\"f\"\r\n\r\nhello\r\n--b--\r\n")


@case
def A6_a_form_opens_no_route(e):
    fine(e.put("k", b"hello"))
    kind = [("content-type", "multipart/form-data; boundary=b")]
    upload = e.start_upload("u")
    for method, path in (("POST", "/?x"), ("POST", f"/{e.bucket}/k"), ("POST", f"/{e.bucket}?delete"),
                         ("POST", f"/{e.bucket}/k?uploads"), ("POST", f"/{e.bucket}/u?uploadId={upload}"),
                         ("POST", f"/{e.bucket}/k?select&select-type=2"), ("POST", f"/{e.bucket}/k?restore"),
                         ("PUT", f"/{e.bucket}/k"), ("PUT", f"/{e.bucket}?policy"), ("DELETE", f"/{e.bucket}/k"),
                         ("GET", f"/{e.bucket}/k"), ("GET", f"/{e.bucket}")):
        equal((method, path, e.plain(method, path, FORM, kind).status), (method, path, 403))
    answer = e.plain("POST", f"/{e.bucket}", FORM, kind)
    assert answer.status in (400, 403), answer
    e.absent("formed")
    equal(e.get("k").body, b"hello")


@case
def A7_a_key_is_the_same_to_the_policy_and_to_the_store(e):
    fine(e.put("secret", b"secret"))
    fine(e.put("public/open", b"open"))
    allow(e, ("*", ["s3:GetObject", "s3:PutObject"], "/public/*"))
    for path in ("public/../secret", "public/%2e%2e/secret", "public/..%2fsecret", "public%2f..%2fsecret", "public/./../secret",
                 "public/%252e%252e/secret", "public//../secret", "public/..;/secret", "public/..%5csecret",
                 "public/%c0%ae%c0%ae/secret", "public/..%00/secret", "./secret", "/secret", "%2e/secret", "secret%00",
                 "secret?x=/public/", "secret%3Fpublic/", "PUBLIC/../secret"):
        answer = e.plain("GET", f"/{e.bucket}/{path}")
        assert answer.status in (400, 403, 404) and b"secret" not in answer.body.partition(b"<Message>")[0], (path, answer)
    for path in ("public/../secret", "public/%2E%2E/secret", "public/..%2Fsecret"):
        fine(e.plain("PUT", f"/{e.bucket}/{path}", b"spoiled", [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")]))
    equal(e.get("secret").body, b"secret")
    equal(sorted(texts(e.list(), "Key")), ["public/../secret", "public/open", "secret"])
    # The bucket, too: what a copy names is weighed as what it opens.
    eve = e.other("eve")
    allow(e, ({"AWS": "eve"}, ["s3:GetObject", "s3:PutObject"], "/public/*"))
    for source in ("public/../secret", "public%2F..%2Fsecret", "public/%2e%2e/secret", "public%252F..%252Fsecret"):
        answer = e.put("public/copy", headers=[("x-amz-copy-source", f"/{e.bucket}/{source}")], signer=eve)
        if answer.status == 200:
            equal(e.get("public/copy").body, b"spoiled")
        else:
            assert answer.status in (403, 404), (source, answer)


@case
def A8_a_part_that_is_copied_needs_the_right_to_its_source(e):
    source = e.bucket
    e.versioning("Enabled")
    version = fine(e.put("k", b"secret")).headers["x-amz-version-id"]
    e.new_bucket()
    eve = e.other("eve")
    allow(e, ({"AWS": "eve"}, "s3:PutObject", "/*"))
    upload = element(e.call("POST", "k", query=[("uploads", "")], signer=eve), "UploadId")

    def copy(path):
        headers = [("x-amz-copy-source", path)]
        whole = e.call("PUT", "copy", headers=headers, signer=eve)
        part = e.call("PUT", "k", query=[("partNumber", "1"), ("uploadId", upload)], headers=headers, signer=eve)
        equal(whole.status, part.status)
        return whole

    target, path = e.bucket, f"{source}/k"
    refused(copy(path), 403, "AccessDenied")
    refused(copy(path + "?versionId=" + version), 403, "AccessDenied")
    e.bucket = source
    allow(e, ({"AWS": "eve"}, "s3:GetObject", "/*"))
    e.bucket = target
    fine(copy(path))
    refused(copy(path + "?versionId=" + version), 403, "AccessDenied")
    e.bucket = source
    allow(e, ({"AWS": "eve"}, ["s3:GetObject", "s3:GetObjectVersion"], "/*"))
    fine(e.delete("k"), 204)
    e.bucket = target
    refused(copy(f"{source}/none"), 403, "AccessDenied")  # nor whether it is there
    refused(copy(path), 403, "AccessDenied")  # or is deleted
    fine(copy(path + "?versionId=" + version))


@case
def A10_secrets_are_in_no_log_metric_or_error(e):
    """The node of these cases says everything that it can say."""
    key = e.node.rubus("key", "create", "--owner", "canary")
    canary = type(e.signer)(key["id"], key["secret"])
    body = "secret=canary-of-a-body"
    answers = [e.get("k", signer=canary), e.put("k", body.encode(), signer=canary),
               e.put("k", b"x", [("x-amz-server-side-encryption-customer-key", "Y2FuYXJ5LWtleS1vZi1TU0UtQw=="),
                                 ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
                                 ("x-amz-server-side-encryption-customer-key-md5", md5_header(b"canary-key-of-SSE-C"))])]
    target = e.presign("GET", e.path("k"), signer=canary)
    signature = re.search("X-Amz-Signature=([0-9a-f]+)", target)[1]
    answers += [e.plain("GET", target), e.plain("GET", target + "0"), e.plain("GET", e.path("k") + "?X-Amz-Security-Token=canary-token")]
    head, _, authorization = e.head_of("GET", e.path("k"), headers=[("x-amz-security-token", "canary-token")], signer=canary)
    answers.append(e.exchange(head, "GET"))
    with open(e.node.log_path, errors="replace") as file:
        log = file.read()
    assert len(log) > 1000, "the log says nothing: " + log
    metrics = e.node.admin("/metrics")
    assert log.count(e.node.secret) <= 1, "a demo shows it once, when it is made"
    for name, secret in (("secret", key["secret"]), ("presigned signature", signature),
                         ("signature", authorization), ("SSE-C key", "Y2FuYXJ5LWtleS1v"), ("body", "canary-of-a-body"),
                         ("token", "canary-token")):
        assert secret not in log, f"the {name} is in the log"
        assert secret not in metrics, f"the {name} is in the metrics"
    for answer in answers:
        assert key["secret"].encode() not in answer.body and e.node.secret.encode() not in answer.body
    for name in ("key", "drive"):
        for arguments in ((name, "list"),):
            assert key["secret"] not in json.dumps(e.node.rubus(*arguments))
    assert key["secret"] not in json.dumps(e.node.rubus("key", "show", key["id"]))
    # Sealed where it is kept.
    found = []
    for directory, _, files in os.walk(e.node.dir):
        for name in files:
            path = os.path.join(directory, name)
            if name != "root.key" and os.path.isfile(path):
                with open(path, "rb") as file:
                    if key["secret"].encode() in file.read():
                        found.append(path)
    equal(found, [])


@case
def A15_nothing_secret_is_compared_by_memcmp(e):
    """What decides on a signature, a digest that proves something, or a token."""
    files = [os.path.join(ROOT, "gateway", name) for name in os.listdir(os.path.join(ROOT, "gateway"))
             if re.match(r"(sigv\d\w*|auth|chunked|sts\w*|op_post\w*)\.c$", name)]
    files += [os.path.join(ROOT, "server", name) for name in ("channel_seal.c", "join.c", "secret_box.c", "join_token.c")
              if os.path.exists(os.path.join(ROOT, "server", name))]
    assert len(files) > 5, files
    for path in files:
        with open(path) as file:
            for number, line in enumerate(file, 1):
                if re.search(r"\b(memcmp|strcmp|strncmp|bcmp|bytes_is_equal)\b", line) and \
                        re.search(r"\b(signature|mac|hmac|secret|proof|tag|password)\b", line.split("//")[0]):
                    raise AssertionError(f"{path}:{number}: {line.strip()}")


@case
def A16_no_condition_answers_before_the_right(e):
    etag = fine(e.put("k", b"hello")).headers["etag"]
    eve = e.other("eve")
    conditions = [("if-match", etag), ("if-match", '"0"'), ("if-none-match", etag), ("if-none-match", "*"),
                  ("if-modified-since", "Fri, 01 Jan 2100 00:00:00 GMT"), ("range", "bytes=9999-"),
                  ("if-unmodified-since", "Mon, 01 Jan 2001 00:00:00 GMT")]
    for condition in conditions:
        for key in ("k", "none"):
            for method in ("GET", "HEAD"):
                equal(e.plain(method, e.path(key), headers=[condition]).status, 403)
                equal(e.call(method, key, headers=[condition], signer=eve).status, 403)
    for condition in conditions[:4]:
        for key in ("k", "none"):
            equal(e.put(key, b"x", [condition], signer=eve).status, 403)
            equal(e.delete(key, [condition], signer=eve).status, 403)
    for query in ([("partNumber", "9")], [("versionId", "nonsense")], [("uploadId", "x")], [("tagging", "")], [("acl", "")]):
        equal(e.get("k", query=query, signer=eve).status, 403)
    equal(e.get("k").body, b"hello")


@case
def A17_nobody_says_where_they_come_from(e):
    fine(e.put("k", b"hello"))
    allow(e, ("*", "s3:GetObject", "/*", {"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}))
    for name in ("x-forwarded-for", "x-real-ip", "forwarded", "x-client-ip", "true-client-ip", "cf-connecting-ip",
                 "x-amz-source-ip", "aws-sourceip", "via"):
        for value in ("10.1.2.3", "for=10.1.2.3", "10.1.2.3, 127.0.0.1"):
            refused(e.plain("GET", e.path("k"), headers=[(name, value)]), 403, "AccessDenied")
    allow(e, ("*", "s3:GetObject", "/*", {"IpAddress": {"aws:SourceIp": "127.0.0.0/8"}}))
    equal(e.plain("GET", e.path("k"), headers=[("x-forwarded-for", "10.1.2.3")]).body, b"hello")
    allow(e, ("*", "s3:GetObject", "/*", {"Bool": {"aws:SecureTransport": "true" if not e.tls else "false"}}))
    for value in ("https", "http"):
        refused(e.plain("GET", e.path("k"), headers=[("x-forwarded-proto", value)]), 403, "AccessDenied")


@case
def A18_no_header_is_a_key_of_conditions(e):
    fine(e.put("k", b"hello"))
    eve = e.other("eve")
    for key, value in (("aws:username", "adam"), ("aws:userid", "adam"), ("aws:PrincipalType", "Account"),
                       ("aws:PrincipalArn", "arn:aws:iam:::user/adam"), ("s3:authType", "POST"),
                       ("s3:signatureversion", "AWS9"), ("aws:PrincipalAccount", "adam")):
        allow(e, ("*", "s3:GetObject", "/*", {"StringEquals": {key: value}}))
        bare = key.partition(":")[2]
        for name in (key.replace(":", "-"), "x-amz-" + bare.lower(), bare, "x-aws-" + bare.lower()):
            headers = [(name, value)]
            refused(e.plain("GET", e.path("k"), headers=headers), 403, "AccessDenied")
            refused(e.get("k", headers, signer=eve), 403, "AccessDenied")
        refused(e.get("k", query=[(key, value)], signer=eve), 403, "AccessDenied")
        refused(e.get("k", query=[(bare, value)], signer=eve), 403, "AccessDenied")


@case
def A22_nothing_of_a_request_begins_a_line_of_an_answer(e):
    fine(e.put("k", b"hello"))
    evil = "a\r\nset-cookie: evil=1\r\n\r\n<script>"
    for name in ("content-type", "content-disposition", "cache-control", "content-language", "expires", "content-encoding"):
        answer = e.get("k", query=[("response-" + name, evil)])
        assert answer.headers["set-cookie"] is None and answer.status in (200, 400), (name, answer)
        assert b"<script>" not in answer.body, answer.body
    for bad in ("\x00", "a\x00b", "a\nb", "a\rb", "\x7f", "é"):
        answer = e.get("k", query=[("response-content-type", bad)])
        assert answer.status in (200, 400), (bad, answer)
    fine(e.document("cors", "<CORSConfiguration><CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>GET"
                    "</AllowedMethod><AllowedHeader>*</AllowedHeader></CORSRule></CORSConfiguration>"))
    answer = e.plain("OPTIONS", e.path("k"), headers=[("origin", "http://a.example"), ("access-control-request-method", "GET"),
                                                      ("access-control-request-headers", "a<script>, b")])
    assert answer.status in (200, 400, 403) and b"<script>" not in answer.body, answer
    # Errors are documents, and what they repeat is text.
    answer = e.get("<script>alert(1)</script>")
    equal((answer.status, answer.headers["content-type"]), (404, "application/xml"))
    assert b"<script>" not in answer.body, answer.body


HEADERS = """accept-encoding authorization cache-control content-disposition content-encoding content-language content-md5
content-type cookie date expect expires from if-match if-modified-since if-none-match if-range if-unmodified-since origin
range referer te trailer upgrade user-agent via x-amz-acl x-amz-bucket-object-lock-enabled
x-amz-bypass-governance-retention x-amz-checksum-algorithm x-amz-checksum-crc32 x-amz-checksum-mode x-amz-checksum-sha256
x-amz-checksum-type x-amz-content-sha256 x-amz-copy-source x-amz-copy-source-if-match
x-amz-copy-source-if-modified-since x-amz-copy-source-if-none-match x-amz-copy-source-range x-amz-date
x-amz-decoded-content-length x-amz-expected-bucket-owner x-amz-grant-read x-amz-if-match-size x-amz-meta-
x-amz-meta-a x-amz-metadata-directive x-amz-mfa x-amz-mp-object-size x-amz-object-attributes
x-amz-object-lock-legal-hold x-amz-object-lock-mode x-amz-object-lock-retain-until-date x-amz-object-ownership
x-amz-optional-object-attributes x-amz-request-payer x-amz-sdk-checksum-algorithm x-amz-security-token
x-amz-server-side-encryption x-amz-server-side-encryption-customer-algorithm
x-amz-server-side-encryption-customer-key x-amz-server-side-encryption-customer-key-md5
x-amz-source-expected-bucket-owner x-amz-storage-class x-amz-tagging x-amz-tagging-directive x-amz-trailer
x-amz-website-redirect-location x-amz-write-offset-bytes""".split()


@case
def A23_every_header_may_be_empty_double_long_or_no_text(e):
    """Each is answered: by success, a refusal of the client, or 501; never 500, and never by silence."""
    fine(e.put("k", b"hello"))
    upload = e.start_upload("u")
    requests = [("PUT", "k2", [], b"hello"), ("GET", "k", [], b""), ("HEAD", "k", [], b""), ("DELETE", "k3", [], b""),
                ("GET", None, [("list-type", "2")], b""), ("POST", "u2", [("uploads", "")], b""),
                ("PUT", "u", [("partNumber", "1"), ("uploadId", upload)], b"hello"),
                ("POST", "u", [("uploadId", upload)], b"<x/>"), ("PUT", "k", [("tagging", "")], b"<x/>"),
                ("GET", "k", [("attributes", "")], b"")]
    for name in HEADERS:
        values = [[""], ["x", "x"], ["\xff\xfe\x80"], [","], ["%00%0d%0a"], ["*"], ["-1"], ["9" * 30], ["x" * 7000], ["true", ""]]
        for value in values[::4] if e.tls else values:
            for method, key, query, body in requests:
                headers = [(name, text) for text in value]
                unsigned = ("authorization", "x-amz-date", "x-amz-content-sha256") if name in (
                    "authorization", "x-amz-date", "x-amz-content-sha256") else ()
                try:
                    answer = e.call(method, key, body, query, headers, unsigned=unsigned)
                except (OSError, ValueError) as error:
                    raise AssertionError(f"{name} {value} {method} {query}: {error!r}") from error
                if not (200 <= answer.status < 500 or answer.status == 501):
                    raise AssertionError(f"{name} {value} {method} {query}: {answer}")
                if answer.headers["connection"] == "close":
                    e.close()
    equal(e.get("k").status, 200)


@case
def A25_the_first_key_is_another_one_each_time(e):
    path = os.path.join(e.node.dir, "node", "root.key")
    equal(stat.S_IMODE(os.stat(path).st_mode) & 0o077, 0)
    assert len(e.node.secret) >= 32 and e.node.secret not in ("minioadmin", "admin"), "short"
    for key, secret in (("minioadmin", "minioadmin"), ("admin", "admin"), ("root", "root"), ("rustfsadmin", "rustfsadmin"),
                        ("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), ("rubus", "rubus"),
                        (e.node.key, e.node.key), (e.node.key, "")):
        answer = e.call("GET", signer=type(e.signer)(key, secret))
        assert answer.code in ("InvalidAccessKeyId", "SignatureDoesNotMatch"), (key, answer)
    with tempfile.TemporaryDirectory(prefix="advisories-") as parent, Node(os.path.dirname(e.node.program), parent) as other:
        assert other.key != e.node.key and other.secret != e.node.secret
        assert other.secret[:8] != e.node.secret[:8]


@case
def A27_who_asks_for_encryption_gets_it_or_a_refusal(e):
    def is_on_a_drive(text):
        for path in e.node.drive_paths():
            for directory, _, files in os.walk(path):
                for name in files:
                    with open(os.path.join(directory, name), "rb") as file:
                        if text in file.read():
                            return True
        return False

    fine(e.put("open", b"text that may be found on a drive " * 4000))
    assert is_on_a_drive(b"text that may be found"), "this case finds nothing"
    for value in ("AES256", "aws:kms", "nonsense"):
        answer = e.put(value, b"text that nobody may find there " * 4000, [("x-amz-server-side-encryption", value)])
        if answer.status == 200:
            equal((value, answer.headers["x-amz-server-side-encryption"]), ("AES256", "AES256"))
            assert not is_on_a_drive(b"text that nobody may find"), value
        else:
            assert answer.status in (400, 501), answer
            e.absent(value)


def check_classes():
    equal(sorted(CLASSES, key=lambda name: int(name[1:])), [f"A{i}" for i in range(1, 29)])
    for name, (_, tests) in CLASSES.items():
        if not tests.startswith("tests/"):
            continue
        for group in tests.split("; "):
            path, _, names = group.partition(": ")
            with open(os.path.join(ROOT, path)) as file:
                text = file.read()
            assert names, group
            for test in names.split(", "):
                if not re.search(r"(START_TEST\(|def |int )%s\b" % re.escape(test), text):
                    raise AssertionError(f"{name}: {path} has no {test}")


def main():
    build, words = sys.argv[1], sys.argv[2:]
    failed = passed = 0
    with tempfile.TemporaryDirectory(prefix="advisories-") as parent, \
            Node(build, parent, environment={"RUBUS_LOG_LEVEL": "debug"}) as node:
        for tls in (False, True):
            cases = Cases(" (TLS)" if tls else " (HTTP)")
            if not tls:
                with cases.case("each class of advisories has tests"):
                    check_classes()
            e = Edge(node, tls)
            for function in case.functions:
                name = function.__name__.replace("_", " ")
                if words and not any(word in name for word in words):
                    continue
                with cases.case(name):
                    try:
                        e.new_bucket()
                        function(e)
                    except BaseException:
                        e.close()
                        raise
            e.close()
            failed, passed = failed + cases.failed, passed + cases.passed
        cases = Cases()
        with cases.case("it is still the same process"):
            assert node.process.poll() is None, node.log_tail()
    sys.exit(1 if failed or cases.failed or not passed else 0)


if __name__ == "__main__":
    main()
