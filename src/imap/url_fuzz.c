/* IMAP URLs: whatever comes, slices lie in the text or the arena, and a rump with the same verifier
 * behind it says the same again. */
#include "base/fuzz.h"
#include "imap/url.h"

static void check_url(Slice text, const ImapUrl *u)
{
    must(text.len <= IMAP_URL_MOST);
    must(u->has_server || !u->host.len);
    must(!u->section.at || u->uid);
    must(!u->partial || u->uid);
    must(!u->access_user.len || u->access != URL_NOBODY);
    must(!u->rump.len == (u->access == URL_NOBODY));
    must(!u->mechanism.len || u->token.len >= 32);
    must(!memchr(u->mailbox.at ? u->mailbox.at : "x", 0, u->mailbox.len));
    if (!u->mechanism.len) return;
    must(u->rump.len + 2 + u->mechanism.len + u->token.len == text.len);
    must(slice_starts(text, u->rump));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice text = slice((const char *)data, size);
    Arena a = {0};
    ImapUrl u, rump;
    int64_t seconds;
    if (!imap_url_parse(text, &a, &u)) {
        check_url(text, &u);
        if (u.rump.len) {
            must(!imap_url_parse(u.rump, &a, &rump));
            must(!rump.mechanism.len && rump.uid == u.uid && rump.access == u.access);
            must(slice_eq(rump.mailbox, u.mailbox) && slice_eq(rump.section, u.section));
        }
    }
    (void)!imap_url_date_time(text, &seconds);
    arena_done(&a);
    return 0;
}
