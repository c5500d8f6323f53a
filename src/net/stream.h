#pragma once
/* net: a Stream is one conversation's bytes, whether they come from a socket, through TLS or from a
 * test. Lines in, bytes out, with deadlines and limits. Mistakes stick: once the output has failed,
 * or stream_fail was called, a stream reads nothing and swallows everything; ask stream_error when
 * it suits. When only the input has failed (the end, the deadline, the budget, run_cancel), there
 * is nothing more to read, but last words still go out: "* BYE Autologout", "421 too slow". One
 * fiber at a time uses a stream. */
#include "net/tls.h"
#include "run/sock.h"

typedef struct Stream Stream;

Stream *stream_new(Sock *sock); /* takes the sock over */
void stream_free(Stream *s);    /* closes; what is not flushed is lost */
SCOPED(Stream, stream, stream_free)
/* fn(arg) is called before it is freed: for who has to know it no longer than it is there. */
void stream_on_free(Stream *s, void (*fn)(void *arg), void *arg);
/* Ends the connection under whoever uses it, as if the peer had gone. Any thread. */
void stream_cut(Stream *s);
Err stream_error(
    const Stream *s); /* OK, or the first failure: ERR_END, ERR_TIMEOUT, ERR_LIMIT, ERR_TLS, ... */
void stream_fail(Stream *s, Err err); /* from now on it has failed */
Address stream_peer(const Stream *s);
Address stream_local(const Stream *s);
uint64_t stream_octets_in(const Stream *s);
uint64_t stream_octets_out(const Stream *s);

/* ---- limits ---- */
void stream_set_deadline(
    Stream *s, int64_t deadline_ms); /* reads fail with ERR_TIMEOUT after it; NEVER: none */
void stream_set_write_timeout(
    Stream *s, int64_t ms); /* a write without progress for so long fails; default 5 minutes */
void stream_set_budget(
    Stream *s,
    uint64_t octets); /* octets that may still come in; beyond: ERR_LIMIT. UINT64_MAX: no limit */

/* ---- input ---- */
typedef enum { LINE_CRLF, LINE_LF, LINE_TOO_LONG, LINE_NONE } LineEnd;
/* The next line without its end; borrowed until the next call on the input side. LINE_TOO_LONG: the
 * line had more than `most` octets, the first `most` of them are given and the rest has been thrown
 * away up to and including its LF (counted against budget and deadline). LINE_NONE: the stream has
 * failed or ended. A bare CR is an octet like any other. */
PARKS LineEnd stream_line(Stream *s, size_t most, Slice *line);
PARKS bool stream_read(Stream *s, void *out, size_t len); /* exactly len octets; false: failed */
PARKS Slice stream_some(Stream *s,
                        size_t most); /* 1 to most octets, taken; borrowed; empty: failed */
PARKS bool stream_skip(Stream *s, uint64_t len);
size_t stream_buffered(const Stream *s); /* octets that can be read without waiting */
Slice stream_peek(const Stream *s);      /* those octets, not taken */
void stream_forget(Stream *s); /* what was taken or given out so far is wiped: it was a secret */
void stream_discard_input(Stream *s); /* what is buffered (before STARTTLS, RFC 3207 4.2) */
/* Until there is input (WOKEN_READY, also for an error or the end), a nudge, the deadline or
 * run_cancel. */
PARKS Wake stream_wait(Stream *s, int64_t deadline_ms);

/* ---- output ---- */
/* Append to this buffer freely, nothing waits; then call stream_drain where waiting is fine. */
Buf *stream_out(Stream *s);
PARKS Err stream_drain(Stream *s); /* sends if more than 64 KiB are waiting */
PARKS Err stream_flush(Stream *s); /* sends everything */
/* The same in one step: append, then drain. */
PARKS void stream_put(Stream *s, Slice octets);
PARKS void stream_printf(Stream *s, const char *fmt, ...) PRINTF(2, 3);
void stream_rest(Stream *s); /* at rest: gives empty buffers back; every wait for input does it */
/* The orderly end, before stream_free: flushes, ends TLS, closes our half, and reads away what the
 * peer still sends for two seconds at most, so that our last words are not lost to a reset. */
PARKS void stream_finish(Stream *s);
/* The same, but the peer is not waited for unless it has said something more: for one that has said
 * little and waits for our answer. */
PARKS void stream_finish_at_once(Stream *s);

/* ---- TLS ---- */
/* The name this conversation has in ALPN ("imap", RFC 7301), before the handshake. A server refuses
 * clients that offer names without it; those that offer none are welcome. Not set: ALPN is ignored.
 */
void stream_set_alpn(Stream *s, Slice name);
/* Flushes, throws buffered plain octets away, then shakes hands. Deadline applies. */
PARKS Err stream_start_tls(Stream *s, TlsContext *ctx) MUST_USE;
PARKS Err stream_start_tls_client(Stream *s, TlsContext *ctx, Slice host) MUST_USE;
PARKS void stream_end_tls(Stream *s); /* close_notify; part of a clean close */
bool stream_is_tls(const Stream *s);
/* What a log line and Received: want: "TLSv1.3", "TLS_AES_256_GCM_SHA384". Empty without TLS. */
Slice stream_tls_version(const Stream *s);
Slice stream_tls_cipher(const Stream *s);
/* Names in the client's certificate, if it has one that what tls_server_ask_client named vouches
 * for: its addresses (RFC 5280 4.2.1.6, or else the e-mail address in its subject), or its common
 * name. In the arena; how many. */
typedef enum { CLIENT_ADDRESS, CLIENT_COMMON_NAME } ClientName;
size_t stream_client_names(const Stream *s, ClientName kind, Arena *a, Slice **names);
/* RFC 5929, RFC 9266. ERR_UNSUPPORTED when this connection has no such binding. */
typedef enum {
    BINDING_TLS_EXPORTER,
    BINDING_TLS_SERVER_END_POINT,
    BINDING_TLS_UNIQUE
} ChannelBinding;
Err stream_channel_binding(Stream *s, ChannelBinding type, Buf *out) MUST_USE;

/* ---- compression: RFC 4978 ---- */
/* What is in the output buffer goes out as it is; from then on both directions are raw DEFLATE,
 * under TLS if there is TLS. Every flush is one of DEFLATE too. A peer that sends what is no
 * DEFLATE, or a bomb, fails the stream (ERR_SYNTAX, ERR_LIMIT). After five seconds of silence the
 * memory of zlib is given back. */
PARKS Err stream_start_deflate(Stream *s) MUST_USE;
/* Ends the compressed octets behind what is in the output buffer (RFC 8437 4.1); what the peer sent
 * behind its own end is read as it is. */
PARKS Err stream_end_deflate(Stream *s) MUST_USE;
bool stream_is_deflated(const Stream *s);

/* ---- a connection that another process has (net/tunnel.h) ---- */
/* The front has the client's connection: TLS and DEFLATE are done there, by stream_start_tls (its
 * context is the front's own), stream_start_deflate and stream_end_deflate as here; version,
 * cipher, names, channel bindings and addresses are what the front says. */
bool stream_is_remote(const Stream *s);
/* What the session is at rest: another house takes it up from that record should this one end
 * (imap_resume, ...). Everything put so far is flushed with it, in this order. It holds for the
 * input taken so far: octets still buffered here count as not read. Empty: cannot be taken up now.
 * At most TUNNEL_RECORD_MOST octets, else as good as empty. Cheap, but call it only when it
 * changed. Nothing happens on a connection of our own. */
PARKS void stream_keep(Stream *s, Slice record);
/* The connection is the front's again (UNAUTHENTICATE, a maildrop that does not open): flushes;
 * input not taken goes back, too. This stream is over, free it. Never on a connection of our own.
 */
PARKS void stream_hand_back(Stream *s, Slice record);

/* ---- moving to another loop, and tests ---- */
void stream_detach(Stream *s);         /* buffers and TLS state travel along */
Err stream_attach(Stream *s) MUST_USE; /* an error sticks */
Err stream_pair(Stream **a, Stream **b) MUST_USE;
