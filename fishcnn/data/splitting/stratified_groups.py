"""Stratified group split: whole groups of images are held out, with every class in proportion.

Sums are over integers or in a fixed order, so that the same arguments give the same split on every
machine.
"""

import numpy as np
from numpy.typing import NDArray

from fishcnn.data.splitting.groups import merge_groups, numbered

# Of the drawn groups, and of the others, at most so many are looked at for an exchange: enough to
# find a good one, few enough to compare each with each.
_MAX_COMPARED = 300
# Few groups leave little choice, which is looked through more than once: so often, unless that is
# more work than so many groups.
_MAX_TRIES, _MAX_WORK = 20, 2000
_FORBIDDEN = np.iinfo(np.int64).max


def draw_groups(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    wanted: NDArray[np.int64],
    *,
    leave: int,
    generator: np.random.Generator,
) -> NDArray[np.bool_]:
    """Draw groups at random so that each class gives about as many images as wanted.

    Groups in random order are drawn as long as they fit. Then single groups are moved, and pairs
    exchanged, while that brings the numbers of images closer to the wanted ones: in the end, no
    move and (among up to 300 groups each) no exchange would. What counts is the sum over classes of
    the squared difference, weighted by the inverse size of the class.

    So many groups of each class as ``leave`` says stay behind, all of them where there are no more.
    Where there are more and one can be had, at least one is drawn, even if it is too large. Labels
    are int64 (N,), >= 0; groups, int64 (N,), may hold images of several classes; int64 (C,) images
    of each class are wanted.

    Returns:
        bool (N,), the same for all images of a group.
    """
    drawn = np.zeros(len(labels), np.bool_)
    # Classes that share no group do not affect each other.
    parts = merge_groups(labels, groups)
    by_part = np.argsort(parts, kind="stable")
    for members in np.split(by_part, np.cumsum(np.bincount(parts))[:-1]):
        classes, columns = np.unique(labels[members], return_inverse=True)
        rows = numbered(groups[members])
        counts = np.zeros((int(rows.max()) + 1, len(classes)), np.int64)
        np.add.at(counts, (rows, columns), 1)
        drawn[members] = _draw(counts, wanted[classes], leave, generator)[rows]
    return drawn


def _draw(
    counts: NDArray[np.int64], wanted: NDArray[np.int64], leave: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw among groups that share classes, of counts int64 (G, C); bool (G,)."""
    tries = []
    for _ in range(max(1, min(_MAX_TRIES, _MAX_WORK // len(counts)))):
        # In rows of random order, "the first" means "any".
        order = generator.permutation(len(counts))
        draw = _Draw(counts[order], wanted, leave)
        draw.run()
        tries.append((draw.cost(), order[draw.drawn]))
        if draw.cost() == 0:
            break
    drawn = np.zeros(len(counts), np.bool_)
    drawn[min(tries, key=lambda cost_and_groups: cost_and_groups[0])[1]] = True
    return drawn


class _Draw:
    """Which groups are drawn, bool (G,), and what moving others would bring.

    Counts are int64 (G, C), images of each group in each class, in rows of random order.
    """

    def __init__(self, counts: NDArray[np.int64], wanted: NDArray[np.int64], leave: int) -> None:
        self.counts = counts
        self.has = counts > 0
        self.wanted = wanted
        # Groups of each class that may be drawn.
        self.most = np.maximum(self.has.sum(0) - leave, 0)
        self.free = np.logical_not(self.has[:, self.most == 0].any(axis=1))
        sizes = counts.sum(0)
        self.weights = sizes.max() // sizes
        self.squares = counts**2 @ self.weights
        self.drawn = np.zeros(len(counts), np.bool_)

    def run(self) -> None:
        """Draw what fits, then improve as long as one step does."""
        free = self.free[:, None]
        fits = (self.counts * free).cumsum(0) <= self.wanted
        fits &= (self.has * free).cumsum(0) <= self.most
        self.drawn = self.free & (fits | ~self.has).all(axis=1)
        self._draw_missing()
        while self._move() or self._exchange():
            pass

    def cost(self) -> int:
        """Sum over classes of the weighted squared difference from what is wanted."""
        return int(self.weights @ self._surplus() ** 2)

    def _surplus(self) -> NDArray[np.int64]:
        surplus: NDArray[np.int64] = self.counts[self.drawn].sum(0) - self.wanted
        return surplus

    def _draw_missing(self) -> None:
        """Draw one group of each class that has none drawn, if there is one to be had."""
        for column in np.flatnonzero((self.most > 0) & (self.wanted > 0)):
            if not self.has[self.drawn, column].any():
                change = np.where(
                    self._movable() & self.has[:, column], self._changes(), _FORBIDDEN
                )
                if change.min() < _FORBIDDEN:
                    self.drawn[change.argmin()] = True

    def _movable(self) -> NDArray[np.bool_]:
        """Tell which groups can move and leave each class a group on both ends; bool (G,)."""
        drawn = self.has[self.drawn].sum(0)
        needed_there = self.has[:, drawn == 1].any(axis=1) & self.drawn
        needed_here = self.has[:, drawn == self.most].any(axis=1) & ~self.drawn
        return ~needed_there & ~needed_here

    def _changes(self) -> NDArray[np.int64]:
        """What drawing each group, or putting it back, adds to the cost; int64 (G,)."""
        sign = np.where(self.drawn, -1, 1)
        linear = self.counts @ (self.weights * self._surplus())
        changes: NDArray[np.int64] = 2 * sign * linear + self.squares
        return changes

    def _move(self) -> bool:
        """Move the group that helps most; whether there was one."""
        change = np.where(self._movable(), self._changes(), _FORBIDDEN)
        group = change.argmin()
        if change[group] >= 0:
            return False
        self.drawn[group] = ~self.drawn[group]
        return True

    def _exchange(self) -> bool:
        """Exchange the two groups that help most; whether there were such."""
        outs = np.flatnonzero(self.drawn)[:_MAX_COMPARED]
        ins = np.flatnonzero(self.free & ~self.drawn)[:_MAX_COMPARED]
        if not len(outs) or not len(ins):
            return False
        change = self._changes()
        common = (self.counts[outs] * self.weights) @ self.counts[ins].T
        changes = change[outs][:, None] + change[ins] - 2 * common
        # The only group of a class goes for another of that class; so does the last that may come.
        goes, comes = self.has[outs], self.has[ins]
        drawn = self.has[self.drawn].sum(0)
        forbidden = (goes & (drawn == 1)) @ ~comes.T | ~goes @ (comes & (drawn == self.most)).T
        changes[forbidden] = _FORBIDDEN
        out, into = np.unravel_index(changes.argmin(), changes.shape)
        if changes[out, into] >= 0:
            return False
        self.drawn[outs[out]], self.drawn[ins[into]] = False, True
        return True


def assign_folds(
    labels: NDArray[np.int64],
    groups: NDArray[np.int64],
    folds: int,
    generator: np.random.Generator,
) -> NDArray[np.int64]:
    """Spread groups over folds so that each class, and the whole, is spread evenly.

    Large groups go first, each to the fold that has least of its classes and least in all (the
    greedy rule of Graham 1969). A group whose absence would leave a class without any training
    image in some fold is in no fold: the only group of a class, above all.

    With single images for groups, the numbers of a class in any two of the folds, of which there
    are at least 2, differ by one at most, and so do the sizes of the folds. Labels are int64 (N,),
    >= 0; groups, int64 (N,), may hold images of several classes.

    Returns:
        int64 (N,), the fold that each image is validated in, from 0; -1 where it is in none.
    """
    groups = numbered(groups)
    totals = np.bincount(labels).tolist()
    sizes = np.bincount(groups)
    cells, counts = np.unique(groups * len(totals) + labels, return_counts=True)
    owners, classes = np.divmod(cells, len(totals))
    contents: list[list[tuple[int, int]]] = [[] for _ in sizes]
    for owner, label, count in zip(owners.tolist(), classes.tolist(), counts.tolist(), strict=True):
        contents[owner].append((label, count))
    to_come = np.bincount(classes).tolist()  # groups of each class
    alone = np.zeros(len(sizes), np.bool_)
    alone[owners[np.array(to_come)[classes] == 1]] = True
    first_class = classes[np.searchsorted(owners, np.arange(len(sizes)))]
    # Equal groups go class by class: taking turns is even only then.
    order = np.lexsort((generator.random(len(sizes)), first_class, -sizes, ~alone))

    of_class = [[0] * folds for _ in totals]
    of_all = [0] * folds
    # The folds that have some of a class; -1 stands for training in all of them.
    homes: list[set[int]] = [set() for _ in totals]
    fold_of = np.full(len(sizes), -1, np.int64)
    for group in order.tolist():
        shut: set[int] = set()
        costs = [0.0] * folds
        for label, count in contents[group]:
            if to_come[label] == 1 and len(homes[label]) == 1:
                shut |= homes[label]
            share = count / totals[label]
            # The growth of the sum of squared shares of the classes in the folds.
            costs = [c + share * n for c, n in zip(costs, of_class[label], strict=True)]
        ranks = [(costs[fold], of_all[fold], fold) for fold in range(folds) if fold not in shut]
        fold = -1 if alone[group] else min(ranks, default=(0.0, 0, -1))[-1]
        for label, count in contents[group]:
            to_come[label] -= 1
            homes[label].add(fold)
            if fold >= 0:
                of_class[label][fold] += count
                of_all[fold] += count
        fold_of[group] = fold
    # Otherwise the first fold would always be the one that has one more.
    names = np.append(generator.permutation(folds), -1)
    return names[fold_of][groups]
