// SPDX-License-Identifier: Apache-2.0
// What steps.sh is for scripts in JavaScript.
'use strict';
const readline = require('node:readline');
const lines = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

// A case; it passes unless what it does throws.
async function step(client, name, body) {
	try {
		await body();
		console.log(`ok ${client}: ${name}`);
	} catch (error) {
		console.log(`not ok ${client}: ${name}`);
		console.log(String(error.stack).split('\n').slice(0, 12).map((line) => `#   ${line}`).join('\n'));
	}
}

async function halfway() {
	console.log('halfway');
	await lines.next();
}

// The same bytes for the same seed; they do not compress.
function noise(length, seed) {
	const cipher = require('node:crypto').createCipheriv('aes-128-ctr', Buffer.alloc(16, seed), Buffer.alloc(16));
	return cipher.update(Buffer.alloc(length));
}

async function bytesOf(stream) {
	const chunks = [];
	for await (const chunk of stream) chunks.push(chunk);
	return Buffer.concat(chunks);
}

// Resolves to the error that body throws, whose name or code must be this one.
async function refused(name, body) {
	let answer;
	try {
		answer = await body();
	} catch (error) {
		if (error.name === name || error.code === name) return error;
		throw error;
	}
	throw new Error(`is not refused with ${name}: ${JSON.stringify(answer)}`);
}

module.exports = { step, halfway, noise, bytesOf, refused };
