/* SPDX-License-Identifier: Apache-2.0 */
/* One regression tree; trees.c makes forests and boosted sums of it. */
#pragma once

#include "engine/batch/trees.h"

typedef struct TreeNode {
    int dim;           /* -1: a leaf */
    double threshold;  /* left: at most this; in a dimension of choices: this very value */
    guint left, right; /* numbers of nodes */
    double mean, variance;
} TreeNode;

typedef struct Tree {
    GArray *nodes; /* TreeNode; the first is the root */
    const gboolean *is_choice;
} Tree;

typedef struct TreeRules {
    Rng *rng;       /* a threshold at random in each dimension; NULL: the best of all */
    gsize min_leaf; /* points in a leaf, at least */
    guint max_depth;
} TreeRules;

/* Splits where the squared error falls most. `is_choice` of the data must stay. */
Tree *tree_grow(const TreeData *data, const TreeRules *rules);
void tree_free(Tree *t);
/* Number of the leaf. */
guint tree_leaf(const Tree *t, const double *x);
const TreeNode *tree_node(const Tree *t, guint i);
