/* A name of a file or folder from anywhere becomes the name of a mailbox; from then on it stays the
 * same, out and in again. */
#include "base/fuzz.h"
#include "base/text.h"
#include "house/transfer.h"

enum { PATH_OCTETS = 4096 }; /* no path is longer */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Arena a arena_scoped = {0};
    Buf dotted buf_scoped = {0}, path buf_scoped = {0};
    Slice raw = slice(data, size), name = name_from_dotted(&a, raw), below = {0}, level;
    must(utf8_is_valid(name) && slice_find(name, 0) == name.len);
    name_to_dotted(&dotted, name);
    must(slice_eq(name_from_dotted(&a, buf_slice(&dotted)), name));
    if (size > PATH_OCTETS) return 0;
    name_to_path(&path, name);
    for (Slice rest = buf_slice(&path); slice_cut(&rest, '/', &level);) {
        must(!slice_eq(level, S(".")) && !slice_eq(level, S("..")));
        below = name_below(&a, below, level);
    }
    must(slice_eq(below, name));
    return 0;
}
