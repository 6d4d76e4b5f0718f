/* SPDX-License-Identifier: Apache-2.0 */
/* A small recursive descent parser for ranges of time. See timerange.h. Times are seconds of local
 * wall clock turned into seconds since 1970 by mktime(), which also carries day 0 and month -1 into
 * the month or year before. */
#include "engine/run/timerange.h"

#include <string.h>
#include <time.h>

#include "engine/run/run.h"

typedef enum {
    TOK_END,
    TOK_DATE, /* a, b, c; fields says how many */
    TOK_TIME,
    TOK_NUMBER, /* a */
    TOK_UNIT,   /* unit */
    TOK_WORD,   /* word */
} TokenKind;

typedef enum { UNIT_MINUTE, UNIT_HOUR, UNIT_DAY, UNIT_WEEK, UNIT_MONTH, UNIT_YEAR } Unit;

typedef enum {
    WORD_TODAY,
    WORD_YESTERDAY,
    WORD_THIS,
    WORD_LAST,
    WORD_AGO,
    WORD_BEFORE,
    WORD_AFTER,
    WORD_BETWEEN,
    WORD_AND,
} Word;

static const char *const words[] = {
        "today", "yesterday", "this", "last", "ago", "before", "after", "between", "and"};

typedef struct {
    TokenKind kind;
    gint64 a, b, c;
    int fields; /* of a date 2, 3 (two digit year), 4 (four digits); of a time 2 or 3 */
    Unit unit;
    Word word;
    const char *at;
    gsize len;
} Token;

typedef struct {
    const char *begin, *text;
    Token token; /* the one not yet consumed */
    struct tm now;
    gint64 now_s;
    GError *error;
} Parser;

typedef struct {
    gint64 start, end;
} Range;

static void fail(Parser *p, const char *fmt, ...) G_GNUC_PRINTF(2, 3);
static void fail(Parser *p, const char *fmt, ...)
{
    if (p->error)
        return;
    va_list args;
    va_start(args, fmt);
    p->error = g_error_new_valist(RUN_ERROR_DOMAIN, RUN_ERR_FILTER, fmt, args);
    va_end(args);
}

/* --- tokens --- */

/* Tried in this order at each place. Unit words come before names, so "days" is DAY. */
static const struct {
    TokenKind kind;
    int fields;
    const char *pattern;
} lexemes[] = {
        {TOK_DATE, 4, "([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"},
        {TOK_DATE, 3, "([0-9]{2})-([0-9]{1,2})-([0-9]{1,2})"},
        {TOK_DATE, 2, "([0-9]{1,2})-([0-9]{1,2})"},
        {TOK_TIME, 3, "([0-9]{1,2}):([0-9]{2}):([0-9]{2})"},
        {TOK_TIME, 2, "([0-9]{1,2}):([0-9]{2})"},
        {TOK_UNIT, UNIT_DAY, "days?"},
        {TOK_UNIT, UNIT_WEEK, "weeks?"},
        {TOK_UNIT, UNIT_MONTH, "months?"},
        {TOK_UNIT, UNIT_YEAR, "years?"},
        {TOK_NUMBER, 1, "([0-9]{1,9})"},
        {TOK_UNIT, UNIT_HOUR, "hours?|hr"},
        {TOK_UNIT, UNIT_MINUTE, "minutes?|min"},
        {TOK_WORD, 0, "[a-zA-Z]+"},
};

static gint64 group_int(GMatchInfo *match, int group)
{
    g_autofree char *text = g_match_info_fetch(match, group);
    return text ? g_ascii_strtoll(text, NULL, 10) : 0;
}

static gboolean match_lexeme(Parser *p, gsize i)
{
    static GRegex *compiled[G_N_ELEMENTS(lexemes)];
    if (!compiled[i])
        compiled[i] = g_regex_new(lexemes[i].pattern, G_REGEX_CASELESS | G_REGEX_ANCHORED,
                G_REGEX_MATCH_ANCHORED, NULL);
    g_autoptr(GMatchInfo) match = NULL;
    if (!g_regex_match(compiled[i], p->text, G_REGEX_MATCH_ANCHORED, &match))
        return FALSE;
    int end = 0;
    g_match_info_fetch_pos(match, 0, NULL, &end);
    p->token = (Token){.kind = lexemes[i].kind,
            .fields = lexemes[i].fields,
            .at = p->text,
            .len = (gsize)end,
            .unit = (Unit)lexemes[i].fields};
    p->token.a = group_int(match, 1);
    p->token.b = group_int(match, 2);
    p->token.c = group_int(match, 3);
    p->text += end;
    return TRUE;
}

static void resolve_word(Parser *p)
{
    g_autofree char *text = g_strndup(p->token.at, p->token.len);
    for (gsize i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_ascii_strcasecmp(text, words[i]) == 0) {
            p->token.word = (Word)i;
            return;
        }
    }
    fail(p, "unexpected '%s' at position %d", text, (int)(p->token.at - p->begin));
}

static void advance(Parser *p)
{
    while (*p->text == ' ' || *p->text == '\t' || *p->text == '\n')
        p->text++;
    p->token = (Token){.kind = TOK_END, .at = p->text};
    if (*p->text == '\0' || p->error)
        return;
    for (gsize i = 0; i < G_N_ELEMENTS(lexemes); i++) {
        if (match_lexeme(p, i)) {
            if (p->token.kind == TOK_WORD)
                resolve_word(p);
            return;
        }
    }
    fail(p, "unexpected '%s' at position %d", p->text, (int)(p->text - p->begin));
}

static void unexpected(Parser *p)
{
    if (p->token.kind == TOK_END) {
        fail(p, "spec cannot be empty");
        return;
    }
    g_autofree char *text = g_strndup(p->token.at, p->token.len);
    fail(p, "unexpected '%s' at pos %d", text, (int)(p->token.at - p->begin));
}

static gboolean accept_word(Parser *p, Word word)
{
    if (p->error || p->token.kind != TOK_WORD || p->token.word != word)
        return FALSE;
    advance(p);
    return TRUE;
}

/* --- calendar --- */

static gint64 at(int year, int month0, int day, int hour, int minute, int second)
{
    struct tm tm = {.tm_year = year - 1900,
            .tm_mon = month0,
            .tm_mday = day,
            .tm_hour = hour,
            .tm_min = minute,
            .tm_sec = second,
            .tm_isdst = -1};
    return mktime(&tm);
}

static Range unit_range(const struct tm *ref, Unit unit, int shift)
{
    int year = ref->tm_year + 1900, month = ref->tm_mon, day = ref->tm_mday;
    switch (unit) {
    case UNIT_MINUTE:
        return (Range){at(year, month, day, ref->tm_hour, ref->tm_min + shift, 0),
                at(year, month, day, ref->tm_hour, ref->tm_min + shift + 1, 0)};
    case UNIT_HOUR:
        return (Range){at(year, month, day, ref->tm_hour + shift, 0, 0),
                at(year, month, day, ref->tm_hour + shift + 1, 0, 0)};
    case UNIT_DAY:
        return (Range){
                at(year, month, day + shift, 0, 0, 0), at(year, month, day + shift + 1, 0, 0, 0)};
    case UNIT_WEEK: {
        int monday = day - (ref->tm_wday + 6) % 7 + shift * 7;
        return (Range){at(year, month, monday, 0, 0, 0), at(year, month, monday + 7, 0, 0, 0)};
    }
    case UNIT_MONTH:
        /* The reference's end of a month is its last day at 0:00. */
        return (Range){
                at(year, month + shift, 1, 0, 0, 0), at(year, month + shift + 1, 0, 0, 0, 0)};
    default:
        return (Range){at(year + shift, 0, 1, 0, 0, 0), at(year + shift + 1, 0, 1, 0, 0, 0)};
    }
}

/* --- grammar --- */

static gboolean starts_datetime(Parser *p)
{
    return p->token.kind == TOK_DATE || p->token.kind == TOK_TIME;
}

static gboolean valid_date(Parser *p, gint64 year, gint64 month, gint64 day)
{
    if (year >= 1 && year <= 9999 && month >= 1 && month <= 12 && day >= 1 &&
            day <= g_date_get_days_in_month((GDateMonth)month, (GDateYear)year))
        return TRUE;
    fail(p, year < 1                  ? "year is out of range"
            : month < 1 || month > 12 ? "month must be in 1..12"
                                      : "day is out of range for month");
    return FALSE;
}

/* [DATE] [TIME]; `precision` is what the text says down to: a day, a minute or (UNIT_YEAR stands
 * for it) a second. */
static gint64 parse_datetime(Parser *p, Unit *precision)
{
    gint64 year = p->now.tm_year + 1900, month = p->now.tm_mon + 1, day = p->now.tm_mday;
    gint64 hour = 0, minute = 0, second = 0;
    *precision = UNIT_DAY;
    Token t = p->token;
    if (t.kind == TOK_DATE) {
        if (t.fields == 2) {
            month = t.a;
            day = t.b;
        } else {
            year = t.fields == 3 ? year / 100 * 100 + t.a : t.a;
            month = t.b;
            day = t.c;
        }
        advance(p);
        t = p->token;
    }
    if (t.kind == TOK_TIME) {
        hour = t.a;
        minute = t.b;
        second = t.fields == 3 ? t.c : 0;
        *precision = t.fields == 3 ? UNIT_YEAR : UNIT_MINUTE;
        if (hour > 23 || minute > 59 || second > 59)
            fail(p, "%s",
                    hour > 23     ? "hour must be in 0..23"
                    : minute > 59 ? "minute must be in 0..59"
                                  : "second must be in 0..59");
        advance(p);
    }
    if (!valid_date(p, year, month, day))
        return 0;
    return at((int)year, (int)month - 1, (int)day, (int)hour, (int)minute, (int)second);
}

static gboolean starts_unit_range(Parser *p)
{
    return p->token.kind == TOK_NUMBER ||
           (p->token.kind == TOK_WORD &&
                   (p->token.word == WORD_TODAY || p->token.word == WORD_YESTERDAY ||
                           p->token.word == WORD_THIS));
}

static Range parse_unit_range(Parser *p)
{
    if (accept_word(p, WORD_TODAY))
        return unit_range(&p->now, UNIT_DAY, 0);
    if (accept_word(p, WORD_YESTERDAY))
        return unit_range(&p->now, UNIT_DAY, -1);
    int shift = 0;
    gboolean ago = !accept_word(p, WORD_THIS);
    if (ago) {
        shift = -(int)CLAMP(p->token.a, 0, 1000000);
        advance(p);
    }
    if (p->token.kind != TOK_UNIT) {
        unexpected(p);
        return (Range){0, 0};
    }
    Unit unit = p->token.unit;
    advance(p);
    if (ago && !accept_word(p, WORD_AGO))
        unexpected(p);
    return unit_range(&p->now, unit, shift);
}

static Range parse_operator_range(Parser *p)
{
    gboolean before = accept_word(p, WORD_BEFORE);
    if (!before)
        accept_word(p, WORD_AFTER);
    Range r = {0, 0};
    Unit precision;
    if (starts_unit_range(p))
        r = parse_unit_range(p);
    else if (starts_datetime(p))
        r.start = r.end = parse_datetime(p, &precision);
    else
        unexpected(p);
    return before ? (Range){G_MININT64, r.start} : (Range){r.end, G_MAXINT64};
}

static gboolean starts_operator_range(Parser *p)
{
    return p->token.kind == TOK_WORD &&
           (p->token.word == WORD_BEFORE || p->token.word == WORD_AFTER);
}

static Range parse_last(Parser *p)
{
    static const int seconds[] = {[UNIT_MINUTE] = 60, [UNIT_HOUR] = 3600, [UNIT_DAY] = 86400};
    gint64 n = 1;
    if (p->token.kind == TOK_NUMBER) {
        n = p->token.a;
        advance(p);
    }
    if (p->token.kind != TOK_UNIT || p->token.unit > UNIT_DAY) {
        unexpected(p);
        return (Range){0, 0};
    }
    Unit unit = p->token.unit;
    advance(p);
    return (Range){p->now_s - n * seconds[unit], G_MAXINT64};
}

static Range parse_range(Parser *p)
{
    if (starts_unit_range(p))
        return parse_unit_range(p);
    if (starts_operator_range(p))
        return parse_operator_range(p);
    Range r = {0, 0};
    Unit precision;
    if (starts_datetime(p))
        r.start = r.end = parse_datetime(p, &precision);
    else
        unexpected(p);
    return r;
}

static Range parse_between(Parser *p)
{
    Range first = parse_range(p);
    if (!accept_word(p, WORD_AND))
        unexpected(p);
    Range second = parse_range(p);
    return first.start < second.start ? (Range){first.start, second.end}
                                      : (Range){second.start, first.end};
}

static Range parse_moment(Parser *p)
{
    Unit precision;
    gint64 t = parse_datetime(p, &precision);
    time_t seconds = (time_t)t;
    struct tm tm;
    localtime_r(&seconds, &tm);
    if (precision == UNIT_YEAR)
        return (Range){t, t + 1};
    return unit_range(&tm, precision, 0);
}

static Range parse_spec(Parser *p)
{
    if (starts_unit_range(p))
        return parse_unit_range(p);
    if (starts_operator_range(p))
        return parse_operator_range(p);
    if (accept_word(p, WORD_LAST))
        return parse_last(p);
    if (accept_word(p, WORD_BETWEEN))
        return parse_between(p);
    if (starts_datetime(p))
        return parse_moment(p);
    unexpected(p);
    return (Range){0, 0};
}

gboolean timerange_parse(
        const char *spec, gint64 now_s, gint64 *start_s, gint64 *end_s, GError **error)
{
    Parser p = {.begin = spec,
            .text = spec,
            .now_s = now_s ? now_s : g_get_real_time() / G_USEC_PER_SEC};
    time_t now = (time_t)p.now_s;
    localtime_r(&now, &p.now);
    advance(&p);
    Range r = parse_spec(&p);
    if (!p.error && p.token.kind != TOK_END)
        unexpected(&p);
    if (p.error) {
        g_propagate_error(error, p.error);
        return FALSE;
    }
    *start_s = r.start;
    *end_s = r.end;
    return TRUE;
}
