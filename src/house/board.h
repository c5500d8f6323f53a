#pragma once
/* The board: a piece of memory that all processes of a server have in common. On it is what each
 * has counted (base/metric.h), how many connections there are from where, and whether memory is
 * short. Each process has a slot of its own, zeroed when another takes it over. Only numbers, and
 * nobody believes them more than he has to: who has been taken over can refuse others their
 * connections, and no more.
 *
 * Addresses are counted by a sketch (Cormode and Muthukrishnan's count-min): each has a place in
 * two rows, what counts is the lesser. So it is of one size whatever comes, and two addresses that
 * share both places, one pair in 2^30, count as one. */
#include "base/metric.h"

enum { BOARD_SLOTS_MOST = 128, BOARD_ROWS = 2, BOARD_PLACES = 32768 };

typedef struct Board Board;

/* A descriptor for all the others. slots: as many processes as there will be. */
Err board_make(unsigned slots, int *fd) MUST_USE;
/* Takes the slot, and counts there from now on. ERR_CONFIG: it was made by a program with other
 * counters. */
Err board_open(int fd, unsigned slots, unsigned slot, Board **board) MUST_USE;
/* One of our own, for a process alone. */
Board *board_new(void);
void board_free(Board *board);

/* Connections, all processes together. */
uint64_t board_connections(const Board *board);
uint32_t board_count(const Board *board, Slice address); /* of this address */
void board_enter(Board *board, Slice address); /* one more; empty: not counted by address */
void board_leave(Board *board, Slice address);
/* The same of those that have not logged in. */
uint64_t board_strangers(const Board *board);
void board_stranger(Board *board, int change);

/* Looks twice a second how much memory is left, a fiber, until run_cancel: for the warden, or a
 * process alone. */
void board_watch_memory(Board *board, uint64_t reserve_octets);
void board_set_reserve(Board *board, uint64_t octets); /* from now on */
void board_set_memory_short(Board *board, bool is_short);
bool board_memory_is_short(const Board *board);
uint64_t board_sum(const Board *board, Metric metric); /* of all slots */
void board_print_metrics(const Board *board, Buf *out);
