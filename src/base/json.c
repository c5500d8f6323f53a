#include "base/json.h"

#include "base/text.h"

#include <jansson.h>

/* jansson goes into itself for each level, and a fiber's stack is small. */
static bool is_too_deep(Slice text)
{
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.at[i];
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            if (++depth > JSON_DEPTH_MOST) return true;
        } else if (c == '}' || c == ']') {
            depth--;
        }
    }
    return false;
}

static const json_t *of(const JsonTree *t)
{
    return (const json_t *)(const void *)t;
}

static const JsonTree *tree(const json_t *j)
{
    return (const JsonTree *)(const void *)j;
}

Err json_tree_parse(Slice text, size_t most, JsonTree **root)
{
    json_error_t error;
    if (text.len > most || is_too_deep(text)) return fail(ERR_TOO_BIG, "JSON: too large or deep");
    json_t *j = json_loadb(text.at, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!j) return fail(ERR_SYNTAX, "JSON: %s", error.text);
    *root = (JsonTree *)(void *)j;
    return OK;
}

void json_tree_free(JsonTree *root)
{
    json_decref((json_t *)(void *)root);
}

const JsonTree *json_tree_member(const JsonTree *object, const char *name)
{
    return tree(json_object_get(of(object), name));
}

size_t json_tree_count(const JsonTree *array)
{
    return json_array_size(of(array));
}

const JsonTree *json_tree_item(const JsonTree *array, size_t i)
{
    return tree(json_array_get(of(array), i));
}

Slice json_tree_text(const JsonTree *string)
{
    const json_t *j = of(string);
    if (!json_is_string(j)) return (Slice){0};
    return slice(json_string_value(j), json_string_length(j));
}

bool json_tree_number(const JsonTree *number, int64_t *value)
{
    const json_t *j = of(number);
    if (json_is_integer(j)) {
        *value = json_integer_value(j);
        return true;
    }
    double d = json_real_value(j);
    if (!json_is_real(j) || !(d > -1e15 && d < 1e15)) return false;
    *value = (int64_t)d;
    return true;
}

bool json_tree_is_true(const JsonTree *value)
{
    return json_is_true(of(value));
}

void json_seed(uint64_t random)
{
    json_object_seed((size_t)random | 1); /* 0 would open /dev/urandom */
}

void json_put_string(Buf *out, Slice utf8)
{
    buf_char(out, '"');
    for (size_t i = 0; i < utf8.len; i++) {
        unsigned char c = (unsigned char)utf8.at[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < ' ')
            buf_printf(out, "\\u%04x", c);
        else
            buf_char(out, (char)c);
    }
    buf_char(out, '"');
}
