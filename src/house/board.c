#include "house/board.h"

#include "base/table.h"
#include "run/log.h"
#include "run/memory.h"
#include "run/run.h"
#include "run/shared.h"

#include <stdlib.h>
#include <unistd.h>

typedef struct {
    Metrics metrics;
    atomic_bool used; /* by somebody, ever: pages that nobody has touched stay so */
    atomic_ulong connections, strangers;
    _Atomic(uint32_t) places[BOARD_ROWS][BOARD_PLACES];
} Slot;

typedef struct {
    uint64_t layout; /* what lies where: of the program that made it */
    uint64_t key[2];
    atomic_bool memory_short;
    Slot slots[];
} Shared;

typedef struct Watch Watch;

struct Board {
    Watch *watch;
    _Atomic(uint64_t) reserve; /* of memory: who watches it, reads it again and again */
    Shared *shared;
    Slot *own;
    unsigned slots;
    bool alone;
};

struct Watch {
    Board *board; /* NULL: it is gone */
    MemoryGauge *gauge;
    uint64_t left;
};

static size_t octets_of(unsigned slots)
{
    return sizeof(Shared) + slots * sizeof(Slot);
}

/* ---- making ---- */

/* The names of all counters in their order, and the size of it all. */
static uint64_t own_layout(void)
{
    static const char counters[] =
#define METRIC(symbol, name, labels, type, help) #symbol " "
#include "base/metrics.def"
#undef METRIC
        ;
    return (uint64_t)slice_hash_crc(slice(counters, sizeof counters - 1)) << 32 | octets_of(1);
}

static void begin(Shared *s)
{
    s->layout = own_layout();
    random_bytes(s->key, sizeof s->key);
}

Err board_make(unsigned slots, int *fd)
{
    must(slots && slots <= BOARD_SLOTS_MOST);
    void *memory;
    TRY(shared_make("board", octets_of(slots), fd));
    TRY(shared_map(*fd, octets_of(slots), &memory));
    begin(memory);
    shared_unmap(memory, octets_of(slots));
    return OK;
}

/* Who had the slot before has gone, and its connections with it; what it has counted stays. */
static void take(Slot *slot)
{
    static const Metric gone[] = {
        METRIC_CONNECTIONS_IMAP,  METRIC_CONNECTIONS_IMAPS,   METRIC_CONNECTIONS_POP3,
        METRIC_CONNECTIONS_POP3S, METRIC_CONNECTIONS_LMTP,    METRIC_CONNECTIONS_SMTP,
        METRIC_CONNECTIONS_POP2,  METRIC_CONNECTIONS_METRICS, METRIC_PASSWORDS_WAITING};
    metrics_use(&slot->metrics);
    for (size_t i = 0; i < COUNT(gone); i++)
        metric_set(gone[i], 0);
    atomic_store(&slot->connections, 0);
    atomic_store(&slot->strangers, 0);
    if (atomic_exchange(&slot->used, true)) memset(slot->places, 0, sizeof slot->places);
}

/* An upgrade: the warden that made it is of another version than we. Of another size it may be,
 * too, but not smaller than its first word. */
static Err look_at_layout(int fd)
{
    uint64_t layout;
    ssize_t got = pread(fd, &layout, sizeof layout, 0);
    if (got != sizeof layout) return fail(ERR_SYNTAX, "that is no board");
    if (layout == own_layout()) return OK;
    return fail(ERR_CONFIG, "this program counts other things than the one that runs: stop and "
                            "start the service (systemctl restart posthouse)");
}

Err board_open(int fd, unsigned slots, unsigned slot, Board **board)
{
    void *memory;
    if (slots > BOARD_SLOTS_MOST || slot >= slots) return fail(ERR_SYNTAX, "no such slot");
    TRY(look_at_layout(fd));
    TRY(shared_map(fd, octets_of(slots), &memory));
    Board *b = NEW(Board);
    *b = (Board){.shared = memory, .slots = slots};
    b->own = &b->shared->slots[slot];
    take(b->own);
    *board = b;
    return OK;
}

Board *board_new(void)
{
    Board *b = NEW(Board);
    *b = (Board){.shared = mem_zero(octets_of(1)), .slots = 1, .alone = true};
    b->own = b->shared->slots;
    begin(b->shared);
    metrics_use(&b->own->metrics);
    return b;
}

void board_free(Board *b)
{
    if (!b) return;
    if (b->watch) b->watch->board = NULL; /* it may be looking right now */
    metrics_use(NULL);
    if (b->alone)
        free(b->shared);
    else
        shared_unmap(b->shared, octets_of(b->slots));
    free(b);
}

/* ---- how many of whom ---- */

uint64_t board_connections(const Board *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->slots; i++)
        sum += atomic_load(&b->shared->slots[i].connections);
    return sum;
}

uint64_t board_strangers(const Board *b)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->slots; i++)
        sum += atomic_load(&b->shared->slots[i].strangers);
    return sum;
}

void board_stranger(Board *b, int change)
{
    atomic_fetch_add(&b->own->strangers, (unsigned long)(long)change);
}

static size_t place_of(const Board *b, Slice address, unsigned row)
{
    uint64_t hash = keyed_hash_with(b->shared->key, address);
    return (hash >> (32 * row)) % BOARD_PLACES;
}

uint32_t board_count(const Board *b, Slice address)
{
    uint32_t least = UINT32_MAX;
    for (unsigned row = 0; row < BOARD_ROWS; row++) {
        size_t place = place_of(b, address, row);
        uint32_t sum = 0;
        for (unsigned i = 0; i < b->slots; i++)
            sum += atomic_load(&b->shared->slots[i].places[row][place]);
        least = MIN(least, sum);
    }
    return least;
}

static void change(Board *b, Slice address, int by)
{
    atomic_fetch_add(&b->own->connections, (unsigned long)(long)by);
    if (!address.len) return;
    for (unsigned row = 0; row < BOARD_ROWS; row++)
        atomic_fetch_add(&b->own->places[row][place_of(b, address, row)], (uint32_t)by);
}

void board_enter(Board *b, Slice address)
{
    change(b, address, 1);
}

void board_leave(Board *b, Slice address)
{
    change(b, address, -1);
}

/* ---- the rest ---- */

static void look(void *arg)
{
    Watch *w = arg;
    w->left = memory_gauge_left(w->gauge);
}

PARKS static void watch(void *arg)
{
    enum { LOOK_MS = 500 };
    Watch *w = arg;
    do {
        aside(look, w);
        if (!w->board) break;
        bool is_short = w->left < atomic_load(&w->board->reserve);
        if (is_short && !board_memory_is_short(w->board))
            log_event(LOG_LEVEL_WARN, "memory_short", KV_NUM("octets_left", w->left),
                      KV_TEXT("limit", "memory_reserve"));
        if (!is_short && board_memory_is_short(w->board))
            log_event(LOG_LEVEL_INFO, "memory_enough", KV_NUM("octets_left", w->left));
        board_set_memory_short(w->board, is_short);
    } while (fiber_sleep(LOOK_MS) != WOKEN_CANCELLED && w->board);
    if (w->board) w->board->watch = NULL;
    memory_gauge_close(w->gauge);
    free(w);
}

void board_watch_memory(Board *b, uint64_t reserve_octets)
{
    Watch *w = NEW(Watch);
    *w = (Watch){.board = b, .gauge = memory_gauge_open()};
    b->watch = w;
    board_set_reserve(b, reserve_octets);
    fiber_start("memory", watch, w);
}

void board_set_reserve(Board *b, uint64_t octets)
{
    atomic_store(&b->reserve, octets);
}

void board_set_memory_short(Board *b, bool is_short)
{
    atomic_store(&b->shared->memory_short, is_short);
}

bool board_memory_is_short(const Board *b)
{
    return atomic_load(&b->shared->memory_short);
}

uint64_t board_sum(const Board *b, Metric metric)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < b->slots; i++)
        sum += metric_of(&b->shared->slots[i].metrics, metric);
    return sum;
}

void board_print_metrics(const Board *b, Buf *out)
{
    const Metrics *all[BOARD_SLOTS_MOST];
    for (unsigned i = 0; i < b->slots; i++)
        all[i] = &b->shared->slots[i].metrics;
    metrics_print(out, all, b->slots);
}
