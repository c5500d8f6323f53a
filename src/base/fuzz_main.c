/* The main of a fuzz target built without libFuzzer: runs it over every file of the directories
 * and files given. The target asserts, so coming back is passing. */
#include "base/fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static unsigned passed, failed;

static bool read_all(const char *path, Buf *out)
{
    FILE *f = fopen(path, "rb");
    if (!f) return false;
    size_t got;
    while ((got = fread(buf_reserve(out, 4096), 1, 4096, f)) > 0)
        out->len += got;
    bool good = !ferror(f);
    fclose(f);
    return good;
}

/* A copy of the exact size, so that the address sanitizer sees the first octet too many. */
static void feed(Slice bytes)
{
    uint8_t *copy = mem_new(bytes.len);
    if (bytes.len) memcpy(copy, bytes.at, bytes.len);
    LLVMFuzzerTestOneInput(copy, bytes.len);
    free(copy);
}

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)ftw;
    Buf bytes buf_scoped = {0};
    if (type == FTW_D) return 0;
    if (type != FTW_F || !read_all(path, &bytes)) {
        fprintf(stderr, "cannot read %s\n", path);
        failed++;
        return 0;
    }
    feed(buf_slice(&bytes));
    passed++;
    return 0;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (nftw(argv[i], visit, 16, FTW_PHYS)) failed++;
    if (!passed && !failed) failed++; /* no input at all is a mistake of the build */
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
