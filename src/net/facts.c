#include "net/facts.h"

static void put(Buf *out, unsigned kind, Slice fact)
{
    if (out->len + 3 + fact.len > FACTS_MOST) return;
    buf_u8(out, (uint8_t)kind);
    buf_u16(out, (uint16_t)fact.len);
    buf_add(out, fact);
}

static void put_binding(Stream *s, ChannelBinding type, Buf *out)
{
    Buf binding buf_scoped = {0};
    if (!stream_channel_binding(s, type, &binding)) put(out, type, buf_slice(&binding));
}

static void put_names(Stream *s, ClientName kind, Buf *out)
{
    Arena a arena_scoped = {0};
    Slice *names = NULL;
    size_t count = stream_client_names(s, kind, &a, &names);
    for (size_t i = 0; i < count; i++)
        put(out, FACT_NAME + kind, names[i]);
}

void facts_put(Stream *s, Buf *out)
{
    if (!stream_is_tls(s)) return;
    put_binding(s, BINDING_TLS_EXPORTER, out);
    put_binding(s, BINDING_TLS_SERVER_END_POINT, out);
    put_binding(s, BINDING_TLS_UNIQUE, out);
    put_names(s, CLIENT_ADDRESS, out);
    put_names(s, CLIENT_COMMON_NAME, out);
}

bool facts_next(Slice *cursor, unsigned kind, Slice *fact)
{
    Reader r = reader(*cursor);
    while (r.rest.len) {
        unsigned of = read_u8(&r);
        *fact = read_raw(&r, read_u16(&r));
        if (r.bad) break;
        *cursor = r.rest;
        if (of == kind) return true;
    }
    return false;
}
