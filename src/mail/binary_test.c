#include "base/test.h"
#include "base/text.h"
#include "mail/binary.h"

static void filter(Slice in, size_t piece, Buf *out, bool *nul)
{
    BinaryFilter *f scoped(binary_filter) = binary_filter_new();
    for (Slice rest = in; rest.len; rest = slice_from(rest, piece))
        binary_filter_feed(f, slice_first(rest, piece), out);
    binary_filter_end(f, out);
    *nul = binary_filter_met_nul(f);
}

static void check_filter(Slice in, Slice wanted, bool nul)
{
    for (size_t piece = 1; piece <= in.len + 1; piece++) {
        Buf out buf_scoped = {0};
        bool met = false;
        filter(in, piece, &out, &met);
        check_slice(buf_slice(&out), wanted);
        check(met == nul);
    }
}

TEST(what_is_not_binary_stays)
{
    Slice mail =
        S("Subject: x\nContent-Type: multipart/mixed; boundary=b\r\n\r\npre\r\n--b\r\n\r\n"
          "one\rtwo\nthree\r\n--b \r\nContent-Transfer-Encoding: 8bit\r\n\r\n--c\r\n--b--");
    check_filter(mail, mail, false);
    check_filter(S("x"), S("x"), false);
    check_filter(S("A: b\r\n\r\na\0b"), S("A: b\r\n\r\na\0b"), true);
    check_filter(S("A: \0\r\n\r\nab"), S("A: \0\r\n\r\nab"), true);
}

TEST(a_binary_message_becomes_base64)
{
    check_filter(S("Content-Transfer-Encoding: binary\r\nA: b\r\n\r\na\0b\r\nc\n\r\n"),
                 S("Content-Transfer-Encoding: base64\r\nA: b\r\n\r\nYQBiDQpjCg0K\r\n"), false);
    check_filter(S("content-transfer-encoding:\r\n BINARY\r\n\r\n"),
                 S("content-transfer-encoding: base64\r\n\r\n"), false);
}

TEST(binary_parts_become_base64)
{
    check_filter(S("Content-Type: multipart/mixed; boundary=b\r\n"
                   "Content-Transfer-Encoding: binary\r\n\r\n"
                   "--b\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                   "\0\1\r\n--bc\r\n\n--b\r\n--b\r\n\r\nplain\r\n"
                   "--b\r\nContent-Transfer-Encoding: binary\r\n\r\n--b\r\n"
                   "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: binary\r\n\r\n"
                   "Content-Transfer-Encoding: binary\r\n\r\nHi\r\n\r\n--b--\r\nend\r\n"),
                 S("Content-Type: multipart/mixed; boundary=b\r\n"
                   "Content-Transfer-Encoding: 8bit\r\n\r\n"
                   "--b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
                   "AAENCi0tYmMNCgotLWI=\r\n--b\r\n\r\nplain\r\n"
                   "--b\r\nContent-Transfer-Encoding: base64\r\n\r\n--b\r\n"
                   "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
                   "Content-Transfer-Encoding: base64\r\n\r\nSGkNCg==\r\n--b--\r\nend\r\n"),
                 false);
}

TEST(long_binary_lines_come_through)
{
    Buf in buf_scoped = {0}, out buf_scoped = {0}, again buf_scoped = {0};
    bool nul;
    buf_add(&in, S("Content-Transfer-Encoding: binary\r\n\r\n"));
    size_t head = in.len;
    for (int i = 0; i < 5000; i++)
        buf_char(&in, (char)(i % 7 ? i : '\r'));
    filter(buf_slice(&in), 1000, &out, &nul);
    filter(buf_slice(&in), 1, &again, &nul);
    check_slice(buf_slice(&again), buf_slice(&out));
    Buf packed buf_scoped = {0}, body buf_scoped = {0};
    for (Slice rest = slice_from(buf_slice(&out), head), line; slice_cut(&rest, '\n', &line);)
        buf_add(&packed, slice_first(line, line.len - 1));
    check(base64_decode(&body, buf_slice(&packed)));
    check_slice(buf_slice(&body), slice_from(buf_slice(&in), head));
}
