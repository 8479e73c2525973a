"""The gossip mesh: who forwards to whom."""

from random import Random


def make_mesh(size: int, degree: int, random: Random) -> tuple[tuple[int, ...], ...]:
    """
    Return each node's neighbours: symmetric, connected, about `degree` of them.

    A ring in random order keeps it in one piece; the other links are drawn at random among nodes
    that still want some, as grafting in GossipSub comes out.
    """
    degree = min(degree, size - 1)
    order = list(range(size))
    random.shuffle(order)
    links: list[set[int]] = [set() for _ in range(size)]
    if size > 1:
        for place, node in enumerate(order):
            _link(links, node, order[(place + 1) % size])
    for node in order:
        others = [each for each in range(size) if each != node and len(links[each]) < degree]
        random.shuffle(others)
        for other in others:
            if len(links[node]) >= degree:
                break
            _link(links, node, other)
    return tuple(tuple(sorted(each)) for each in links)


def _link(links: list[set[int]], one: int, other: int) -> None:
    if one != other:
        links[one].add(other)
        links[other].add(one)
