/* SPDX-License-Identifier: Apache-2.0 */
/* What can be typed about buckets, users and keys, and what is copied here. */
#include "server/cli_priv.h"
#include "storage/bytes.h"

static const char root_note[] =
	"Keys belong to an owner; all keys of one owner may use the same buckets.";

static const struct cli_option option_owner = {
	"owner", "NAME", "Who owns what is made with it; the key's own id if no one is named."};
static const struct cli_option option_bucket_owner = {
	"owner", "NAME", "Who owns the bucket; root if no one is named."};
static const struct cli_option option_role = {"role", "ROLE",
	"admin may do everything; owner may make buckets and use those of the same owner. owner "
	"if none is named."};
static const struct cli_option option_description = {
	"description", "TEXT", "What the key is for, at most 256 characters."};
static const struct cli_option option_name = {
	"name", "TEXT", "What people call the user, or what the key is for."};
static const struct cli_option option_id = {
	"id", "ID", "How the user is named: letters, digits and . _ - @ + =, at most 64."};
static const struct cli_option option_email = {"email", "ADDRESS", "Kept and shown, no more."};
static const struct cli_option option_access_key = {
	"access-key", "ID", "The access key id, if one is to be brought along."};
static const struct cli_option option_secret_key = {
	"secret-key", "SECRET", "Its secret, 8 to 128 characters."};
static const struct cli_option option_key_user = {
	"user", "ID", "Whose key it is: a user made with rubus user create."};
static const struct cli_option option_of_user = {"user", "ID", "Only those of that user."};
static const struct cli_option option_bucket_user = {"user", "ID", "The user who owns the bucket."};
static const struct cli_option option_expires = {"expires", "WHEN",
	"When it ends by itself: 90d, 12h, 2030-12-31, 2030-12-31T12:00:00Z or never."};
static const struct cli_option option_key = {"key", "KEY", "The access key id that is let in."};
static const struct cli_option option_user = {
	"user", "ID", "The user that is let in, with all keys."};
static const struct cli_option option_read = {"read", NULL, "To list and read objects."};
static const struct cli_option option_write = {
	"write", NULL, "To put and delete objects, without listing or reading them."};
static const struct cli_option option_own = {
	"owner", NULL, "Everything that the owner may, its settings too."};
static const struct cli_option option_give = {
	"give-buckets-to", "ID", "Another user, who owns its buckets from then on."};
static const struct cli_option option_man = {"man", NULL, NULL};

/* Of rubus import. */
static const struct cli_option option_from_s3 = {"from-s3", "URL",
	"The service to copy from, such as https://s3.example.org. Its key is read from "
	"AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN."};
static const struct cli_option option_from_bucket = {
	"bucket", "NAME", "Only this bucket; all if none is named."};
static const struct cli_option option_to = {
	"to", "NAME", "What the bucket is called here; as there if it is not said."};
static const struct cli_option option_prefix = {
	"prefix", "TEXT", "Only objects whose keys begin so."};
static const struct cli_option option_versions = {"versions", NULL,
	"All versions and delete markers, in their order; the buckets here keep versions then."};
static const struct cli_option option_jobs = {
	"jobs", "N", "How many objects are copied at once, 1 to 64; 4 if it is not said."};
static const struct cli_option option_rate = {
	"rate", "BYTES", "At most so many bytes in a second, such as 50M."};
static const struct cli_option option_region = {"region", "NAME",
	"What the source calls its region; AWS_REGION, or us-east-1, if it is not said."};
static const struct cli_option option_dry_import = {
	"dry-run", NULL, "Say what would be copied, and change nothing."};
static const struct cli_option option_import_owner = {
	"owner", "NAME", "Who owns buckets that are made; root if no one is named."};

const struct cli_command cli_s3_commands[] = {
	{.noun = "bucket",
		.verb = "list",
		.summary = "List the buckets with objects and sizes",
		.options = {&option_of_user, CLI_NODE_OPTIONS},
		.run = cli_run_bucket_list},
	{.noun = "bucket",
		.verb = "create",
		.summary = "Make a bucket",
		.arguments = {{"NAME",
			"3 to 63 small letters, digits, dots and hyphens, as S3 has it.", false}},
		.options = {&option_bucket_user, &option_bucket_owner, CLI_NODE_OPTIONS},
		.run = cli_run_bucket_create},
	{.noun = "bucket",
		.verb = "show",
		.summary = "Show one bucket",
		.arguments = {{"NAME", "The bucket.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_bucket_show},
	{.noun = "bucket",
		.verb = "delete",
		.summary = "Delete an empty bucket",
		.arguments = {{"NAME", "The bucket.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_bucket_delete},
	{.noun = "bucket",
		.verb = "set",
		.summary = "Set quotas, compression and the owner of a bucket",
		.details = "quota-bytes=500G and quota-objects=100000 refuse what would be more, "
			   "with QuotaExceeded; soft-quota-bytes= and soft-quota-objects= only "
			   "raise QUOTA_SOFT in rubus health. All versions count, and none takes "
			   "a quota away. compression=zstd has what is put from now on stored "
			   "compressed where that pays, compression=none as it is. owner=ID gives "
			   "the bucket to another user.",
		.arguments = {{"NAME", "The bucket.", false},
			{"SETTING", "As quota-bytes=500G.", false, true}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_bucket_set},
	{.noun = "bucket",
		.verb = "allow",
		.summary = "Let a key or a user into a bucket of another",
		.details = "Beside bucket policies, whose denials outweigh it. What a key may do "
			   "by itself is not narrowed by it.",
		.arguments = {{"NAME", "The bucket.", false}},
		.options = {&option_key, &option_user, &option_read, &option_write, &option_own,
			CLI_NODE_OPTIONS},
		.run = cli_run_bucket_allow},
	{.noun = "bucket",
		.verb = "deny",
		.summary = "Take away what bucket allow gave",
		.details = "All of it, if neither --read, --write nor --owner is said.",
		.arguments = {{"NAME", "The bucket.", false}},
		.options = {&option_key, &option_user, &option_read, &option_write, &option_own,
			CLI_NODE_OPTIONS},
		.run = cli_run_bucket_deny},
	{.noun = "user",
		.verb = "create",
		.summary = "Make a user with a key, shown once",
		.details = "A user owns the buckets that its keys make; others see nothing of "
			   "them. Who owns buckets or keys already under that name becomes a user "
			   "with them.",
		.options = {&option_id, &option_name, &option_email, &option_access_key,
			&option_secret_key, CLI_NODE_OPTIONS},
		.run = cli_run_user_create},
	{.noun = "user",
		.verb = "list",
		.summary = "List the users with what they store",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_user_list},
	{.noun = "user",
		.verb = "show",
		.summary = "Show a user with keys, quotas and grants",
		.arguments = {{"ID", "The user.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_user_show},
	{.noun = "user",
		.verb = "set",
		.summary = "Set quotas, name and e-mail of a user",
		.details = "Quotas are for all buckets of the user together; rubus help bucket "
			   "set says what they are. Others: name= and email=.",
		.arguments = {{"ID", "The user.", false},
			{"SETTING", "As quota-bytes=500G.", false, true}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_user_set},
	{.noun = "user",
		.verb = "policy",
		.summary = "Set, show or remove the policy of a user",
		.details = "A policy of IAM in JSON, without principals. What it allows, the user "
			   "may do to any bucket, beside the own ones and what grants and bucket "
			   "policies allow; what it denies is denied, to the own ones too.",
		.arguments = {{"WHAT", "set, show or remove.", false}, {"ID", "The user.", false},
			{"FILE", "The file of the policy; - is standard input.", true}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_user_policy},
	{.noun = "user",
		.verb = "disable",
		.summary = "Refuse all keys of a user until it is enabled",
		.arguments = {{"ID", "The user.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_user_disable},
	{.noun = "user",
		.verb = "enable",
		.summary = "Accept the keys of a disabled user again",
		.arguments = {{"ID", "The user.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_user_enable},
	{.noun = "user",
		.verb = "delete",
		.summary = "Delete a user with all keys",
		.details = "Refused with 6 while it owns buckets.",
		.arguments = {{"ID", "The user.", false}},
		.options = {&option_give, CLI_NODE_OPTIONS},
		.run = cli_run_user_delete},
	{.noun = "key",
		.verb = "list",
		.summary = "List the access keys, without their secrets",
		.options = {&option_of_user, CLI_NODE_OPTIONS},
		.run = cli_run_key_list},
	{.noun = "key",
		.verb = "create",
		.summary = "Make an access key and show its secret once",
		.details = root_note,
		.options = {&option_key_user, &option_owner, &option_role, &option_name,
			&option_description, &option_expires, &option_access_key,
			&option_secret_key, CLI_NODE_OPTIONS},
		.run = cli_run_key_create},
	{.noun = "key",
		.verb = "show",
		.summary = "Show one access key, without its secret",
		.arguments = {{"ID", "The access key id.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_key_show},
	{.noun = "key",
		.verb = "rotate",
		.summary = "Give an access key a new secret, shown once",
		.details = "The old secret stops working at once.",
		.arguments = {{"ID", "The access key id.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_key_rotate},
	{.noun = "key",
		.verb = "policy",
		.summary = "Set, show or remove the policy of a key",
		.details = "It narrows: with one, a key may do only what its owner may and the "
			   "policy allows, too.",
		.arguments = {{"WHAT", "set, show or remove.", false},
			{"ID", "The access key id.", false},
			{"FILE", "The file of the policy; - is standard input.", true}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_key_policy},
	{.noun = "key",
		.verb = "disable",
		.summary = "Refuse an access key until it is enabled",
		.arguments = {{"ID", "The access key id.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_key_disable},
	{.noun = "key",
		.verb = "enable",
		.summary = "Accept a disabled access key again",
		.arguments = {{"ID", "The access key id.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_key_enable},
	{.noun = "key",
		.verb = "delete",
		.summary = "Delete an access key",
		.details = "Buckets and objects of its owner stay.",
		.arguments = {{"ID", "The access key id.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_key_delete},
	{.noun = "import",
		.summary = "Copy what is in another S3 service",
		.details =
			"Copies buckets, objects, their metadata and tags to the node of this "
			"machine, and compares ETags. What is here already is not copied again, so "
			"one that was interrupted is run again, and again later for what has "
			"changed. Nothing is removed here. Not copied: rights, rules and locks of "
			"buckets, retention of objects, and when they were changed.",
		.options = {&option_from_s3, &option_from_bucket, &option_to, &option_prefix,
			&option_versions, &option_jobs, &option_rate, &option_region,
			&option_import_owner, &option_dry_import, CLI_NODE_OPTIONS},
		.run = cli_run_import},
	{.noun = "help",
		.summary = "Show help for all commands, or for one",
		.arguments = {{"COMMAND", "What to show help for, in one word or two.", true},
			{"VERB", "Its second word.", true}},
		.options = {&option_man},
		.run = cli_run_help},
};

const size_t cli_s3_command_count = ARRAY_COUNT(cli_s3_commands);
