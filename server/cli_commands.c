/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that can be typed. */
#include "server/cli_priv.h"
#include "storage/bytes.h"

const struct cli_option cli_option_config = {
	"config", "FILE", "The configuration file; /etc/rubus/rubus.yaml if none is named."};
static const struct cli_option option_from_drives = {"from-drives", NULL,
	"Make a lost state directory anew of what the node kept on its drives."};
static const struct cli_option option_of_drives = {
	"from-drives", NULL, "Of the newest complete archive on the drives of the configuration."};
static const struct cli_option option_ignore_log = {
	"ignore-log", NULL, "Also where drives have the log itself, which is given up."};
static const struct cli_option option_dry = {
	"dry-run", NULL, "Say what would be brought back, and change nothing."};
const struct cli_option cli_option_dir = {"dir", "DIR", "The directory of a rubus demo."};
static const struct cli_option option_demo_dir = {
	"dir", "DIR", "Where everything is; made if it is not there."};
static const struct cli_option option_drives = {"drives", "N",
	"How many drives a new directory gets; 4 if it is not said, 1 for each of several nodes."};
static const struct cli_option option_nodes = {"nodes", "N",
	"How many nodes, 1 to 9, each a process of its own: a cluster on one machine. Ports go up "
	"in steps of 10."};
static const struct cli_option option_s3 = {
	"s3", "ADDRESS:PORT", "Where clients connect; 127.0.0.1:9000 if it is not said."};
static const struct cli_option option_admin = {
	"admin", "ADDRESS:PORT", "Where metrics and health are; 127.0.0.1:9001 if it is not said."};
static const struct cli_option option_minutes = {
	"minutes", "N", "How long the token is good, 1 to 10080; 60 if it is not said."};
static const struct cli_option option_for = {"for", "TIME", "How long, 20m or 2h; at most 7 days."};
static const struct cli_option option_maintenance = {
	"minutes", "N", "How long the node is to be away on purpose, 1 to 10080."};
static const struct cli_option option_fail = {
	"fail", "NODE[,NODE]", "The nodes that fail, by name or number."};
static const struct cli_option option_limit = {"limit-ms", "N",
	"The difference of clocks that is fine, 0 to 86400000; 1000 if it is not said."};
static const struct cli_option option_yes = {
	"yes", NULL, "Do it; without it only say what would be."};
static const struct cli_option option_epoch = {
	"epoch", "N", "For a survivor beside the first: the epoch that the first was given."};
static const struct cli_option option_out = {
	"out", "FILE", "Write the plan to a file, too, which layout apply takes."};
static const struct cli_option option_class = {
	"class", "CLASS", "nvme, ssd or hdd; nvme if it is not said."};
static const struct cli_option option_weight = {"weight", "BYTES",
	"How much it is to hold in proportion to others, such as 900G; its size if "
	"it is not said."};
static const struct cli_option option_apply = {
	"apply", NULL, "Have it moved at once; else it is shown only."};
static const struct cli_option option_cancel = {
	"cancel", NULL, "Take it back: it is to hold shards again."};
static const struct cli_option option_force = {
	"force", NULL, "Also while it works, or if data is lost with it."};
const struct cli_option cli_option_json = {"json", NULL, "Print one JSON document."};

static const struct cli_option option_all = {"all", NULL, "Those that ended, too."};
static const struct cli_option option_scrub_drive = {
	"drive", "N", "Only the drive of that number."};
static const struct cli_option option_scrub_node = {
	"node", "NAME", "Only the drives of that node."};

static const struct cli_command commands[] = {
	{.noun = "demo",
		.summary = "Try rubus: a node with drives in one directory",
		.details = "Makes the directory at the first run and serves it again at each later "
			   "one, also with a drive missing. Runs in the foreground; Ctrl-C ends "
			   "it.",
		.options = {&option_demo_dir, &option_drives, &option_nodes, &option_s3,
			&option_admin, &cli_option_json},
		.run = cli_run_demo},
	{.noun = "init",
		.summary = "Make a node: keys, certificate, drives",
		.details = "Makes the state directory and the drives that the configuration names "
			   "and shows the first access key. Directories that hold something else "
			   "are not touched. An init that was interrupted is run again.",
		.options = {&cli_option_config, &option_from_drives, &cli_option_json},
		.run = cli_run_init},
	{.noun = "index",
		.verb = "rebuild",
		.summary = "Make a lost index anew of its archive on the drives",
		.details =
			"For when the state of every node is lost. The node must not run, and have "
			"no state directory. Every node archives the index on its own drives: try "
			"--dry-run on each and take the one that is complete up to the latest "
			"time; the others join it anew. What was changed since the end of the "
			"archive is not in the index, and what no row names stays on the drives "
			"until rubus cluster confirm. One that was interrupted is run again.",
		.options = {&option_of_drives, &option_dry, &option_ignore_log, &cli_option_config,
			&cli_option_json},
		.run = cli_run_index_rebuild},
	{.noun = "index",
		.verb = "salvage",
		.summary = "Bring back objects that only drives know of",
		.details =
			"After rubus index rebuild or cluster recover, and before cluster confirm: "
			"what drives have of objects that the index does not know is put into a "
			"bucket recovered-DATE, as BUCKET/KEY, if all of it can be read. What was "
			"deleted or overwritten may be among it. The rest is listed, with what is "
			"missing. May be run again.",
		.options = {&option_dry, CLI_NODE_OPTIONS},
		.run = cli_run_index_salvage},
	{.noun = "serve",
		.summary = "Run the node of this machine",
		.details = "Runs in the foreground and tells systemd when it is ready. SIGTERM or "
			   "Ctrl-C ends it: running requests get 10 seconds to end; a second "
			   "Ctrl-C does not wait. SIGHUP has the certificate read again.",
		.options = {&cli_option_config, &cli_option_json},
		.run = cli_run_serve},
	{.noun = "join",
		.summary = "Make a node that joins a cluster",
		.details =
			"Asks a node of the cluster to be admitted and makes the state directory "
			"and the drives that the configuration names. The token comes from: "
			"rubus token create. A join that was interrupted is run again.",
		.arguments = {{"TOKEN", "What rubus token create printed.", false}},
		.options = {&cli_option_config, &cli_option_json},
		.run = cli_run_join},
	{.noun = "token",
		.verb = "create",
		.summary = "Make a token that admits one node",
		.options = {&option_minutes, CLI_NODE_OPTIONS},
		.run = cli_run_token_create},
	{.noun = "node",
		.verb = "list",
		.summary = "List the nodes with their states",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_node_list},
	{.noun = "node",
		.verb = "show",
		.summary = "Show one node",
		.arguments = {{"NAME", "The node, by its name or number.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_node_show},
	{.noun = "node",
		.verb = "can-stop",
		.summary = "Say whether a node may be stopped now",
		.details = "It may if the others are a quorum without it and all data stays "
			   "readable and writable, with what is away now. Ends with 1 if not.",
		.arguments = {{"NAME", "The node, by its name or number.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_node_can_stop},
	{.noun = "node",
		.verb = "maintenance",
		.summary = "Say that a node is to be left alone, or not",
		.details = "It gives the lead away, is read from last, raises no alarm and is not "
			   "counted as away. Ends by itself after that time; the node is not "
			   "stopped by it.",
		.arguments = {{"NAME", "The node, by its name or number.", false},
			{"WHAT", "on, with --for or --minutes, or off.", false}},
		.options = {&option_for, &option_maintenance, CLI_NODE_OPTIONS},
		.run = cli_run_node_maintenance},
	{.noun = "node",
		.verb = "gone",
		.summary = "Give up a node that does not come back",
		.details = "For good: what its drives held is made anew on others, if there are "
			   "enough for the profile. Refused with 6 while it is there, or if data "
			   "would be lost with it. It is done by itself when a node was away for "
			   "long; see rubus node gone-after.",
		.arguments = {{"NAME", "The node, by its name or number.", false}},
		.options = {&option_force, CLI_NODE_OPTIONS},
		.run = cli_run_node_gone},
	{.noun = "node",
		.verb = "gone-after",
		.summary = "Show or set when an absent node is given up",
		.details = "24h if nothing else was said. Only time counts in which a node that "
			   "leads has seen it away, outside of maintenance; and it is given up "
			   "only if everything it held finds a place, if need be in a smaller "
			   "profile, for which all is coded anew. Where there is none, or new "
			   "data would be there only once, rubus health says NODE_UNDECIDED.",
		.arguments = {{"TIME", "24h, 30m, 90s or never.", true}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_node_gone_after},
	{.noun = "cluster",
		.verb = "recover",
		.summary = "Go on without a majority that is lost for ever",
		.details =
			"On a node that is stopped. Shows who is lost, what may be, and the term "
			"and the end of this node's log; of several survivors the one with the "
			"highest goes first. With --yes it becomes the whole cluster, in a new "
			"epoch: nodes of the old one are refused, and join again with nothing. "
			"Refused while a majority answers.",
		.options = {&option_yes, &option_epoch, &cli_option_config, &cli_option_json},
		.run = cli_run_cluster_recover},
	{.noun = "cluster",
		.verb = "stop",
		.summary = "Stop all nodes in order, before the power goes",
		.details = "Writes are refused with 503 and Retry-After everywhere, what runs is "
			   "let end, then one node after the other ends, this one last. Ends with "
			   "1 if a node could not be reached. Start them again as always; nothing "
			   "is remembered of it.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_cluster_stop},
	{.noun = "cluster",
		.verb = "confirm",
		.summary = "Say that a recovered cluster is as it should be",
		.details = "After a forced recovery the space of what no index row names is not "
			   "given back until then, since the index may have lost rows.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_cluster_confirm},
	{.noun = "node",
		.verb = "drain",
		.summary = "Have a node hold nothing",
		.details = "Shows what its shards need elsewhere; they move with --apply, or with "
			   "the layout apply that it names. When layout diff says that nothing is "
			   "left: rubus node remove.",
		.arguments = {{"NAME", "The node, by its name or number.", false}},
		.options = {&option_apply, &option_cancel, CLI_NODE_OPTIONS},
		.run = cli_run_node_drain},
	{.noun = "node",
		.verb = "remove",
		.summary = "Remove a node from the cluster",
		.details = "One that was drained, or one that is away and whose drives were given "
			   "up. It is asked for on another node. The node ends, and is a stranger "
			   "from then on.",
		.arguments = {{"NAME", "The node, by its name or number.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_node_remove},
	{.noun = "net",
		.verb = "test",
		.summary = "Measure the way between all pairs of nodes",
		.details = "Of each two nodes one sends 10 small messages and then 16 of 256 KiB "
			   "to the other, 4 at a time, and has them back; it says so here. Shows "
			   "the round trip, what went each way in a second, the MTU of one and "
			   "the other, and how long packets may be on the way there and back: "
			   "measured by datagrams between the UDP ports of the channels, which "
			   "the nodes open for a minute. State mtu: longer ones are lost without "
			   "a word, though devices take them; unknown: neither node could be "
			   "asked. Ends with 1 if a node cannot be reached by another, or long "
			   "packets get lost.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_net_test},
	{.noun = "time",
		.verb = "check",
		.summary = "Compare the clocks of the nodes",
		.details = "Wall clocks, as the nodes said in the last seconds, with this node's. "
			   "Ends with 1 if a clock differs "
			   "by more than the limit, or is not known because its node is away.",
		.options = {&option_limit, CLI_NODE_OPTIONS},
		.run = cli_run_time_check},
	{.noun = "quorum",
		.summary = "Show who decides, and whether enough are there",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_quorum},
	{.noun = "layout",
		.verb = "show",
		.summary = "Show the ring: what it holds and what it survives",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_layout_show},
	{.noun = "layout",
		.verb = "simulate",
		.summary = "Show how data would be if nodes failed",
		.details = "With what is away already, before anything is made anew. Safe: all "
			   "would survive one more loss. Ends with 1 if not all would be readable "
			   "and writable.",
		.options = {&option_fail, CLI_NODE_OPTIONS},
		.run = cli_run_layout_simulate},
	{.noun = "layout",
		.verb = "plan",
		.summary = "Show the ring that the drives ask for",
		.details = "Nothing changes before rubus layout apply. Bytes and hours to move "
			   "are those of what is stored now, at 100 MiB/s for each node.",
		.options = {&option_out, CLI_NODE_OPTIONS},
		.run = cli_run_layout_plan},
	{.noun = "layout",
		.verb = "apply",
		.summary = "Take the ring that the drives ask for",
		.details = "What is stored moves there in the background, under load; layout diff "
			   "shows what is left.",
		.arguments = {{"PLAN",
			"The plan as layout plan named it, or its file: refused with 6 if drives "
			"or ring have changed since. Without it, what is planned now.",
			true}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_layout_apply},
	{.noun = "layout",
		.verb = "diff",
		.summary = "Show what is still to move to the new ring",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_layout_diff},
	{.noun = "layout",
		.verb = "revert",
		.summary = "Go back to the ring from before the last change",
		.details = "Also while shards move: those that have moved come back. Drives that "
			   "were to be drained take shards again. To revert once more is to do "
			   "what was reverted.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_layout_revert},
	{.noun = "layout",
		.verb = "history",
		.summary = "List the last 32 changes of the ring",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_layout_history},
	{.noun = "config",
		.verb = "check",
		.summary = "Check a configuration file and show its settings",
		.details = "The environment is laid over the file, as it is for a node. Nothing is "
			   "touched.",
		.arguments = {{"FILE", "The configuration file.", false}},
		.options = {&cli_option_json},
		.run = cli_run_config_check},
	{.noun = "status",
		.summary = "Show how the node and its data are",
		.details = "In a cluster also how that is, as this node sees it: ok; degraded, "
			   "something is away or less safe than it should be; read-only, some or "
			   "all objects cannot be written; unreadable, some objects cannot be "
			   "read; no quorum, nothing can be decided.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_status},
	{.noun = "tree",
		.summary = "Show zones, nodes and drives",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_tree},
	{.noun = "health",
		.verb = "explain",
		.summary = "Say what a code of rubus health means",
		.arguments = {{"CODE", "As rubus health prints it.", false}},
		.options = {&cli_option_json},
		.run = cli_run_health_explain},
	{.noun = "health",
		.summary = "Show what is wrong with the cluster",
		.details = "As this node sees it. Ends with 0 if nothing is wrong, or there are "
			   "notices alone; else with 1.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_health},
	{.noun = "tasks",
		.verb = "follow",
		.summary = "Show how far a task is until it ends",
		.details =
			"Ends with the verdict: 0 if all is well, else 1. Ctrl-C ends the command "
			"and leaves the task alone.",
		.arguments = {{"ID", "Its number, as rubus tasks shows it.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_tasks_follow},
	{.noun = "tasks",
		.summary = "List the work in the background",
		.details = "Repairs, moves of shards to where the ring wants them, and scrubs that "
			   "somebody asked for, of all nodes, with what is left and when it would "
			   "be done.",
		.options = {&option_all, CLI_NODE_OPTIONS},
		.run = cli_run_tasks},
	{.noun = "repair",
		.verb = "status",
		.summary = "Show what is being made whole",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_repair_status},
	{.noun = "repair",
		.verb = "pause",
		.summary = "Begin no repair and no move until told otherwise",
		.details =
			"Holds for all nodes, also after they were started again. What was begun "
			"is written to its end.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_repair_pause},
	{.noun = "repair",
		.verb = "resume",
		.summary = "Let repairs and moves go on",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_repair_resume},
	{.noun = "repair",
		.verb = "speed",
		.summary = "Say how fast repairs and moves may be",
		.details = "Slower they are by themselves, when clients would wait for them.",
		.arguments = {{"MIB",
			"MiB a second that a node reads and writes; 0: as clients "
			"allow.",
			false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_repair_speed},
	{.noun = "repair",
		.verb = "report",
		.summary = "Show the verdicts of what ended",
		.details = "The last 32, of repairs, moves and scrubs; they survive restarts.",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_repair_report},
	{.noun = "scrub",
		.verb = "start",
		.summary = "Read and check all that is stored, now",
		.details =
			"All blocks of all shards, and whether those are there that the index "
			"knows of. What is damaged is made anew from others. The same happens by "
			"itself within the period.",
		.options = {&option_scrub_drive, &option_scrub_node, CLI_NODE_OPTIONS},
		.run = cli_run_scrub_start},
	{.noun = "scrub",
		.verb = "status",
		.summary = "Show how far the scrub of each drive is",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_scrub_status},
	{.noun = "scrub",
		.verb = "pause",
		.summary = "Look for no damage until told otherwise",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_scrub_pause},
	{.noun = "scrub",
		.verb = "resume",
		.summary = "Let the scrub go on",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_scrub_resume},
	{.noun = "scrub",
		.verb = "speed",
		.summary = "Say how fast the scrub may read",
		.arguments = {{"MIB", "MiB a second of a node; 0: as clients allow.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_scrub_speed},
	{.noun = "scrub",
		.verb = "period",
		.summary = "Say within which time everything is read",
		.arguments = {{"DAYS", "1 to 365, or never; 14 if nothing was said.", false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_scrub_period},
	{.noun = "df",
		.summary = "Show how much is stored and still fits",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_df},
	{.noun = "drive",
		.verb = "list",
		.summary = "List the drives with their states",
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_drive_list},
	{.noun = "drive",
		.verb = "add",
		.summary = "Add a drive to the node, while it runs",
		.details = "Makes a drive of an empty directory. It is used from then on, and "
			   "remembered in the file drives of the state directory; the "
			   "configuration need not name it. It holds nothing before rubus layout "
			   "apply.",
		.arguments = {{"PATH", "The directory, from the root.", false}},
		.options = {&option_class, &option_weight, CLI_NODE_OPTIONS},
		.run = cli_run_drive_add},
	{.noun = "drive",
		.verb = "drain",
		.summary = "Have a drive hold nothing",
		.details = "Shows what its shards need elsewhere; they move with --apply, or with "
			   "the layout apply that it names. When drive safe-to-remove says yes: "
			   "rubus drive remove.",
		.arguments = {{"DRIVE", "Its number, or its path if it is one of this node.",
			false}},
		.options = {&option_apply, &option_cancel, CLI_NODE_OPTIONS},
		.run = cli_run_drive_drain},
	{.noun = "drive",
		.verb = "remove",
		.summary = "Remove a drive that holds nothing",
		.details = "Ends with 6 if shards are on it. It is for good: the directory has to "
			   "be emptied before it can be added again.",
		.arguments = {{"DRIVE", "Its number, or its path if it is one of this node.",
			false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_drive_remove},
	{.noun = "drive",
		.verb = "replace",
		.summary = "Have a new drive take the places of another",
		.details =
			"Adds the new drive to this node, as drive add does, and shows what is to "
			"move; with --apply it moves. The old one may be dead: then its shards are "
			"made anew from others. When drive safe-to-remove says yes: rubus drive "
			"remove.",
		.arguments = {{"DRIVE", "The old one: its number, or its path.", false},
			{"PATH", "The directory of the new one, from the root.", false}},
		.options = {&option_apply, &option_class, &option_weight, CLI_NODE_OPTIONS},
		.run = cli_run_drive_replace},
	{.noun = "drive",
		.verb = "gone",
		.summary = "Give up a drive that is dead",
		.details = "For good: its shards are made anew on other drives at once, if there "
			   "are enough for the profile; else by drive replace. Refused with 6 "
			   "while it works, or if data would be lost with it.",
		.arguments = {{"DRIVE", "Its number, or its path if it is one of this node.",
			false}},
		.options = {&option_force, CLI_NODE_OPTIONS},
		.run = cli_run_drive_gone},
	{.noun = "drive",
		.verb = "safe-to-remove",
		.summary = "Say whether a drive may be taken away now",
		.details = "It may if nothing is lost with it, neither data nor what "
			   "protects it: the ring keeps no shards there, none are on their way "
			   "there or from there, and none are on other drives than the ring says. "
			   "Ends with 1 if not.",
		.arguments = {{"DRIVE", "Its number, or its path if it is one of this node.",
			false}},
		.options = {CLI_NODE_OPTIONS},
		.run = cli_run_drive_safe_to_remove},
};

const struct cli_command *cli_command_at(size_t i)
{
	if (i < ARRAY_COUNT(commands))
		return &commands[i];
	i -= ARRAY_COUNT(commands);
	return i < cli_s3_command_count ? &cli_s3_commands[i] : NULL;
}
