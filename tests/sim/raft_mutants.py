#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Plants one mistake after another into consensus and asks whether the simulations find it.

Usage: tests/sim/raft_mutants.py [VARIANT [NAME...]]; the programs of the variant are built before.
Fails when a mistake survives, or when its place in the source is gone.

No simulation finds yet: ends of writes that were taken back (R8), a rejection that takes back a match
and an append to the leader of the term (R10; the packaged libraft has no assertions), and entries of
earlier terms that are committed by counting."""
import os
import subprocess
import sys

VARIANT = sys.argv[1] if len(sys.argv) > 1 else 'release'
SEEDS = os.environ.get('SEEDS', '400')
DIR = f'build/{VARIANT}/mutants'
COMMIT = '''	if (member->raft.commit_index > member->commit)
		member->commit = member->raft.commit_index;
'''
# name, file, what stands there, what shall
MUTANTS = [
    ('R1: messages do not wait for the vote', 'send', 'if (member->votes_pending > 0) {', 'if (false) {'),
    ('R1: a failed vote counts', 'step', '	if (err != ERR_OK)\n		return;\n	assert(member->votes_pending', '	assert(member->votes_pending'),
    ('R2: a change goes with others', 'send', 'if (!fits || (is_change && put > 0)) {', 'if (!fits) {'),
    ('R3: what is not durable is applied', 'apply', 'member->commit < durable ? member->commit : durable;', 'durable > 0 ? member->commit : durable;'),
    ('R4: reads before the barrier', 'read', 'member->raft.commit_index >= member->barrier_index', 'true'),
    ('R5: nobody is asked', 'read', 'if (is_confirmed(member)) {', 'if (true) {'),
    ('R6: commands of any length', 'propose', 'if (GROUP_HEADER_LEN + proposal_len(proposal) > member->len_max) {', 'if (false) {'),
    ('R7: commits are not told', 'step', '	member_send_commit(member);\n', ''),
    ('R10: any field', 'wire', 'if (!is_in_range || !note_makes_sense(&note))', 'if (false)'),
    ('R10: any configuration', 'wire', 'configuration_decode(bytes_from(bytes, GROUP_HEADER_LEN), &members) != ERR_OK)', 'false)'),
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
]


def command_for(target, needle):
    lines = subprocess.run(['ninja', '-t', 'commands', target], check=True, capture_output=True,
                           text=True).stdout.splitlines()
    return [line for line in lines if needle in line][-1]


def build(name, file, old, new):
    """The mutant of both programs, or None if its place is gone."""
    source = f'storage/meta/consensus_raft_{file}.c'
    with open(source, encoding='utf-8') as text:
        content = text.read()
    if content.count(old) != 1:
        print(f'GONE      {name}')
        return None
    mutant = f'{DIR}/{file}.c'
    with open(mutant, 'w', encoding='utf-8') as text:
        text.write(content.replace(old, new))
    target = f'build/{VARIANT}/storage/meta/consensus_raft_{file}.o'
    compile_command = command_for(target, f' {source}')
    compile_command = compile_command.replace(f'-o {target} {source}', f'-w -o {DIR}/mutant.o {mutant}')
    compile_command = compile_command.replace(f'{target}.d', f'{DIR}/mutant.d')
    subprocess.run(compile_command, shell=True, check=True)
    programs = []
    for program in ('raft_rules', 'raft'):
        target = f'build/{VARIANT}/tests/sim/{program}'
        link = command_for(target, f'-o {target} ').replace(f'-o {target} ', f'-o {DIR}/{program} {DIR}/mutant.o ')
        subprocess.run(link, shell=True, check=True)
        programs.append(f'{DIR}/{program}')
    return programs


def is_found(programs):
    for program in programs:
        result = subprocess.run(['timeout', '300', program], env={**os.environ, 'SEEDS': SEEDS},
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        if result.returncode != 0:
            return os.path.basename(program)
    return None


def main():
    os.makedirs(DIR, exist_ok=True)
    bad = 0
    for name, file, old, new in MUTANTS:
        if len(sys.argv) > 2 and not any(part in name for part in sys.argv[2:]):
            continue
        programs = build(name, file, old, new)
        found = is_found(programs) if programs else None
        bad += not found
        if programs:
            print(f'{"found by " + found if found else "SURVIVED":20} {name}', flush=True)
    return 1 if bad else 0


sys.exit(main())
