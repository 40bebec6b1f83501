"""Random damage: what disks, copies, crashes and malice do to bytes.

The random numbers are drawn in the same order for the same seed: recorded seeds stay what they were only as long as
this file and the fixtures do.
"""

from __future__ import annotations

import random
from collections.abc import Callable

SECTOR = 512

Mutation = Callable[[random.Random, bytearray], None]


def _flip_bit(rng: random.Random, content: bytearray) -> None:
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)


def _flip_bytes(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content))
    for at in range(start, min(start + rng.choice((1, 2, 4, 16, 64)), len(content))):
        content[at] ^= 0xFF


def _number(rng: random.Random, content: bytearray) -> None:
    """An extreme value where a size, count or offset may stand."""
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice((0, 1, 0x7F, 0x80, (1 << 8 * width) - 1, 1 << 8 * width - 1, (1 << 8 * width - 1) - 1))
    at = rng.randrange(len(content)) // width * width
    content[at : at + width] = (value & (1 << 8 * width) - 1).to_bytes(width, rng.choice(("little", "big")))


def _varint(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content))
    content[at : at + 1] = rng.choice(
        (b"\xff\xff\xff\xff\x0f", b"\xff" * 9 + b"\x01", b"\x80\x80\x80\x80\x04", b"\x80")
    )


def _cut(rng: random.Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) :]


def _cut_sector(rng: random.Random, content: bytearray) -> None:
    del content[rng.randrange(len(content)) // SECTOR * SECTOR :]


def _zero_sector(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content)) // SECTOR * SECTOR
    stop = min(start + SECTOR * rng.choice((1, 1, 8)), len(content))
    content[start:stop] = bytes(stop - start)


def _swap_blocks(rng: random.Random, content: bytearray) -> None:
    size = rng.choice((16, SECTOR, 4096))
    one, other = (rng.randrange(len(content)) // size * size for _ in range(2))
    first, second = bytes(content[one : one + size]), bytes(content[other : other + size])
    if len(first) == len(second):
        content[one : one + size], content[other : other + size] = second, first


def _copy_block(rng: random.Random, content: bytearray) -> None:
    """A block written to a wrong place."""
    size = rng.choice((4, 16, SECTOR, 4096))
    source, target = (rng.randrange(len(content)) // size * size for _ in range(2))
    block = bytes(content[source : source + size])
    content[target : target + len(block)] = block


def _repeat_block(rng: random.Random, content: bytearray) -> None:
    size = rng.choice((1, 16, SECTOR, 4096))
    at = rng.randrange(len(content)) // size * size
    content[at:at] = content[at : at + size]


def _insert(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content) + 1)
    content[at:at] = rng.randbytes(rng.choice((1, 2, 7, 100)))


def _remove(rng: random.Random, content: bytearray) -> None:
    at = rng.randrange(len(content))
    del content[at : at + rng.choice((1, 2, 8, SECTOR))]


def _noise(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content))
    size = min(rng.choice((4, 64, SECTOR, 4096)), len(content) - start)
    content[start : start + size] = rng.randbytes(size)


def _lengthen(rng: random.Random, content: bytearray) -> None:
    content += rng.choice((bytes(SECTOR), rng.randbytes(rng.randrange(1, 200)), b"\xff" * 64))


MUTATIONS: tuple[Mutation, ...] = (
    _flip_bit,
    _flip_bytes,
    _number,
    _varint,
    _cut,
    _cut_sector,
    _zero_sector,
    _swap_blocks,
    _copy_block,
    _repeat_block,
    _insert,
    _remove,
    _noise,
    _lengthen,
)


def mutated(rng: random.Random, content: bytes) -> bytes:
    """The bytes with one to three kinds of damage."""
    damaged = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        if damaged:
            rng.choice(MUTATIONS)(rng, damaged)
    return bytes(damaged)
