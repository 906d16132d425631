"""The exact measures from their definitions in rational numbers: no rounding, and no code shared with the library.

Only square roots are taken in floating point, of exact numbers. For small MDPs.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import sqrt

import numpy as np

Numbers = list[Fraction]


def exact(array):
    """Nested lists of Fractions, with the values of the float64 numbers."""
    return [exact(x) for x in array] if np.ndim(array) else Fraction(float(array))


def distribution(array):
    """The same, divided by the sum over the last axis."""
    if np.ndim(array) > 1:
        return [distribution(x) for x in array]
    values = exact(array)
    return [x / sum(values) for x in values]


def solve(matrix, target):
    """A solution of a consistent linear system, with 0 for the unknowns that it leaves free (Gauss, exact)."""
    rows = [[*row, b] for row, b in zip(matrix, target, strict=True)]
    count, pivots, top = len(matrix[0]), [], 0
    for column in range(count):
        found = next((i for i in range(top, len(rows)) if rows[i][column]), None)
        if found is None:
            continue
        rows[top], rows[found] = rows[found], rows[top]
        rows[top] = [x / rows[top][column] for x in rows[top]]
        for i, row in enumerate(rows):
            if i != top and row[column]:
                rows[i] = [x - row[column] * y for x, y in zip(row, rows[top], strict=True)]
        pivots.append(column)
        top += 1
    answer = [Fraction(0)] * count
    for i, column in enumerate(pivots):
        answer[column] = rows[i][-1]
    return answer


def rank(matrix):
    """The exact rank."""
    rows, found = [list(r) for r in matrix], 0
    for column in range(len(rows[0]) if rows else 0):
        pivot = next((i for i in range(found, len(rows)) if rows[i][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for i in range(found + 1, len(rows)):
            share = rows[i][column] / rows[found][column]
            rows[i] = [x - share * y for x, y in zip(rows[i], rows[found], strict=True)]
        found += 1
    return found


class Exact:
    """A tabular MDP in rational numbers, and the measures of rewards on it."""

    def __init__(self, transition, gamma, coverage=None, initial=None):
        self.p = distribution(transition)
        self.g = Fraction(gamma)
        self.states, self.actions = range(len(transition)), range(len(transition[0]))
        self.every = list(product(self.states, self.actions, self.states))
        uniform = Fraction(1, len(self.states) * len(self.actions))
        if coverage is None:
            self.d = {(s, a, t): uniform * self.p[s][a][t] for s, a, t in self.every}
        else:
            flat = distribution(np.reshape(coverage, -1))
            self.d = dict(zip(self.every, flat, strict=True))
        self.initial = distribution(initial) if initial is not None else None

    def expected(self, r):
        return [[sum(self.p[s][a][t] * r[s][a][t] for t in self.states) for a in self.actions] for s in self.states]

    def value(self, r, policy):
        """V^π of r(s, a)."""
        moves = [
            [(s == t) - self.g * sum(policy[s][a] * self.p[s][a][t] for a in self.actions) for t in self.states]
            for s in self.states
        ]
        return solve(moves, [sum(policy[s][a] * r[s][a] for a in self.actions) for s in self.states])

    # Canonical forms, as {(s, a, t): value}

    def epic(self, r):
        n, m = len(self.states), len(self.actions)
        mean = [sum(r[s][a][t] for a in self.actions for t in self.states) / (n * m) for s in self.states]
        whole = sum(mean) / n
        return {(s, a, t): r[s][a][t] + self.g * mean[t] - mean[s] - self.g * whole for s, a, t in self.every}

    def dard(self, r):
        p, m = self.p, len(self.actions)
        mean = [sum(self.expected(r)[s]) / m for s in self.states]

        def last(s, t):
            draws = product(self.actions, self.states, self.states)
            return sum(p[s][a][x] * p[t][a][y] * r[x][a][y] for a, x, y in draws) / m

        return {(s, a, t): r[s][a][t] + self.g * mean[t] - mean[s] - self.g * last(s, t) for s, a, t in self.every}

    def val(self, r, policy=None):
        m = len(self.actions)
        policy = policy or [[Fraction(1, m)] * m for _ in self.states]
        e = self.expected(r)
        v = self.value(e, policy)
        after = self.expected([[v] * m for _ in self.states])
        return {(s, a, t): e[s][a] - v[s] + self.g * after[s][a] for s, a, t in self.every}

    def val_potential(self, r, policy=None):
        m = len(self.actions)
        policy = policy or [[Fraction(1, m)] * m for _ in self.states]
        v = self.value(self.expected(r), policy)
        return {(s, a, t): r[s][a][t] - v[s] + self.g * v[t] for s, a, t in self.every}

    def npec(self, r):
        rows = [k for k in self.every if self.d[k]]
        columns = [[self.g * (t == j) - (s == j) for j in self.states] for s, _, t in rows]
        target = [r[s][a][t] for s, a, t in rows]
        left = self._residual(columns, target, [self.d[k] for k in rows])
        return dict.fromkeys(self.every, Fraction(0)) | dict(zip(rows, left, strict=True))

    def minimal(self, r):
        """For a coverage d(s, a)·P, where the least norm spreads the marginal evenly."""
        e, rows = self.expected(r), list(product(self.states, self.actions))
        weight = [sum(self.d[s, a, t] for t in self.states) for s, a in rows]
        columns = [[self.g * self.p[s][a][j] - (s == j) for j in self.states] for s, a in rows]
        left = dict(zip(rows, self._residual(columns, [e[s][a] for s, a in rows], weight), strict=True))
        return {(s, a, t): left[s, a] for s, a, t in self.every}

    @staticmethod
    def _residual(columns, target, weight):
        count = len(columns[0])
        normal = [
            [sum(w * c[i] * c[j] for w, c in zip(weight, columns, strict=True)) for j in range(count)]
            for i in range(count)
        ]
        right = [sum(w * c[i] * y for w, c, y in zip(weight, columns, target, strict=True)) for i in range(count)]
        phi = solve(normal, right)
        return [y - sum(x * f for x, f in zip(c, phi, strict=True)) for c, y in zip(columns, target, strict=True)]

    # Distances

    def inner(self, a, b):
        return sum(self.d[k] * a[k] * b[k] for k in self.every if self.d[k])

    def cosine(self, a, b):
        """The cosine of two forms; None where one is zero."""
        first, second, both = self.inner(a, a), self.inner(b, b), self.inner(a, b)
        return None if not first or not second else _root(both * abs(both) / (first * second))

    def distance(self, name, one, other):
        """The distance of two rewards (nested Fractions), as a float."""
        a, b = (getattr(self, name)(r) for r in (one, other))
        if name in ("epic", "dard"):
            a, b = ({k: x - sum(self.d[j] * f[j] for j in self.every) for k, x in f.items()} for f in (a, b))
        trivial = [not self.inner(f, f) for f in (a, b)]
        if any(trivial):
            return 0.0 if all(trivial) else 0.5 if name in ("epic", "dard") else 1.0
        first, second, both = self.inner(a, a), self.inner(b, b), self.inner(a, b)
        squared = both * abs(both) / (first * second)  # cos·|cos|, exact
        apart = (1 - abs(squared)) / (1 + abs(_root(squared)))  # 1 − |cos|, without cancellation
        below = float(apart) if both >= 0 else 2 - float(apart)  # 1 − cos
        if name == "npec":
            return sqrt(1 - squared) if both > 0 else 1.0
        return sqrt(below / 2) if name in ("epic", "dard") else sqrt(2 * below)

    # Regret

    def optimal(self, r, allowed=None):
        """Gaps V* − Q* (exact) and an optimal policy of r(s, a), among the allowed actions."""
        allowed = allowed or [list(self.actions)] * len(self.states)
        choice = [x[0] for x in allowed]
        while True:
            v = self.value(r, [[Fraction(a == choice[s]) for a in self.actions] for s in self.states])
            after = self.expected([[v] * len(self.actions) for _ in self.states])
            q = [[r[s][a] + self.g * after[s][a] for a in self.actions] for s in self.states]
            better = [max(allowed[s], key=lambda a: (q[s][a], a == choice[s])) for s in self.states]
            if better == choice:
                return [[v[s] - q[s][a] for a in self.actions] for s in self.states], v
            choice = better

    def regret(self, true, proxy, ties="uniform", tied=0.0):
        """The regret; the proxy's actions are tied where their gap is at most `tied`."""
        r = self.expected(true)
        gaps, _ = self.optimal(self.expected(proxy))
        best = [[a for a in self.actions if gaps[s][a] <= tied] for s in self.states]

        def start(v):
            return sum(i * x for i, x in zip(self.initial, v, strict=True))

        minus = [[-x for x in row] for row in r]
        top, bottom = start(self.optimal(r)[1]), -start(self.optimal(minus)[1])
        if top == bottom:
            return 0.0
        if ties == "uniform":
            reached = self.value(r, [[Fraction(a in best[s], len(best[s])) for a in self.actions] for s in self.states])
        else:
            reached = self.optimal(r if ties == "best" else minus, best)[1]
            reached = reached if ties == "best" else [-x for x in reached]
        return float((top - start(reached)) / (top - bottom))


def _root(squared):
    """√x of |x| with the sign of x, as a Fraction near it."""
    return Fraction(sqrt(abs(squared))) * (1 if squared >= 0 else -1)
