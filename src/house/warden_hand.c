/* What a role is handed when it starts, and what the others are told of it. A pair is made when the
 * later of its two processes starts: it gets its end before BEGIN. The other gets its one at once,
 * or, where it would talk to somebody who may yet fail, when that one is ready. */
#include "house/role.h"
#include "house/warden_inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- the configuration ---- */

/* Secrets, and who needs them. */
static const struct {
    Slice key;
    CastRole who;
} secrets[] = {
    {{"oauth_client_secret", 19}, CAST_RUNNER},
};

static void print_for(const Config *config, CastRole who, Buf *out)
{
    Buf all buf_scoped = {0};
    Slice rest, line;
    config_print(config, &all);
    rest = buf_slice(&all);
    while (slice_cut(&rest, '\n', &line)) {
        bool is_told = true;
        Slice key = slice_trim(slice_first(line, slice_find(line, '=')));
        for (size_t i = 0; i < COUNT(secrets); i++)
            is_told &= secrets[i].who == who || !slice_eq(key, secrets[i].key);
        if (is_told) buf_add(out, line);
        buf_char(out, '\n');
    }
}

void hand_config(Member *m)
{
    enum { PIECE = 32768 };
    Buf text buf_scoped = {0};
    print_for(&m->warden->config, m->kind, &text);
    for (Slice rest = buf_slice(&text); rest.len; rest = slice_from(rest, PIECE))
        member_say(m, &(Memo){.kind = MEMO_CONFIG, .text = {slice_first(rest, PIECE)}}, NULL);
}

/* ---- joints ---- */

typedef struct {
    CastRole from, to; /* who asks, who answers */
    bool by_ring;
} Bond;

static const Bond bonds[] = {
    {CAST_FRONT,  CAST_HOUSE,  true },
    {CAST_FRONT,  CAST_KEEPER, false},
    {CAST_HOUSE,  CAST_KEEPER, false},
    {CAST_KEEPER, CAST_RUNNER, false},
};

static Memo joint_memo(const Member *peer, unsigned index, unsigned count)
{
    return (Memo){
        .kind = MEMO_JOINT, .number = {peer->kind, peer->number, index, count}
    };
}

static Err bind_by_sockets(Member *a, Member *b)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends))
        return fail(ERR_LIMIT, "socketpair: %s", strerror(errno));
    Memo of_b = joint_memo(b, 0, 0), of_a = joint_memo(a, 0, 0);
    member_say(a, &of_b, &(Fds){{ends[0]}, 1});
    member_say(b, &of_a, &(Fds){{ends[1]}, 1});
    close(ends[0]);
    close(ends[1]);
    return OK;
}

/* m gets its end now, its peer when m is ready. */
static Err bind_by_rings(Member *m, Member *peer)
{
    for (unsigned i = 0; i < m->warden->loops; i++) {
        RingFds ring = {-1, -1, -1};
        TRY(ring_make(&ring));
        Fds fds = {
            {ring.memory, ring.wake_first, ring.wake_second},
            3
        };
        Memo memo = joint_memo(peer, i, m->warden->loops);
        member_say(m, &memo, &fds);
        memo = joint_memo(m, i, m->warden->loops);
        member_say_later(m, peer, &memo, &fds);
        ring_fds_close(&ring);
    }
    return OK;
}

static Err bind_to(Member *m, Member *peer)
{
    for (size_t i = 0; i < COUNT(bonds); i++) {
        const Bond *b = &bonds[i];
        bool fits = (b->from == m->kind && b->to == peer->kind) ||
                    (b->to == m->kind && b->from == peer->kind);
        if (fits) return b->by_ring ? bind_by_rings(m, peer) : bind_by_sockets(m, peer);
    }
    return OK;
}

static Err bind_all(Member *m)
{
    list_each (link, &m->warden->members) {
        Member *peer = CONTAINER(link, Member, of_warden);
        if (peer != m && peer->post) TRY(bind_to(m, peer));
    }
    return OK;
}

/* ---- sockets ---- */

void hand_doors(Member *m, unsigned place)
{
    const Warden *w = m->warden;
    for (size_t i = 0; i < w->doorway_count; i++) {
        const Doorway *d = &w->doorways[i];
        Memo memo = {.kind = MEMO_LISTENER, .number = {d->service}};
        bool has_it = place != m->place && place % d->count == m->place % d->count;
        if (!has_it) member_say(m, &memo, &(Fds){{d->fds[place % d->count]}, 1});
    }
}

Err hand_all(Member *m)
{
    const Warden *w = m->warden;
    const Demo *demo = w->start->demo;
    Memo board = {
        .kind = MEMO_BOARD, .number = {w->slots, m->slot}
    };
    Memo begin = {
        .kind = MEMO_BEGIN, .number = {m->number, demo ? demo->accounts : 0}
    };
    if (demo && m->kind == CAST_KEEPER) begin.text[0] = demo->password;
    member_say(m, &board, &(Fds){{w->board}, 1});
    hand_config(m);
    if (m->kind == CAST_FRONT) hand_doors(m, m->place);
    if (m->kind == CAST_HOUSE)
        member_say(m, &(Memo){.kind = MEMO_CONTROL}, &(Fds){{w->control}, 1});
    TRY(bind_all(m));
    member_say(m, &begin, NULL);
    return OK;
}

/* ---- the others ---- */

void hand_gone(Member *m)
{
    Memo memo = {
        .kind = MEMO_GONE, .number = {m->kind, m->number}
    };
    list_each (link, &m->warden->members) {
        Member *peer = CONTAINER(link, Member, of_warden);
        if (peer != m && peer->post) member_say(peer, &memo, NULL);
    }
}
