/* Object identifiers, RFC 8474: "M7-4711" is email 4711 of account 7. The letter tells emails,
 * threads and mailboxes apart, as 5.2 wants it; the account keeps apart what several accounts show
 * to one user (8.2). */
#include "base/text.h"
#include "imap/session.h"

void imap_put_object_id(Buf *out, ObjectKind kind, uint32_t acct, uint64_t id)
{
    buf_printf(out, "%c%u-%llu", (char)kind, acct, (unsigned long long)id);
}

uint64_t imap_object_id_of(Slice text, ObjectKind kind, uint32_t acct)
{
    Buf same buf_scoped = {0};
    uint64_t id = 0;
    size_t dash = slice_find(text, '-');
    if (!slice_to_u64(slice_from(text, dash + 1), &id)) return 0;
    imap_put_object_id(&same, kind, acct, id);
    return slice_eq(buf_slice(&same), text) ? id : 0;
}

/* objectid = 1*255(ALPHA / DIGIT / "_" / "-") */
Slice imap_object_id(In *in)
{
    Slice id = imap_atom(in);
    for (size_t i = 0; i < id.len; i++)
        if (!is_alnum((unsigned char)id.at[i]) && id.at[i] != '_' && id.at[i] != '-')
            imap_mistake(in, "An object id is expected");
    if (id.len > 255) imap_mistake(in, "That object id is too long");
    return id;
}
