#include "run/log.h"

#include "run/run.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"debug", "info", "warn", "error", "none"};
static _Atomic LogLevel least_level = LOG_LEVEL_INFO;

void log_set_level(LogLevel least)
{
    atomic_store(&least_level, least);
}

static bool is_plain(unsigned char c)
{
    return c > ' ' && c < 0x7f && c != '"' && c != '=' && c != '\\';
}

static void put_quoted(Buf *line, Slice text)
{
    buf_char(line, '"');
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.at[i];
        if (c == '"' || c == '\\') buf_char(line, '\\');
        if (c < ' ' || c == 0x7f)
            buf_printf(line, "\\x%02x", c);
        else
            buf_char(line, (char)c);
    }
    buf_char(line, '"');
}

static void put_value(Buf *line, Slice text)
{
    bool plain = text.len > 0;
    for (size_t i = 0; i < text.len && plain; i++)
        plain = is_plain((unsigned char)text.at[i]);
    if (plain)
        buf_add(line, text);
    else
        put_quoted(line, text);
}

static void put_time(Buf *line)
{
    int64_t ms = wall_ms();
    time_t seconds = ms / 1000;
    struct tm tm;
    gmtime_r(&seconds, &tm);
    buf_printf(line, "ts=%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", tm.tm_year + 1900, tm.tm_mon + 1,
               tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(ms % 1000));
}

void log_set_level_by_name(Slice name)
{
    for (LogLevel level = 0; level < COUNT(level_names); level++)
        if (slice_eq(name, slice_of(level_names[level]))) log_set_level(level);
}

void log_write(LogLevel level, const char *event, const LogField *fields)
{
    if (level < atomic_load(&least_level) || level >= LOG_LEVEL_NONE) return;
    Buf line buf_scoped = {0};
    put_time(&line);
    buf_printf(&line, " level=%s event=%s", level_names[level], event);
    for (const LogField *f = fields; f->key; f++) {
        buf_printf(&line, " %s=", f->key);
        if (f->is_number)
            buf_printf(&line, "%lld", (long long)f->number);
        else
            put_value(&line, f->text);
    }
    buf_char(&line, '\n');
    /* One write, so that lines of several threads do not mix. A full pipe must not stop mail. */
    ssize_t ignored = write(STDERR_FILENO, line.at, line.len);
    (void)ignored;
}
