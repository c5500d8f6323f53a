#pragma once
/* A storage engine: an account is a log of change records with folded pages, plus blobs (specs:
 * storage, section 2). Everything about UIDs, flags, quota and threads is written once, above this
 * header; an engine knows accounts by number and records by seq, and nothing about mail.
 *
 * Vocabulary: a Commit appends one change record (seq = the account's previous seq + 1), perhaps
 * with a body, durably. A page is a derived key and value; folding writes the dirty pages of
 * accounts and forgets their tail. The tail of an account are its records that are newer than its
 * pages. A BlobRef says where a body is. The host is the layer above.
 *
 * The local engine (engine_local.c and its neighbours log.c, segment.c, index.c, ...) is the
 * embedded one: append-only segments with group commit, LMDB index. File formats are drawn in
 * segment.h. */
#include "base/table.h"
#include "run/run.h"

typedef struct Engine Engine;

typedef struct {
    uint64_t at;  /* segment number << 32 | offset of the body; or BLOB_BIG | id */
    uint32_t len; /* octets */
    uint32_t crc; /* CRC32C of them */
} BlobRef;
#define BLOB_BIG  (UINT64_C(1) << 63)
#define BLOB_HERE UINT64_C(0)            /* in a change record: the body of this very record */
enum { BLOB_INLINE_MOST = 1024 * 1024 }; /* larger bodies go through blob_begin */

/* ---- change records ---- */
typedef struct Commit { /* the caller's; alive until done is called */
    uint32_t acct;
    uint32_t eid; /* whose body it is; 0 without body. Kept beside the body for compaction */
    uint64_t seq;
    Slice record; /* opaque, borrowed until done */
    Slice body;   /* empty: none; borrowed until done */
    uint8_t body_sha256[32];
    bool shared; /* other accounts' records will refer to this body */
    BlobRef ref; /* out: where the body landed. In, without a body: the big body (BLOB_BIG, from
                    blob_end) that this record refers to; set it in EVERY record that does, or the
                    file counts as unreferenced and is swept at the next open */
    Err err;     /* out: OK is durable; ERR_DISK_FULL, ERR_READ_ONLY, ERR_IO */
    Loop *loop;  /* where done runs: in the order of seq for one account */
    void (*done)(struct Commit *c);
    Task task; /* this and the rest: the engine's while it has the commit */
    struct Commit *next;
    Engine *engine;
    void *batch, *host;
    int kind; /* 0 for the host's */
} Commit;
/* Any loop; never waits. Records of one account must be handed over in the order of their seq.
 * After a failed record all later ones of that account handed over before its done ran fail too, so
 * seq never has a hole. */
void engine_commit(Engine *e, Commit *c);
/* Room for small things must stay when the disk fills: a commit with a body or with record_len > 4
 * KiB is refused with ERR_DISK_FULL while the reserve (a preallocated few MiB) is all that is left;
 * flag changes and expunges go on. */

/* ---- pages ---- */
/* Keys and values as the host made them; key at most 400 octets, values at most about 1.9 KB except
 * where argued. The account number is added by the engine. Any loop. */
Err engine_get(Engine *e, uint32_t acct, Slice key, Arena *a,
               Slice *value) MUST_USE; /* ERR_NOT_FOUND */
/* Calls each for all keys that start with prefix, in order, until it returns false; slices borrowed
 * for that call. It must not park or call the engine. `from`: start at this key (>= prefix) when
 * not empty. */
Err engine_scan(Engine *e, uint32_t acct, Slice prefix, Slice from,
                bool (*each)(void *arg, Slice key, Slice value), void *arg) MUST_USE;
/* Gives back the memory that reading has taken: for when it is quiet. */
PARKS void engine_rest(Engine *e);
typedef enum { TAIL_CHANGE, TAIL_RELOCATION } TailType;
typedef struct {
    TailType type;
    uint64_t seq;    /* TAIL_CHANGE */
    Slice record;    /* TAIL_CHANGE; borrowed for the call */
    BlobRef body;    /* TAIL_CHANGE: of its body, len 0 if none. TAIL_RELOCATION: the new place */
    uint32_t eid;    /* TAIL_RELOCATION */
    uint64_t old_at; /* TAIL_RELOCATION */
} TailEntry;
/* Everything newer than the account's pages, in log order; it may begin with records that are in
 * the pages already (seq tells). Used when an account is loaded, and again in touch. After damage
 * to the medium a seq may be missing: what is there still counts. */
Err engine_tail(Engine *e, uint32_t acct, Err (*each)(void *arg, const TailEntry *entry),
                void *arg) MUST_USE;

/* ---- folding ---- */
typedef struct PageBatch PageBatch;
void batch_put(PageBatch *b, uint32_t acct, Slice key, Slice value);
void batch_delete(PageBatch *b, uint32_t acct, Slice key);
/* This email of this account refers to a shared body; two of one account may. Idempotent. */
void batch_blob_share(PageBatch *b, uint32_t acct, uint32_t eid, uint64_t at);
/* It no longer does, or a body that is not shared is given up. Idempotent; when nobody does, the
 * space returns after this checkpoint. */
void batch_blob_drop(PageBatch *b, uint32_t acct, uint32_t eid, BlobRef ref, bool shared);

typedef struct EngineHost {
    void *ctx;
    /* On each loop in turn, outside any wait: put the dirty pages of all accounts at home there.
     * What was applied up to now is in them, and afterwards those accounts count as clean (failed:
     * folded(ctx, false) makes them dirty again). */
    void (*gather)(void *ctx, PageBatch *b);
    void (*folded)(void *ctx,
                   bool ok); /* on each loop, after the batch is durable or was given up */
    /* Load this account so that its tail is applied and the next gather folds it. Called in a fiber
     * on its home loop, also before engine_open has returned (*e is set by then). A long recovery
     * comes in steps: if the account is loaded already, call engine_tail for it again. */
    Err (*touch)(void *ctx, uint32_t acct);
    Loop *(*home)(void *ctx, uint32_t acct);
    /* A body has moved (compaction). On the home loop; must not park. The account is loaded (touch
     * was called just before). An error: the old place stays in use. */
    Err (*relocated)(void *ctx, uint32_t acct, uint32_t eid, uint64_t old_at, BlobRef now);
    void (*trouble)(void *ctx, Err err,
                    Slice story); /* the engine went read-only, or a damaged record was met */
} EngineHost;

typedef struct {
    bool force_network_fs; /* open even on NFS and the like */
    bool zero_ahead;
    uint32_t segment_bytes;     /* 0: 256 MiB; tests use small ones */
    int64_t checkpoint_ms;      /* 0: 500 */
    uint64_t checkpoint_octets; /* 0: 64 MiB of log */
    uint64_t map_bytes;         /* LMDB map size; 0: 1 TiB */
    bool index_in_memory;  /* the simulated world: pages in a sorted table whose content at each
                              commit lives on the simulated disk */
    int64_t backup_window; /* seconds: what goes after a backup is kept so long for the next one */
    bool look_only;        /* nothing is given back, moved or written again: segments may be
                              somebody else's, but for the last one */
} EngineOptions;
/* Recovers: cuts the log behind the last good record, replays tails through host->touch in bounded
 * steps, rebuilds a lost index from its newest copy or from the whole log. */
PARKS Err engine_open(Slice dir, const EngineOptions *options, const EngineHost *host,
                      Engine **e) MUST_USE;
PARKS void engine_close(Engine *e);              /* waits for commits in flight, checkpoints */
PARKS Err engine_checkpoint(Engine *e) MUST_USE; /* now, and wait for it */
Err engine_health(const Engine *e);              /* OK, or why it takes no changes */

/* ---- blobs ---- */
/* Any range. A whole blob read in one call is checked against its CRC; of big ones every touched 64
 * KiB block is. ERR_CORRUPT. */
PARKS Err blob_read(Engine *e, BlobRef ref, uint64_t offset, void *out, size_t len) MUST_USE;
typedef struct BlobWriter BlobWriter;
PARKS Err blob_begin(Engine *e, BlobWriter **w) MUST_USE;
PARKS Err blob_write(BlobWriter *w, Slice octets) MUST_USE;
PARKS Err blob_end(BlobWriter *w, BlobRef *ref)
    MUST_USE;                   /* durable; unreferenced ones are swept at the next open */
void blob_abort(BlobWriter *w); /* also after blob_end, to free the writer; then the blob stays */
/* While pinned a blob is not freed, whoever drops it (deliveries to several accounts). Any loop. */
void blob_pin(Engine *e, uint64_t at);
void blob_unpin(Engine *e, uint64_t at);

/* ---- space and health ---- */
PARKS Err engine_compact(Engine *e,
                         uint64_t *freed_octets) MUST_USE; /* one round now; also runs by itself */
typedef struct {
    uint64_t segments, live_octets, dead_octets, log_octets, disk_octets, free_octets;
    uint64_t commits, flushes, flush_us_total, octets_written, checkpoints, recovered_records,
        recovery_ms;
    uint64_t lsn, checkpoint_lsn;
} EngineStatus;
void engine_status(Engine *e, EngineStatus *out);
/* Reads every record and body again and compares checksums. report(arg, line) gets one line for
 * each finding. */
PARKS Err engine_scrub(Engine *e, void (*report)(void *arg, Slice line), void *arg,
                       uint64_t *checked, uint64_t *bad) MUST_USE;
/* A consistent copy of the index into idx/copy-LSN.mdb; the two newest are kept. */
PARKS Err engine_copy_index(Engine *e) MUST_USE;

/* ---- backup (store/backup.h makes one) ---- */
typedef struct {
    uint32_t number, end; /* of a segment; where its records end */
} BackupSegment;
typedef struct {
    void (*noted)(void *arg); /* called, if not NULL, at the moment that `end` stands for */
    void *noted_arg;
    uint64_t position;       /* the index is as of here */
    uint64_t end;            /* what was acknowledged before `noted` is before here */
    uint64_t last;           /* lsn of the last record before `end` */
    uint32_t chain;          /* of that one */
    int64_t moment;          /* Unix seconds */
    Slice index;             /* name of the index's copy in DIR/idx */
    BackupSegment *segments; /* ascending; in the arena */
    size_t segment_count;
    /* the engine's */
    Arena *arena;
    NumberTable big_dead;
    uint32_t held_from;
    bool big_held;
} EngineBackup;
/* One at a time (ERR_IN_USE). Until the end, or until they are passed, files of the store only
 * grow: nothing is punched, recycled or unlinked. Begin with {0}, or with `noted`. Any loop; *b
 * stays. */
PARKS Err engine_backup_begin(Engine *e, Arena *a, EngineBackup *b) MUST_USE;
/* Big bodies, and segments up to this one, have been copied. */
void engine_backup_passed(Engine *e, EngineBackup *b, uint32_t segment);
/* complete: from now on, for backup_window, what this backup does not have is kept. */
PARKS void engine_backup_end(Engine *e, EngineBackup *b, bool complete);
/* A store that has just been restored: bodies at places that are not in `alive` (a set: keys
 * with any value) belong to nobody and are given up. */
PARKS Err engine_reclaim(Engine *e, const NumberTable *alive, uint64_t *octets) MUST_USE;
