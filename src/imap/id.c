/* ID, RFC 2971: who talks to whom. For statistics and for people who look for a fault, never for
 * decisions (3). */
#include "base/text.h"
#include "imap/session.h"
#include "run/log.h"

enum { PAIRS_MOST = 30, FIELD_MOST = 30, VALUE_MOST = 1024 }; /* RFC 2971 3.3 */

typedef struct {
    Slice name, version, os;
} ClientId;

/* id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil. */
PARKS static void read_pairs(Imap *s, ClientId *id)
{
    Slice field, value;
    for (int pairs = 0; pairs < PAIRS_MOST && imap_is_at_string(s->in); pairs++) {
        field = imap_string(s->in);
        imap_space(s->in);
        value = imap_nstring(s->in);
        if (imap_peek(s->in) == ' ') imap_space(s->in);
        if (field.len > FIELD_MOST || value.len > VALUE_MOST) continue;
        if (slice_eq_nocase(field, S("name"))) id->name = value;
        if (slice_eq_nocase(field, S("version"))) id->version = value;
        if (slice_eq_nocase(field, S("os"))) id->os = value;
    }
}

static void note(Imap *s, const ClientId *id)
{
    Buf remote buf_scoped = {0};
    Address peer = stream_peer(s->stream);
    address_print(&remote, &peer);
    log_event(LOG_LEVEL_INFO, "client_id", KV_TEXT("service", "imap"),
              KV_TEXT("user", s->user.login), KV("remote", buf_slice(&remote)),
              KV("name", slice_first(id->name, 100)), KV("version", slice_first(id->version, 100)),
              KV("os", slice_first(id->os, 100)));
}

static void tell(Imap *s)
{
    Buf *out = stream_out(s->stream);
    buf_add(out, S("* ID (\"name\" \"posthouse\" \"version\" \"" POSTHOUSE_VERSION
                   "\" \"vendor\" \"posthouse\""));
    if (s->config->support_url.len) {
        buf_add(out, S(" \"support-url\" "));
        imap_put_string(out, s->config->support_url);
    }
    buf_add(out, S(")\r\n"));
}

/* RFC 2971 3.1: id = "ID" SP id-params-list */
Err imap_cmd_id(Imap *s)
{
    ClientId id = {0};
    imap_space(s->in);
    bool some = imap_see(s->in, "(");
    if (some) read_pairs(s, &id);
    imap_need(s->in, some ? ")" : "NIL");
    TRY(imap_end(s->in));
    if (id.name.len || id.version.len) note(s, &id);
    tell(s);
    return imap_ok(s, "ID completed");
}
