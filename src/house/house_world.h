#pragma once
/* For tests: an open House in a directory of its own, and verbs asked over a pair of streams. */
#include "base/test.h"
#include "house/verbs.h"
#include "run/file.h"

typedef struct {
    char dir[64];
    Config config;
    House *house;
    Arena arena;
} HouseWorld;
PARKS void house_world_open(HouseWorld *w);
PARKS void house_world_close(HouseWorld *w);
Slice house_world_path(HouseWorld *w, const char *name);
void house_world_write(HouseWorld *w, const char *name, Slice content); /* makes directories */
void remove_tree(Slice path);

/* What came back for one request, gathered by type. */
typedef struct {
    Buf out, err, given; /* 'O', 'E', 'G' (each with its length, u32, in front) */
    int exit_code;       /* -1: none came */
    unsigned progress;
} Answer;
/* These octets to control_serve, in pieces of `step`; then our end is closed. */
PARKS void ask_octets(House *house, Answer *answer, Slice octets, size_t step);
PARKS void ask(HouseWorld *w, Answer *answer, const Slice *args, size_t count, const Slice *data,
               size_t data_count);
void answer_done(Answer *answer);
#define ASK(w, answer, ...)                                                                        \
    ask((w), (answer), (const Slice[]){__VA_ARGS__}, COUNT(((const Slice[]){__VA_ARGS__})), NULL, 0)
