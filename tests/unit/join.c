/* SPDX-License-Identifier: Apache-2.0 */
#include "server/join.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/channel_rig.h"
#include "tests/lib/test.h"

/* Tokens, and what they open; the invariants are in server/join.h. */

static struct rig_node issuer;

/* Admits in memory: one token, spent by one node. */
static struct book {
	struct channel_join join;
	struct join_token token;
	bool is_spent, is_expired;
	struct id by;
	unsigned admitted_count;
	enum err err; /* what admit() says when it is not OK */
	struct channel_node node;
	char name[JOIN_NAME_LEN];
} book;

static enum err find(
	struct channel_join *join, struct id token, uint8_t ret_secret[JOIN_SECRET_LEN])
{
	(void)join;
	if (!id_is_equal(token, join_token_number(book.token.secret)) || book.is_expired)
		return ERR_NOT_FOUND;
	memcpy(ret_secret, book.token.secret, JOIN_SECRET_LEN);
	return ERR_OK;
}

static void admit(struct channel_join *join, struct channel_join_request *request)
{
	static struct join_welcome welcome;
	(void)join;
	if (book.err || (book.is_spent && !id_is_equal(book.by, request->node.id))) {
		join_request_end(request, book.err ? book.err : ERR_REFUSED, NULL);
		return;
	}
	book.is_spent = true;
	book.by = request->node.id;
	book.admitted_count++;
	book.node = request->node;
	memcpy(book.name, request->name, sizeof book.name);
	memset(&welcome, 0, sizeof welcome);
	memcpy(welcome.secret, issuer.self.secret, CHANNEL_KEY_LEN);
	memset(welcome.cluster_key, 77, CHANNEL_KEY_LEN);
	welcome.cluster_key_number = 4;
	welcome.epoch = 12;
	welcome.node_count = 2;
	rig_describe(&issuer, &welcome.nodes[0]);
	welcome.nodes[1] = request->node;
	join_request_end(request, ERR_OK, &welcome);
}

static const struct channel_join_ops ops = {find, admit};

static struct channel_self newcomer;
static struct join_ask ask;
static char message[CHANNEL_MESSAGE_LEN];

static void set_up(void)
{
	struct channel_settings settings = rig_settings();
	book.join.ops = &ops;
	rig_init(&issuer, 1, 1);
	issuer.self.is_integrity_only = true; /* (J3) */
	rig_start_joined(&issuer, &settings, 1, &book.join);
	struct channel_address address = {.port = channel_port(issuer.channel)};
	snprintf(address.host, sizeof address.host, "127.0.0.1");
	join_token_make(&book.token, &issuer.self, &address, 1, 1800000000);
	rig_make_self(&newcomer, 1, 7);
	newcomer.is_integrity_only = true;
	memset(newcomer.secret, 0, sizeof newcomer.secret);
	ask = (struct join_ask){.address_count = 2, .name = "pi-7"};
	snprintf(ask.addresses[0].host, CHANNEL_HOST_LEN, "192.0.2.7");
	ask.addresses[0].port = 9002;
	snprintf(ask.addresses[1].host, CHANNEL_HOST_LEN, "2001:db8::7");
	ask.addresses[1].port = 9002;
}

static void tear_down(void)
{
	rig_stop(&issuer);
}

static enum err join(const struct join_token *token, struct join_welcome **ret_welcome)
{
	return join_run(token, &newcomer, &ask, 20 * 1000, ret_welcome, message);
}

START_TEST(a_token_admits_a_node_and_gives_it_the_secrets)
{
	struct join_welcome *welcome = NULL;
	ck_assert_ok(join(&book.token, &welcome));
	ck_assert_mem_eq(welcome->secret, issuer.self.secret, CHANNEL_KEY_LEN);
	ck_assert_uint_eq(welcome->cluster_key[31], 77);
	ck_assert_uint_eq(welcome->cluster_key_number, 4);
	ck_assert_uint_eq(welcome->epoch, 12);
	ck_assert_uint_eq(welcome->node_count, 2);
	ck_assert_mem_eq(welcome->nodes[0].key, issuer.self.public_key, CHANNEL_KEY_LEN);
	ck_assert_uint_eq(welcome->nodes[1].address_count, 2);
	ck_assert_str_eq(welcome->nodes[1].addresses[1].host, "2001:db8::7");
	ck_assert_mem_eq(book.node.key, newcomer.public_key, CHANNEL_KEY_LEN);
	ck_assert(id_is_equal(book.node.id, newcomer.node));
	ck_assert_str_eq(book.name, "pi-7");
	ck_assert(rig_has_logged(&issuer, "(pi-7)"));
	free(welcome);
}
END_TEST

START_TEST(a_spent_token_is_refused_to_others_and_not_to_its_node)
{
	struct join_welcome *welcome = NULL;
	ck_assert_ok(join(&book.token, &welcome));
	free(welcome);
	ck_assert_ok(join(&book.token, &welcome));
	free(welcome);
	rig_make_self(&newcomer, 1, 8);
	ck_assert_err(join(&book.token, &welcome), ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(message, "does not admit"));
	ck_assert_uint_eq(book.admitted_count, 2);
	/* One that is gone altogether has no secret any more. */
	book.is_expired = true;
	ck_assert_err(join(&book.token, &welcome), ERR_DENIED);
	ck_assert_ptr_nonnull(strstr(message, "spent or expired"));
	ck_assert_uint_eq(rig_counts(&issuer).refused[CHANNEL_REFUSED_TOKEN], 1);
}
END_TEST

START_TEST(a_token_of_another_secret_opens_nothing)
{
	struct join_welcome *welcome = NULL;
	struct join_token token = book.token;
	token.secret[0] ^= 1;
	ck_assert_err(join(&token, &welcome), ERR_DENIED);
	ck_assert_uint_eq(book.admitted_count, 0);
}
END_TEST

START_TEST(who_did_not_make_the_token_is_not_asked)
{
	struct join_welcome *welcome = NULL;
	struct join_token token = book.token;
	token.fingerprint[0] = token.fingerprint[0] == '0' ? '1' : '0';
	ck_assert_err(join(&token, &welcome), ERR_DENIED);
	ck_assert_ptr_nonnull(strstr(message, "who made the token"));
	ck_assert_uint_eq(book.admitted_count, 0);
}
END_TEST

START_TEST(addresses_of_a_token_are_tried_in_order)
{
	struct join_welcome *welcome = NULL;
	struct join_token token = book.token;
	token.addresses[1] = token.addresses[0];
	token.addresses[0].port = 1;
	token.address_count = 2;
	ck_assert_ok(join(&token, &welcome));
	free(welcome);
	token.address_count = 1;
	ck_assert_err(join(&token, &welcome), ERR_UNAVAILABLE);
	ck_assert_ptr_nonnull(strstr(message, "nobody answers"));
}
END_TEST

START_TEST(who_admits_may_say_no)
{
	struct join_welcome *welcome = NULL;
	book.err = ERR_LIMIT;
	ck_assert_err(join(&book.token, &welcome), ERR_REFUSED);
	ck_assert_ptr_nonnull(strstr(message, err_text(ERR_LIMIT)));
}
END_TEST

START_TEST(a_token_is_read_as_it_was_written_and_not_with_a_typing_error)
{
	char text[JOIN_TOKEN_TEXT_MAX], typed[JOIN_TOKEN_TEXT_MAX + 8];
	struct join_token token = book.token, read;
	token.address_count = 2;
	snprintf(token.addresses[1].host, CHANNEL_HOST_LEN, "2001:db8::1");
	token.addresses[1].port = 9002;
	join_token_format(&token, text);
	snprintf(typed, sizeof typed, " %s\n", text);
	ck_assert_ok(join_token_parse(typed, &read));
	ck_assert_mem_eq(read.secret, token.secret, JOIN_SECRET_LEN);
	ck_assert_str_eq(read.fingerprint, token.fingerprint);
	ck_assert_int_eq(read.end_s, token.end_s);
	ck_assert_uint_eq(read.address_count, 2);
	ck_assert_str_eq(read.addresses[1].host, "2001:db8::1");
	ck_assert_uint_eq(read.addresses[1].port, 9002);
	for (size_t i = 0; text[i]; i++) {
		char was = text[i];
		text[i] = was == 'A' ? 'B' : 'A';
		ck_assert_int_ne(join_token_parse(text, &read), ERR_OK);
		text[i] = '\0';
		ck_assert_int_ne(join_token_parse(text, &read), ERR_OK);
		text[i] = was;
	}
	ck_assert_err(join_token_parse("rubus-join-2.AAAA", &read), ERR_VERSION);
	ck_assert_err(join_token_parse("", &read), ERR_INVALID);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("join");
	TCase *tcase = tcase_create("join");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, a_token_admits_a_node_and_gives_it_the_secrets);
	tcase_add_test(tcase, a_spent_token_is_refused_to_others_and_not_to_its_node);
	tcase_add_test(tcase, a_token_of_another_secret_opens_nothing);
	tcase_add_test(tcase, who_did_not_make_the_token_is_not_asked);
	tcase_add_test(tcase, addresses_of_a_token_are_tried_in_order);
	tcase_add_test(tcase, who_admits_may_say_no);
	tcase_add_test(tcase, a_token_is_read_as_it_was_written_and_not_with_a_typing_error);
	suite_add_tcase(suite, tcase);
	return test_run(suite);
}
