#pragma once
/* Metrics: the verb, and GET /metrics for Prometheus (text format 0.0.4). */
#include "house/house.h"

/* One request of HTTP/1.1 (RFC 9112), then the end is near: the stream stays the caller's. */
PARKS void metrics_serve(Stream *stream, House *house);
