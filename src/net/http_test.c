#include "net/http.h"

#include "base/test.h"

TEST(urls_of_http)
{
    static const struct {
        const char *text;
        bool fits, tls;
        const char *host, *path;
        unsigned port;
    } rows[] = {
        {"https://issuer.example/introspect?x=1", true,  true,  "issuer.example",  "/introspect?x=1",
         443                                                                                              },
        {"http://127.0.0.1:8080",                 true,  false, "127.0.0.1",       "/",               8080},
        {"HTTP://[::1]:80/a",                     true,  false, "::1",             "/a",              80  },
        {"https://my-host.example/",              true,  true,  "my-host.example", "/",               443 },
        {"https://h",                             true,  true,  "h",               "/",               443 },
        {"ftp://h/",                              false, 0,     NULL,              NULL,              0   },
        {"https:///x",                            false, 0,     NULL,              NULL,              0   },
        {"https://u@h/",                          false, 0,     NULL,              NULL,              0   },
        {"https://h:0/",                          false, 0,     NULL,              NULL,              0   },
        {"https://h:99999/",                      false, 0,     NULL,              NULL,              0   },
        {"https://h:x/",                          false, 0,     NULL,              NULL,              0   },
        {"https://[::1/",                         false, 0,     NULL,              NULL,              0   },
        {"https://h/a b",                         false, 0,     NULL,              NULL,              0   },
        {"https://h/\r\nX: y",                    false, 0,     NULL,              NULL,              0   },
        {"https://h/#f",                          false, 0,     NULL,              NULL,              0   },
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        HttpUrl url;
        bool fits = http_url_parse(slice_of(rows[i].text), &url) == OK;
        check(fits == rows[i].fits);
        if (!fits) continue;
        check(url.tls == rows[i].tls && url.port == rows[i].port);
        check_slice(url.host, slice_of(rows[i].host));
        check_slice(url.path, slice_of(rows[i].path));
    }
}

typedef struct {
    Stream *stream;
    const char *answer;
    size_t piece;
    Buf heard;
    bool ended;
} Far;

PARKS_UNCHECKED static void answers(void *arg)
{
    Far *f = arg;
    Slice line;
    while (stream_line(f->stream, 1000, &line) != LINE_NONE && line.len) {
        buf_add(&f->heard, line);
        buf_char(&f->heard, '\n');
    }
    for (Slice rest = slice_of(f->answer); rest.len; rest = slice_from(rest, f->piece)) {
        stream_put(f->stream, slice_first(rest, f->piece));
        (void)stream_flush(f->stream);
        fiber_sleep(0);
    }
    stream_free(f->stream);
    f->ended = true;
}

#define OK_ "HTTP/1.1 200 OK\r\n"

TEST(answers_are_framed)
{
    static const struct {
        const char *answer;
        Err err;
        int status;
        const char *body;
    } rows[] = {
        {OK_ "Content-Length: 5\r\n\r\nhellomore",                                             OK,          200, "hello"        },
        {OK_ "X: y\r\n\r\nto the end",                                                         OK,          200, "to the end"   },
        {OK_ "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", OK,
         200,                                                                                                    "abc0123456789"},
        {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 401 No\r\nContent-Length: 0\r\n\r\n",          OK,          401, ""             },
        {"HTTP/1.1 204\r\n\r\n",                                                               OK,          204, ""             },
        {OK_ "Content-Length: 5\r\n\r\nhel",                                                   ERR_END,     0,   NULL           },
        {OK_ "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",                            ERR_SYNTAX,  0,   NULL           },
        {OK_ "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",                        ERR_SYNTAX,  0,   NULL           },
        {OK_ "Content-Length: -5\r\n\r\nhello",                                                ERR_SYNTAX,  0,   NULL           },
        {OK_ "Content-Length: 500\r\n\r\nhello",                                               ERR_TOO_BIG, 0,   NULL           },
        {OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n",                                       ERR_SYNTAX,  0,   NULL           },
        {OK_ "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",                       ERR_SYNTAX,  0,   NULL           },
        {OK_ "Transfer-Encoding: chunked\r\n\r\nffffffff\r\n",                                 ERR_TOO_BIG, 0,   NULL           },
        {OK_ "Transfer-Encoding: chunked\r\n\r\n-1\r\n",                                       ERR_SYNTAX,  0,   NULL           },
        {OK_ " folded: x\r\n\r\n",                                                             ERR_SYNTAX,  0,   NULL           },
        {OK_ "nothing\r\n\r\n",                                                                ERR_SYNTAX,  0,   NULL           },
        {"SSH-2.0-x\r\n",                                                                      ERR_SYNTAX,  0,   NULL           },
        {"HTTP/1.1 999 x\r\n\r\n",                                                             ERR_SYNTAX,  0,   NULL           },
        {"",                                                                                   ERR_END,     0,   NULL           },
        {OK_ "Content-Length: 2\r\nContent-Length: 2\r\n\r\nhello",                            OK,          200, "he"           },
        {OK_ "\tfolded: x\r\n\r\n",                                                            ERR_SYNTAX,  0,   NULL           },
        {OK_ "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         ERR_SYNTAX,                                                                                        0,   NULL           },
        {OK_ "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",                                 ERR_END,     0,   NULL           },
        {OK_ "Transfer-Encoding: chunked\r\n\r\n3\r\nabc",                                     ERR_END,     0,   NULL           },
        {OK_ "\r\n012345678901234567890123456789012345678901234567890123456789012345678901234567890"
             "1234567890123456789x",                                                  ERR_TOO_BIG, 0,   NULL           },
        {OK_,                                                                                  ERR_END,     0,   NULL           },
    };
    HttpUrl url;
    check_ok(http_url_parse(S("http://h:81/p"), &url));
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t piece = 1; piece < 1000; piece *= 7) {
            Stream *ours;
            Far far = {.answer = rows[i].answer, .piece = piece};
            Buf body buf_scoped = {0};
            int status = 0;
            check_ok(stream_pair(&ours, &far.stream));
            fiber_start("far", answers, &far);
            HttpPost post = {&url, S("Basic eA=="), S("text/plain"), {0}, 100};
            check_err(http_post(ours, &post, &status, &body), rows[i].err);
            if (!rows[i].err) {
                check(status == rows[i].status);
                check_slice(buf_slice(&body), slice_of(rows[i].body));
            }
            while (!far.ended)
                fiber_sleep(1);
            check_slice(
                buf_slice(&far.heard),
                S("POST /p HTTP/1.1\nHost: h:81\nConnection: close\nAccept: application/json\n"
                  "Authorization: Basic eA==\nContent-Type: text/plain\nContent-Length: 0\n"));
            buf_done(&far.heard);
            stream_free(ours);
        }
    }
}

/* A peer that says nothing, one that has gone, and an address in brackets. */
TEST(a_silent_http_server_is_left)
{
    HttpUrl url;
    Buf body buf_scoped = {0};
    int status = 0;
    Stream *ours, *theirs;
    Slice line;
    char host[300] = "https://";
    memset(host + 8, 'h', 254);
    check_err(http_url_parse(slice_of(host), &url), ERR_SYNTAX);
    check_ok(http_url_parse(S("http://[::1]:81/p"), &url));
    HttpPost post = {&url, S("Basic eA=="), S("text/plain"), {0}, 100};
    check_ok(stream_pair(&ours, &theirs));
    stream_set_deadline(ours, now_ms() + 20);
    stream_put(theirs, S(OK_ "\r\nhalf of it"));
    check_ok(stream_flush(theirs));
    check_err(http_post(ours, &post, &status, &body), ERR_TIMEOUT);
    check(stream_line(theirs, 100, &line) == LINE_CRLF);
    check(stream_line(theirs, 100, &line) == LINE_CRLF);
    check_slice(line, S("Host: [::1]:81"));
    stream_free(theirs);
    check(http_post(ours, &post, &status, &body) != OK);
    stream_free(ours);
}
