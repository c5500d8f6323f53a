/* Request frames: what a frame's head says holds, arguments come back as they were sent, and every
 * refusal is one of syntax. */
#include "base/fuzz.h"
#include "house/control.h"

static void check_args(Slice payload)
{
    Arena a arena_scoped = {0};
    Buf again buf_scoped = {0};
    const Slice *args, *args_again;
    size_t count, count_again;
    Err err = control_args(payload, &a, &args, &count);
    must(err == OK || err == ERR_SYNTAX);
    if (err) return;
    must(count && count <= CONTROL_ARGS_MOST);
    for (size_t i = 0; i < count; i++)
        buf_bytes(&again, args[i]);
    must(control_args(buf_slice(&again), &a, &args_again, &count_again) == OK);
    must(count == count_again);
    for (size_t i = 0; i < count; i++)
        must(slice_eq(args[i], args_again[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice rest = slice(data, size);
    while (rest.len >= CONTROL_HEAD) {
        char type;
        uint32_t len;
        Err err = control_head((const uint8_t *)rest.at, &type, &len);
        must(err == OK || err == ERR_SYNTAX);
        if (err) break;
        must(len < CONTROL_FRAME_MOST && type == rest.at[4]);
        rest = slice_from(rest, CONTROL_HEAD);
        if (len > rest.len) break;
        Buf frame buf_scoped = {0};
        control_frame(&frame, type, slice_first(rest, len));
        must(slice_eq(buf_slice(&frame), slice(rest.at - CONTROL_HEAD, CONTROL_HEAD + len)));
        check_args(slice_first(rest, len));
        rest = slice_from(rest, len);
    }
    check_args(rest);
    return 0;
}
