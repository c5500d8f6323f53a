#pragma once
/* One question over HTTP/1.1 (RFC 9112) to another server, and its answer: for the runner, who asks
 * issuers of tokens. The connection is not used again. */
#include "net/stream.h"

enum { HTTP_LINE_MOST = 8 * 1024, HTTP_FIELDS_MOST = 100 };

typedef struct {
    bool tls;
    Slice host; /* without brackets */
    uint16_t port;
    Slice path; /* with the query; "/" at least */
} HttpUrl;
/* http and https (RFC 9110 4.2), without user and fragment. Borrowed from text. ERR_SYNTAX. */
Err http_url_parse(Slice text, HttpUrl *url) MUST_USE;

typedef struct {
    const HttpUrl *url;
    Slice authorization; /* "Basic ..."; empty: none */
    Slice content_type, body;
    size_t answer_most;
} HttpPost;
/* The stream is connected, and shaken when the URL says so; its deadline holds. *status: 100 to
 * 599. ERR_SYNTAX: not HTTP; ERR_TOO_BIG; the stream's error. */
PARKS Err http_post(Stream *s, const HttpPost *post, int *status, Buf *answer) MUST_USE;
