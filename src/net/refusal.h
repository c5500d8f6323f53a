#pragma once
/* What is told of peers that are turned away: counted (base/metrics.def), and one event for the log
 * with the address in remote= (docs/log.md). */
#include "base/metric.h"
#include "net/stream.h"

/* We end the connection: METRIC_CUT_SLOW and its neighbours. user: empty before the login. */
void refusal_cut(const Stream *s, const char *service, Metric why, Slice user);
/* It has failed while it was read: slow, idle or more than a stranger may send. Nothing is told of
 * a peer that went by itself. */
void refusal_cut_by_error(const Stream *s, const char *service, Slice user);
void refusal_tls(const Stream *s, const char *service, Err err);
/* Whoever comes through `remote` is not let in further: METRIC_REFUSED_... */
void refusal_limit(const Stream *s, const char *service, Metric limit, Slice user);
/* What was asked for goes beyond a limit (METRIC_OVER_...); the connection stays. */
void refusal_request(const Stream *s, const char *service, Metric limit, const char *command,
                     Slice user);
