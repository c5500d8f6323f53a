/* The main of a fuzz target built without libFuzzer: runs it over every file of the directories
 * and files given. The target asserts, so coming back is passing. With --linear first each input is
 * repeated to 32 and to 128 KiB, too, and four times the octets may take ten times the work. */
#include "base/fuzz.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { SMALL = 32 * 1024, LARGE = 4 * SMALL, MORE_MOST = 10, NOISE_MS = 30 };

static unsigned passed, failed;
static bool linear;

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

/* Milliseconds of processor time for the input, over and over up to that size. */
static long work_ms(Slice bytes, size_t size)
{
    Buf much buf_scoped = {0};
    while (much.len < size)
        buf_add(&much, slice_first(bytes, size - much.len));
    clock_t start = clock();
    feed(buf_slice(&much));
    return (long)((clock() - start) * 1000 / CLOCKS_PER_SEC);
}

static void check_linear(const char *path, Slice bytes)
{
    if (!bytes.len) return;
    long small = work_ms(bytes, SMALL), large = work_ms(bytes, LARGE);
    if (large <= small * MORE_MOST + NOISE_MS) return;
    fprintf(stderr, "%s: %ld ms for %d octets, %ld ms for %d\n", path, small, SMALL, large, LARGE);
    failed++;
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
    if (linear) check_linear(path, buf_slice(&bytes));
    passed++;
    return 0;
}

int main(int argc, char **argv)
{
    linear = argc > 1 && !strcmp(argv[1], "--linear");
    for (int i = 1 + linear; i < argc; i++)
        if (nftw(argv[i], visit, 16, FTW_PHYS)) failed++;
    if (!passed && !failed) failed++; /* no input at all is a mistake of the build */
    printf("%u passed, %u failed\n", passed, failed);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
