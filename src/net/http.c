#include "net/http.h"

#include "base/text.h"

/* ---- URLs ---- */

static bool is_host_char(char c)
{
    return is_alnum((unsigned char)c) || c == '-' || c == '.' || c == ':';
}

Err http_url_parse(Slice text, HttpUrl *url)
{
    *url = (HttpUrl){.tls = slice_starts_nocase(text, S("https://"))};
    if (!url->tls && !slice_starts_nocase(text, S("http://")))
        return fail(ERR_SYNTAX, "not an http or https URL");
    Slice rest = slice_from(text, url->tls ? 8 : 7), port = {0};
    size_t end = slice_find(rest, '/');
    Slice authority = slice_first(rest, end);
    url->path = end < rest.len ? slice_from(rest, end) : S("/");
    if (slice_starts(authority, S("["))) {
        size_t close = slice_find(authority, ']');
        url->host = slice_first(slice_from(authority, 1), close - 1);
        port = slice_from(authority, close + 1);
        if (close == authority.len) return fail(ERR_SYNTAX, "the URL's address has no end");
    } else {
        url->host = slice_first(authority, slice_find(authority, ':'));
        port = slice_from(authority, url->host.len);
    }
    uint64_t number = url->tls ? 443 : 80;
    if (port.len && (port.at[0] != ':' || !slice_to_u64(slice_from(port, 1), &number)))
        return fail(ERR_SYNTAX, "the URL's port is none");
    bool fits = url->host.len && url->host.len < 254 && number && number < 65536;
    for (size_t i = 0; i < url->host.len; i++)
        fits = fits && is_host_char(url->host.at[i]);
    for (size_t i = 0; i < url->path.len; i++)
        fits = fits && url->path.at[i] > ' ' && url->path.at[i] < 0x7f && url->path.at[i] != '#';
    url->port = (uint16_t)number;
    return fits ? OK : fail(ERR_SYNTAX, "the URL has no host, or what no URL has");
}

/* ---- the question ---- */

static void put_request(Buf *out, const HttpPost *p)
{
    bool six = slice_find(p->url->host, ':') < p->url->host.len;
    buf_printf(out, "POST %.*s HTTP/1.1\r\n", SP(p->url->path));
    buf_printf(out, six ? "Host: [%.*s]" : "Host: %.*s", SP(p->url->host));
    if (p->url->port != (p->url->tls ? 443 : 80)) buf_printf(out, ":%u", p->url->port);
    buf_add(out, S("\r\nConnection: close\r\nAccept: application/json\r\n"));
    if (p->authorization.len) buf_printf(out, "Authorization: %.*s\r\n", SP(p->authorization));
    buf_printf(out, "Content-Type: %.*s\r\nContent-Length: %zu\r\n\r\n", SP(p->content_type),
               p->body.len);
    buf_add(out, p->body);
}

/* ---- the answer ---- */

typedef struct {
    int status;
    bool chunked, has_length;
    uint64_t length;
} Head;

PARKS static Err read_line(Stream *s, Slice *line)
{
    switch (stream_line(s, HTTP_LINE_MOST, line)) {
    case LINE_CRLF:
    case LINE_LF: /* RFC 9112 2.2: a recipient MAY recognise a single LF */
        return OK;
    case LINE_TOO_LONG:
        return fail(ERR_TOO_BIG, "a line of the HTTP answer is too long");
    case LINE_NONE:
        break;
    }
    return stream_error(s);
}

/* RFC 9112 4: status-line = HTTP-version SP status-code SP [reason-phrase] */
static Err read_status(Slice line, Head *h)
{
    uint64_t code;
    bool fits = slice_starts(line, S("HTTP/1.")) && line.len >= 12 && line.at[8] == ' ' &&
                (line.len == 12 || line.at[12] == ' ') &&
                slice_to_u64(slice_first(slice_from(line, 9), 3), &code) && code >= 100 &&
                code < 600;
    if (!fits) return fail(ERR_SYNTAX, "that is no HTTP answer");
    h->status = (int)code;
    return OK;
}

/* RFC 9112 6.3: both framings, two lengths, or a coding we do not know: the body cannot be told. */
static Err read_field(Slice line, Head *h)
{
    size_t colon = slice_find(line, ':');
    Slice name = slice_first(line, colon), value = slice_trim(slice_from(line, colon + 1));
    uint64_t length;
    if (colon == line.len || !name.len || name.at[0] == ' ' || name.at[0] == '\t')
        return fail(ERR_SYNTAX, "a line of the HTTP answer is no field");
    if (slice_eq_nocase(name, S("Transfer-Encoding"))) {
        if (!slice_eq_nocase(value, S("chunked")) || h->chunked)
            return fail(ERR_SYNTAX, "an unknown transfer coding");
        h->chunked = true;
    }
    if (slice_eq_nocase(name, S("Content-Length"))) {
        if (!slice_to_u64(value, &length) || (h->has_length && h->length != length))
            return fail(ERR_SYNTAX, "the length of the HTTP answer is none");
        h->has_length = true;
        h->length = length;
    }
    return h->chunked && h->has_length ? fail(ERR_SYNTAX, "two framings at once") : OK;
}

PARKS static Err read_head(Stream *s, Head *h)
{
    Slice line;
    *h = (Head){0};
    TRY(read_line(s, &line));
    TRY(read_status(line, h));
    for (int i = 0; i <= HTTP_FIELDS_MOST; i++) {
        TRY(read_line(s, &line));
        if (!line.len) return OK;
        TRY(read_field(line, h));
    }
    return fail(ERR_TOO_BIG, "too many fields in the HTTP answer");
}

PARKS static Err read_octets(Stream *s, uint64_t len, size_t most, Buf *out)
{
    if (len > most || out->len > most - len)
        return fail(ERR_TOO_BIG, "the HTTP answer is too long");
    if (!len) return OK;
    if (!stream_read(s, buf_reserve(out, (size_t)len), (size_t)len)) return stream_error(s);
    out->len += (size_t)len;
    return OK;
}

static bool read_hex(Slice text, uint64_t *value)
{
    *value = 0;
    if (!text.len || text.len > 8) return false;
    for (size_t i = 0; i < text.len; i++) {
        char c = ascii_lower(text.at[i]);
        if (!is_digit((unsigned char)c) && !(c >= 'a' && c <= 'f')) return false;
        *value = *value << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return true;
}

/* RFC 9112 7.1: *(chunk-size [chunk-ext] CRLF octets CRLF) 0 CRLF trailers CRLF; what trails says
 * nothing to us. */
PARKS static Err read_chunks(Stream *s, size_t most, Buf *out)
{
    Slice line;
    for (;;) {
        uint64_t size;
        TRY(read_line(s, &line));
        if (!read_hex(slice_trim(slice_first(line, slice_find(line, ';'))), &size))
            return fail(ERR_SYNTAX, "a chunk without a size");
        if (!size) return OK;
        TRY(read_octets(s, size, most, out));
        TRY(read_line(s, &line));
        if (line.len) return fail(ERR_SYNTAX, "a chunk longer than its size");
    }
}

PARKS static Err read_to_end(Stream *s, size_t most, Buf *out)
{
    Slice some;
    while ((some = stream_some(s, 4096)).len) {
        size_t room = most - out->len;
        buf_add(out, slice_first(some, room));
        if (some.len > room) return fail(ERR_TOO_BIG, "the HTTP answer is too long");
    }
    return stream_error(s) == ERR_END ? OK : stream_error(s);
}

Err http_post(Stream *s, const HttpPost *post, int *status, Buf *answer)
{
    Head h;
    put_request(stream_out(s), post);
    TRY(stream_flush(s));
    do /* RFC 9110 15.2: interim answers are passed over */
        TRY(read_head(s, &h));
    while (h.status < 200 && h.status != 101);
    *status = h.status;
    if (h.status == 204 || h.status == 304) return OK;
    if (h.chunked) return read_chunks(s, post->answer_most, answer);
    if (h.has_length) return read_octets(s, h.length, post->answer_most, answer);
    return read_to_end(s, post->answer_most, answer);
}
