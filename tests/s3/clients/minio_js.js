// SPDX-License-Identifier: Apache-2.0
// MinIO's client for JavaScript: signed chunks over HTTP, unsigned bodies over TLS, its own multipart.
'use strict';
const assert = require('node:assert/strict');
const { Readable } = require('node:stream');
const minio = require('minio');
const { version } = require('minio/package.json');
const { step: stepOf, halfway, noise, bytesOf, refused } = require('./steps.js');

const { HOST_PORT, BUCKET: bucket, CA } = process.env;
const [endPoint, port] = HOST_PORT.split(':');
const client = new minio.Client({
	endPoint, port: Number(port), useSSL: Boolean(CA), accessKey: process.env.AWS_ACCESS_KEY_ID,
	secretKey: process.env.AWS_SECRET_ACCESS_KEY, partSize: 5 << 20,
});
const step = (name, body) => stepOf(`minio-js ${version}`, name, body);
const big = noise((13 << 20) + 5, 1);
const odd = 'a b/ü+%&=/it\'s (1)*!~@';

async function whole(key) {
	return bytesOf(await client.getObject(bucket, key));
}

function* pieces(body, length) {
	for (let i = 0; i < body.length; i += length) yield body.subarray(i, i + length);
}

async function writes() {
	await step('makes a bucket', () => client.makeBucket(bucket));
	await step('sees that it is there', async () => {
		assert.equal(await client.bucketExists(bucket), true);
		assert.equal(await client.bucketExists(`${bucket}-none`), false);
		assert.ok((await client.listBuckets()).some((item) => item.name === bucket));
	});
	await step('puts a buffer with metadata', () => client.putObject(bucket, 'buffer', big.subarray(0, 100000), 100000,
		{ 'Content-Type': 'a/b', 'X-Amz-Meta-A': 'b' }));
	await step('puts nothing', () => client.putObject(bucket, 'empty', Buffer.alloc(0)));
	await step('puts a stream of unknown length', () => client.putObject(bucket, 'stream', Readable.from(pieces(big, 70001))));
	await step('puts a file in parts', async () => {
		require('node:fs').writeFileSync('big', big);
		const put = await client.fPutObject(bucket, odd, 'big');
		assert.match(put.etag, /-3$/);
	});
	await step('puts by a presigned URL', async () => {
		const url = await client.presignedPutObject(bucket, 'presigned', 600);
		const answer = await fetch(url, { method: 'PUT', body: big });
		assert.equal(answer.status, 200, await answer.text());
	});
	await step('puts by a form', async () => {
		const policy = client.newPostPolicy();
		policy.setBucket(bucket);
		policy.setKey('formed');
		policy.setExpires(new Date(Date.now() + 60000));
		policy.setContentLengthRange(1, 1000);
		const { postURL, formData } = await client.presignedPostPolicy(policy);
		const form = new FormData();
		for (const [name, value] of Object.entries(formData)) form.append(name, value);
		form.append('file', new Blob(['formed']), 'file');
		const answer = await fetch(postURL, { method: 'POST', body: form });
		assert.equal(answer.status, 204, await answer.text());
		assert.equal(String(await whole('formed')), 'formed');
	});
	await step('resumes an upload that was left', async () => {
		const upload = await client.initiateNewMultipartUpload(bucket, 'left', {});
		assert.equal(await client.findUploadId(bucket, 'left'), upload);
		const listed = await bytesOfObjects(client.listIncompleteUploads(bucket, 'le', true));
		assert.deepEqual(listed.map((item) => item.key), ['left']);
		await client.removeIncompleteUpload(bucket, 'left');
		assert.equal(await client.findUploadId(bucket, 'left'), undefined);
	});
}

async function bytesOfObjects(stream) {
	const items = [];
	for await (const item of stream) items.push(item);
	return items;
}

async function reads() {
	await step('gets a stream', async () => assert.ok(big.equals(await whole('stream'))));
	await step('gets nothing', async () => assert.equal((await whole('empty')).length, 0));
	await step('gets a file', async () => {
		await client.fGetObject(bucket, odd, 'down');
		assert.ok(big.equals(require('node:fs').readFileSync('down')));
	});
	await step('gets a range', async () => {
		const part = await bytesOf(await client.getPartialObject(bucket, 'presigned', 5, 1000));
		assert.ok(big.subarray(5, 1005).equals(part));
	});
	await step('tells size, type and metadata', async () => {
		const stat = await client.statObject(bucket, 'buffer');
		assert.deepEqual([stat.size, stat.metaData['content-type'], stat.metaData.a], [100000, 'a/b', 'b']);
	});
	await step('gets by a presigned URL', async () => {
		const answer = await fetch(await client.presignedGetObject(bucket, odd, 600, { 'response-content-type': 'c/d' }));
		assert.equal(answer.headers.get('content-type'), 'c/d');
		assert.ok(big.equals(Buffer.from(await answer.arrayBuffer())));
	});
	await step('is told what is not there', async () => {
		await refused('NoSuchKey', () => client.getObject(bucket, 'none'));
		await refused('NotFound', () => client.statObject(bucket, 'none'));
	});
	await step('copies', async () => {
		await client.copyObject(bucket, 'copy', `/${bucket}/buffer`);
		assert.ok(big.subarray(0, 100000).equals(await whole('copy')));
	});
	await step('composes an object of others', async () => {
		const source = (Object) => new minio.CopySourceOptions({ Bucket: bucket, Object });
		await client.composeObject(new minio.CopyDestinationOptions({ Bucket: bucket, Object: 'composed' }),
			[source('stream'), source('presigned')]);
		assert.ok(Buffer.concat([big, big]).equals(await whole('composed')));
	});
	await step('tags', async () => {
		await client.setObjectTagging(bucket, 'copy', { a: 'b c' });
		assert.deepEqual(await client.getObjectTagging(bucket, 'copy'), [{ Key: 'a', Value: 'b c' }]);
	});
	await step('sets and gets versioning and a policy', async () => {
		await client.setBucketVersioning(bucket, { Status: 'Enabled' });
		assert.equal((await client.getBucketVersioning(bucket)).Status, 'Enabled');
		const policy = { Version: '2012-10-17', Statement: [{
			Effect: 'Allow', Principal: { AWS: ['*'] }, Action: ['s3:GetObject'], Resource: [`arn:aws:s3:::${bucket}/open/*`],
		}] };
		await client.setBucketPolicy(bucket, JSON.stringify(policy));
		assert.deepEqual(JSON.parse(await client.getBucketPolicy(bucket)), policy);
	});
	await step('lists, V1 and V2', async () => {
		for (const list of ['listObjects', 'listObjectsV2']) {
			const keys = (await bytesOfObjects(client[list](bucket, '', true))).map((item) => item.name);
			assert.ok(keys.includes(odd), `${list}: ${keys}`);
			assert.deepEqual(keys, [...keys].sort());
			const top = await bytesOfObjects(client[list](bucket));
			assert.ok(top.some((item) => item.prefix === 'a b/'), list);
		}
	});
	await step('deletes in batches, versions too', async () => {
		const all = await bytesOfObjects(client.listObjects(bucket, '', true, { IncludeVersion: true }));
		await client.removeObjects(bucket, all.map(({ name, versionId }) => ({ name, versionId })));
	});
	await step('removes the bucket', () => client.removeBucket(bucket));
}

// Over plain HTTP the bodies come in signed chunks: a spot check.
async function spot() {
	await step('makes a bucket', () => client.makeBucket(bucket));
	await step('puts a buffer', () => client.putObject(bucket, 'buffer', big));
	await step('puts a stream', () => client.putObject(bucket, 'stream', Readable.from(pieces(big, 70001))));
	await halfway();
	await step('gets', async () => {
		assert.ok(big.equals(await whole('buffer')));
		assert.ok(big.equals(await whole('stream')));
	});
}

(async () => {
	if (!CA) return spot();
	await writes();
	await halfway();
	return reads();
})().then(() => process.exit());
