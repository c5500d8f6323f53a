/* A file of anything at all is opened, asked, tidied and added to. What is added afterwards is
 * found, whatever stood there before. */
#include "store/sigfile.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ACCT = 7, FRESH = 1000000 };

static void ask(SigFile *f)
{
    uint32_t eids[] = {1, 2, 3, 77, 300, 513, 70000, FRESH};
    BloomNeedle needle;
    must(bloom_needle(S("zebra"), &needle));
    size_t left = sigfile_filter(f, &needle, eids, COUNT(eids));
    must(left <= COUNT(eids));
    for (size_t i = 1; i < left; i++)
        must(eids[i - 1] < eids[i]);
}

static void add_and_find(SigFile *f)
{
    Buf chunk buf_scoped = {0};
    BloomNeedle has, hasnt;
    uint32_t eid = FRESH;
    sig_chunk(&chunk, ACCT, FRESH, S("one zebra"), true);
    must(!sigfile_append(f, buf_slice(&chunk)));
    must(sigfile_knows(f, FRESH));
    must(bloom_needle(S("zebra"), &has) && bloom_needle(S("a horse and a cow"), &hasnt));
    must(sigfile_filter(f, &has, &eid, 1) == 1);
    must(sigfile_filter(f, &hasnt, &eid, 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    int fd = memfd_create("sig", 0);
    must(fd >= 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    must(write(fd, data, size) == (ssize_t)size);
    SigFile *f = NULL;
    must(!sigfile_open(slice_of(path), ACCT, &f));
    ask(f);
    add_and_find(f);
    must(!sigfile_tidy(f));
    ask(f);
    sigfile_close(f);
    f = NULL;
    must(!sigfile_open(slice_of(path), ACCT, &f));
    must(sigfile_knows(f, FRESH));
    sigfile_close(f);
    close(fd);
    return 0;
}
