#include "store/local.h"

#include <stdlib.h>

/* A backup keeps bodies that were given up after it was copied: dead marks and holes are not
 * carried over. The index that is restored with them has forgotten most, so what nobody refers to
 * is looked for once, and goes the way of everything that dies. */

typedef struct {
    Request request;
    const NumberTable *alive;
    uint64_t octets;
    Err err;
    char story[STORY_ROOM];
} Reclaim;

static Err look_at_segment(Reclaim *r, uint32_t number)
{
    Engine *e = r->request.engine;
    Walk walk;
    LogRecord rec;
    Verdict verdict;
    bool more = true;
    Err err = walk_begin(e, number, &walk);
    while (!err && !(err = walk_next(&walk, &rec, &verdict, &more)) && more) {
        if (!rec.head.body_len || rec.head.dead) continue;
        if (number_table_get(r->alive, rec.body.at)) continue;
        BlobRef *ref = NEW(BlobRef);
        *ref = rec.body;
        mutex_lock(&e->lock);
        free(number_table_put(&e->dead, ref->at, ref));
        mutex_unlock(&e->lock);
        r->octets += rec.body.len;
    }
    walk_end(&walk);
    return err;
}

static void look_aside(void *arg)
{
    Reclaim *r = (Reclaim *)arg;
    Engine *e = r->request.engine;
    for (size_t i = 0; i < e->segment_count && !r->err; i++)
        r->err = look_at_segment(r, e->segments[i]->number);
    if (r->err) story_keep(r->story, err_story());
}

PARKS static Err reclaim(Engine *e, Request *request)
{
    Reclaim *r = CONTAINER(request, Reclaim, request);
    TRY(checkpoint_run(e)); /* only what is before its position may be marked */
    aside(look_aside, r);
    if (r->err) return fail(r->err, "%s", r->story);
    for (size_t before = 0; e->dead.count != before;) {
        before = e->dead.count;
        TRY(space_mark(e));
    }
    return checkpoint_run(e);
}

Err engine_reclaim(Engine *e, const NumberTable *alive, uint64_t *octets)
{
    Reclaim r = {.request.run = reclaim, .alive = alive};
    TRY(maintenance_ask(e, &r.request));
    *octets = r.octets;
    return OK;
}
