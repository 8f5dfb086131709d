#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants one mistake after another into copies of source files and asks whether the simulations find it.

Usage: tests/sim/mutants.py [VARIANT [WORD...]]; the programs of the variant are built before. WORD is a
part of the names of the mistakes to plant. Fails when a mistake survives, or when its place in the source is
gone.

What libraft 0.15 did is planted beside libraft 0.22.1: that entries of earlier terms are committed by counting
(figure 8 of the Raft paper), and that a candidate has what is only in its memory, and goes by the votes from
before that, which gave two leaders and two histories (canonical/raft#386)."""
import os
import subprocess
import sys

VARIANT = sys.argv[1] if len(sys.argv) > 1 else 'release'
DIR = f'build/{VARIANT}/mutants'
RAFT = 'storage/meta/consensus_raft_'
COMMIT = '''	if (member->raft.commit_index > member->commit)
		member->commit = member->raft.commit_index;
'''
COUNT = COMMIT + '''	for (uint64_t index = member->commit + 1; member_leads(member) &&
		index <= member->raft.last_stored; index++) {
		unsigned voters = 0, have = 0;
		for (unsigned i = 0; i < member->raft.configuration.n; i++) {
			const struct raft_server *server = &member->raft.configuration.servers[i];
			raft_index match = member->raft.last_stored;
			if (server->role != RAFT_VOTER)
				continue;
			if (server->id != member->id)
				raft_match_index(&member->raft, server->id, &match);
			voters++;
			have += match >= index;
		}
		if (have > voters / 2)
			member->commit = index;
	}
'''
# A follower whose entries are not durable waits for no write: it says that it has them all, and goes by the
# configuration from before them. Its vote is its own at once; with 0.15 it was in a file of its own.
AHEAD = '''static struct ahead {
	const struct member *member;
	struct raft_configuration conf;
	bool is_ahead;
} aheads[64];

static struct ahead *ahead_of(const struct member *member)
{
	struct ahead *ahead = aheads;
	while (ahead->member && ahead->member != member)
		ahead++;
	ahead->member = member;
	return ahead;
}

static void copy_configuration(
	const struct raft_configuration *from, struct raft_configuration *to)
{
	raft_configuration_close(to);
	raft_configuration_init(to);
	for (unsigned i = 0; i < from->n; i++)
		assert(raft_configuration_add(to, from->servers[i].id, from->servers[i].address,
			from->servers[i].role) == 0);
}

static void look_behind(struct member *member)
{
	struct ahead *ahead = ahead_of(member);
	uint64_t stored = ahead->is_ahead ? member->written : member->raft.last_stored;
	if (!member->has_started || stored < raft_last_index(&member->raft))
		return;
	copy_configuration(&member->raft.configuration, &ahead->conf);
	ahead->is_ahead = false;
}

static void run_ahead(struct member *member)
{
	struct raft *raft = &member->raft;
	if (raft->state != RAFT_FOLLOWER || raft->last_stored >= raft_last_index(raft) ||
		raft->snapshot.installing || raft_timeout(raft) > member_now_ms(member))
		return;
	copy_configuration(&ahead_of(member)->conf, &raft->configuration);
	raft->configuration_uncommitted_index = 0;
	raft->last_stored = raft_last_index(raft);
	ahead_of(member)->is_ahead = true;
}

'''
# The programs that are asked, one after the other, until one of them fails.
RAFT_PROGRAMS = ['raft_rules', 'raft_forged', 'raft --seeds=100', 'cluster --seeds=100', 'split']
STORE_PROGRAMS = ['shards --seeds=60', 'cluster --seeds=200']
RING_PROGRAMS = ['ring_change --seeds=40', 'repair --seeds=60', 'cluster --seeds=200']
# programs, name, file, what stands there, what shall; perhaps more of both
MUTANTS = [
    (RAFT_PROGRAMS, name, f'{RAFT}{file}.c', old, new) for name, file, old, new in [
        ('R1: messages do not wait for the vote', 'send', 'if (member->votes_pending > 0) {', 'if (false) {'),
        ('R1: a failed vote counts', 'step', '	if (err != ERR_OK)\n		return;\n	assert(member->votes_pending', '	assert(member->votes_pending'),
        ('R2: a change goes with others', 'send', 'if (!fits || (is_change && put > 0)) {', 'if (!fits) {'),
        ('R3: what is not durable is applied', 'apply', 'member->commit < durable ? member->commit : durable;', 'durable > 0 ? member->commit : durable;'),
        ('R4: reads before the barrier', 'read', 'member->raft.commit_index >= member->barrier_index', 'true'),
        ('R5: nobody is asked', 'read', 'if (is_confirmed(member, 0)) {', 'if (true) {'),
        ('R6: commands of any length', 'propose', 'if (GROUP_HEADER_LEN + proposal_len(proposal) > member->len_max) {', 'if (false) {'),
        ('R7: commits are not told', 'step', '	member_send_commit(member);\n', ''),
        ('R8: the end of a write that was taken back counts', 'entry', 'if (err == ERR_OK && !entry->is_void) {', 'if (err == ERR_OK) {'),
        ('R10: any field', 'wire', 'if (!is_in_range || !note_makes_sense(&note))', 'if (false)'),
        ('R10: any configuration', 'wire', 'configuration_decode(bytes_from(bytes, GROUP_HEADER_LEN), &members) != ERR_OK)', 'false)'),
        ('R10: a rejection takes back a match', 'receive', 'if (!result_makes_sense(member, note))', 'if (false)'),
        ('R10: a second leader of a term is believed', 'receive', 'if (raft->state == RAFT_LEADER && note.term == raft->current_term) {', 'if (false) {'),
        ('R12: the only voter keeps the term', 'step', 'if (must_renew_term(member)) {', 'if (false) {'),
        ('R12: the only voter starts in the term', 'open', 'if (!will_lead(member)) {', 'if (true) {'),
        ('an append from before the snapshot', 'receive', 'if (note.index < raft->trail.snapshot.index && member_term_of(member, note.index) == 0) {', 'if (false) {'),
        ('learners do not vote', 'receive', '	conf->servers[at].role = RAFT_VOTER;\n', ''),
        ('a batch is taken twice', 'propose', 'if (is_same && last <= origin->number)', 'if (false)'),
        ('what may have arrived is taken back', 'propose', 'bool is_again = forward->was_sent;', 'bool is_again = false;'),
        ('what may still come is taken back', 'propose', 'return proposal->term < *(const uint64_t *)arg;', 'return proposal->term <= *(const uint64_t *)arg;'),
        ('proposals of a snapshot are proposed again', 'install', '	member_lose_flight(member);\n', ''),
        ('time goes back', 'propose', '(uint64_t)now_ms > member->time_ms)', '(uint64_t)now_ms != 0)'),
        ('votes are forgotten', 'step', 'member->raft.current_term, member->raft.voted_for)', 'member->raft.current_term, 0)'),
        ('what is stored is committed', 'step', COMMIT, '	member->commit = member->raft.last_stored;\n'),
        ('entries of earlier terms are committed by counting', 'step', COMMIT, COUNT),
        ('a candidate has entries that it has not', 'send', '	note->index = vote->last_log_index;\n', '	note->index = vote->last_log_index + 1000;\n'),
    ]
] + [
    (['split'], 'libraft 0.15: a candidate has what is only in its memory', f'{RAFT}step.c',
     'static void write_vote(', AHEAD + 'static void write_vote(',
     'op_new(member, vote_written);', 'op_new(member, ahead_of(member)->is_ahead ? cut_written : vote_written);',
     'member->votes_pending++;', 'member->votes_pending += !ahead_of(member)->is_ahead;',
     '	struct raft_update update = {0};\n', '	struct raft_update update = {0};\n	look_behind(member);\n',
     '	struct raft_event event = {.type = RAFT_TIMEOUT};\n', '	run_ahead(member);\n	struct raft_event event = {.type = RAFT_TIMEOUT};\n'),
    (['cluster --seeds=100'], 'everybody reports, again and again', 'storage/meta/index_propose.c', '			index->read_low_reported <= log_index);', '			true);'),
    (['cluster --seeds=100'], 'a name outlives its row', 'storage/meta/apply_task.c', '			found->open.name = found->name;\n', ''),
    (STORE_PROGRAMS, 'garbage is freed while it is read', 'storage/repair/collect.c', 'if (err == ERR_OK && garbage.log_index >= read_low) {', 'if (false) {'),
    (STORE_PROGRAMS, 'a get does not hold what it reads', 'storage/meta/index_list.c', '		if (row.read_low < low)\n', '		if (row.read_low > low)\n'),
    (RING_PROGRAMS, 'what moved away is freed while it is read', 'storage/repair/empty.c', 'bool is_old = found.row.since < read_low;', 'bool is_old = true;'),
    (RING_PROGRAMS, 'a gone drive is forgotten', 'storage/meta/apply_machine.c', '		add_gone(apply, row->number);\n', '		(void)add_gone;\n'),
    (['cluster --seeds=100'], 'sessions of the silent stay open', 'storage/meta/steward.c', '	close_silent(steward, nodes, count, now_ms);\n', '	(void)close_silent;\n'),
    (['cluster --seeds=100'], 'nobody is promoted', 'storage/meta/steward_plan.c', '		return choose(change, CONSENSUS_PROMOTE, learner);\n	if (table->voter_count == wanted', '		return ERR_END;\n	if (table->voter_count == wanted'),
    (['cluster --seeds=100'], 'a log that is gone stays a member', 'storage/meta/steward_plan.c', '		err = plan_removal(&table, ret_change);\n', '		(void)plan_removal;\n'),
    (['store'], 'a version that was deleted by its id stays', 'storage/meta/apply_object.c', '	apply_version_remove(apply, object, version, &row);\n	apply_notice_add', '	apply_notice_add'),
    (['store'], 'a delete takes the newest version, and makes no marker', 'storage/meta/apply_object.c', '	if (object->bucket.versioning == BUCKET_UNVERSIONED) {\n		if (object->has_newest)', '	if (object->bucket.versioning <= BUCKET_ENABLED) {\n		if (object->has_newest)'),
    (['store'], 'a put in a versioned bucket takes the place of the version before', 'storage/meta/apply_object.c', '	apply_lock_set(apply, &object->bucket, attributes, row);\n', '	apply_lock_set(apply, &object->bucket, attributes, row);\n	if (object->has_newest && object->bucket.versioning == BUCKET_ENABLED)\n		apply_version_remove(apply, object, object->newest_id, &object->newest);\n'),
    (['repair --seed=408', 'repair --seed=912'], 'what is yet to come from a gone drive is missed by a scrub', 'storage/repair/scrub_match.c', '	return move && !ring_moving_has_passed(move, scrub->place.extent);\n', '	(void)move;\n	return false;\n'),
]


def command_for(target, needle):
    lines = subprocess.run(['ninja', '-t', 'commands', target], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return [line for line in lines if needle in line][-1]


def compile_mutant(source, texts):
    """The object of the mutant, or False if its place is gone."""
    with open(source, encoding='utf-8') as text:
        content = text.read()
    for old, new in zip(texts[::2], texts[1::2]):
        if content.count(old) != 1:
            return False
        content = content.replace(old, new)
    mutant = f'{DIR}/{os.path.basename(source)}'
    with open(mutant, 'w', encoding='utf-8') as text:
        text.write(content)
    target = f'build/{VARIANT}/{source[:-2]}.o'
    command = command_for(target, f' {source}')
    command = command.replace(f'-o {target} {source}', f'-w -o {DIR}/mutant.o {mutant}')
    subprocess.run(command.replace(f'{target}.d', f'{DIR}/mutant.d'), shell=True, check=True)
    return True


def is_found_by(program):
    name, *args = program.split()
    target = f'build/{VARIANT}/tests/sim/{name}'
    link = command_for(target, f'-o {target} ')
    link = link.replace(f'-o {target} ', f'-o {DIR}/{name} {DIR}/mutant.o ')
    subprocess.run(link, shell=True, check=True)
    result = subprocess.run(['timeout', '300', f'{DIR}/{name}', *args], check=False,
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return result.returncode != 0


def main():
    os.makedirs(DIR, exist_ok=True)
    bad = 0
    for programs, name, source, *texts in MUTANTS:
        if len(sys.argv) > 2 and not any(word in name for word in sys.argv[2:]):
            continue
        if not compile_mutant(source, texts):
            print(f'{"GONE":30} {name}', flush=True)
            bad += 1
            continue
        found = next((program for program in programs if is_found_by(program)), None)
        verdict = f'found by {found}' if found else 'SURVIVED'
        bad += not found
        print(f'{verdict:30} {name}', flush=True)
    return 1 if bad else 0


sys.exit(main())
