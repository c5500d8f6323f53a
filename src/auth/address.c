#include "auth/state.h"
#include "base/text.h"

#include <idn2.h>

typedef struct {
    Buf local, domain; /* local: unquoted, lower case for ASCII; domain: A-labels, lower case,
                          empty: none was given */
} Parts;

static void add_lower(Buf *out, Slice text)
{
    for (size_t i = 0; i < text.len; i++)
        buf_char(out, ascii_lower(text.at[i]));
}

/* RFC 5321 4.1.2: Quoted-string = DQUOTE *QcontentSMTP DQUOTE */
static bool unquote(Slice quoted, Buf *out)
{
    if (quoted.len < 2 || quoted.at[quoted.len - 1] != '"') return false;
    for (size_t i = 1; i + 1 < quoted.len; i++) {
        if (quoted.at[i] == '\\' && ++i + 1 == quoted.len) return false;
        buf_char(out, ascii_lower(quoted.at[i]));
    }
    return true;
}

Err auth_to_a_labels(Slice domain, Buf *out)
{
    if (text_is_ascii(domain)) {
        add_lower(out, domain);
        return OK;
    }
    Arena a arena_scoped = {0};
    char *labels = NULL;
    if (idn2_to_ascii_8z(arena_cstr(&a, domain), &labels, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
        IDN2_OK)
        return fail(ERR_NOT_FOUND, "no such domain");
    add_lower(out, slice_of(labels));
    idn2_free(labels);
    return OK;
}

static Err split(Slice address, Parts *p)
{
    size_t at = slice_find_last(address, '@');
    Slice local = slice_first(address, at);
    if (slice_starts(local, S("\""))) {
        if (!unquote(local, &p->local)) return fail(ERR_NOT_FOUND, "a broken local part");
    } else {
        add_lower(&p->local, local);
    }
    if (!p->local.len || memchr(p->local.at, 0, p->local.len))
        return fail(ERR_NOT_FOUND, "no local part");
    return at < address.len ? auth_to_a_labels(slice_from(address, at + 1), &p->domain) : OK;
}

bool config_has_domain(const AuthConfig *config, Slice domain)
{
    for (size_t i = 0; i < config->domain_count; i++)
        if (slice_eq_nocase(config->domains[i], domain)) return true;
    return false;
}

typedef struct {
    Auth *auth;
    Arena *a;
    Recipient *list;
    size_t count;
    Slice detail;
} Found;

PARKS static Err add_login(Found *f, Slice login)
{
    uint32_t acct;
    TRY(auth_account(f->auth, login, &acct));
    Recipient *longer = arena_array(f->a, Recipient, f->count + 1);
    if (f->count) memcpy(longer, f->list, f->count * sizeof *longer);
    longer[f->count++] = (Recipient){acct, arena_copy(f->a, login), f->detail};
    f->list = longer;
    return OK;
}

PARKS static Err add_alias(Found *f, Slice address)
{
    Slice logins, login;
    TRY(alias_get(f->auth, address, f->a, &logins));
    while (slice_cut(&logins, ' ', &login)) {
        Err err = add_login(f, login);
        if (err && err != ERR_NOT_FOUND) return err;
    }
    return f->count ? OK : fail(ERR_NOT_FOUND, "the alias leads nowhere");
}

/* "anna" at "example.org": the account of the whole address, of the local part, or an alias of
 * either. */
PARKS static Err look_up(Found *f, Slice local, Slice domain)
{
    Slice whole = arena_printf(f->a, "%.*s@%.*s", SP(local), SP(domain));
    Err err = domain.len ? add_login(f, whole) : ERR_NOT_FOUND;
    if (err == ERR_NOT_FOUND) err = add_login(f, local);
    if (err == ERR_NOT_FOUND && domain.len) err = add_alias(f, whole);
    if (err == ERR_NOT_FOUND) err = add_alias(f, local);
    return err;
}

PARKS static Err resolve(Found *f, const Parts *p)
{
    Slice local = buf_slice(&p->local), domain = buf_slice(&p->domain);
    Err err = look_up(f, local, domain);
    const AuthConfig *config = auth_config(f->auth);
    char sep = config->subaddress_separator;
    size_t at = sep ? slice_find(local, sep) : local.len;
    if (err == ERR_NOT_FOUND && at && at < local.len) {
        f->detail = arena_copy(f->a, slice_from(local, at + 1));
        err = look_up(f, slice_first(local, at), domain);
    }
    /* RFC 5321 4.5.1: every domain that takes mail has a postmaster. */
    Slice postmaster = config->postmaster;
    if (err == ERR_NOT_FOUND && postmaster.len && slice_eq(local, S("postmaster")))
        err = add_login(f, postmaster);
    if (err == ERR_NOT_FOUND && config->catch_all.len) {
        f->detail = (Slice){0};
        err = add_login(f, config->catch_all);
    }
    return err;
}

PARKS Err auth_resolve(Auth *auth, Slice address, Arena *a, Recipient **recipients, size_t *count)
{
    Parts p = {0};
    Found f = {.auth = auth, .a = a};
    Err err = split(address, &p);
    if (!err && p.domain.len && !config_has_domain(auth_config(auth), buf_slice(&p.domain)))
        err = fail(ERR_FORBIDDEN, "%.*s is not a domain of ours", SP(buf_slice(&p.domain)));
    if (!err) err = resolve(&f, &p);
    buf_done(&p.local);
    buf_done(&p.domain);
    *recipients = f.list;
    *count = f.count;
    return err;
}
