#pragma once
/* For tests: a store in a directory of its own, with one account at home on the test's loop. */
#include "base/test.h"
#include "store/model.h"

typedef struct {
    char dir[64];
    Store *store;
    Account *account;
    uint32_t acct;
    StoreOptions options;
    Arena arena;
} World;
PARKS void world_open(World *w, const StoreOptions *options);
PARKS void world_reopen(World *w); /* closes the store and opens it again */
PARKS void world_close(World *w);

PARKS Mailbox *world_box(World *w, const char *name);
/* A message with this subject; the mailbox's next uid. */
PARKS uint32_t world_append(World *w, Mailbox *box, const char *subject, uint8_t flags);
PARKS void world_append_many(World *w, Mailbox *box, size_t count);
PARKS uint32_t world_append_octets(World *w, Mailbox *box, Slice octets, const DraftPlace *place);
PARKS void world_flag(Mailbox *box, uint32_t first, uint32_t last, ChangeHow how, uint8_t flags);
PARKS void world_keyword(Mailbox *box, uint32_t uid, ChangeHow how, const char *keyword);
PARKS void world_expunge(Mailbox *box, uint32_t first, uint32_t last);
UidSet world_uids(Arena *a, uint32_t first, uint32_t last);
/* "1,3:5", in the world's arena */
Slice world_print(World *w, const UidSet *uids);
/* "1 2S 7FD$Forwarded": uids, letters of flags (S A F D T for draft), keywords of a mailbox. */
Slice world_show(World *w, Mailbox *box);
