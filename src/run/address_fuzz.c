#include "base/fuzz.h"
#include "run/sock.h"

/* What is taken is an address: printed and parsed again it is the same one. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Address a, b;
    if (address_parse(slice(data, size), &a)) return 0;
    must(memchr(a.host, 0, sizeof a.host) && a.host[0]);
    Buf text buf_scoped = {0};
    bool six = strchr(a.host, ':') != NULL;
    if (a.port)
        buf_printf(&text, six ? "[%s]:%u" : "%s:%u", a.host, a.port);
    else
        buf_printf(&text, "unix:%s", a.host);
    must(address_parse(buf_slice(&text), &b) == OK);
    must(a.port == b.port && !strcmp(a.host, b.host));
    return 0;
}
