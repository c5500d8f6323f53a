/* A file of settings: accepted or refused with the line named; what was accepted is printed as a
 * file that says the same, and so do its lines one by one behind -o. Loaded from a file it is what
 * it is in memory; and the defaults with all their words are such a file, too. */
#include "base/fuzz.h"
#include "house/config.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum { OPTIONS_MOST = 100 };

static void never(void *arg, Slice key)
{
    (void)arg;
    must(key.len > SIZE_MAX - 1); /* two that say the same differ */
}

static void count_one(void *arg, Slice key)
{
    must(key.len);
    ++*(size_t *)arg;
}

static void check_printed(const Config *c)
{
    static Config again;
    Buf said buf_scoped = {0}, said_again buf_scoped = {0};
    config_print(c, &said);
    config_defaults(&again);
    must(config_parse(&again, buf_slice(&said)) == OK);
    config_print(&again, &said_again);
    must(slice_eq(buf_slice(&said), buf_slice(&said_again)));
    config_compare(c, &again, never, NULL);
    config_done(&again);
}

static void check_defaults(const Config *c)
{
    static Config defaults, documented;
    Buf all buf_scoped = {0};
    size_t changed = 0;
    config_defaults(&defaults);
    config_compare(c, &defaults, count_one, &changed);
    config_print_defaults(&all);
    config_defaults(&documented);
    must(!config_parse(&documented, buf_slice(&all)));
    config_compare(&documented, &defaults, never, NULL);
    config_done(&documented);
    config_done(&defaults);
}

static void check_options(Slice text)
{
    static Config c;
    Slice options[OPTIONS_MOST], line;
    Words words = {.items = options};
    while (words.count < OPTIONS_MOST && slice_cut(&text, '\n', &line))
        options[words.count++] = line;
    config_defaults(&c);
    Err err = config_options(&c, &words);
    must(!err || err == ERR_CONFIG);
    if (!err) check_printed(&c);
    config_done(&c);
}

static void check_file(Slice text, Err expected)
{
    static Config c;
    static int fd = -1;
    char path[64];
    if (fd < 0) fd = memfd_create("config", MFD_CLOEXEC);
    must(fd >= 0 && !ftruncate(fd, 0) && pwrite(fd, text.at, text.len, 0) == (ssize_t)text.len);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    Err err = config_load(&c, slice_of(path));
    must(err == expected || (err == ERR_TOO_BIG && text.len > 1 << 20));
    config_done(&c);
    must(config_load(&c, S("/proc/self/fd/none")) == ERR_NOT_FOUND);
    config_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Config c;
    Slice text = slice(data, size);
    config_defaults(&c);
    Err err = config_parse(&c, text);
    must(!err || (err == ERR_CONFIG && slice_starts(slice_of(err_story()), S("line "))));
    if (!err) check_printed(&c);
    if (!err) check_defaults(&c);
    check_file(text, err);
    config_done(&c);
    check_options(text);
    return 0;
}
