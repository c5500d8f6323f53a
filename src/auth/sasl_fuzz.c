/* One SASL exchange of somebody who knows no password, in the simulated world; 0xff stands between
 * what he sends. The first octet chooses the mechanism, its upper half the service and how tokens
 * are looked at. What he has sent is then read as a login with suffixes, and as an address.
 *
 * Nobody is let in by a mechanism with a password unless the password is there, or by a token that
 * the issuer did not call active; and whoever is in has a name. */
#include "auth/auth.h"
#include "auth/keeper.h"
#include "base/fuzz.h"
#include "base/text.h"
#include "run/log.h"
#include "run/sim.h"

enum {
    DISK_BYTES = 4 << 20,
    TURNS = 6,
    POP3 = 16,
    GUESTS = 32,
    SCOPE = 64,
    USERS = 128 /* users and aliases, not a demo */
};
#define PASSWORD "a password nobody knows"

static const char *const mechanisms[] = {
    "PLAIN",    "LOGIN",     "SCRAM-SHA-1",      "SCRAM-SHA-256", "OAUTHBEARER",        "XOAUTH2",
    "EXTERNAL", "ANONYMOUS", "SCRAM-SHA-1-PLUS", "oauthbearer",   "SCRAM-SHA-256-PLUS", "",
};

typedef struct {
    uint8_t how;
    Slice sent;
    bool active; /* the issuer was asked, and said so */
} Input;

/* The issuer says what the token says: a JSON text of its own, or a word that it knows. */
static Err introspect(void *arg, Slice token, Buf *answer)
{
    Input *in = arg;
    if (slice_starts(token, S("busy"))) return fail(ERR_TEMPORARY, "the issuer is busy");
    if (slice_starts(token, S("good")))
        buf_printf(answer, "{\"active\":true,\"email\":\"u00001\",\"scope\":\"mail\",\"exp\":%lld}",
                   (long long)wall_seconds() + 100);
    else if (!base64_decode(answer, token))
        buf_add(answer, S("{\"active\":false}"));
    if (memmem(answer->at ? answer->at : "", answer->len, "true", 4)) in->active = true;
    return OK;
}

PARKS static void check_in(const Input *in, const Sasl *s)
{
    const char *name = mechanisms[in->how % 16 % COUNT(mechanisms)];
    bool guest = !strcmp(name, "ANONYMOUS"), token = strcasestr(name, "OAUTH") != NULL;
    const AuthUser *user = sasl_user(s);
    must(user->login[0] && memchr(user->login, 0, sizeof user->login));
    must(user->guest == guest);
    must(guest   ? in->how & GUESTS
         : token ? in->active
                 : slice_find_slice(in->sent, S(PASSWORD)) < in->sent.len);
}

PARKS static void exchange(const Input *in, Auth *auth, Stream *server)
{
    const char *service = in->how & POP3 ? "pop3" : "imap";
    Slice mechanism = slice_of(mechanisms[in->how % 16 % COUNT(mechanisms)]), rest = in->sent, one;
    Buf challenge buf_scoped = {0}, offered buf_scoped = {0};
    Err err = OK;
    Sasl *s scoped(sasl) = sasl_new(auth, service, server);
    sasl_mechanisms(auth, service, server, "AUTH=", ' ', &offered);
    bool more = slice_cut(&rest, (char)0xff, &one);
    bool initial = more && one.len;
    SaslState state = sasl_start(s, mechanism, initial ? &one : NULL, &challenge, &err);
    for (int turn = 0; state == SASL_CONTINUE && turn < TURNS; turn++) {
        more = more && slice_cut(&rest, (char)0xff, &one);
        buf_clear(&challenge);
        state = sasl_step(s, more ? one : (Slice){0}, &challenge, &err);
    }
    must(state != SASL_FAILED || err);
    if (state == SASL_DONE) check_in(in, s);
}

PARKS static void names(const Input *in, Auth *auth)
{
    Arena a arena_scoped = {0};
    LoginSuffix suffix;
    Recipient *recipients;
    size_t count;
    Slice login = auth_split_login(auth, in->sent, &suffix);
    must(login.len + suffix.folder.len + suffix.device.len <= in->sent.len);
    Err err = auth_resolve(auth, in->sent, &a, &recipients, &count);
    must(err ? err == ERR_NOT_FOUND || err == ERR_FORBIDDEN || err == ERR_SYNTAX : count > 0);
    for (size_t i = 0; i < count; i++)
        must(recipients[i].acct && recipients[i].login.len);
}

/* One of two, one that leads nowhere any more. */
PARKS static void put_aliases(Auth *auth)
{
    static const Slice team[] = {S("u00001"), S("gone"), S("u00002")};
    must(!user_add(auth, S("gone"), S(PASSWORD)));
    must(!alias_put(auth, S("team"), team, COUNT(team)));
    must(!alias_put(auth, S("team@example.org"), team, 1));
    must(!alias_put(auth, S("gone"), &team[1], 1));
    must(!user_remove(auth, S("gone")));
}

static const StoreOptions options = {
    .engine = {.index_in_memory = true, .segment_bytes = 32 << 10}
};

PARKS_UNCHECKED static void make(void *nothing)
{
    (void)nothing;
    Store *store;
    Auth *auth;
    AuthConfig config = {
        .dir = S("keeper"), .argon2_memory_kib = 8, .argon2_passes = 1, .scram_iterations = 2};
    must(!store_open(S("store"), &options, &store) && !auth_open(&config, store, &auth));
    must(!user_add(auth, S("u00001"), S(PASSWORD)) && !user_add(auth, S("u00002"), S(PASSWORD)));
    put_aliases(auth);
    auth_close(auth);
    store_close(store);
}

PARKS_UNCHECKED static void life(void *arg)
{
    static const Slice domains[] = {S("example.org"), S("xn--e1afmkfd.example")};
    Input *in = arg;
    Store *store;
    Auth *auth;
    Stream *client, *server;
    AuthConfig config = {.plain_without_tls = true,
                         .domains = domains,
                         .domain_count = COUNT(domains),
                         .catch_all = in->how & GUESTS ? S("u00002") : (Slice){0},
                         .postmaster = in->how & SCOPE ? (Slice){0} : S("u00001"),
                         .folder_separator = in->how & SCOPE ? (Slice){0} : S("/"),
                         .device_separator = in->how & SCOPE ? (Slice){0} : S("+device="),
                         .subaddress_separator = in->how & SCOPE ? 0 : '+',
                         .demo_accounts = in->how & USERS ? 0 : 2,
                         .demo_password = S(PASSWORD),
                         .dir = in->how & USERS ? S("keeper") : (Slice){0},
                         .argon2_memory_kib = 8,
                         .argon2_passes = 1,
                         .scram_iterations = 2,
                         .certificates = true,
                         .anonymous = in->how & GUESTS ? S("u00002") : (Slice){0}};
    config.oauth = (OauthConfig){.scope = in->how & SCOPE ? S("mail") : (Slice){0},
                                 .discovery = S("https://example.org/d"),
                                 .remember_ms = 1000,
                                 .introspect = introspect,
                                 .introspect_arg = in};
    must(!store_open(S("store"), &options, &store) && !auth_open(&config, store, &auth));
    must(!stream_pair(&client, &server));
    exchange(in, auth, server);
    names(in, auth);
    stream_free(client);
    stream_free(server);
    auth_close(auth);
    store_close(store);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static SimDisk *empty, *begun, *disk;
    if (!size || size > 20000) return 0;
    if (!empty) {
        empty = sim_disk_new(DISK_BYTES);
        begun = sim_disk_new(DISK_BYTES);
        disk = sim_disk_new(DISK_BYTES);
        log_set_level_by_name(S("none"));
        SimConfig first = {.seed = 1, .disk = begun, .loops = 1};
        must(!sim_run(&first, make, NULL));
    }
    sim_disk_copy(disk, data[0] & USERS ? begun : empty);
    Input in = {.how = data[0], .sent = slice(data + 1, size - 1)};
    SimConfig config = {.seed = 1, .disk = disk, .loops = 1};
    must(!sim_run(&config, life, &in));
    return 0;
}
