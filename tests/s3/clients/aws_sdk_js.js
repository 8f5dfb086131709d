// SPDX-License-Identifier: Apache-2.0
// The AWS SDK for JavaScript: checksums as trailers by default, streams, presigned URLs.
'use strict';
const assert = require('node:assert/strict');
const { Readable } = require('node:stream');
const s3lib = require('@aws-sdk/client-s3');
const { Upload } = require('@aws-sdk/lib-storage');
const { getSignedUrl } = require('@aws-sdk/s3-request-presigner');
const { createPresignedPost } = require('@aws-sdk/s3-presigned-post');
const { version } = require('@aws-sdk/client-s3/package.json');
const { step: stepOf, halfway, noise, bytesOf, refused } = require('./steps.js');

const { ENDPOINT: endpoint, BUCKET: Bucket, CA } = process.env;
const s3 = new s3lib.S3({ endpoint, forcePathStyle: true, region: 'us-east-1' });
const step = (name, body) => stepOf(`aws-sdk-js ${version}`, name, body);
const MIB = 1 << 20;
const big = noise(13 * MIB + 5, 1);
const odd = 'a b/ü+%&=\u{1f355}/it\'s (1)*!~@,;:$"<>';
const algorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'];

function* pieces(body, length) {
	for (let i = 0; i < body.length; i += length) yield body.subarray(i, i + length);
}

async function whole(Key, more = {}) {
	const got = await s3.getObject({ Bucket, Key, ...more });
	return bytesOf(got.Body);
}

async function writes() {
	await step('makes a bucket', () => s3.createBucket({ Bucket }));
	await step('waits until it is there', () => s3lib.waitUntilBucketExists({ client: s3, maxWaitTime: 10 }, { Bucket }));
	await step('puts a text with the checksum of its choice', async () => {
		const put = await s3.putObject({ Bucket, Key: 'text', Body: 'hello', ContentType: 'text/plain', Metadata: { a: 'b' } });
		assert.match(put.ETag, /^"5d41402abc4b2a76b9719d911017c592"$/);
		assert.equal(put.ChecksumCRC32, 'NhCmhg==');
	});
	await step('puts nothing', () => s3.putObject({ Bucket, Key: 'empty', Body: Buffer.alloc(0) }));
	await step('puts a stream of known length', () => s3.putObject({
		Bucket, Key: 'stream', Body: Readable.from(pieces(big, 100001)), ContentLength: big.length,
	}));
	await step('puts a key that needs escapes', () => s3.putObject({ Bucket, Key: odd, Body: odd }));
	for (const ChecksumAlgorithm of algorithms) {
		await step(`puts and gets with ${ChecksumAlgorithm}`, async () => {
			const body = noise(3 * MIB + 1, 2);
			const put = await s3.putObject({ Bucket, Key: ChecksumAlgorithm, Body: body, ChecksumAlgorithm });
			const head = await s3.headObject({ Bucket, Key: ChecksumAlgorithm, ChecksumMode: 'ENABLED' });
			assert.ok(put[`Checksum${ChecksumAlgorithm}`]);
			assert.equal(head[`Checksum${ChecksumAlgorithm}`], put[`Checksum${ChecksumAlgorithm}`]);
			assert.ok(body.equals(await whole(ChecksumAlgorithm)));
		});
	}
	for (const ChecksumAlgorithm of [undefined, 'SHA256', 'CRC64NVME']) {
		await step(`uploads a stream of unknown length, ${ChecksumAlgorithm ?? 'as by default'}`, async () => {
			await new Upload({
				client: s3, params: { Bucket, Key: 'upload', Body: Readable.from(pieces(big, 70001)), ChecksumAlgorithm },
				partSize: 5 * MIB, queueSize: 3,
			}).done();
			assert.ok(big.equals(await whole('upload')));
		});
	}
	await step('aborts an upload', async () => {
		const upload = new Upload({ client: s3, params: { Bucket, Key: 'aborted', Body: Readable.from(pieces(big, 1000)) } });
		upload.on('httpUploadProgress', () => upload.abort());
		setTimeout(() => upload.abort(), 200);
		await refused('AbortError', () => upload.done());
		await refused('NotFound', () => s3.headObject({ Bucket, Key: 'aborted' }));
	});
	await step('puts by a presigned URL', async () => {
		for (const body of ['', 'presigned', big]) {
			const url = await getSignedUrl(s3, new s3lib.PutObjectCommand({ Bucket, Key: 'presigned' }));
			const answer = await fetch(url, { method: 'PUT', body });
			assert.equal(answer.status, 200, await answer.text());
		}
		assert.ok(big.equals(await whole('presigned')));
	});
	await step('puts by a form', async () => {
		const { url, fields } = await createPresignedPost(s3, {
			Bucket, Key: 'forms/${filename}', Conditions: [['content-length-range', 1, 1000]], Fields: { acl: 'private' },
		});
		const send = (body) => {
			const form = new FormData();
			for (const [name, value] of Object.entries(fields)) form.append(name, value);
			form.append('file', new Blob([body]), 'a b.txt');
			return fetch(url, { method: 'POST', body: form });
		};
		const answer = await send('formed');
		assert.equal(answer.status, 204, await answer.text());
		assert.equal(String(await whole('forms/a b.txt')), 'formed');
		assert.equal((await send('x'.repeat(1001))).status, 400);
	});
	await step('puts parts by presigned URLs', async () => {
		const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: 'parts' });
		const Parts = [];
		for (const body of pieces(big, 6 * MIB)) {
			const part = { Bucket, Key: 'parts', UploadId, PartNumber: Parts.length + 1 };
			const url = await getSignedUrl(s3, new s3lib.UploadPartCommand(part));
			const answer = await fetch(url, { method: 'PUT', body });
			assert.equal(answer.status, 200, await answer.text());
			Parts.push({ PartNumber: part.PartNumber, ETag: answer.headers.get('etag') });
		}
		const listed = await s3.listParts({ Bucket, Key: 'parts', UploadId });
		assert.deepEqual(listed.Parts.map((part) => part.ETag), Parts.map((part) => part.ETag));
		const done = await s3.completeMultipartUpload({ Bucket, Key: 'parts', UploadId, MultipartUpload: { Parts } });
		assert.match(done.ETag, /-3"$/);
		assert.ok(done.Location);
		assert.ok(big.equals(await whole('parts')));
	});
}

async function reads() {
	await step('gets a text, its type and its metadata', async () => {
		const got = await s3.getObject({ Bucket, Key: 'text', ChecksumMode: 'ENABLED' });
		assert.equal(await got.Body.transformToString(), 'hello');
		assert.deepEqual([got.ContentType, got.Metadata.a, got.ChecksumCRC32], ['text/plain', 'b', 'NhCmhg==']);
	});
	await step('gets nothing', async () => assert.equal((await whole('empty')).length, 0));
	await step('gets a stream', async () => assert.ok(big.equals(await whole('stream'))));
	await step('gets ranges', async () => {
		assert.ok(big.subarray(5, 9000005).equals(await whole('stream', { Range: 'bytes=5-9000004' })));
		assert.ok(big.subarray(-7).equals(await whole('upload', { Range: 'bytes=-7' })));
	});
	await step('gets by a presigned URL with headers of its choice', async () => {
		const url = await getSignedUrl(s3, new s3lib.GetObjectCommand({
			Bucket, Key: odd, ResponseContentDisposition: 'attachment; filename="ü.txt"', ResponseContentType: 'a/b',
		}));
		const answer = await fetch(url);
		assert.equal(answer.status, 200);
		assert.equal(answer.headers.get('content-type'), 'a/b');
		assert.match(answer.headers.get('content-disposition'), /^attachment/);
		assert.equal(await answer.text(), odd);
	});
	await step('is told what is not there', async () => {
		await refused('NoSuchKey', () => s3.getObject({ Bucket, Key: 'none' }));
		await refused('NotFound', () => s3.headObject({ Bucket, Key: 'none' }));
		await refused('NoSuchBucket', () => s3.listObjectsV2({ Bucket: `${Bucket}-none` }));
		await refused('NoSuchUpload', () => s3.abortMultipartUpload({ Bucket, Key: 'x', UploadId: 'none' }));
	});
	await step('writes only if nothing is there', async () => {
		await s3.putObject({ Bucket, Key: 'once', Body: '1', IfNoneMatch: '*' });
		const error = await refused('PreconditionFailed', () => s3.putObject({ Bucket, Key: 'once', Body: '2', IfNoneMatch: '*' }));
		assert.equal(error.$metadata.httpStatusCode, 412);
	});
	await step('copies, whole and in parts', async () => {
		await s3.copyObject({ Bucket, Key: 'copy', CopySource: encodeURI(`${Bucket}/text`) });
		assert.equal(String(await whole('copy')), 'hello');
		const { UploadId } = await s3.createMultipartUpload({ Bucket, Key: 'copy' });
		const { CopyPartResult } = await s3.uploadPartCopy({
			Bucket, Key: 'copy', UploadId, PartNumber: 1, CopySource: `/${Bucket}/stream`, CopySourceRange: 'bytes=1-9000000',
		});
		await s3.completeMultipartUpload({
			Bucket, Key: 'copy', UploadId, MultipartUpload: { Parts: [{ PartNumber: 1, ETag: CopyPartResult.ETag }] },
		});
		assert.ok(big.subarray(1, 9000001).equals(await whole('copy')));
	});
	await step('tags', async () => {
		const Tagging = { TagSet: [{ Key: 'a b', Value: 'c+d' }] };
		await s3.putObjectTagging({ Bucket, Key: 'text', Tagging });
		assert.deepEqual((await s3.getObjectTagging({ Bucket, Key: 'text' })).TagSet, Tagging.TagSet);
	});
	await step('reads attributes', async () => {
		const got = await s3.getObjectAttributes({ Bucket, Key: 'text', ObjectAttributes: ['ETag', 'ObjectSize', 'Checksum'] });
		assert.deepEqual([got.ObjectSize, got.Checksum.ChecksumCRC32], [5, 'NhCmhg==']);
	});
	await step('lists in pages, keys as they were given', async () => {
		const keys = [];
		for await (const page of s3lib.paginateListObjectsV2({ client: s3, pageSize: 3 }, { Bucket })) {
			keys.push(...(page.Contents ?? []).map((item) => item.Key));
		}
		assert.ok(keys.includes(odd), keys.join());
		const sorted = [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
		assert.deepEqual(keys, sorted);
		const page = await s3.listObjectsV2({ Bucket, Delimiter: '/' });
		assert.deepEqual(page.CommonPrefixes.map((item) => item.Prefix), ['a b/', 'forms/']);
	});
	await step('deletes in batches', async () => {
		for await (const page of s3lib.paginateListObjectsV2({ client: s3 }, { Bucket })) {
			const Objects = page.Contents.map(({ Key }) => ({ Key }));
			const done = await s3.deleteObjects({ Bucket, Delete: { Objects } });
			assert.equal(done.Deleted.length, Objects.length);
			assert.equal(done.Errors, undefined);
		}
	});
	await step('removes the bucket', () => s3.deleteBucket({ Bucket }));
}

// Over plain HTTP the SDK signs the bodies themselves, and no stream has a trailer: a spot check.
async function spot() {
	await step('makes a bucket', () => s3.createBucket({ Bucket }));
	await step('puts', () => s3.putObject({ Bucket, Key: 'buffer', Body: big }));
	await halfway();
	await step('gets', async () => assert.ok(big.equals(await whole('buffer'))));
}

(async () => {
	if (!CA) return spot();
	await writes();
	await halfway();
	return reads();
})().then(() => process.exit());
