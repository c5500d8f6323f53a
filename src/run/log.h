#pragma once
/* One event, one line, logfmt with stable keys, to standard error: `ts=... level=info event=login
 * user=anna remote=192.0.2.1`. Any thread. Values are quoted when they need it; control characters
 * are escaped, so a line is always one line. */
#include "base/base.h"

typedef enum {
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_INFO,
    LOG_LEVEL_WARN,
    LOG_LEVEL_ERROR,
    LOG_LEVEL_NONE
} LogLevel;
typedef struct {
    const char *key;
    Slice text;
    int64_t number;
    bool is_number;
} LogField;
#define KV(key_, slice_)     ((LogField){.key = (key_), .text = (slice_)})
#define KV_TEXT(key_, text_) ((LogField){.key = (key_), .text = slice_of(text_)})
#define KV_NUM(key_, n_)     ((LogField){.key = (key_), .number = (int64_t)(n_), .is_number = true})
/* log_event(LOG_LEVEL_INFO, "login", KV("user", login), KV_NUM("ms", 3)); */
#define log_event(level, event, ...)                                                               \
    log_write((level), (event), (LogField[]){__VA_ARGS__ __VA_OPT__(, ){0}})
void log_write(LogLevel level, const char *event, const LogField *fields);
/* An error with its story: adds err= and story=. */
#define log_err(level, event, err, ...)                                                            \
    log_event(level, event, __VA_ARGS__ __VA_OPT__(, ) KV_TEXT("err", err_name(err)),              \
              KV_TEXT("story", err_story()))
void log_set_level(LogLevel least);
void log_set_level_by_name(Slice name); /* "debug", "info" ...; others change nothing */
