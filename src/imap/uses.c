/* Special uses of mailboxes, RFC 6154 and RFC 8457, as words. */
#include "imap/session.h"

static const struct {
    Role role;
    const char *attribute;
} uses[] = {
    {ROLE_ALL,       "\\All"      },
    {ROLE_ARCHIVE,   "\\Archive"  },
    {ROLE_DRAFTS,    "\\Drafts"   },
    {ROLE_FLAGGED,   "\\Flagged"  },
    {ROLE_IMPORTANT, "\\Important"},
    {ROLE_JUNK,      "\\Junk"     },
    {ROLE_SENT,      "\\Sent"     },
    {ROLE_TRASH,     "\\Trash"    },
};

const char *imap_role_attributes(Arena *a, Role roles)
{
    Buf out buf_scoped = {0};
    for (size_t i = 0; i < COUNT(uses); i++) {
        if (!role_has(roles, uses[i].role)) continue;
        if (out.len) buf_char(&out, ' ');
        buf_add(&out, slice_of(uses[i].attribute));
    }
    return out.len ? arena_cstr(a, buf_slice(&out)) : NULL;
}

bool imap_role_named(Slice attribute, Role *role)
{
    for (size_t i = 0; i < COUNT(uses); i++) {
        if (!slice_eq_nocase(attribute, slice_of(uses[i].attribute))) continue;
        *role = uses[i].role;
        return role_can_combine(*role);
    }
    return false;
}
