/* APPEND: the message goes into a draft as it arrives. */
#include "imap/session.h"

typedef struct {
    Slice mailbox;
    ImapFlags flags;
    int64_t date; /* 0: not given */
    ImapLiteral literal;
    bool utf8; /* "UTF8 (" literal8 ")" of RFC 6855 4: taken though never asked for */
} Append;

/* RFC 9051 6.3.12: append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal; the
 * literal may be a literal8 (RFC 3516 4.4). */
PARKS static Err read_append(In *in, Append *a)
{
    imap_space(in);
    a->mailbox = imap_mailbox(in, NULL);
    imap_space(in);
    if (imap_peek(in) == '(') {
        a->flags = imap_flag_list(in);
        imap_space(in);
    }
    if (imap_peek(in) == '"') {
        int64_t date = imap_date_time(in);
        a->date = MIN(MAX(date, 1), UINT32_MAX); /* what INTERNALDATE can hold */
        imap_space(in);
    }
    a->utf8 = imap_see(in, "UTF8 (");
    a->literal = imap_literal(in);
    return imap_syntax(in);
}

/* The peer may take as long as it likes for a large message, as long as octets come. */
PARKS static Err receive(Imap *s, Draft *draft)
{
    Slice some;
    while ((some = imap_literal_some(s->in, 64 * 1024)).len) {
        TRY(draft_write(draft, some));
        stream_set_deadline(s->stream, imap_deadline(s));
    }
    TRY(stream_error(s->stream));
    return imap_literal_end(s->in);
}

/* Everything that can be refused is refused before the client is asked to send. */
PARKS static Err check(Imap *s, const Append *a, Mailbox **box)
{
    if (a->literal.size > imap_message_most(s))
        return fail(ERR_TOO_BIG, "a message may have %llu octets",
                    (unsigned long long)imap_message_most(s));
    TRY(imap_open(s, a->mailbox, box));
    if (mailbox_status(*box).kept) return fail(ERR_CANNOT, "nothing can be put there");
    if (!(mailbox_rights(*box) & RIGHT_INSERT)) return fail(ERR_FORBIDDEN, "no right to insert");
    return account_has_room(mailbox_account(*box), a->literal.size);
}

Err imap_cmd_append(Imap *s)
{
    Append a = {0};
    Mailbox *box scoped(mailbox) = NULL;
    Draft *draft scoped(draft) = NULL;
    TRY(read_append(s->in, &a));
    Err err = check(s, &a, &box);
    if (err == ERR_NOT_FOUND) return imap_no(s, "[TRYCREATE] There is no such mailbox");
    TRY(err);
    TRY(draft_begin(s->config->store, a.literal.size, &draft));

    TRY(imap_go_ahead(s->in));
    TRY(receive(s, draft));
    if (a.utf8) imap_need(s->in, ")");
    TRY(imap_end(s->in));
    if (!a.literal.size) return imap_no(s, "[CANNOT] A message cannot be empty");

    DraftPlace place = {
        .flags = a.flags.flags, .keywords = {a.flags.names, a.flags.count},
             .date = a.date
    };
    uint32_t uid;
    err = draft_commit(draft, box, &place, &uid);
    if (err == ERR_NOT_FOUND) return imap_no(s, "[TRYCREATE] The mailbox was deleted");
    TRY(err);
    return imap_ok(s, "[APPENDUID %u %u] APPEND completed", mailbox_status(box).uid_validity, uid);
}
