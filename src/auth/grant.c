#include "auth/grant.h"

#include "base/text.h"
#include "run/run.h"

#include <sodium.h>

enum { VERSION = 1, HEAD = 18, MAC = GRANT_OCTETS - HEAD };

/* Not by OpenSSL: it looks its algorithms up by name each time, which costs more than the hashing.
 */
static void put_mac(const GrantKey *key, const uint8_t *head, Slice text, uint8_t mac[MAC])
{
    crypto_auth_hmacsha256_state state;
    uint8_t full[crypto_auth_hmacsha256_BYTES];
    crypto_auth_hmacsha256_init(&state, key->octets, GRANT_KEY_OCTETS);
    crypto_auth_hmacsha256_update(&state, head, HEAD);
    crypto_auth_hmacsha256_update(&state, (const uint8_t *)text.at, text.len);
    crypto_auth_hmacsha256_final(&state, full);
    memcpy(mac, full, MAC);
    wipe(&state, sizeof state);
}

void grant_login_text(Buf *out, Slice service, Slice login, bool guest)
{
    buf_bytes(out, service);
    buf_bytes(out, login);
    buf_u8(out, guest);
}

/* The same for all processes of a machine, and nobody sets it: a wall clock that jumps while
 * somebody logs in shuts him out. */
static uint64_t uptime_ms(void)
{
    return (uint64_t)now_us() / 1000;
}

void grant_make(const GrantKey *key, GrantKind kind, Slice text, uint8_t grant[GRANT_OCTETS])
{
    Buf head buf_scoped = {0};
    buf_u8(&head, VERSION);
    buf_u8(&head, (uint8_t)kind);
    buf_u64(&head, uptime_ms());
    buf_u64(&head, random_u64());
    must(head.len == HEAD);
    memcpy(grant, head.at, HEAD);
    put_mac(key, grant, text, grant + HEAD);
}

/* One from the future is of another start of the machine. */
static bool is_fresh(GrantKind kind, uint64_t made)
{
    uint64_t now = uptime_ms();
    return kind != GRANT_LOGIN || (made > now ? made - now : now - made) <= GRANT_LOGIN_MS;
}

Err grant_check(const GrantKey *key, GrantKind kind, Slice text, Slice grant)
{
    uint8_t mac[MAC];
    if (grant.len != GRANT_OCTETS) return fail(ERR_AUTH, "a grant of %zu octets", grant.len);
    const uint8_t *octets = (const uint8_t *)grant.at;
    put_mac(key, octets, text, mac);
    bool good = sodium_memcmp(mac, octets + HEAD, MAC) == 0;
    Reader in = reader(grant);
    bool ours = read_u8(&in) == VERSION && read_u8(&in) == (uint8_t)kind;
    if (!good || !ours) return fail(ERR_AUTH, "a grant that is not ours");
    return is_fresh(kind, read_u64(&in)) ? OK : fail(ERR_AUTH, "a grant that is too old");
}
