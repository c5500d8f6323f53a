#include "store/engine_fake.h"

#include "base/text.h"
#include "run/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* A directory of the real world that goes away with the test. */
typedef struct {
    char path[64];
} Dir;

static void dir_remove(Dir *d)
{
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s", d->path);
    check(!system(command));
}

static Dir dir_new(void)
{
    Dir d = {"/tmp/posthouse-engine-XXXXXX"};
    check(mkdtemp(d.path) != NULL);
    return d;
}
#define DIR_SCOPED(name) Dir name __attribute__((cleanup(dir_remove))) = dir_new()

static const EngineOptions small = {
    .segment_bytes = 256 * 1024, .map_bytes = 256 * 1024 * 1024, .checkpoint_ms = 20};

/* Commits must be handed over on the home loop of their account; the tests run on loop 0, so they
 * use the even accounts unless they say otherwise. */
TEST(what_was_committed_is_there_after_reopening)
{
    DIR_SCOPED(d);
    FakeHost h = {0};
    for (int round = 0; round < 4; round++) {
        check_ok(fake_open(&h, slice_of(d.path), &small));
        for (uint32_t acct = 2; acct <= FAKE_ACCOUNTS; acct += 2)
            fake_account(&h, acct);
        for (int i = 0; i < 50; i++)
            check_ok(fake_step(&h, (uint32_t)(i % 4 * 2 + 2)));
        fake_check_all(&h);
        check_u64(h.troubles, 0);
        fake_close(&h);
    }
    check_ok(fake_open(&h, slice_of(d.path), &small));
    check_u64(fake_account(&h, 2)->seq, 52);
    fake_check_all(&h);
    fake_close(&h);
}
