#include "imap/incoming.h"
#include "imap/annotate.h"

#include "mail/binary.h"

/* ---- where it goes ---- */

void target_close(Target *t)
{
    mailbox_close(t->box);
    t->box = NULL;
}

static Err check_room(const Target *t, uint64_t octets)
{
    Account *account = mailbox_account(t->box);
    if (!t->replaces) return account_has_room(account, octets);
    Quota q = account_quota(account);
    uint64_t used = q.used[QUOTA_STORAGE] - MIN(t->frees, q.used[QUOTA_STORAGE]);
    if (octets <= t->frees || q.limit[QUOTA_STORAGE] == QUOTA_NONE) return OK;
    bool fits = used <= q.limit[QUOTA_STORAGE] && octets <= q.limit[QUOTA_STORAGE] - used;
    return fits ? OK : fail(ERR_OVER_QUOTA, "the new message is larger");
}

Err target_ready(Target *t, const Incoming *m, uint64_t more)
{
    uint64_t has = m->draft ? draft_size(m->draft) : 0, most = imap_message_most(t->s);
    if (has > most || more > most - has)
        return fail(ERR_TOO_BIG, "a message may have %llu octets", (unsigned long long)most);
    if (!t->box) {
        TRY(imap_open(t->s, t->name, &t->box));
        t->acct = account_number(mailbox_account(t->box));
    }
    if (mailbox_status(t->box).kept) return fail(ERR_CANNOT, "nothing can be put there");
    TRY(mailbox_need(t->box, RIGHT_INSERT));
    return check_room(t, has + more);
}

/* url-resp-text has neither "]" nor line ends, and neither has a URL (RFC 4469 5). */
static Slice url_text(Imap *s, Slice url)
{
    Buf out buf_scoped = {0};
    for (size_t i = 0; i < url.len && i < IMAP_URL_MOST; i++) {
        unsigned char c = (unsigned char)url.at[i];
        if (c <= ' ' || c >= 0x7f || c == ']')
            buf_printf(&out, "%%%02X", c);
        else
            buf_char(&out, (char)c);
    }
    return arena_copy(&s->arena, buf_slice(&out));
}

Err target_answer(Target *t, Err err)
{
    Slice bad = t->bad_url.at ? url_text(t->s, t->bad_url) : (Slice){0};
    if (bad.at) return imap_no(t->s, "[BADURL %.*s] That URL means nothing here", SP(bad));
    if (t->annotates && annotate_refusal(err)) return imap_no(t->s, "%s", annotate_refusal(err));
    if (err == ERR_NOT_FOUND) return imap_no(t->s, "[TRYCREATE] There is no such mailbox");
    return err;
}

Slice target_append_uid(const Target *t, uint32_t first, uint32_t last)
{
    uint32_t validity = mailbox_status(t->box).uid_validity;
    if (!(mailbox_rights(t->box) & RIGHT_READ)) return S("");
    if (first == last) return arena_printf(&t->s->arena, "[APPENDUID %u %u] ", validity, first);
    return arena_printf(&t->s->arena, "[APPENDUID %u %u:%u] ", validity, first, last);
}

/* ---- octets ---- */

/* A literal8 that is all of a message may have binary parts: they become base64. In a part of
 * CATENATE nobody can tell what they belong to. NUL elsewhere is refused: no message has it. */
PARKS static Err filtered(Target *t, Incoming *m, BinaryFilter *filter, Slice some)
{
    Buf out buf_scoped = {0};
    if (!filter) return draft_write(m->draft, some);
    if (some.len)
        binary_filter_feed(filter, some, &out);
    else
        binary_filter_end(filter, &out);
    if (binary_filter_met_nul(filter)) return fail(ERR_UNKNOWN_CTE, "NUL in no binary part");
    stream_set_deadline(t->s->stream, imap_deadline(t->s));
    return draft_write(m->draft, buf_slice(&out));
}

/* RFC 6855 4: without UTF8=ACCEPT "the server MUST reject [...] any 8-bit character in message
 * header fields". Old mail that is moved has them, so it is a setting. */
typedef struct {
    bool off; /* or the header has ended */
    char last;
} HeaderWatch;

static Err watch_header(HeaderWatch *w, Slice some)
{
    for (size_t i = 0; i < some.len && !w->off; i++) {
        char c = some.at[i];
        if ((unsigned char)c >= 0x80)
            return fail(ERR_CANNOT, "8-bit header fields only after ENABLE UTF8=ACCEPT");
        if (c == '\r') continue;
        w->off = c == '\n' && (w->last == '\n' || !w->last);
        w->last = c;
    }
    return OK;
}

/* The peer may take as long as it likes for a large message, as long as octets come. */
PARKS static Err receive(Target *t, Incoming *m, BinaryFilter *filter, bool no_nul)
{
    Slice some;
    bool utf8 = imap_has(t->s, ENABLED_UTF8 | ENABLED_REV2);
    HeaderWatch watch = {.off = utf8 || !t->s->config->no_8bit_headers || draft_size(m->draft)};
    while ((some = imap_literal_some(t->s->in, 64 * 1024)).len) {
        TRY(watch_header(&watch, some));
        if (no_nul && memchr(some.at, 0, some.len)) return fail(ERR_UNKNOWN_CTE, "NUL in a part");
        TRY(filtered(t, m, filter, some));
        stream_set_deadline(t->s->stream, imap_deadline(t->s));
    }
    TRY(stream_error(t->s->stream));
    if (filter) TRY(filtered(t, m, filter, (Slice){0}));
    return imap_literal_end(t->s->in);
}

Err incoming_literal(Target *t, Incoming *m, const ImapLiteral *l)
{
    TRY(target_ready(t, m, l->size));
    TRY(imap_go_ahead(t->s->in));
    return receive(t, m, NULL, l->binary);
}

/* literal / literal8 / "UTF8" SP "(" literal8 ")". The UTF8 form is taken though never asked for:
 * headers in UTF-8 are taken from everybody, as mail that other servers kept has them. */
PARKS static Err whole(Target *t, Incoming *m)
{
    Imap *s = t->s;
    bool utf8 = imap_see(s->in, "UTF8 (");
    ImapLiteral l = imap_literal(s->in);
    TRY(imap_syntax(s->in));
    TRY(target_ready(t, m, l.size));
    BinaryFilter *filter scoped(binary_filter) = l.binary ? binary_filter_new() : NULL;
    TRY(draft_begin(s->config->store, l.size, &m->draft));
    TRY(imap_go_ahead(s->in));
    TRY(receive(t, m, filter, false));
    if (utf8) imap_need(s->in, ")");
    return imap_syntax(s->in);
}

/* ---- append-opts = [SP flag-list] [SP date-time] *(SP append-ext) ---- */

PARKS static Err annotations(Target *t, Incoming *m)
{
    m->annotations = annotate_values(t->s->in);
    imap_space(t->s->in);
    Err err = imap_syntax(t->s->in);
    if (!err) err = annotate_check(t->s, &m->annotations);
    t->annotates = err == ERR_TOO_BIG;
    return err;
}

static void options(In *in, Incoming *m)
{
    imap_space(in);
    if (imap_peek(in) == '(') {
        m->flags = imap_flag_list(in);
        imap_space(in);
    }
    if (imap_peek(in) != '"') return;
    int64_t date = imap_date_time(in);
    m->date = MIN(MAX(date, 1), UINT32_MAX); /* what INTERNALDATE can hold */
    imap_space(in);
}

DraftPlace incoming_place(const Incoming *m)
{
    return (DraftPlace){
        .flags = m->flags.flags,
        .keywords = {m->flags.names, m->flags.count},
        .date = m->date,
        .annotations = m->annotations
    };
}

Err incoming_read(Target *t, Incoming *m)
{
    *m = (Incoming){0};
    options(t->s->in, m);
    if (imap_see(t->s->in, "ANNOTATION")) TRY(annotations(t, m));
    if (imap_see(t->s->in, "CATENATE ("))
        TRY(incoming_catenate(t, m));
    else
        TRY(whole(t, m));
    /* RFC 3502: "A zero-length message literal argument is an error, and MUST return a NO." */
    if (!draft_size(m->draft)) return fail(ERR_UNSUPPORTED, "A message cannot be empty");
    return OK;
}
