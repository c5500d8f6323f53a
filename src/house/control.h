#pragma once
/* The control socket: the command line talks to the serving process. A Talk is one request with its
 * answer, in frames:
 *
 *     u32 length of what follows | u8 type | payload
 *
 * Client: 'A' arguments (each as varint length and octets), 'D' data, 'Z' end of data. Server: 'O'
 * for standard output, 'E' for standard error, 'P' a progress line, 'G' data, 'X' exit code (u8),
 * the last one. Only the socket's owner can connect (mode 0600). When no server runs, the command
 * line opens the store itself and talks over a pair of streams, so there is one way. */
#include "house/house.h"

enum { CONTROL_FRAME_MOST = 1 << 20, CONTROL_HEAD = 5, CONTROL_ARGS_MOST = 1024 };

/* The pure part. Of a frame's first octets: its type and how long its payload is. ERR_SYNTAX. */
Err control_head(const uint8_t head[CONTROL_HEAD], char *type, uint32_t *len) MUST_USE;
/* The payload of an 'A' frame; args in the arena, borrowing from it. ERR_SYNTAX. */
Err control_args(Slice payload, Arena *a, const Slice **args, size_t *count) MUST_USE;
void control_frame(Buf *out, char type, Slice payload);

typedef struct {
    Stream *stream;
    House *house;
    Arena arena;       /* lives as long as the request */
    const Slice *args; /* args[0] is the verb */
    size_t arg_count;
    Buf *aside;   /* while on another loop: what is said waits here, as frames */
    bool forward; /* what is given goes, as data, to a house that was asked for something on this
                     stream; nothing else is said */
} Talk;

/* ---- the serving side: what a verb's function uses ---- */
PARKS void talk_out(Talk *t, const char *fmt, ...) PRINTF(2, 3);
PARKS void talk_err(Talk *t, const char *fmt, ...) PRINTF(2, 3);
PARKS void talk_progress(Talk *t, const char *fmt, ...) PRINTF(2, 3);
PARKS Err talk_give(Talk *t, Slice data) MUST_USE; /* a 'G' frame; ERR_END: the client is gone */
/* Runs fn(arg) on that loop; what it says is sent afterwards. It must not take data. */
PARKS void talk_on_loop(Talk *t, Loop *loop, void (*fn)(void *), void *arg);
/* The next 'D' frame's payload, borrowed until the next call; *more false: 'Z' came. ERR_END,
 * ERR_LIMIT, ERR_SYNTAX. */
PARKS Err talk_take(Talk *t, Slice *data, bool *more) MUST_USE;

Slice control_path(const Config *config, Arena *a); /* where the socket is */
PARKS Err control_listen(House *house) MUST_USE;
void control_open(House *house, Sock *listener);        /* the same with a listener, taken over */
PARKS void control_serve(Stream *stream, House *house); /* one request, whole */

/* ---- the asking side ---- */
typedef struct ControlClient {
    Stream *stream;
    void *ctx;
    /* After the arguments were sent: send 'D' frames with control_send, then return. NULL: no data.
     */
    Err (*source)(struct ControlClient *c);
    /* A 'G' frame has come. NULL: an error. */
    Err (*sink)(struct ControlClient *c, Slice data);
    bool to_terminal;  /* progress lines are shown */
    bool line_is_open; /* one is on the screen now */
} ControlClient;
PARKS Err control_send(ControlClient *c, Slice data) MUST_USE;
/* Sends the request, copies the answer to standard output and error. */
PARKS Err control_ask(ControlClient *c, const Slice *args, size_t count, int *exit_code) MUST_USE;
