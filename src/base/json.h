#pragma once
/* JSON from outside, RFC 8259, read by jansson: whole, in memory, bounded in size and depth, no
 * duplicate names, nothing behind the end. For small documents (tokens, keys, answers of other
 * servers). Writing is a few words for a Buf. */
#include "base/base.h"

enum { JSON_DEPTH_MOST = 16 };

typedef struct JsonTree JsonTree; /* a value; those inside belong to the root */
/* ERR_SYNTAX; ERR_TOO_BIG beyond `most` octets or JSON_DEPTH_MOST. */
Err json_tree_parse(Slice text, size_t most, JsonTree **root) MUST_USE;
void json_tree_free(JsonTree *root);
SCOPED(JsonTree, json_tree, json_tree_free)

/* What is not there, or of another type, is NULL, 0, or a slice without an address. */
const JsonTree *json_tree_member(const JsonTree *object, const char *name);
size_t json_tree_count(const JsonTree *array);
const JsonTree *json_tree_item(const JsonTree *array, size_t i);
Slice json_tree_text(const JsonTree *string);                  /* UTF-8, without U+0000 */
bool json_tree_number(const JsonTree *number, int64_t *value); /* fractions are cut off */
bool json_tree_is_true(const JsonTree *value);
static inline Slice json_tree_member_text(const JsonTree *object, const char *name)
{
    return json_tree_text(json_tree_member(object, name));
}

/* jansson's tables are keyed; once, before there are threads that parse. */
void json_seed(uint64_t random);
void json_put_string(Buf *out, Slice utf8); /* in quotes */
