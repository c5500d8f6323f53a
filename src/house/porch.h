#pragma once
/* The porch: accepts connections, lets in whom the limits allow, shakes hands where TLS comes
 * first, and gives the stream to whoever serves it. Who is not let in is told so in his protocol's
 * words.
 *
 * A stranger is a connection that has not logged in. When there are more of them than
 * `strangers_most`, the one who has been here longest goes: a good client logs in at once, and a
 * flood of silent ones cannot keep it out. */
#include "house/board.h"
#include "house/config.h"
#include "net/stream.h"

typedef enum {
    SERVICE_IMAP,
    SERVICE_IMAPS,
    SERVICE_POP3,
    SERVICE_POP3S,
    SERVICE_LMTP,
    SERVICE_SMTP,
    SERVICE_POP2,
    SERVICE_METRICS,
    SERVICE_COUNT
} Service;
extern const char *const service_names[SERVICE_COUNT];
const Words *service_listeners(const Config *config, Service service);

typedef struct Porch Porch;

typedef struct {
    Porch *porch;
    Service service;
    Stream *stream;
    char remote[64]; /* what the limit per address counts; empty: a Unix socket */
    bool is_stranger;
    Link of_strangers;
} Connection;

struct Porch {
    const Config *(*config)(void *arg); /* the one in force */
    /* PARKS; a fiber of its own. Takes the stream over; porch_left has to be called at the end.
     */
    void (*serve)(Connection *c);
    void *arg;
    Board *board;
    Link listeners;                    /* loop 0 */
    Mutex lock;                        /* the strangers */
    Link strangers;                    /* oldest first */
    atomic_uint connections, refusing; /* of this process */
    atomic_uint crowd;                 /* the most connections since memory was given back */
};
void porch_init(Porch *porch);

/* A connection of that service has come (loop 0), of no loop yet. */
void porch_arrived(Porch *porch, Service service, Sock *sock);
/* Accepts at this listener, a fiber on loop 0, until porch_close or run_cancel. Takes it over. */
void porch_open(Porch *porch, Service service, Sock *listener);
void porch_close(Porch *porch); /* nobody new; loop 0 */
/* He has logged in, or is a stranger again. Any loop. */
void porch_knows(Connection *c);
void porch_forgets(Connection *c);
/* The connection has ended; frees it. Any loop. */
void porch_left(Connection *c);
/* Waits until the last one has left, at most ms; run_cancel does not cut it short. */
PARKS void porch_drain(Porch *porch, int64_t ms);
