/* COMPRESS, RFC 4978: from here on both directions are raw DEFLATE. */
#include "imap/session.h"

/* RFC 4978 5: compress = "COMPRESS" SP algorithm. TLS never compresses here (RFC 9325 3.3), so the
 * layer that is active already can only be this one: BAD (3), with the code that NO would have.
 * Only after the login: a stranger gets no work out of us that he does not pay for. */
Err imap_cmd_compress(Imap *s)
{
    imap_space(s->in);
    Slice algorithm = imap_atom(s->in);
    TRY(imap_end(s->in));
    if (!slice_eq_nocase(algorithm, S("DEFLATE"))) return imap_bad(s, "Unknown algorithm");
    if (stream_is_deflated(s->stream))
        return imap_bad(s, "[COMPRESSIONACTIVE] DEFLATE active via COMPRESS");
    (void)imap_ok(s, "DEFLATE active");
    return stream_start_deflate(s->stream); /* a failure sticks and ends the session */
}
