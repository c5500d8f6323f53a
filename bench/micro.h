#pragma once
/* What the micro-benchmarks share. */
typedef struct {
    double us;   /* of the clock, for one */
    double work; /* of both processors, us for one */
} Measured;
typedef enum { BY_SOCKET, BY_RING, WHOLE, BULK_SOCKET, BULK_WHOLE, AT_REST } RingWay;
/* Forks; before anything else of run/ is used. So many requests, or megabytes. */
Measured ring_measure(RingWay way, unsigned long count);
int rings_main(int argc,
               char **argv); /* the whole table: micro rings [REQUESTS] [MB] [CONNECTIONS] */
