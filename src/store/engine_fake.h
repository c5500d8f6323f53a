#pragma once
/* A small host for tests of the engine: an account is a counter, a hash over its records, and a few
 * emails with bodies. Which operation an account does at which seq is a pure function of both, so
 * what an account must look like at any seq can be worked out without looking. */
#include "base/test.h"
#include "store/digest.h"
#include "store/engine.h"

enum { FAKE_ACCOUNTS = 8 };

typedef struct {
    uint32_t eid;
    uint32_t origin; /* the account whose body it is, of that eid there */
    uint32_t origin_eid;
    BlobRef ref;
    bool shared, live, dirty;
} FakeEmail;

typedef struct {
    uint32_t eid;
    BlobRef ref;
    bool shared;
} FakeDrop;

typedef struct {
    uint32_t number;
    bool loaded, dirty, holes;
    uint64_t seq, next_seq; /* applied; to be handed over */
    uint64_t hash;
    FakeEmail *emails;
    size_t count, room;
    FakeDrop *drops;
    size_t drop_count, drop_room, drops_told;
} FakeAccount;

typedef struct {
    Engine *engine;
    FakeAccount accounts[FAKE_ACCOUNTS + 1]; /* from 1 */
    unsigned troubles, relocations;
    Err refuse_touch;
    bool holes; /* after damage a seq may be missing */
    bool ignores_touch;
    Err last_trouble;
} FakeHost;

PARKS Err fake_open(FakeHost *h, Slice dir, const EngineOptions *options) MUST_USE;
PARKS void fake_close(FakeHost *h);
PARKS FakeAccount *fake_account(FakeHost *h, uint32_t acct); /* loaded */

typedef struct {
    Commit commit;
    FakeHost *host;
    Buf record, body;
    Cond ended;
    bool is_over;
    void (*then)(void *arg); /* right after it was applied or has failed */
    void *arg;
    bool has_no_digest; /* of the body; zeros instead */
} FakeCommit;
/* The next operation of this account, handed over; wait for it, then done. */
void fake_begin(FakeHost *h, uint32_t acct, FakeCommit *c);
void fake_hand_over(FakeHost *h, uint32_t acct, FakeCommit *c); /* with record and body filled */
PARKS Err fake_wait(FakeCommit *c) MUST_USE;
void fake_commit_done(FakeCommit *c);
PARKS Err fake_step(FakeHost *h, uint32_t acct) MUST_USE; /* begin, wait, done */
/* By hand: an email with a body of that length; a link to another's body; giving one up; a note. */
PARKS Err fake_add(FakeHost *h, uint32_t acct, size_t len, bool shared, uint32_t *eid) MUST_USE;
PARKS Err fake_link(FakeHost *h, uint32_t acct, const FakeEmail *email, uint32_t *eid) MUST_USE;
PARKS Err fake_drop(FakeHost *h, uint32_t acct, uint32_t eid) MUST_USE;
PARKS Err fake_note(FakeHost *h, uint32_t acct, size_t len) MUST_USE;
FakeEmail *fake_email(FakeAccount *a, uint32_t eid);

void fake_body(Buf *out, uint32_t origin, uint32_t eid, size_t len);
/* Reads the body: OK when it is right to the last octet. */
PARKS Err fake_read(FakeHost *h, const FakeEmail *email) MUST_USE;
/* A directory of the real world that goes away with the test. */
typedef struct {
    char path[64];
} FakeDir;
FakeDir fake_dir_new(void);
void fake_dir_remove(FakeDir *d);
#define FAKE_DIR(name) FakeDir name __attribute__((cleanup(fake_dir_remove))) = fake_dir_new()
/* system(), with DIR replaced by the directory. */
void fake_shell(const FakeDir *d, const char *command);

/* Every account is what its operations up to its seq make of it, and every body reads right. */
PARKS void fake_check_all(FakeHost *h);
