#include "store/local.h"

#include "base/text.h"

/* Bodies are read from their segment with pread into the caller's buffer, no mapping: an I/O error
 * is an error then, not a SIGBUS. While a read is under way its body is not punched. */

static void reading(Engine *e, uint64_t at, int change)
{
    mutex_lock(&e->lock);
    intptr_t n = (intptr_t)number_table_get(&e->reading, at) + change;
    if (n)
        number_table_put(&e->reading, at, (void *)n);
    else
        number_table_take(&e->reading, at);
    mutex_unlock(&e->lock);
}

PARKS static Err inline_read(Engine *e, BlobRef ref, uint64_t offset, void *out, size_t len)
{
    Segment *s;
    TRY(segment_use(e, lsn_segment(ref.at), &s));
    Err err = file_read(s->file, lsn_offset(ref.at) + offset, out, len);
    segment_release(e, s);
    TRY(err);
    if (len == ref.len && crc32c(0, slice(out, len)) != ref.crc)
        return fail(ERR_CORRUPT, "the body at %llx is damaged", (unsigned long long)ref.at);
    return OK;
}

Err blob_read(Engine *e, BlobRef ref, uint64_t offset, void *out, size_t len)
{
    if (offset > ref.len || len > ref.len - offset)
        return fail(ERR_LIMIT, "a range outside of a body of %u octets", ref.len);
    if (!len) return OK;
    reading(e, ref.at, 1);
    Err err = ref.at & BLOB_BIG ? big_read(e, ref, offset, out, len)
                                : inline_read(e, ref, offset, out, len);
    reading(e, ref.at, -1);
    return err;
}
