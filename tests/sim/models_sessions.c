/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions, as a model: proposals are exactly-once, though messages are lost, late, repeated and
 * out of order, and nodes die.
 *
 * One node proposes, another may close its session; commands are handed to the state machine by a
 * network that does all of the above. A command adds one to a counter, and its result is the sum,
 * so that a second effect and a wrong result are both seen.
 *
 * (I1) A command has its effect at most once.
 * (I2) The result that the proposer gets is the one that the effect had.
 * (I3) What the proposer was told is not done has no effect, neither before nor after.
 * (I4) Nothing of an earlier life has its effect after the next life's session is open.
 * (I5) The state machine keeps no more than WINDOW results of a session.
 * (I6) When messages arrive at last, every proposal of the life is answered.
 */
#include <string.h>

#include "tests/lib/explore.h"

enum { COMMANDS = 60, MESSAGES = 40, WINDOW = 4, SESSIONS = 64, STEPS = 400 };

enum mistake {
	MEANT,
	RESULTS_ARE_NOT_KEPT, /* a repeated sequence is applied again */
	LOW_IS_THE_NEXT, /* the lowest unanswered sequence is taken for the next one */
	OPEN_DOES_NOT_CLOSE, /* the sessions of earlier lives stay open */
	SEQUENCES_BEGIN_ANEW, /* a closed session's proposals are sent again in the next one */
	CLOSED_IS_NOT_CHECKED, /* a proposal of a closed session is applied */
	REFUSED_IS_NOT_DONE, /* one copy was refused, so no other had its effect */
};

static const char *const mistakes[] = {"results are not kept", "result_low is the next sequence",
	"opening does not close the earlier sessions",
	"what was cut off by a close is proposed again", "proposals of closed sessions are applied",
	"what was refused once is taken for not done", 0};

struct command {
	unsigned life;
	unsigned effects;
	uint64_t result; /* of the first effect */
	bool is_answered, is_not_done;
	unsigned session, sequence;
	unsigned copies; /* that left the node, or came into being on the way */
};

struct message {
	bool is_used;
	bool is_answer, is_refusal;
	unsigned command, session, sequence, low;
	uint64_t result;
};

struct session {
	bool is_open;
	unsigned result_low;
	bool has_result[COMMANDS + 2];
	uint64_t results[COMMANDS + 2];
};

struct model {
	struct command commands[COMMANDS];
	unsigned command_count;
	struct message messages[MESSAGES];
	/* The state machine. */
	struct session sessions[SESSIONS];
	unsigned session_count;
	uint64_t sum;
	/* The node. */
	unsigned life, session, next_sequence;
};

static void send(struct explore *explore, struct model *model, struct message message)
{
	message.is_used = true;
	/* A network that is full loses another message. */
	model->messages[explore_below(explore, MESSAGES)] = message;
}

/* --- the state machine ------------------------------------------------------------------------ */

static unsigned open_session(struct explore *explore, struct model *model)
{
	if (explore->mistake != OPEN_DOES_NOT_CLOSE)
		for (unsigned i = 0; i < model->session_count; i++)
			model->sessions[i].is_open = false;
	model->sessions[model->session_count] = (struct session){.is_open = true, .result_low = 1};
	return model->session_count++;
}

static void take_effect(struct explore *explore, struct model *model, struct command *command)
{
	explore_expect(explore, command->effects == 0, "(I1) a command has its effect once");
	explore_expect(explore, !command->is_not_done, "(I3) what is not done has no effect");
	explore_expect(explore, command->life == model->life, "(I4) an earlier life has no effect");
	command->effects++;
	command->result = ++model->sum;
}

static void apply(struct explore *explore, struct model *model, const struct message *message)
{
	struct session *session = &model->sessions[message->session];
	struct command *command = &model->commands[message->command];
	struct message answer = *message;
	answer.is_answer = true;
	if (!session->is_open && explore->mistake != CLOSED_IS_NOT_CHECKED) {
		answer.is_refusal = true;
		send(explore, model, answer);
		return;
	}
	if (message->low > session->result_low)
		session->result_low = message->low;
	unsigned kept = 0;
	for (unsigned i = 0; i < COMMANDS + 2; i++) {
		session->has_result[i] &= i >= session->result_low;
		kept += session->has_result[i];
	}
	explore_expect(explore, kept <= WINDOW, "(I5) few results are kept");
	if (message->sequence < session->result_low)
		return; /* it was answered, or so its proposer said */
	if (!session->has_result[message->sequence]) {
		take_effect(explore, model, command);
		session->has_result[message->sequence] = explore->mistake != RESULTS_ARE_NOT_KEPT;
		session->results[message->sequence] = model->sum;
	}
	answer.result = session->results[message->sequence];
	send(explore, model, answer);
}

/* --- the node --------------------------------------------------------------------------------- */

static bool is_waiting(const struct model *model, const struct command *command)
{
	return command->life == model->life && !command->is_answered && !command->is_not_done;
}

static unsigned lowest_unanswered(const struct model *model)
{
	unsigned low = model->next_sequence;
	for (unsigned i = 0; i < model->command_count; i++) {
		const struct command *command = &model->commands[i];
		if (is_waiting(model, command) && command->session == model->session &&
			command->sequence < low)
			low = command->sequence;
	}
	return low;
}

static void send_command(struct explore *explore, struct model *model, unsigned number)
{
	struct command *command = &model->commands[number];
	command->copies++;
	unsigned low = explore->mistake == LOW_IS_THE_NEXT ? model->next_sequence
							   : lowest_unanswered(model);
	send(explore, model,
		(struct message){.command = number,
			.session = command->session,
			.sequence = command->sequence,
			.low = low});
}

static void propose(struct explore *explore, struct model *model)
{
	if (model->command_count == COMMANDS ||
		model->next_sequence >= lowest_unanswered(model) + WINDOW)
		return;
	struct command *command = &model->commands[model->command_count];
	*command = (struct command){
		.life = model->life, .session = model->session, .sequence = model->next_sequence++};
	send_command(explore, model, model->command_count++);
}

/* The session was closed: the node opens another one. What was refused was not done only if there
 * was no other copy of it. */
static void refused(struct explore *explore, struct model *model, struct command *command)
{
	if (command->session == model->session) {
		model->session = open_session(explore, model);
		model->next_sequence = 1;
	}
	if (explore->mistake == SEQUENCES_BEGIN_ANEW) {
		for (unsigned i = 0; i < model->command_count; i++) {
			struct command *cut = &model->commands[i];
			if (!is_waiting(model, cut) || cut->session == model->session)
				continue;
			cut->session = model->session;
			cut->sequence = model->next_sequence++;
		}
		return;
	}
	if (explore->mistake == REFUSED_IS_NOT_DONE || command->copies == 1) {
		command->is_not_done = true;
		explore_expect(
			explore, command->effects == 0, "(I3) what is not done has no effect");
	}
	command->is_answered = true; /* with "unknown", if an earlier copy may have been applied */
}

static void answered(struct explore *explore, struct model *model, const struct message *message)
{
	struct command *command = &model->commands[message->command];
	if (!is_waiting(model, command) || command->session != message->session)
		return;
	if (message->is_refusal) {
		refused(explore, model, command);
		return;
	}
	command->is_answered = true;
	explore_expect(explore, command->effects > 0 && command->result == message->result,
		"(I2) the result is that of the effect");
}

/* --- what happens ----------------------------------------------------------------------------- */

static void deliver(
	struct explore *explore, struct model *model, unsigned number, unsigned again_percent)
{
	struct message *message = &model->messages[number];
	if (!message->is_used)
		return;
	struct message copy = *message;
	message->is_used = explore_chance(explore, again_percent);
	model->commands[copy.command].copies += message->is_used && !copy.is_answer;
	if (copy.is_answer)
		answered(explore, model, &copy);
	else
		apply(explore, model, &copy);
}

static void restart(struct explore *explore, struct model *model)
{
	model->life++;
	model->session = open_session(explore, model);
	model->next_sequence = 1;
}

static void step(struct explore *explore, struct model *model)
{
	uint64_t which = explore_below(explore, 100);
	bool has_room = model->session_count + 2 < SESSIONS;
	if (which < 55) {
		deliver(explore, model, explore_below(explore, MESSAGES), 25);
	} else if (which < 75) {
		propose(explore, model);
	} else if (which < 96 && model->command_count > 0) {
		unsigned number = explore_below(explore, model->command_count);
		if (is_waiting(model, &model->commands[number]))
			send_command(explore, model, number);
	} else if (which < 98 && has_room) {
		restart(explore, model);
	} else if (has_room) {
		model->sessions[model->session].is_open = false;
	}
}

/* (I6) */
static void settle(struct explore *explore, struct model *model)
{
	for (unsigned round = 0; round < 4 * COMMANDS; round++) {
		for (unsigned i = 0; i < MESSAGES; i++)
			deliver(explore, model, i, 0);
		unsigned i = round % COMMANDS;
		if (i < model->command_count && is_waiting(model, &model->commands[i]))
			send_command(explore, model, i);
	}
	for (unsigned i = 0; i < model->command_count; i++)
		explore_expect(explore, !is_waiting(model, &model->commands[i]),
			"(I6) every proposal is answered");
}

static void run(struct explore *explore)
{
	static struct model model;
	memset(&model, 0, sizeof model);
	restart(explore, &model);
	for (unsigned i = 0; i < STEPS && !explore->broken; i++)
		step(explore, &model);
	if (!explore->broken)
		settle(explore, &model);
}

int main(int argc, char **argv)
{
	static const struct explore_model sessions = {
		.name = "model_sessions", .run = run, .mistakes = mistakes, .seeds = 2000};
	return explore_main(argc, argv, &sessions);
}
