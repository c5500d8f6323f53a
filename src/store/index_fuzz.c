/* Any octets as the file of index_memory.c: batches end where their checksum says, changes make
 * progress, keys are within their limits. */
#include "base/text.h"
#include "store/index.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take_changes(Slice changes)
{
    Reader r = reader(changes);
    IndexChange c;
    size_t left = r.rest.len;
    while (index_change_decode(&r, &c)) {
        must(r.rest.len < left && c.key.len > 0 && c.key.len <= INDEX_KEY_MOST);
        must(!c.remove || !c.value.len);
        left = r.rest.len;
    }
    must(r.bad || !r.rest.len);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Slice bytes = slice(data, size), changes;
    take_changes(bytes); /* as changes whose checksum happens to hold */
    while (index_batch_decode(&bytes, &changes)) {
        must(changes.len + bytes.len <= size);
        take_changes(changes);
    }
    return 0;
}
