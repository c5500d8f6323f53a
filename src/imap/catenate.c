/* CATENATE, RFC 4469: a message put together from literals and parts of other messages. */
#include "imap/incoming.h"

/* The mailbox of a URL, relative to the session: "/name", or the selected one (RFC 4469 3). Opened
 * is false for that, which stays open. */
PARKS static Err open_source(Imap *s, const ImapUrl *u, Mailbox **box, bool *opened)
{
    *opened = u->mailbox.at != NULL;
    if (*opened) return imap_open(s, u->mailbox, box);
    if (s->state != SELECTED) return fail(ERR_NOT_FOUND, "no mailbox is selected");
    imap_go_back(s);
    *box = s->box;
    return OK;
}

PARKS static Err copy_octets(Incoming *m, UrlPart *part)
{
    Buf buf buf_scoped = {0};
    Slice some;
    while (part->octets.len) {
        TRY(url_part_read(part, &buf, &some));
        TRY(draft_write(m->draft, some));
        breathe();
    }
    return OK;
}

PARKS static Err copy_part(Target *t, Incoming *m, Mailbox *from, const ImapUrl *u)
{
    Arena arena arena_scoped = {0};
    UrlPart part;
    uint64_t most = imap_message_most(t->s), has = draft_size(m->draft);
    TRY(url_part_find(from, u, &arena, &part));
    if (has > most || part.octets.len > most - has)
        return fail(ERR_TOO_BIG, "a message may have %llu octets", (unsigned long long)most);
    return copy_octets(m, &part);
}

PARKS static Err copy_from(Target *t, Incoming *m, const ImapUrl *u)
{
    Mailbox *from = NULL;
    bool opened = false;
    Err err = open_source(t->s, u, &from, &opened);
    if (!err) err = copy_part(t, m, from, u);
    if (opened) mailbox_close(from);
    imap_go(t->s, t->acct);
    return err;
}

/* Only messages of this session's mailboxes: no server, no search, no authorization in it. */
static bool is_ours(const ImapUrl *u)
{
    return !u->has_server && u->uid && u->access == URL_NOBODY;
}

/* url = "URL" SP astring */
PARKS static Err url_part(Target *t, Incoming *m)
{
    ImapUrl u;
    Slice text = imap_astring(t->s->in);
    TRY(imap_syntax(t->s->in));
    TRY(target_ready(t, m, 0));
    Err err = imap_url_parse(text, t->s->in->arena, &u);
    if (!err && !is_ours(&u)) err = fail(ERR_NOT_FOUND, "a URL of something else");
    if (!err) err = copy_from(t, m, &u);
    if (err == ERR_SYNTAX || err == ERR_NOT_FOUND || err == ERR_EXPUNGED)
        t->bad_url = arena_copy(&t->s->arena, text);
    return err;
}

/* text-literal = "TEXT" SP literal; a literal8 is taken too. RFC 6855 4: utf8-literal */
PARKS static Err text_part(Target *t, Incoming *m, bool utf8)
{
    ImapLiteral l = imap_literal(t->s->in);
    TRY(imap_syntax(t->s->in));
    TRY(incoming_literal(t, m, &l));
    if (utf8) imap_need(t->s->in, ")");
    return imap_syntax(t->s->in);
}

PARKS static Err cat_part(Target *t, Incoming *m)
{
    In *in = t->s->in;
    if (imap_see(in, "URL ")) return url_part(t, m);
    if (imap_see(in, "TEXT ")) return text_part(t, m, false);
    if (imap_see(in, "UTF8 (")) return text_part(t, m, true);
    imap_mistake(in, "CATENATE has parts TEXT, URL and UTF8");
    return imap_syntax(in);
}

Err incoming_catenate(Target *t, Incoming *m)
{
    TRY(draft_begin(t->s->config->store, 0, &m->draft));
    do
        TRY(cat_part(t, m));
    while (imap_see(t->s->in, " "));
    imap_need(t->s->in, ")");
    return imap_syntax(t->s->in);
}
