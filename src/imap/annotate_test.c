/* Entry names: RFC 5257 3.2 and RFC 5464 3.2. */
#include "base/test.h"
#include "imap/annotate.h"
#include "imap/metadata.h"

static const struct {
    const char *name;
    bool fits, wild;
} names[] = {
    {"/comment",             true,  true },
    {"/vendor/x/y",          true,  true },
    {"/1/comment",           true,  true },
    {"/1.2.3/flags/seen",    true,  true },
    {"/comm*",               false, true },
    {"*",                    false, true },
    {"/%",                   false, true },
    {"/1.*",                 false, true },
    {"/",                    false, false},
    {"",                     false, false},
    {"comment",              false, false},
    {"/a//b",                false, false},
    {"/a/",                  false, false},
    {"/1",                   false, false},
    {"/0/comment",           false, false},
    {"/1./comment",          false, false},
    {"/1..2/comment",        false, false},
    {"/1a/comment",          false, false},
    {"/99999999999/comment", false, false},
    {"/flags",               false, false},
    {"/flags/x",             false, false},
    {"/flagship",            true,  true },
    {"/a\xc3\xa9",           false, false},
    {"/a\r\n",               false, false},
};

TEST(names_of_message_annotations)
{
    for (size_t i = 0; i < COUNT(names); i++) {
        check(annotate_entry_fits(slice_of(names[i].name), false) == names[i].fits);
        check(annotate_entry_fits(slice_of(names[i].name), true) == names[i].wild);
    }
    check(!annotate_entry_fits(slice("/a\0b", 4), false));
    char longest[ANNOTATION_NAME_MOST + 1];
    memset(longest, 'a', sizeof longest);
    longest[0] = '/';
    check(annotate_entry_fits(slice(longest, sizeof longest - 1), false));
    check(!annotate_entry_fits(slice(longest, sizeof longest), false));
}

static const struct {
    const char *name, *entry;
    bool shared, whole; /* whole: not only a prefix */
} entries[] = {
    {"/private/comment",   "/comment",    false, true },
    {"/SHARED/Comment",    "/comment",    true,  true },
    {"/shared/vendor/a/b", "/vendor/a/b", true,  true },
    {"/shared/vendor/a",   "/vendor/a",   true,  false},
    {"/shared/vendor",     "/vendor",     true,  false},
    {"/shared/vendors",    "/vendors",    true,  true },
    {"/private",           "",            false, false},
    {"/privately",         NULL,          false, false},
    {"/private/",          NULL,          false, false},
    {"/private//x",        NULL,          false, false},
    {"/comment",           NULL,          false, false},
    {"private/x",          NULL,          false, false},
    {"/private/a*",        NULL,          false, false},
    {"/private/a%",        NULL,          false, false},
    {"/private/a\x19",     NULL,          false, false},
    {"/private/a\xc3\xa9", NULL,          false, false},
};

TEST(names_of_mailbox_annotations)
{
    for (size_t i = 0; i < COUNT(entries); i++) {
        Arena a arena_scoped = {0};
        MetadataEntry e;
        Slice name = slice_of(entries[i].name);
        bool fits = metadata_entry_parse(&a, name, true, &e);
        check(fits == (entries[i].entry != NULL));
        check(metadata_entry_parse(&a, name, false, &e) == entries[i].whole);
        if (!fits || !metadata_entry_parse(&a, name, true, &e)) continue;
        check_slice(e.entry, slice_of(entries[i].entry));
        check(e.shared == entries[i].shared);
        check_slice(e.called, name);
    }
}
