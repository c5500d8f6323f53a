#include "run/memory.h"

#include "base/text.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LEVELS_MOST = 16, FILES = 3, TEXT_MOST = 8192 };

struct MemoryGauge {
    int machine;
    size_t levels;
    int group[LEVELS_MOST][FILES]; /* memory.max, memory.current, memory.stat */
    char text[FILES][TEXT_MOST];
};

/* ---- what the files say ---- */

uint64_t memory_of_line(Slice text, Slice name)
{
    for (Slice line; slice_cut(&text, '\n', &line);) {
        if (!slice_starts(line, name)) continue;
        Slice value = slice_trim(slice_from(line, name.len));
        uint64_t n, scale = slice_ends(value, S(" kB")) ? 1024 : 1;
        value = slice_first(value, slice_find(value, ' '));
        if (slice_to_u64(value, &n)) return n * scale;
    }
    return UINT64_MAX;
}

/* What is in the page cache is given back before anybody is killed. */
uint64_t memory_left_in_group(Slice max, Slice current, Slice stat)
{
    uint64_t limit, used, file = memory_of_line(stat, S("file "));
    if (!slice_to_u64(slice_trim(max), &limit) || !slice_to_u64(slice_trim(current), &used))
        return UINT64_MAX; /* "max" is no number: no limit */
    used -= file == UINT64_MAX ? 0 : MIN(file, used);
    return limit > used ? limit - used : 0;
}

static Slice read_again(int fd, char *text)
{
    ssize_t len = fd < 0 ? -1 : pread(fd, text, TEXT_MOST, 0);
    return slice(text, len < 0 ? 0 : (size_t)len);
}

uint64_t memory_gauge_left(MemoryGauge *g)
{
    uint64_t left = memory_of_line(read_again(g->machine, g->text[0]), S("MemAvailable:"));
    for (size_t i = 0; i < g->levels; i++) {
        Slice said[FILES];
        for (size_t k = 0; k < FILES; k++)
            said[k] = read_again(g->group[i][k], g->text[k]);
        left = MIN(left, memory_left_in_group(said[0], said[1], said[2]));
    }
    return left;
}

/* ---- opening ---- */

static void open_group(MemoryGauge *g, const char *folder)
{
    static const char *const names[FILES] = {"memory.max", "memory.current", "memory.stat"};
    int *fds = g->group[g->levels];
    char path[512];
    for (size_t k = 0; k < FILES; k++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[k]);
        fds[k] = open(path, O_RDONLY | O_CLOEXEC);
    }
    if (fds[0] >= 0) {
        g->levels++;
        return;
    }
    for (size_t k = 1; k < FILES; k++)
        if (fds[k] >= 0) close(fds[k]);
}

/* Version 2 has one line, "0::/system.slice/posthouse.service"; the limits of those above count,
 * too. */
static void open_groups(MemoryGauge *g)
{
    char folder[400];
    int fd = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    Slice all = read_again(fd, g->text[0]);
    if (fd >= 0) close(fd);
    for (Slice line; slice_cut(&all, '\n', &line);) {
        if (!slice_starts(line, S("0::/"))) continue;
        Slice path = slice_first(slice_from(line, 3), 300);
        while (g->levels < LEVELS_MOST) {
            snprintf(folder, sizeof folder, "/sys/fs/cgroup%.*s", SP(path));
            open_group(g, folder);
            if (path.len <= 1) break;
            path = slice_first(path, slice_find_last(path, '/'));
        }
    }
}

MemoryGauge *memory_gauge_open(void)
{
    MemoryGauge *g = NEW(MemoryGauge);
    g->machine = open("/proc/meminfo", O_RDONLY | O_CLOEXEC);
    open_groups(g);
    return g;
}

void memory_gauge_close(MemoryGauge *g)
{
    if (!g) return;
    if (g->machine >= 0) close(g->machine);
    for (size_t i = 0; i < g->levels; i++)
        for (size_t k = 0; k < FILES; k++)
            if (g->group[i][k] >= 0) close(g->group[i][k]);
    free(g);
}
