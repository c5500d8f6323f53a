#include "run/sock.h"

#include <arpa/inet.h>
#include <stdlib.h>

static bool is_numeric(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static Err not_an_address(Slice text)
{
    return fail(ERR_SYNTAX,
                "\"%.*s\" is not an address like 127.0.0.1:143, [::1]:143 or unix:/path", SP(text));
}

static Err parse_unix(Slice path, Slice text, Address *out)
{
    if (!path.len || path.len >= sizeof out->host || memchr(path.at, 0, path.len))
        return not_an_address(text);
    *out = (Address){0};
    memcpy(out->host, path.at, path.len);
    return OK;
}

Err address_parse(Slice text, Address *out)
{
    if (slice_starts(text, S("unix:"))) return parse_unix(slice_from(text, 5), text, out);
    size_t colon = slice_find_last(text, ':');
    Slice host = slice_first(text, colon);
    uint64_t port;
    if (!slice_to_u64(slice_from(text, colon + 1), &port) || port < 1 || port > 65535)
        return not_an_address(text);
    bool has_brackets = slice_starts(host, S("[")) && slice_ends(host, S("]")) && host.len > 2;
    if (has_brackets) host = slice(host.at + 1, host.len - 2);
    if (has_brackets != (slice_find(host, ':') < host.len)) return not_an_address(text);
    Address a = {.port = (uint16_t)port};
    if (host.len >= sizeof a.host || !host.len) return not_an_address(text);
    memcpy(a.host, host.at, host.len);
    if (!is_numeric(a.host) && !slice_eq(host, S("*"))) return not_an_address(text);
    *out = a;
    return OK;
}

void address_print(Buf *out, const Address *a)
{
    buf_add(out, a->port ? slice_of(a->host) : S("unix"));
}

Slice address_network(Slice host, char room[NETWORK_ROOM])
{
    struct in6_addr v6;
    char text[NETWORK_ROOM] = {0};
    if (host.len >= sizeof text || !host.len) return host;
    memcpy(text, host.at, host.len);
    if (inet_pton(AF_INET6, text, &v6) != 1) return host;
    if (IN6_IS_ADDR_V4MAPPED(&v6)) {
        inet_ntop(AF_INET, v6.s6_addr + 12, room, NETWORK_ROOM);
    } else {
        memset(v6.s6_addr + 8, 0, 8);
        inet_ntop(AF_INET6, &v6, room, NETWORK_ROOM);
    }
    return slice_of(room);
}
