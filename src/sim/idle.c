/* Those who only listen: IDLE, and NOTIFY. What they are told has to make sense. */
#include "sim/talker.h"

/* "* VANISHED 3,7:9" */
static void follow_vanished(Talker *t, uint32_t *exists, Slice set)
{
    for (unsigned i = 0; set_number(set, i); i++) {
        if (!*exists) talker_failed(t, "VANISHED of more than there were: %.*s", SP(set));
        --*exists;
    }
}

/* "* n EXISTS", "* n EXPUNGE" */
static void follow(Talker *t, uint32_t *exists, Slice line)
{
    Slice rest = line, star, number;
    uint64_t n;
    if (!slice_cut(&rest, ' ', &star) || !slice_cut(&rest, ' ', &number)) return;
    if (slice_eq(number, S("VANISHED"))) {
        follow_vanished(t, exists, rest);
        return;
    }
    if (!slice_to_u64(number, &n)) return;
    if (slice_eq(rest, S("EXISTS"))) {
        if (n < *exists) talker_failed(t, "EXISTS went back from %u", *exists);
        *exists = (uint32_t)n;
    } else if (slice_eq(rest, S("EXPUNGE"))) {
        if (!n || n > *exists) talker_failed(t, "EXPUNGE of %u", *exists);
        --*exists;
    } else if (!t->uid_only && slice_starts(rest, S("FETCH (")) && (!n || n > *exists)) {
        talker_failed(t, "FETCH of %u", *exists);
    }
}

PARKS static bool idle(Talker *t, uint32_t *exists)
{
    Buf line buf_scoped = {0};
    Slice heard;
    arena_reset(&t->arena);
    buf_printf(&line, "t%u IDLE\r\n", ++t->tag);
    if (!talker_send(t, buf_slice(&line)) || !talker_line(t, &heard)) return false;
    while (!slice_starts(heard, S("+"))) {
        follow(t, exists, heard);
        if (!talker_line(t, &heard)) return false;
    }
    int64_t end = now_ms() + client_below(t->client, 60);
    while (now_ms() < end) {
        if (stream_wait(t->stream, end) != WOKEN_READY) break;
        if (!talker_line(t, &heard)) return false;
        follow(t, exists, heard);
    }
    if (!talker_send(t, S("DONE\r\n"))) return false;
    t->heard_count = 0;
    bool ok = talker_finish(t) == SAID_OK;
    for (size_t i = 0; i < t->heard_count; i++)
        follow(t, exists, t->heard[i].line);
    return ok;
}

PARKS static bool enter(Talker *t, uint32_t *exists)
{
    if (!talker_login(t, t->client->number % ACCOUNTS)) return false;
    if (talker_ask(t, "SELECT INBOX") != SAID_OK) return false;
    *exists = 0;
    for (size_t i = 0; i < t->heard_count; i++)
        follow(t, exists, t->heard[i].line);
    if (client_one_in(t->client, 2)) return true;
    bool ok = talker_ask(t, "NOTIFY SET (SELECTED (MessageNew (FLAGS) MessageExpunge FlagChange)) "
                            "(PERSONAL (MessageNew MessageExpunge MailboxName))") == SAID_OK;
    for (size_t i = 0; i < t->heard_count; i++)
        follow(t, exists, t->heard[i].line);
    return ok;
}

PARKS void idle_client(Client *c)
{
    Talker t = {.client = c, .who = "idle"};
    uint32_t exists = 0;
    for (unsigned i = 0; i * 2 < c->w->plan.steps; i++) {
        if (!t.stream && !enter(&t, &exists)) {
            talker_hang_up(&t);
            continue;
        }
        if (!idle(&t, &exists)) talker_hang_up(&t);
        c->w->done[c->kind]++;
    }
    talker_done(&t);
}
