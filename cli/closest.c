/* SPDX-License-Identifier: Apache-2.0 */
/* See closest.h. */
#include "cli/closest.h"

#include <string.h>

#define ALIKE_ENOUGH 0.6

typedef struct Span {
    const char *text;
    gsize from, to;
} Span;

/* The first longest run of characters that both have; its length, and where it begins. */
static gsize longest_match(Span a, Span b, gsize *at_a, gsize *at_b)
{
    gsize best = 0;
    for (gsize i = a.from; i < a.to; i++)
        for (gsize j = b.from; j < b.to; j++) {
            gsize n = 0;
            while (i + n < a.to && j + n < b.to && a.text[i + n] == b.text[j + n])
                n++;
            if (n > best) {
                best = n;
                *at_a = i;
                *at_b = j;
            }
        }
    return best;
}

/* Characters of the longest match and of what matches to the left and right of it. */
static gsize count_matches(Span a, Span b)
{
    gsize i = 0, j = 0;
    gsize n = longest_match(a, b, &i, &j);
    if (n == 0)
        return 0;
    return n + count_matches((Span){a.text, a.from, i}, (Span){b.text, b.from, j}) +
           count_matches((Span){a.text, i + n, a.to}, (Span){b.text, j + n, b.to});
}

double cli_likeness(const char *known, const char *word)
{
    gsize a = strlen(known), b = strlen(word);
    return a + b == 0 ? 1.0
                      : 2.0 * (double)count_matches((Span){known, 0, a}, (Span){word, 0, b}) /
                                (double)(a + b);
}

const char *cli_closest(const char *word, const char *const *known, gsize n)
{
    const char *best = NULL;
    double best_likeness = 0;
    if (strlen(word) > 64) /* no slip of the fingers, and the search is cubic */
        return NULL;
    for (gsize i = 0; i < n; i++) {
        double likeness = cli_likeness(known[i], word);
        if (likeness < ALIKE_ENOUGH || likeness < best_likeness ||
                (likeness == best_likeness && strcmp(known[i], best) < 0))
            continue;
        best = known[i];
        best_likeness = likeness;
    }
    return best;
}
