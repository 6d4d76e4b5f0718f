/* SPDX-License-Identifier: Apache-2.0 */
/* The YAML reader: libyaml's events made into values, with the limits and the merge keys that
 * yaml.h speaks of. Writing is in yaml_emit.c, scalar types in yaml_scalar.c. */
#include "engine/base/yaml.h"
#include "engine/base/fs.h"
#include "engine/base/yaml_scalar.h"

#include <string.h>
#include <yaml.h>

#define MAX_DEPTH 200
/* Values in a document with all its aliases written out. */
#define MAX_NODES 2000000

G_DEFINE_QUARK(guild - yaml - error, yaml_error)

typedef struct {
    yaml_parser_t parser;
    const char *name;
    GHashTable *anchors; /* name -> Value, or NULL while it is being read */
    gsize nodes;
    GError **error;
} Reader;

static void fail(Reader *r, int code, gsize line, const char *problem)
{
    if (r->name)
        g_set_error(
                r->error, YAML_ERROR, code, "%s:%" G_GSIZE_FORMAT ": %s", r->name, line, problem);
    else
        g_set_error(r->error, YAML_ERROR, code, "line %" G_GSIZE_FORMAT ": %s", line, problem);
}

/* The next event; FALSE with the error set. The caller deletes it. */
static gboolean next_event(Reader *r, yaml_event_t *event)
{
    if (yaml_parser_parse(&r->parser, event))
        return TRUE;
    const yaml_parser_t *p = &r->parser;
    gsize line = p->error == YAML_READER_ERROR ? p->mark.line : p->problem_mark.line;
    g_autofree char *problem = p->problem && p->context
                                       ? g_strconcat(p->problem, " (", p->context, ")", NULL)
                                       : g_strdup(p->problem ? p->problem : "not readable as YAML");
    fail(r, YAML_ERROR_SYNTAX, line + 1, problem);
    return FALSE;
}

static gsize count_nodes(const Value *v)
{
    gsize n = 1;
    for (gsize i = 0; value_is_list(v) && i < value_list_size(v); i++)
        n += count_nodes(value_list_at(v, i));
    for (gsize i = 0; i < value_map_size(v); i++)
        n += count_nodes(value_map_at(v, i));
    return n;
}

static gboolean charge(Reader *r, gsize nodes, gsize line)
{
    r->nodes += nodes;
    if (r->nodes <= MAX_NODES)
        return TRUE;
    fail(r, YAML_ERROR_LIMIT, line, "the document is too large with its aliases written out");
    return FALSE;
}

static void begin_anchor(Reader *r, const yaml_char_t *anchor)
{
    if (anchor)
        g_hash_table_insert(r->anchors, g_strdup((const char *)anchor), NULL);
}

static void end_anchor(Reader *r, const char *anchor, Value *v)
{
    if (anchor)
        g_hash_table_insert(r->anchors, g_strdup(anchor), value_ref(v));
}

static Value *read_alias(Reader *r, const yaml_event_t *event)
{
    const char *anchor = (const char *)event->data.alias.anchor;
    gsize line = event->start_mark.line + 1;
    gpointer found;
    if (!g_hash_table_lookup_extended(r->anchors, anchor, NULL, &found) || !found) {
        g_autofree char *problem = g_strdup_printf("found undefined alias '%s'", anchor);
        fail(r, YAML_ERROR_SYNTAX, line, problem);
        return NULL;
    }
    if (!charge(r, count_nodes(found), line))
        return NULL;
    return value_copy(found);
}

/* The part of a standard tag behind "tag:yaml.org,2002:", else the tag itself; NULL for none and
 * for a lone "!", which asks for nothing. */
static const char *tag_name(const yaml_char_t *tag)
{
    const char *s = (const char *)tag;
    if (s && strcmp(s, "!") == 0)
        return NULL;
    return s && g_str_has_prefix(s, "tag:yaml.org,2002:") ? s + strlen("tag:yaml.org,2002:") : s;
}

/* FALSE if it is none of a scalar. */
static gboolean scalar_tag(const char *name, YamlTag *tag)
{
    static const struct {
        const char *name;
        YamlTag tag;
    } tags[] = {{"str", YAML_TAG_STR}, {"null", YAML_TAG_NULL}, {"bool", YAML_TAG_BOOL},
            {"int", YAML_TAG_INT}, {"float", YAML_TAG_FLOAT}, {"timestamp", YAML_TAG_TIMESTAMP}};
    for (gsize i = 0; i < G_N_ELEMENTS(tags); i++)
        if (strcmp(name, tags[i].name) == 0) {
            *tag = tags[i].tag;
            return TRUE;
        }
    return FALSE;
}

static void fail_tag(Reader *r, const char *name, gsize line)
{
    g_autofree char *problem =
            g_strdup_printf("could not determine a constructor for the tag '%s'", name);
    fail(r, YAML_ERROR_SYNTAX, line, problem);
}

/* is_merge (for keys, else NULL) is set for an unquoted "<<", which then reads as a string. */
static Value *read_scalar(Reader *r, const yaml_event_t *event, gboolean *is_merge)
{
    const char *s = (const char *)event->data.scalar.value;
    gsize len = event->data.scalar.length, line = event->start_mark.line + 1;
    YamlTag tag = YAML_TAG_STR;
    if (memchr(s, 0, len)) {
        fail(r, YAML_ERROR_SYNTAX, line, "a string has a NUL character");
        return NULL;
    }
    const char *name = tag_name(event->data.scalar.tag);
    if (name && !scalar_tag(name, &tag)) {
        fail_tag(r, name, line);
        return NULL;
    }
    if (!name && (event->data.scalar.plain_implicit || event->data.scalar.tag))
        tag = yaml_scalar_resolve(s, len, FALSE);
    if (is_merge && tag == YAML_TAG_MERGE) {
        *is_merge = TRUE;
        tag = YAML_TAG_STR;
    }
    if (is_merge && tag == YAML_TAG_OTHER) /* "=" as a key is a string */
        tag = YAML_TAG_STR;
    const char *why = "not a valid value";
    Value *v = yaml_scalar_value(tag, s, len, &why);
    if (!v) {
        g_autofree char *problem = g_strdup_printf("%s: '%.60s'", why, s);
        fail(r, YAML_ERROR_SYNTAX, line, problem);
    } else {
        value_set_line(v, (guint)line);
    }
    return v;
}

static Value *read_node(Reader *r, yaml_event_t *event, guint depth, gboolean *is_merge);

static gboolean read_items(Reader *r, Value *list, guint depth)
{
    for (;;) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return FALSE;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            return TRUE;
        }
        Value *item = read_node(r, &event, depth + 1, NULL);
        yaml_event_delete(&event);
        if (!item)
            return FALSE;
        value_list_append(list, item);
    }
}

/* Puts what `<<: source` brings under the keys that are there. */
static gboolean add_merge(Reader *r, Value *merged, const Value *source, gsize line)
{
    if (value_is_map(source)) {
        value_map_update(merged, source);
        return TRUE;
    }
    gboolean maps = value_is_list(source);
    for (gsize i = 0; maps && i < value_list_size(source); i++)
        maps = value_is_map(value_list_at(source, i));
    if (!maps) {
        fail(r, YAML_ERROR_SYNTAX, line, "expected a mapping or list of mappings for merging");
        return FALSE;
    }
    for (gsize i = value_list_size(source); i > 0; i--) /* the first wins */
        value_map_update(merged, value_list_at(source, i - 1));
    return TRUE;
}

/* Reads one key and its value into map (or merged). *end is set at the end of the mapping. */
static gboolean read_entry(Reader *r, Value *map, Value **merged, guint depth, gboolean *end)
{
    yaml_event_t event;
    gboolean is_merge = FALSE;
    if (!next_event(r, &event))
        return FALSE;
    *end = event.type == YAML_MAPPING_END_EVENT;
    if (*end) {
        yaml_event_delete(&event);
        return TRUE;
    }
    gsize line = event.start_mark.line + 1;
    g_autoptr(Value) key = read_node(r, &event, depth + 1, &is_merge);
    yaml_event_delete(&event);
    if (!key)
        return FALSE;
    if (value_is_list(key) || value_is_map(key)) {
        fail(r, YAML_ERROR_SYNTAX, line, "found unhashable key (a list or a mapping)");
        return FALSE;
    }
    if (!next_event(r, &event))
        return FALSE;
    Value *item = read_node(r, &event, depth + 1, NULL);
    yaml_event_delete(&event);
    if (!item)
        return FALSE;
    if (is_merge) {
        if (!*merged)
            *merged = value_new_map();
        gboolean ok = add_merge(r, *merged, item, line);
        value_unref(item);
        return ok;
    }
    g_autofree char *text = value_str(key);
    value_map_set(map, text, item);
    if (!value_is_string(key))
        value_map_set_key_kind(map, text, value_kind(key));
    return TRUE;
}

/* Takes over map; NULL on error. */
static Value *read_entries(Reader *r, Value *map, guint depth)
{
    g_autoptr(Value) merged = NULL;
    for (gboolean end = FALSE; !end;)
        if (!read_entry(r, map, &merged, depth, &end)) {
            value_unref(map);
            return NULL;
        }
    if (!merged)
        return map;
    value_set_line(merged, value_line(map));
    value_map_update(merged, map);
    value_unref(map);
    return g_steal_pointer(&merged);
}

static Value *read_collection(Reader *r, const yaml_event_t *event, guint depth)
{
    gboolean is_map = event->type == YAML_MAPPING_START_EVENT;
    const yaml_char_t *tag =
            is_map ? event->data.mapping_start.tag : event->data.sequence_start.tag;
    gsize line = event->start_mark.line + 1;
    if (depth >= MAX_DEPTH) {
        fail(r, YAML_ERROR_LIMIT, line, "nested too deeply");
        return NULL;
    }
    const char *name = tag_name(tag);
    if (name && strcmp(name, is_map ? "map" : "seq") != 0) {
        fail_tag(r, name, line);
        return NULL;
    }
    Value *v = is_map ? value_new_map() : value_new_list();
    value_set_line(v, (guint)line);
    if (is_map)
        return read_entries(r, v, depth);
    if (read_items(r, v, depth))
        return v;
    value_unref(v);
    return NULL;
}

/* The node that begins with `event`, which stays the caller's. */
static Value *read_node(Reader *r, yaml_event_t *event, guint depth, gboolean *is_merge)
{
    const yaml_char_t *anchor = NULL;
    Value *v;
    if (!charge(r, 1, event->start_mark.line + 1))
        return NULL;
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return read_alias(r, event);
    case YAML_SCALAR_EVENT:
        anchor = event->data.scalar.anchor;
        v = read_scalar(r, event, is_merge);
        break;
    case YAML_SEQUENCE_START_EVENT:
    case YAML_MAPPING_START_EVENT:
        anchor = event->type == YAML_MAPPING_START_EVENT ? event->data.mapping_start.anchor
                                                         : event->data.sequence_start.anchor;
        begin_anchor(r, anchor);
        v = read_collection(r, event, depth);
        break;
    default:
        fail(r, YAML_ERROR_SYNTAX, event->start_mark.line + 1, "expected a value");
        return NULL;
    }
    if (v && anchor)
        end_anchor(r, (const char *)anchor, v);
    return v;
}

/* The first event behind the start of the stream and the document. */
static gboolean begin_document(Reader *r, yaml_event_t *event)
{
    for (;;) {
        if (!next_event(r, event))
            return FALSE;
        if (event->type != YAML_STREAM_START_EVENT && event->type != YAML_DOCUMENT_START_EVENT)
            return TRUE;
        yaml_event_delete(event);
    }
}

/* Nothing but the end may follow the first document. */
static gboolean end_document(Reader *r)
{
    for (;;) {
        yaml_event_t event;
        if (!next_event(r, &event))
            return FALSE;
        yaml_event_type_t type = event.type;
        gsize line = event.start_mark.line + 1;
        yaml_event_delete(&event);
        if (type == YAML_STREAM_END_EVENT)
            return TRUE;
        if (type == YAML_DOCUMENT_START_EVENT) {
            fail(r, YAML_ERROR_SYNTAX, line, "expected a single document");
            return FALSE;
        }
    }
}

static Value *read_document(Reader *r)
{
    yaml_event_t event;
    if (!begin_document(r, &event))
        return NULL;
    if (event.type == YAML_STREAM_END_EVENT) {
        yaml_event_delete(&event);
        return value_new_null();
    }
    g_autoptr(Value) v = read_node(r, &event, 0, NULL);
    yaml_event_delete(&event);
    return v && end_document(r) ? g_steal_pointer(&v) : NULL;
}

/* Most attribute files and flag values are one plain word, which needs no parser. NULL if the text
 * is anything else. */
static Value *read_simple(const char *text, gsize len)
{
    char word[64];
    if (len && text[len - 1] == '\n')
        len--;
    if (len == 0 || len >= sizeof word)
        return NULL;
    for (gsize i = 0; i < len; i++)
        if (!g_ascii_isalnum(text[i]) && (!text[i] || !strchr("_/.-+", text[i])))
            return NULL;
    gboolean starts_plain = g_ascii_isalnum(text[0]) || strchr("_/", text[0]) ||
                            (len > 1 && g_ascii_isalnum(text[1]));
    if (!starts_plain)
        return NULL;
    memcpy(word, text, len);
    word[len] = 0;
    const char *why;
    Value *v = yaml_scalar_value(yaml_scalar_resolve(word, len, FALSE), word, len, &why);
    if (v)
        value_set_line(v, 1);
    return v;
}

static void unref_value(gpointer v)
{
    value_unref(v);
}

Value *yaml_parse(const char *text, gssize length, const char *name, GError **error)
{
    gsize len = length < 0 ? strlen(text) : (gsize)length;
    Value *v = read_simple(text, len);
    if (v)
        return v;
    Reader r = {.name = name, .error = error};
    if (!yaml_parser_initialize(&r.parser)) {
        fail(&r, YAML_ERROR_LIMIT, 1, "no memory for the parser");
        return NULL;
    }
    r.anchors = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, unref_value);
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
    v = read_document(&r);
    yaml_parser_delete(&r.parser);
    g_hash_table_destroy(r.anchors);
    return v;
}

Value *yaml_parse_file(const char *path, GError **error)
{
    gsize len;
    g_autoptr(GError) io = NULL;
    g_autofree char *text = fs_read(path, 0, &len, &io);
    if (!text) {
        g_set_error_literal(error, YAML_ERROR, YAML_ERROR_IO, io->message);
        return NULL;
    }
    return yaml_parse(text, (gssize)len, path, error);
}
