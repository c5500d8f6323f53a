/* Devices: each sees what it has not fetched, whatever the others did. Which uids it has is an
 * object, collection "pop3-device", id "MAILBOX DEVICE":
 *
 *     varint uidvalidity   ranges of uids: varint gap to the end of the one before, length - 1
 *
 * A range goes from the first message fetched to the last without one between that is not; so it
 * stays short, and what was expunged in between does not matter. */
#include "base/text.h"
#include "pop3/session.h"

#include <stdlib.h>

enum { NAME_MOST = 100, DEVICES_MOST = 500, TRIES = 5 };

static Slice object_id(Pop3 *s)
{
    return arena_printf(&s->arena, "%08x %.*s", mailbox_status(s->inbox).id,
                        SP(buf_slice(&s->device)));
}

static bool read_ranges(Reader *in, Arena *a, UidSet *set)
{
    uint64_t last = 0;
    while (in->rest.len && !in->bad) {
        uint64_t first = last + read_varint(in);
        uint64_t end = first + read_varint(in);
        if (first <= last || end >= UINT32_MAX || end < first) return false;
        uidset_add(a, set, (uint32_t)first, (uint32_t)end);
        last = end;
    }
    return !in->bad;
}

/* After another UIDVALIDITY nothing is known to be fetched. */
PARKS static Err load(Pop3 *s, Arena *a, UidSet *set, uint64_t *seq)
{
    Slice value;
    *set = (UidSet){0};
    *seq = 0;
    Err err = object_get(s->account, S("pop3-device"), object_id(s), &s->arena, &value, seq);
    if (err) return err == ERR_NOT_FOUND ? OK : err;
    Reader in = reader(value);
    bool ours = read_varint(&in) == mailbox_status(s->inbox).uid_validity;
    if (!ours || !read_ranges(&in, a, set)) *set = (UidSet){0};
    return OK;
}

/* A client that makes up a new name each time must not fill the store. */
PARKS static Err check_room(Pop3 *s)
{
    Slice *ids;
    size_t count;
    TRY(object_list(s->account, S("pop3-device"), (Slice){0}, DEVICES_MOST, &s->arena, &ids,
                    &count));
    return count < DEVICES_MOST ? OK : fail(ERR_LIMIT, "too many devices");
}

PARKS Err device_open(Pop3 *s)
{
    Slice name = buf_slice(&s->device);
    if (!is_device(s)) return OK;
    if (name.len > NAME_MOST || text_has_ctl(name) || !utf8_is_valid(name))
        return fail(ERR_NOT_FOUND, "a device's name");
    uint64_t seq;
    TRY(load(s, &s->device_arena, &s->fetched, &seq));
    return seq ? OK : check_room(s);
}

void device_close(Pop3 *s)
{
    free(s->shown);
    s->shown = NULL;
    s->fetched = (UidSet){0};
    arena_done(&s->device_arena);
}

/* `before` and what this session has taken, over what exists. */
PARKS static void write_ranges(Pop3 *s, const UidSet *before, Buf *out)
{
    Message m;
    uint32_t found, number = 0, last = 0;
    UidRange range = {0};
    bool gone;
    for (uint32_t uid = 1; view_next(s->view, uid, &m, &found, &gone); uid = m.uid + 1) {
        bool shown = !uidset_has(&s->fetched, m.uid);
        number += shown;
        bool taken = (shown && maildrop_marks(s, number)) || uidset_has(before, m.uid);
        if (taken && !range.first) range.first = m.uid;
        if (taken) range.last = m.uid;
        if (!taken && range.first) {
            buf_varint(out, range.first - last);
            buf_varint(out, range.last - range.first);
            last = range.last;
            range = (UidRange){0};
        }
        if (found % 512 == 0) breathe();
        if (m.uid == UINT32_MAX) break;
    }
    if (!range.first) return;
    buf_varint(out, range.first - last);
    buf_varint(out, range.last - range.first);
}

/* Another session of the same device may have been quicker: then again, with what it says. */
PARKS Err device_update(Pop3 *s)
{
    Err err = ERR_CONFLICT;
    if (!is_device(s) || !maildrop_is_marked(s)) return OK;
    for (int i = 0; i < TRIES && err == ERR_CONFLICT; i++) {
        Arena arena arena_scoped = {0};
        Buf value buf_scoped = {0};
        UidSet before;
        uint64_t seq;
        TRY(load(s, &arena, &before, &seq));
        buf_varint(&value, s->uid_validity);
        write_ranges(s, &before, &value);
        err = object_put(s->account, S("pop3-device"), object_id(s), buf_slice(&value),
                         seq ? &seq : NULL);
    }
    return err;
}
