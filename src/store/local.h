#pragma once
/* The inside of the local engine: what its files share. engine.h is the outside.
 *
 *   engine_local.c  open, close, status; the public face
 *   segments.c      the table of segment files
 *   walk.c          reading records one after the other
 *   log.c           commits: queue, group commit
 *   ahead.c         space ahead of the tail, the next segment, a full disk
 *   recovery.c      opening: which index, scan, cut
 *   tails.c         what recovery found, until it is folded
 *   keys.c          keys of the index
 *   checkpoint.c    pages and position into the index
 *   maintenance.c   the fiber that does what is not a commit or a read
 *   space.c         pins, dead marks, hole punching, recycling
 *   compact.c       moving what lives out of segments where little does
 *   copies.c        copies of the index
 *   blob.c          reading bodies
 *   big.c           bodies that are files of their own
 *   scrub.c         reads everything again
 *   backup.c        holding still for a backup; reclaim.c: after one was restored
 *
 * Threads: commits come from any loop, the log is written on a helper thread (one at a time),
 * checkpoint, compaction and copies run one after the other in the maintenance fiber on loop 0.
 * `lock` guards what they share; nothing waits while holding it. */
#include "base/table.h"
#include "run/file.h"
#include "store/engine.h"
#include "store/index.h"
#include "store/segment.h"

enum { STORY_ROOM = 300 };

/* A place between two records, and what is needed to go on from it. */
typedef struct {
    uint64_t lsn;   /* where the next record starts */
    uint64_t last;  /* lsn of the record before; 0: none */
    uint32_t chain; /* of that record */
    uint32_t epoch; /* of it */
} LogPosition;

typedef struct {
    uint32_t number;
    uint32_t end;          /* where its records end */
    uint64_t bodies, live; /* octets of bodies: all, and those not dead */
    File *file;            /* open when somebody has used it lately */
    unsigned users;
    uint64_t used_at; /* tick of the last use */
    bool drained;     /* compaction has moved what lived */
    bool changed;     /* its numbers are newer than in the index */
    bool counted;     /* the index had some */
} Segment;

/* One flush. Its completions run on their loops; when all have, what it wrote counts as applied. */
typedef struct LogBatch {
    struct LogBatch *next;
    LogPosition after;
    uint32_t pending;
    uint64_t body_octets;
} LogBatch;

typedef struct {
    Commit *first, **last; /* the queue */
    bool writing;          /* a helper thread is at it */
    bool started;          /* recovery is over */
    Job job;
    NumberTable failed; /* account -> how many failed commits whose done has not run yet */
    LogBatch *batches, **batches_last;

    /* the writer's own */
    File *file;
    LogPosition position;
    uint64_t allocated;
    uint64_t zeroed; /* of the segment, blocks before it have been written, if only with zeros */
    uint64_t usual;  /* octets of a flush, lately */
    uint32_t epoch;
    bool has_reserve; /* log/reserve is there */
    bool in_reserve;  /* and when not: the tail is in it */
    Buf staging;
} Log;

typedef struct Request { /* for the maintenance fiber */
    Link link;
    Engine *engine;
    Err (*run)(Engine *e, struct Request *r);
    uint64_t freed;
    Err err;
    bool done;
    char story[STORY_ROOM];
} Request;

typedef struct TailItem {
    struct TailItem *next;
    TailEntry entry;
    LogPosition before;
} TailItem;
typedef struct {
    TailItem *first, **last;
    bool served;
} Tail;

typedef struct { /* what the last backup has; end 0: there was none */
    uint64_t position, end;
    int64_t moment;       /* Unix seconds */
    int64_t look_ms;      /* before that, no look for what may go */
    NumberTable big_dead; /* at of big bodies that were given up before it began */
} Backed;

struct Engine {
    Slice dir;
    Arena memory; /* paths and such; lives as long as the engine */
    EngineOptions options;
    EngineHost host;
    uint8_t uuid[16];
    uint32_t salt;
    uint32_t epoch; /* the newest that the index knows of */
    File *lock_file;
    Index *index;

    Mutex lock;
    Log log;
    Err health;
    char health_story[STORY_ROOM];
    Segment **segments; /* sorted by number; the last one is written to */
    size_t segment_count, segment_room, segment_open;
    uint64_t segment_tick;
    LogPosition applied;      /* all completions of what is before have run */
    uint64_t octets_unfolded; /* written since the last checkpoint began */
    bool overwrites;          /* its file system does, see path_overwrites */
    bool told;                /* maintenance was woken since its last round began */
    bool wake_posted;         /* it is about to be */
    Task wake_task;
    NumberTable pins;     /* at -> Pin */
    NumberTable reading;  /* at -> count of reads under way */
    NumberTable moved;    /* old at -> new place of a relocated body; until folded */
    NumberTable dead;     /* at -> BlobRef of bodies to be marked */
    NumberTable marked;   /* at of those that are marked, still in the index */
    NumberTable gone;     /* numbers of recycled segments, still in the index */
    NumberTable big_refs; /* ids of big bodies that records refer to, not yet in the index */
    uint64_t checkpoints_begun, commits_begun;
    size_t pins_ending; /* of the pins, those with nobody left */
    bool big_dirs[256]; /* which of those in big/ are durable, for all that this process knows */
    uint64_t punch_failures;
    bool has_ballast;  /* idx/reserve is whole */
    unsigned troubles; /* posted, not told yet */
    EngineStatus counters;
    EngineBackup *backup; /* under way */
    Backed backed;

    /* loop 0 only */
    bool dirty, closing, running;
    bool gives_space;  /* bodies have been marked dead since the last compaction */
    bool index_failed; /* for good */
    Err fold_err;      /* of the last checkpoint */
    Cond wake, finished;
    Link requests;
    uint64_t checkpoint_lsn;
    LogPosition hold; /* lsn not 0: a tail from here on could not be folded */
    int64_t marks_ms, copy_ms, compact_ms, touch_ms;
    NumberTable tails; /* account -> Tail, what recovery left; changed only between touches */
    uint64_t tail_octets;
};

enum { COMMIT_TAKE_MOST = 16 * 1024 * 1024, AHEAD = 64 * 1024 * 1024 };

Slice engine_path(const Engine *e, Arena *a, const char *fmt, ...) PRINTF(3, 4);
void story_keep(char to[STORY_ROOM], const char *story);
void engine_trouble(Engine *e, Err err, const char *fmt, ...) PRINTF(3, 4); /* any thread */
void engine_read_only(Engine *e, Err err, const char *story);               /* any thread */

/* segments.c */
Segment *segment_add(Engine *e, uint32_t number);  /* behind the others; with the lock */
Segment *segment_find(Engine *e, uint32_t number); /* with the lock; NULL: no such segment */
void segment_remove(Engine *e, uint32_t number);   /* with the lock; nobody uses it */
/* Its file stays open until released. */
Err segment_use(Engine *e, uint32_t number, Segment **segment) MUST_USE;
void segment_release(Engine *e, Segment *segment);
Slice segment_path(const Engine *e, Arena *a, uint32_t number);
int segment_mode(Engine *e, uint32_t number); /* how it is to be opened */
/* While opening, blocks: those before the position that the index says nothing of are read. Taken
 * for empty they would be recycled, with all that lives there. */
void segments_recount(Engine *e, uint64_t position);
void segments_done(Engine *e);

/* walk.c: records of a segment, read through a window that slides. {0} with the file set. Blocks.
 */
typedef struct {
    File *file;
    Buf bytes;
    uint64_t at;
} Window;
/* At least `len` octets from offset on, fewer at the end of the file. Borrowed until the next. */
Err window_read(Window *w, uint64_t offset, uint64_t len, Slice *out) MUST_USE;
Err window_record(Window *w, const RecordPlace *place, LogRecord *out, Verdict *verdict) MUST_USE;
typedef struct {
    Engine *e;
    Segment *segment;
    Window window;
    RecordPlace place; /* of the next record */
    uint32_t end;
} Walk;
/* From the first record of a segment to where it ends now. */
Err walk_begin(Engine *e, uint32_t number, Walk *walk) MUST_USE;
/* false: the end, or (verdict VERDICT_NONE) nothing that holds. */
Err walk_next(Walk *walk, LogRecord *out, Verdict *verdict, bool *more) MUST_USE;
/* Behind damage: to the next record that stands by itself. false: there is none. */
Err walk_resume(Walk *walk, bool *more) MUST_USE;
void walk_end(Walk *walk);

/* log.c */
Err log_start(Engine *e, const LogPosition *at) MUST_USE; /* after recovery */
void log_work(Job *job);

/* ahead.c: for the writer only. `small`: it may go on in the reserve. */
Err log_reserve(Engine *e) MUST_USE; /* log/reserve is there, or ERR_DISK_FULL */
Err log_grow(Engine *e, uint64_t need) MUST_USE;
/* Behind a flush, with nobody waiting for the next: zeros ahead of the tail, where that pays. */
bool log_wants_zeros(const Engine *e);
Err log_zero_some(Engine *e) MUST_USE;
Err log_roll(Engine *e, bool small) MUST_USE;

bool log_is_idle(Engine *e);
void log_done(Engine *e);
/* What the batch wrote is applied when this was called for each of its commits. The log does it
 * itself, right after done, but not for those with a kind (relocations): those the engine calls
 * when the host knows. */
void log_applied(Engine *e, LogBatch *batch);

/* recovery.c: everything up to the position where the log goes on. Folds in steps on the way. */
PARKS Err recovery_run(Engine *e, LogPosition *end) MUST_USE;

/* tails.c */
void tail_add(Engine *e, uint32_t acct, const TailEntry *entry, const LogPosition *before);
PARKS void tails_touch(Engine *e); /* the host loads every account that has a tail */
void tails_done(Engine *e);

/* keys.c: of the index (index.h), and its position */
Slice key_page(Arena *a, uint32_t acct, Slice key);
Slice key_u32(Arena *a, char kind, uint32_t number);
Slice key_u64(Arena *a, char kind, uint64_t number);
Slice key_share(Arena *a, uint64_t at, uint32_t acct, uint32_t eid);
/* false: not such a key */
bool key_share_owner(Slice key, uint32_t *acct, uint32_t *eid);
uint32_t be_u32(const char *at);
uint64_t be_u64(const char *at);
Slice position_encode(Arena *a, const Engine *e, const LogPosition *at);
Err position_decode(Slice value, const uint8_t uuid[16], LogPosition *at, uint32_t *epoch) MUST_USE;

/* checkpoint.c */
/* Blocks. The index has room to grow on a disk that gets full now, or ERR_DISK_FULL. */
Err index_reserve(Engine *e) MUST_USE;
PARKS Err checkpoint_run(Engine *e) MUST_USE; /* maintenance fiber, or while opening */
/* Where a body is now that somebody may still know by its old place; until the next checkpoint. */
void moved_put(Engine *e, uint64_t old_at, BlobRef now);
void moved_forget(Engine *e, uint64_t old_at); /* it has not: an owner could not be told */
void number_table_clear(NumberTable *t);       /* frees the values too */

/* maintenance.c */
void maintenance_fiber(void *engine);
void maintenance_wake(Task *task);
/* Loop 0: from here on a flush wakes it again. What is durable and not yet applied is left to the
 * next round. */
void maintenance_clean(Engine *e);
/* Runs r->run in the maintenance fiber and waits. Any loop. */
PARKS Err maintenance_ask(Engine *e, Request *r) MUST_USE;

/* space.c */
void pins_release(Engine *e);                /* with the lock: after a checkpoint */
bool blob_is_busy(Engine *e, uint64_t at);   /* with the lock: pinned or being read */
Err space_load(Engine *e) MUST_USE;          /* after recovery: what is still to be marked dead */
PARKS Err space_mark(Engine *e) MUST_USE;    /* marks and punches what a checkpoint has given up */
PARKS Err space_recycle(Engine *e) MUST_USE; /* segments in which nothing lives */

/* compact.c */
PARKS Err compact_round(Engine *e, bool in_a_hurry) MUST_USE;

/* backup.c; all but load with the lock */
bool backup_holds_body(const Engine *e, uint64_t at);        /* it may not be punched or unlinked */
bool backup_holds_segment(const Engine *e, uint32_t number); /* it may not be recycled */
bool backup_rests(Engine *e);
void backup_found_none(Engine *e);
void backup_load(Engine *e); /* while opening */

/* copies.c */
PARKS Err copies_make(Engine *e) MUST_USE;
bool copies_are_due(Engine *e);
/* Newest first. */
Err copies_list(Engine *e, Arena *a, Slice **names, uint64_t **lsns, size_t *count) MUST_USE;

/* big.c */
Slice big_path(const Engine *e, Arena *a, uint64_t at);
/* The blocks that the range touches, each checked. */
Err big_check(Engine *e, uint64_t at) MUST_USE; /* the whole file; blocks */
PARKS Err big_read(Engine *e, BlobRef ref, uint64_t offset, void *out, size_t len) MUST_USE;
Err big_sweep(Engine *e) MUST_USE; /* while opening: files no record refers to */
