/* APPEND of one message or many (RFC 3502): each goes into a draft as it arrives, and all of them
 * into the mailbox in one step. */
#include "imap/incoming.h"

typedef struct {
    Target target;
    Slice as_sent;
    Drafts *drafts;
    Arena
        arenas[2]; /* of the second message, the third ...: that of the one before is given back */
    size_t count;
    Slice code; /* APPENDUID */
} Append;

/* What one message needed is done with; only what its last line holds of the next goes on. */
static void next_arena(Imap *s, Append *a)
{
    Arena *next = &a->arenas[a->count % 2];
    arena_done(next);
    next->budget = s->arena.budget;
    imap_go_on_in(s->in, next);
}

PARKS static Err one_message(Imap *s, Append *a)
{
    Incoming m = {0};
    Err err = incoming_read(&a->target, &m);
    if (!err && !a->drafts) err = drafts_begin(a->target.box, &a->drafts);
    if (err) {
        draft_free(m.draft);
        return err;
    }
    DraftPlace place = incoming_place(&m);
    TRY(drafts_add(a->drafts, m.draft, &place));
    a->count++;
    next_arena(s, a);
    return OK;
}

PARKS static Err commit(Imap *s, Append *a)
{
    uint32_t *uids = arena_array(&s->arena, uint32_t, a->count);
    TRY(drafts_commit(a->drafts, uids));
    a->code = target_append_uid(&a->target, uids[0], uids[a->count - 1]);
    return OK;
}

/* RFC 3502 6.3.11, RFC 4466 6: append = "APPEND" SP mailbox 1*append-message */
PARKS static Err append(Imap *s, Append *a)
{
    imap_space(s->in);
    a->target.name = imap_mailbox(s->in, &a->as_sent);
    uint64_t most = imap_save_limit(s);
    do {
        if (most && a->count == most)
            return fail(ERR_LIMIT, "[MESSAGELIMIT %llu] Too many messages",
                        (unsigned long long)most);
        TRY(one_message(s, a));
    } while (imap_peek(s->in) == ' ');
    TRY(imap_end(s->in));
    return commit(s, a);
}

Err imap_cmd_append(Imap *s)
{
    Append a = {.target.s = s};
    Err err = append(s, &a);
    drafts_free(a.drafts);
    target_close(&a.target);
    imap_go_on_in(s->in, &s->arena);
    arena_done(&a.arenas[0]);
    arena_done(&a.arenas[1]);
    if (err) return target_answer(&a.target, err);
    if (imap_has(s, ENABLED_REV2) && !slice_eq(a.as_sent, a.target.name))
        imap_tell_name(s, a.target.name, a.as_sent);
    return imap_ok(s, "%.*sAPPEND completed", SP(a.code));
}
