/* URLFETCH, RFC 4467, with the parameters of RFC 5524 (URLAUTH=BINARY). Every URL that is not
 * valid, for whatever reason, is answered by NIL. */
#include "base/text.h"
#include "imap/urlauth.h"

enum { URLS_MOST = 100 };
enum { WANT_BODY = 1, WANT_BINARY = 2, WANT_STRUCTURE = 4 };

typedef struct {
    Slice text;
    unsigned wanted;
} UrlRequest;

typedef struct {
    UrlRequest urls[URLS_MOST];
    size_t count;
} Requests;

/* ---- grammar ---- */

/* url-fetch-param = "BODY" / "BINARY" / "BODYPARTSTRUCTURE", each once, not both of the first */
static void parameter(In *in, UrlRequest *r)
{
    unsigned bit = 0;
    Slice name = imap_atom(in);
    if (slice_eq_nocase(name, S("BODY"))) bit = WANT_BODY;
    if (slice_eq_nocase(name, S("BINARY"))) bit = WANT_BINARY;
    if (slice_eq_nocase(name, S("BODYPARTSTRUCTURE"))) bit = WANT_STRUCTURE;
    if (!bit || (r->wanted & bit)) imap_mistake(in, "BODY, BINARY, BODYPARTSTRUCTURE, each once");
    r->wanted |= bit;
    if ((r->wanted & WANT_BODY) && (r->wanted & WANT_BINARY))
        imap_mistake(in, "either BODY or BINARY");
}

/* RFC 5524 5: url-fetch-arg = url-full / "(" url-full *(SP url-fetch-param) ")" */
PARKS static void argument(In *in, UrlRequest *r)
{
    bool list = imap_see(in, "(");
    r->text = imap_astring(in);
    while (list && imap_see(in, " "))
        parameter(in, r);
    if (list) imap_need(in, ")");
}

PARKS static Err read_requests(In *in, Requests *all)
{
    do {
        imap_space(in);
        while (imap_see(in, " ")) /* the examples of RFC 5524 have two */
            ;
        if (all->count == URLS_MOST) return fail(ERR_LIMIT, "more than %d URLs", URLS_MOST);
        argument(in, &all->urls[all->count++]);
    } while (imap_peek(in) == ' ');
    return imap_end(in);
}

/* ---- who may ---- */

static bool is_submitter(const Imap *s)
{
    for (size_t i = 0; i < s->config->submitter_count; i++)
        if (slice_eq_nocase(s->config->submitters[i], slice_of(s->user.login))) return true;
    return false;
}

/* RFC 5092 6.1.2. The userid behind "submit+" is the submission server's to check. */
static bool may_use(const Imap *s, const ImapUrl *u)
{
    switch (u->access) {
    case URL_ANONYMOUS:
        return true;
    case URL_AUTHUSER:
        return !s->user.guest;
    case URL_USER:
        return !s->user.guest && slice_eq_nocase(u->access_user, slice_of(s->user.login));
    case URL_SUBMIT:
        return is_submitter(s);
    case URL_NOBODY:
    case URL_APPLICATION:
        return false;
    }
    return false;
}

static bool is_complete(const Imap *s, const ImapUrl *u)
{
    return u->has_server && u->user.len && u->uid && u->mailbox.at &&
           slice_eq_nocase(u->mechanism, S("INTERNAL")) &&
           (!u->expires || wall_seconds() <= u->expire) && may_use(s, u);
}

/* ---- one URL ---- */

typedef struct {
    ImapUrl url;
    uint32_t owner; /* whose key table and whose rights */
    Mailbox *box;
    UrlauthMailbox at;
    UrlPart part;
} Fetched;

/* With the access of the user in the URL, as he names his mailboxes (RFC 4467 7). */
PARKS static Err open_mailbox(Imap *s, Fetched *f)
{
    Account *account scoped(account) = NULL;
    TRY(urlauth_account(s, f->url.user, &f->owner));
    if (f->owner == s->user.acct) return imap_open(s, f->url.mailbox, &f->box);
    imap_go(s, f->owner);
    TRY(account_open(s->config->store, f->owner, &account));
    return mailbox_open(account, f->owner, f->url.mailbox, &f->box);
}

PARKS static Err owner_token(Imap *s, const Fetched *f, uint8_t token[URLAUTH_TOKEN])
{
    Account *account scoped(account) = NULL;
    imap_go(s, f->owner);
    TRY(account_open(s->config->store, f->owner, &account));
    return urlauth_token(account, f->at, f->url.rump, false, token);
}

PARKS static bool is_sealed(Imap *s, const Fetched *f)
{
    uint8_t token[URLAUTH_TOKEN];
    Buf given buf_scoped = {0};
    if (!f->box || owner_token(s, f, token)) urlauth_no_token(f->url.rump, token);
    return hex_decode(&given, f->url.token) &&
           bytes_equal_in_constant_time(buf_slice(&given), slice((char *)token, sizeof token)) &&
           f->box;
}

/* Opens the mailbox and finds the octets; the session is at the mailbox's home then. */
PARKS static Err find(Imap *s, Slice text, Arena *a, Fetched *f)
{
    TRY(imap_url_parse(text, a, &f->url));
    if (!is_complete(s, &f->url)) return fail(ERR_NOT_FOUND, "not valid, or not for this user");
    if (!open_mailbox(s, f))
        f->at =
            (UrlauthMailbox){account_number(mailbox_account(f->box)), mailbox_status(f->box).id};
    bool sealed = is_sealed(s, f);
    if (f->box) imap_go(s, f->at.acct);
    if (!sealed) return fail(ERR_NOT_FOUND, "the token is not of this URL");
    return url_part_find(f->box, &f->url, a, &f->part);
}

/* ---- answering ---- */

PARKS static void put_octets(Imap *s, UrlPart *part)
{
    Buf piece buf_scoped = {0};
    Slice some;
    fetch_literal_head(stream_out(s->stream), part->octets.len, false);
    while (part->octets.len && !stream_drain(s->stream)) {
        Err err = url_part_read(part, &piece, &some);
        if (err) {
            stream_fail(s->stream, err); /* the literal is announced already */
            return;
        }
        Buf *out = stream_out(s->stream);
        size_t before = out->len;
        buf_add(out, some);
        fetch_without_nul(out->at + before, out->len - before);
    }
}

/* The part a URL names, if it is one: without HEADER, MIME and the like. */
PARKS static Err leaf_of(Fetched *f, Arena *a, Section *section, MailPart *part)
{
    *section = (Section){0};
    if (f->url.section.at) TRY(fetch_section_spec(a, f->url.section, section));
    if (section->text != SECTION_WHOLE) return fail(ERR_UNKNOWN_CTE, "no body part");
    return section_binary(mailbox_account(f->box), &f->part.message, section, a, part);
}

PARKS static void put_binary(Imap *s, Fetched *f, Arena *a)
{
    Section section;
    MailPart part;
    uint64_t most = f->url.most ? f->url.most : INT64_MAX;
    FetchItem range = {.partial = f->url.partial, .offset = f->url.offset, .most = most};
    Buf *out = stream_out(s->stream);
    buf_add(out, S(" (BINARY "));
    Err err = leaf_of(f, a, &section, &part);
    if (!err)
        err = fetch_put_decoded(s->stream, mailbox_account(f->box), f->part.message.eid, &part,
                                &range);
    if (err) buf_add(stream_out(s->stream), S("NIL"));
    buf_char(stream_out(s->stream), ')');
}

PARKS static void put_structure(Imap *s, Fetched *f, bool decoded, Arena *a)
{
    Section section;
    MailPart part;
    MailSummary summary = {0};
    FetchDecoded shape = {0};
    Account *account = mailbox_account(f->box);
    Buf body buf_scoped = {0};
    Err err = leaf_of(f, a, &section, &part);
    uint32_t eid = f->part.message.eid;
    bool binary = !err && decoded && section.depth &&
                  !fetch_decoded_shape(s->stream, account, eid, &part, &shape);
    if (err == ERR_UNKNOWN_CTE) err = OK; /* told as it is (RFC 5524 4) */
    if (!err) err = section_summary(account, &f->part.message, false, a, &summary);
    if (!err) urlauth_part_body(&body, summary.body_structure, &section, binary ? &shape : NULL);
    Buf *out = stream_out(s->stream);
    buf_add(out, S(" (BODYPARTSTRUCTURE "));
    buf_add(out, body.len ? buf_slice(&body) : S("NIL"));
    buf_char(out, ')');
}

PARKS static void put_extended(Imap *s, const UrlRequest *r, Fetched *f, Arena *a)
{
    if (r->wanted & WANT_STRUCTURE) put_structure(s, f, r->wanted & WANT_BINARY, a);
    if (r->wanted & WANT_BINARY) put_binary(s, f, a);
    if (!(r->wanted & WANT_BODY)) return;
    buf_add(stream_out(s->stream), S(" (BODY "));
    put_octets(s, &f->part);
    buf_char(stream_out(s->stream), ')');
}

PARKS static void answer(Imap *s, const UrlRequest *r)
{
    Arena arena arena_scoped = {0};
    Fetched f = {0};
    Err err = find(s, r->text, &arena, &f);
    Buf *out = stream_out(s->stream);
    buf_char(out, ' ');
    imap_put_string(out, r->text);
    if (err) {
        buf_add(out, S(" NIL"));
    } else if (r->wanted) {
        put_extended(s, r, &f, &arena);
    } else {
        buf_char(out, ' ');
        put_octets(s, &f.part);
    }
    mailbox_close(f.box);
}

/* RFC 4467 9: urlfetch = "URLFETCH" 1*(SP url-full) */
Err imap_cmd_urlfetch(Imap *s)
{
    if (!s->config->urlauth) return fail(ERR_SYNTAX, "unknown command");
    Requests *all = arena_new(&s->arena, Requests);
    TRY(read_requests(s->in, all));
    buf_add(stream_out(s->stream), S("* URLFETCH"));
    for (size_t i = 0; i < all->count && !stream_error(s->stream); i++)
        answer(s, &all->urls[i]);
    buf_add(stream_out(s->stream), S("\r\n"));
    return imap_ok(s, "URLFETCH completed");
}
