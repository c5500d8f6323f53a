#pragma once
/* The certificate everybody is served with: made at the first start, loaded again when its files
 * change. */
#include "house/house.h"
#include "net/caller.h"
#include "run/file.h"

Err certificate_load(const Config *config) MUST_USE;
/* Looks at the files every ten seconds, for as long as the house serves (a fiber). */
PARKS void certificate_watch(House *house);

/* ---- the files; for whoever reads them ---- */
typedef struct {
    Slice certificate, key;
    bool own; /* under the store: ours to make */
} CertificatePaths;
CertificatePaths certificate_paths(const Config *config, Arena *a);
Err certificate_make(const Config *config) MUST_USE; /* ours, if they are not there yet */
typedef struct {
    PathInfo certificate, key;
} CertificateSeen;
CertificateSeen certificate_look(const Config *config);
/* Both are there, and they are others than those. */
bool certificate_differs(const CertificateSeen *now, const CertificateSeen *before);

/* ---- in a front ---- */
/* Serves with what the keeper has (TLS_NEWS): waits for it, then follows its changes, in a fiber
 * that ends with the caller. Loop 0. ERR_TEMPORARY: the keeper does not tell. */
PARKS Err certificate_follow(Caller *keeper) MUST_USE;
