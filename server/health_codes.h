/* SPDX-License-Identifier: Apache-2.0 */
#ifndef SERVER_HEALTH_CODES_H
#define SERVER_HEALTH_CODES_H

/* What `rubus health` can find: name, severity, what it means, what to do. Names are never changed.
 * A notice alone leaves the cluster healthy. */
#define HEALTH_TABLE(X) \
	X(NODE_FAILED, CRITICAL, \
		"The index of this node stopped with an error; the node serves nothing any more.", \
		"Read its log, mend what it says, and start the node again.") \
	X(NO_QUORUM, CRITICAL, \
		"No leader, or fewer than a majority of the voters are there: nothing can be " \
		"written, and nothing be read whose answer must be the newest.", \
		"Start the nodes that are away; see rubus quorum.") \
	X(STATE_DIFFERS, CRITICAL, \
		"The index of a node has other rows than that of this one at the same place of " \
		"the log: memory, a drive or the program did wrong on one of them.", \
		"The one that differs from a majority leaves service; move its state directory " \
		"away and have it join again. Of two, the one with a failing drive or memory.") \
	X(NO_LAYOUT, CRITICAL, "There is no ring yet, so objects have no place.", \
		"rubus layout plan, then rubus layout apply") \
	X(DATA_UNREADABLE, CRITICAL, \
		"More drives are away than parity can replace: objects with shards there cannot " \
		"be read.", \
		"Bring the drives and nodes that are away back; see rubus tree.") \
	X(READ_ONLY, CRITICAL, \
		"Too few drives are there for some slots to take new objects: writes that fall " \
		"there are answered with 503.", \
		"Bring the drives and nodes that are away back; see rubus tree.") \
	X(INDEX_SPACE_LOW, CRITICAL, \
		"The file system of the index of this node is nearly full: only deletes are " \
		"taken.", \
		"Delete objects, or give the file system more room; see rubus df.") \
	X(DATA_AT_RISK, WARNING, \
		"With what is away now, one more loss would make objects unreadable.", \
		"Bring back what is away before anything else is stopped.") \
	X(NODE_AWAY, WARNING, "A node is not linked to this one.", \
		"Start it, or look at the network between: rubus net test") \
	X(NODE_UNDECIDED, WARNING, \
		"A node was away for so long that it would be given up, but the others have no " \
		"room for what it holds, or would keep new data only once: that is yours to " \
		"decide.", \
		"Bring it back, or have another join; or rubus node gone NODE, then rubus layout " \
		"plan") \
	X(NODE_GONE, WARNING, "A node was given up: what its drives held is made anew on others.", \
		"Take it out with rubus node remove; if it comes back it is wiped and joins " \
		"again.") \
	X(DRIVE_DOWN, WARNING, "A drive of the cluster is not in service.", \
		"On its node: rubus drive list says why.") \
	X(SHARDS_MISSING, WARNING, \
		"Shards are nowhere: objects have less parity than they should.", \
		"Keep drives and nodes in service until they are made anew.") \
	X(UNDER_PROFILE, WARNING, \
		"Objects have fewer parity units than the profile: they were written before it " \
		"grew, or while drives were away.", \
		"Keep drives and nodes in service until they are coded anew: rubus status") \
	X(DAMAGE_FOUND, WARNING, \
		"The scrub found shards on a drive that are damaged and could not be mended.", \
		"Bring back what is away, then: rubus scrub start --drive N") \
	X(CLOCK_SKEW, WARNING, \
		"The wall clock of a node differs from this one's by more than a second: " \
		"signatures may be refused, dates are wrong.", \
		"On the node whose clock is wrong: timedatectl set-ntp true") \
	X(INDEX_COPIES, WARNING, \
		"Fewer copies of the log of the index are in sync than are wanted on this node.", \
		"Bring back or replace the drive that failed and start the node again.") \
	X(COLLECTION_HELD, WARNING, \
		"A forced recovery was made: until it is confirmed, the space of what was " \
		"deleted, and of what no index row names, is not given back.", \
		"See that all is there that should be, then: rubus cluster confirm") \
	X(INDEX_ARCHIVE, WARNING, \
		"The archive of the index on this node's drives is missing, too old, or on fewer " \
		"drives than it should be.", \
		"Look at this node's log and drives; the archive is all that is left when the " \
		"state of every node is lost.") \
	X(QUOTA_FULL, WARNING, \
		"A bucket or a user has used up its quota: writes there are answered with " \
		"QuotaExceeded.", \
		"Have something deleted, or: rubus bucket set, rubus user set") \
	X(QUOTA_SOFT, WARNING, \
		"A bucket or a user has more than its soft quota; nothing is refused.", \
		"rubus bucket show, rubus user show") \
	X(DAMAGE_MENDED, NOTICE, \
		"The scrub found damaged or missing shards on a drive, and had them made anew.", \
		"Once is chance; a drive that does it again should be replaced.") \
	X(REPAIR_PAUSED, NOTICE, "Nothing is repaired or moved, on no node.", \
		"rubus repair resume") \
	X(SCRUB_PAUSED, NOTICE, "Damage is not looked for, on no node.", "rubus scrub resume") \
	X(NODE_MAINTENANCE, NOTICE, \
		"A node is in maintenance: it is not given up, read from last, and does not " \
		"lead.", \
		"Nothing: it ends by itself, or with rubus node maintenance NODE off.") \
	X(SHARDS_ELSEWHERE, NOTICE, "Shards are on other drives than the ring says.", \
		"Nothing: they are found there.") \
	X(DRIVE_UNUSED, NOTICE, "A drive is in service, and the ring gives it nothing to hold.", \
		"rubus layout plan shows the ring with it.")

enum health_severity {
	HEALTH_NOTICE,
	HEALTH_WARNING,
	HEALTH_CRITICAL,
};

enum health_code {
#define X(name, severity, meaning, help) HEALTH_##name,
	HEALTH_TABLE(X)
#undef X
		HEALTH_CODE_COUNT,
};

struct health_entry {
	const char *name;
	enum health_severity severity;
	const char *meaning, *help;
};
extern const struct health_entry health_entries[HEALTH_CODE_COUNT];

const char *health_severity_text(enum health_severity severity);

#endif
