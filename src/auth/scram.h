#pragma once
/* The messages of SCRAM, RFC 5802 7. Pure; the keys stay with the keeper. */
#include "base/base.h"

enum { SCRAM_NONCE_MOST = 256 };

typedef struct {
    char binding;       /* 'n' none, 'y' client could but thinks we cannot, 'p' wants one */
    Slice binding_name; /* "tls-exporter", with 'p' */
    Slice authzid;      /* decoded; empty: none */
    Slice header;       /* gs2-header, as it came */
    Slice bare;         /* client-first-message-bare */
    Slice username;     /* decoded: =2C and =3D resolved */
    Slice nonce;
} ScramFirst;
Err scram_first_parse(Slice message, Arena *a, ScramFirst *out) MUST_USE;

typedef struct {
    Slice channel_binding; /* decoded c= */
    Slice nonce;
    Slice proof; /* decoded p= */
    Slice without_proof;
} ScramFinal;
Err scram_final_parse(Slice message, Arena *a, ScramFinal *out) MUST_USE;
