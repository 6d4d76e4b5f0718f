/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of time. The table is what the reference's parser gives at the same moment. */
#include "engine/run/timerange.h"

#include <time.h>

#define NOW 1526303655 /* Monday, 2018-05-14 13:14:15 UTC */
#define OPEN G_MAXINT64

static const struct {
    const char *spec;
    gint64 start, end;
    const char *error;
} cases[] = {
        { "after 7-1", 1530403200, OPEN, NULL },
        { "before 7-1", OPEN, 1530403200, NULL },
        { "after 9:00", 1526288400, OPEN, NULL },
        { "before 2018-3-4", OPEN, 1520121600, NULL },
        { "after 18-3-4 10:30", 1520159400, OPEN, NULL },
        { "between 1-1 and 4-30", 1514764800, 1525046400, NULL },
        { "between 4-30 and 1-1", 1514764800, 1525046400, NULL },
        { "between 10:00 and 15:00", 1526292000, 1526310000, NULL },
        { "between today and yesterday", 1526169600, 1526342400, NULL },
        { "last 30 min", 1526301855, OPEN, NULL },
        { "last minute", 1526303595, OPEN, NULL },
        { "last 6 hours", 1526282055, OPEN, NULL },
        { "last hr", 1526300055, OPEN, NULL },
        { "last day", 1526217255, OPEN, NULL },
        { "last 3 DAYS", 1526044455, OPEN, NULL },
        { "today", 1526256000, 1526342400, NULL },
        { "yesterday", 1526169600, 1526256000, NULL },
        { "this minute", 1526303640, 1526303700, NULL },
        { "this hour", 1526302800, 1526306400, NULL },
        { "this day", 1526256000, 1526342400, NULL },
        { "this week", 1526256000, 1526860800, NULL },
        { "this month", 1525132800, 1527724800, NULL },
        { "this year", 1514764800, 1546300800, NULL },
        { "1 minute ago", 1526303580, 1526303640, NULL },
        { "90 minutes ago", 1526298240, 1526298300, NULL },
        { "2 hours ago", 1526295600, 1526299200, NULL },
        { "3 days ago", 1525996800, 1526083200, NULL },
        { "3 weeks ago", 1524441600, 1525046400, NULL },
        { "5 months ago", 1512086400, 1514678400, NULL },
        { "2 years ago", 1451606400, 1483228800, NULL },
        { "before this week", OPEN, 1526256000, NULL },
        { "after last week", 0, 0, "unexpected 'last' at pos 6" },
        { "before 3 days ago", OPEN, 1525996800, NULL },
        { "after yesterday", 1526256000, OPEN, NULL },
        { "5-14", 1526256000, 1526342400, NULL },
        { "2018-05-14", 1526256000, 1526342400, NULL },
        { "5-14 10:00", 1526292000, 1526292060, NULL },
        { "10:00", 1526292000, 1526292060, NULL },
        { "10:00:01", 1526292001, 1526292002, NULL },
        { "5-14 10:00:59", 1526292059, 1526292060, NULL },
        { "between 5-14 and 5-15", 1526256000, 1526342400, NULL },
        { "3 foo", 0, 0, "unexpected 'foo' at position 2" },
        { "foo", 0, 0, "unexpected 'foo' at position 0" },
        { "last week", 0, 0, "unexpected 'week' at pos 5" },
        { "last 3 weeks", 0, 0, "unexpected 'weeks' at pos 7" },
        { "today today", 0, 0, "unexpected 'today' at pos 6" },
        { "", 0, 0, "spec cannot be empty" },
        { "after", 0, 0, "spec cannot be empty" },
        { "between 1-1", 0, 0, "spec cannot be empty" },
        { "99", 0, 0, "spec cannot be empty" },
        { "13-1", 0, 0, "month must be in 1..12" },
        { "2-30", 0, 0, "day is out of range for month" },
        { "25:00", 0, 0, "hour must be in 0..23" },
        { "this", 0, 0, "spec cannot be empty" },
        { "3 days", 0, 0, "spec cannot be empty" },
        { "before before 1-1", 0, 0, "unexpected 'before' at pos 7" },
        { "$", 0, 0, "unexpected '$' at position 0" },
};

static void ranges_are_those_of_the_reference(void)
{
    for (gsize i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(GError) error = NULL;
        gint64 start = 0, end = 0;
        g_test_message("%s", cases[i].spec);
        gboolean ok = timerange_parse(cases[i].spec, NOW, &start, &end, &error);
        g_assert_cmpint(ok, ==, cases[i].error == NULL);
        g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].error);
        if (ok) {
            g_assert_cmpint(start, ==, cases[i].start == OPEN ? G_MININT64 : cases[i].start);
            g_assert_cmpint(end, ==, cases[i].end);
        }
    }
}

int main(int argc, char **argv)
{
    g_setenv("TZ", "UTC", TRUE);
    tzset();
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/timerange/reference", ranges_are_those_of_the_reference);
    return g_test_run();
}
