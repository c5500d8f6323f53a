#pragma once
/* Unique-ids of UIDL (RFC 1939 7): as the setting pop3_uidl makes them, or as another server made
 * them and an import kept them. Pure.
 *
 * A format is a name of the table in uidl.c, or text with %u (UID), %v (UIDVALIDITY), %f (base name
 * of the file in a maildir), %% and, as Dovecot writes them, %08Xu or %{uid | hex(8)}: width,
 * leading zeros, lower-case hexadecimal. It has to have %u or %f: a mailbox has no two messages of
 * one UID. */
#include "pop3/pop3.h"

enum { POP3_UIDL_MOST = 255 }; /* RFC 1939 says 70; those of others are kept as they were */

bool uidl_format_is_default(Slice format);
/* False: it wants a file name and there is none; nothing was added. */
bool uidl_make(Buf *out, Slice format, uint32_t validity, uint32_t uid, Slice file);
bool uidl_wants_file(Slice format);
/* No blanks, no control characters, not empty, not too long. */
bool uidl_is_sound(Slice id);

/* What an import keeps of a message, object collection "pop3-uidl", id mailbox and uid as 16
 * hexadecimal digits: the unique-id it had, and its file's name; either may be empty. Stays when
 * the message goes: an id is never used for another. */
typedef struct {
    Slice id, file;
} KeptUidl;
void uidl_keep(Buf *out, const KeptUidl *k);
bool uidl_kept(Slice value, KeptUidl *k); /* borrows */
