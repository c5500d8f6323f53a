#include "store/model.h"

#include "mail/mail.h"

#include <stdlib.h>

enum { EMAIL_PAGES_MOST = 512 }; /* clean ones beyond are given back, least recently used first */

/* ---- email pages ---- */

static void page_drop(Account *a, EmailPage *p)
{
    number_table_take(&a->email_table, p->number);
    list_remove(&p->link);
    a->email_page_count--;
    emails_done(p->emails);
    free(p);
}

void email_pages_trim(Account *a, uint32_t keep)
{
    list_each (l, &a->email_pages) {
        if (a->email_page_count <= keep) return;
        EmailPage *p = CONTAINER(l, EmailPage, link);
        if (!p->state) page_drop(a, p);
    }
}

/* Dirty pages gather at the old end while many emails change: a few looks must do. */
static void make_room(Account *a)
{
    for (int i = 0; i < 4 && a->email_page_count > EMAIL_PAGES_MOST; i++) {
        EmailPage *oldest = CONTAINER(a->email_pages.next, EmailPage, link);
        if (!oldest->state) {
            page_drop(a, oldest);
            continue;
        }
        list_remove(&oldest->link);
        list_add(&a->email_pages, &oldest->link);
    }
}

static Err page_fetch(Account *a, uint32_t number, EmailPage **page)
{
    Arena arena arena_scoped = {0};
    PageKey key = page_key_1('e', number);
    EmailPage *p = NEW(EmailPage);
    Reader in;
    Err err = engine_page(a, &key, &arena, &in);
    if (!err) err = emails_decode(&in, p->emails);
    if (err && err != ERR_NOT_FOUND) {
        free(p);
        return err;
    }
    p->number = number;
    make_room(a);
    number_table_put(&a->email_table, number, p);
    list_add(&a->email_pages, &p->link);
    a->email_page_count++;
    *page = p;
    return OK;
}

Err email_page(Account *a, uint32_t number, EmailPage **page)
{
    EmailPage *p = number_table_get(&a->email_table, number);
    a->emails_used = now_ms();
    if (!p) return page_fetch(a, number, page);
    if (p->link.next != &a->email_pages) {
        list_remove(&p->link);
        list_add(&a->email_pages, &p->link);
    }
    *page = p;
    return OK;
}

void email_dirty(Account *a, EmailPage *p)
{
    p->state |= PAGE_DIRTY;
    account_touch(a);
}

Err email_entry(Account *a, uint32_t eid, Email **email)
{
    EmailPage *p;
    TRY(email_page(a, eid / EMAILS, &p));
    Email *e = &p->emails[eid % EMAILS];
    if (!e->thread) return fail(ERR_EXPUNGED, "email %u of account %u", eid, a->number);
    *email = e;
    return OK;
}

uint64_t email_size(const Email *e)
{
    return (uint64_t)e->prefix_len + e->ref.len;
}

/* ---- reading ---- */

static Slice email_prefix(const Account *a, const Email *e)
{
    if (!e->prefix || e->prefix > a->prefixes.count) return (Slice){0};
    return slice_first(a->prefixes.texts[e->prefix - 1], e->prefix_len);
}

Err email_pin(Account *a, uint32_t eid, EmailOctets *o)
{
    Email *e;
    TRY(email_entry(a, eid, &e));
    *o = (EmailOctets){.engine = a->store->engine,
                       .ref = e->ref,
                       .prefix = email_prefix(a, e),
                       .size = email_size(e),
                       .prefix_len = e->prefix_len,
                       .header_len = e->header_len};
    blob_pin(o->engine, o->ref.at);
    return OK;
}

PARKS Err email_octets_read(const EmailOctets *o, uint64_t offset, void *out, size_t len)
{
    if (offset > o->size || len > o->size - offset)
        return fail(ERR_LIMIT, "octets %llu+%zu of an email of %llu", (unsigned long long)offset,
                    len, (unsigned long long)o->size);
    Slice prefix = slice_first(slice_from(o->prefix, (size_t)MIN(offset, SIZE_MAX)), len);
    if (prefix.len) memcpy(out, prefix.at, prefix.len);
    if (prefix.len == len) return OK;
    return blob_read(o->engine, o->ref, offset + prefix.len - o->prefix_len,
                     (char *)out + prefix.len, len - prefix.len);
}

void email_unpin(const EmailOctets *o)
{
    blob_unpin(o->engine, o->ref.at);
}

/* The pin keeps the blob from being freed under us: the email may be expunged while we read. */
PARKS Err email_read(Account *a, uint32_t eid, uint64_t offset, void *out, size_t len)
{
    EmailOctets o;
    TRY(email_pin(a, eid, &o));
    account_ref(a);
    Err err = email_octets_read(&o, offset, out, len);
    account_close(a);
    email_unpin(&o);
    return err;
}

PARKS Err email_header(Account *a, uint32_t eid, Arena *arena, Slice *header)
{
    Email *e;
    TRY(email_entry(a, eid, &e));
    size_t len = e->header_len;
    if (!mem_fits(len)) return fail(ERR_NO_MEMORY, "a header of %zu octets", len);
    char *out = arena_alloc(arena, len + 1);
    TRY(email_read(a, eid, 0, out, len));
    *header = slice(out, len);
    return OK;
}

size_t email_header_length(Account *a, uint32_t eid)
{
    Email *e;
    return email_entry(a, eid, &e) ? SIZE_MAX : e->header_len;
}

PARKS Err email_details(Account *a, uint32_t eid, Arena *arena, EmailDetails *out)
{
    Email *e;
    TRY(email_entry(a, eid, &e));
    *out = (EmailDetails){.thread_id = e->thread,
                          .size = (uint32_t)email_size(e),
                          .header_len = e->header_len,
                          .link_count = e->link_count};
    out->links = arena_alloc(arena, array_bytes(MAX(e->link_count, 1u), sizeof *out->links));
    out->created_modseq = UINT64_MAX;
    for (uint32_t i = 0; i < e->link_count; i++) {
        EmailLink *l = email_links(e, i);
        out->links[i].mailbox_id = l->mailbox;
        out->links[i].uid = l->uid;
        out->links[i].saved = l->saved;
        out->created_modseq = MIN(out->created_modseq, l->created_modseq);
    }
    if (!e->link_count) out->created_modseq = 0;
    return OK;
}
