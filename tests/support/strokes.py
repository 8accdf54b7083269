"""Digits and letters as the strokes of a pen, and the pen that draws them with a hand's jitter."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Ink = NDArray[np.float32]  # (height, width): 0 is bare paper, 1 is full ink; nothing but the mark
Points = NDArray[np.float64]  # (n, 2): x and y

INK_SIDE = 200  # pixels of a mark's longer side
_SCALE = 2  # drawn larger by this, then reduced: soft edges

# x,y in hundredths of the height, y downwards; "!" makes a sharp corner, "/" lifts the pen. One line is one
# way to write the character that begins it.
_SKELETONS = """
0 30,0 8,18 2,50 8,84 30,100 52,84 58,50 52,18 30,0
0 34,4 12,14 3,50 14,90 34,99 54,80 57,40 44,6 24,3
0 40,6 16,6 2,46 16,94 42,96 60,52 44,8 34,2
1 30,0 30,50 30,100
1 40,0 34,50 28,100
1 14,20 32,0! 32,50 32,100
2 6,22 14,4 34,0 54,12 52,34 30,64 4,100! 30,99 60,97
2 8,20 24,1 48,6 54,28 36,60 8,92 6,99 20,92 40,97 60,92
2 4,16 22,0 50,6 52,30 32,58 2,98! 24,94 44,98 62,92
3 6,10 28,0 52,10 50,34 24,47! 54,58 58,82 32,100 4,90
3 6,4 30,3 54,4! 40,24 26,42! 52,50 58,76 36,99 6,92
3 4,12 26,0 50,12 44,36 26,46 24,42 48,50 58,74 36,99 4,88
4 10,2 6,30 4,52! 30,54 60,50 / 50,4 48,50 44,100
4 44,0 24,30 2,66! 34,66 62,66 / 44,0 43,50 42,100
4 14,0 10,30 6,58! 30,58 66,56 / 46,22 44,60 42,100
5 54,2 32,2 12,3! 10,24 8,44! 30,36 54,50 56,78 34,98 4,92
5 10,4 9,24 7,44! 30,36 56,52 54,84 28,100 4,90 / 10,4 30,3 56,1
6 46,2 22,22 6,56 8,86 30,100 54,86 54,62 32,52 8,66
6 38,0 14,34 4,68 16,97 42,97 56,76 40,56 16,60 6,76
7 4,6 30,4 58,2! 40,44 22,100
7 4,6 30,4 58,2! 40,44 24,100 / 18,52 34,50 52,48
7 4,18 5,4! 30,4 56,3! 40,46 26,100
8 52,12 32,0 10,14 26,44 52,66 50,92 28,100 6,88 10,66 36,44 54,22 50,10
8 30,46 8,24 30,0 52,22 30,46 / 30,46 58,74 30,100 2,74 30,46
9 52,18 34,2 8,14 8,40 30,50 52,34 54,12! 52,50 46,100
9 52,14 30,0 8,16 10,42 34,48 54,22 54,50 44,88 14,99
A 0,100 15,50 30,0! 45,50 60,100 / 10,64 30,63 50,64
B 6,0 6,50 6,100 / 6,2! 40,4 44,30 8,48! 50,56 52,88 6,99
C 56,14 36,0 10,16 2,50 12,86 36,100 58,86
D 6,0 6,50 6,100 / 6,2! 44,12 60,50 44,88 6,99
E 54,2 30,2 6,2! 6,50 6,98! 30,98 56,98 / 6,48 26,48 46,48
F 54,2 30,2 6,2! 6,50 6,100 / 6,48 26,48 44,48
G 56,14 36,0 10,16 2,50 12,86 36,100 56,84 58,56! 46,56 34,56
H 6,0 6,50 6,100 / 56,0 56,50 56,100 / 6,50 30,50 56,50
I 30,0 30,50 30,100
J 44,0 44,40 43,76 26,100 6,84
K 6,0 6,50 6,100 / 52,2 30,28 6,56! 30,78 56,100
L 6,0 6,50 6,98! 30,98 56,98
M 2,100 5,50 8,0! 22,32 36,64! 50,32 64,0! 67,50 70,100
N 6,100 6,50 6,0! 30,50 56,100! 56,50 56,0
O 30,0 8,18 2,50 8,84 30,100 52,84 58,50 52,18 30,0
P 6,0 6,50 6,100 / 6,2! 42,4 50,28 40,50 6,52
Q 30,0 8,18 2,50 8,84 30,100 52,84 58,50 52,18 30,0 / 36,72 50,88 62,102
R 6,0 6,50 6,100 / 6,2! 42,4 48,28 38,48 6,50! 30,74 56,100
S 52,12 32,0 8,14 14,40 44,58 52,84 28,100 4,88
T 0,2 30,2 62,2 / 31,2 31,50 31,100
U 4,0 4,50 10,90 30,100 50,90 56,50 56,0
V 2,0 16,50 30,100! 44,50 58,0
W 0,0 9,50 18,100! 27,60 36,24! 45,60 54,100! 63,50 72,0
X 2,0 30,50 58,100 / 58,0 30,50 2,100
Y 2,0 16,26 30,50! 46,26 60,0 / 30,50 30,76 30,100
Z 4,2 30,2 58,2! 30,50 2,98! 30,98 60,98
a 72,10 40,0 10,20 6,70 34,98 64,70 74,8! 74,50 80,100
b 6,0 6,50 6,98! 6,70 30,52 54,66 50,92 28,100 6,88
c 66,16 40,0 12,18 2,50 14,86 42,100 70,84
d 54,0 54,50 54,100! 54,76 36,52 8,64 8,90 32,100 54,80
e 6,50 40,48 84,46! 78,14 44,0 10,26 8,72 46,100 86,84
f 50,8 34,0 24,16 24,60 24,100 / 4,42 24,42 46,42
g 52,12 30,0 8,14 8,36 30,46 52,32 54,4! 54,50 50,88 28,100 6,88
h 6,0 6,50 6,100! 6,70 28,48 50,60 52,100
i 8,36 8,68 8,100 / 8,4 8,6 9,7
j 26,30 27,62 22,92 4,98 / 26,2 26,4 27,5
k 6,0 6,50 6,100 / 44,40 26,56 6,70! 28,84 46,100
l 30,0 30,50 30,100
m 0,2 2,50 2,100! 4,40 30,2 50,30 50,100! 54,40 80,2 100,30 100,100
n 4,2 6,50 6,100! 10,40 46,2 78,26 80,100
o 50,0 14,16 2,50 16,84 50,100 84,84 98,50 84,16 50,0
p 6,0 6,50 6,100 / 6,14 30,0 52,14 50,38 28,48 6,36
q 52,14 30,0 8,14 8,38 30,48 52,34 54,2! 54,50 54,100
r 6,0 8,50 8,100! 10,40 40,4 70,10
s 52,12 32,0 8,14 14,40 44,58 52,84 28,100 4,88
t 26,0 26,50 28,88 42,100 54,92 / 4,28 26,28 50,28
u 4,0 6,50 16,92 46,94 74,60 76,0! 76,50 84,100
v 2,0 36,50 50,100! 66,50 98,0
w 0,0 14,50 28,100! 40,60 50,30! 60,60 72,100! 86,50 100,0
x 4,0 48,50 94,100 / 92,2 48,50 4,98
y 4,0 16,26 30,50 / 56,0 40,40 14,100
z 4,2 40,2 88,2! 40,50 4,98! 50,98 92,98
"""


@cache
def ways(character: str) -> tuple[str, ...]:
    """The skeletons of a character."""
    lines = _SKELETONS.strip().splitlines()
    return tuple(line[2:] for line in lines if line[0] == character)


def _smooth(points: Points, corners: list[bool], dots: int = 24) -> Points:
    """A Catmull-Rom curve through the points of one stroke."""
    pieces = []
    for i in range(len(points) - 1):
        start, end = points[i], points[i + 1]
        before = 2 * start - end if i == 0 or corners[i] else points[i - 1]
        after = 2 * end - start if i + 2 == len(points) or corners[i + 1] else points[i + 2]
        t = np.linspace(0, 1, dots)[:, None]
        curve = 2 * start + (end - before) * t
        curve = curve + (2 * before - 5 * start + 4 * end - after) * t**2
        pieces.append((curve + (3 * start - before - 3 * end + after) * t**3) / 2)
    return np.concatenate(pieces)


def trace(skeleton: str, rng: np.random.Generator, jitter: float = 1.0) -> list[Points]:
    """A skeleton's strokes as a hand makes them: points moved, the whole slanted, turned and stretched."""
    slant, turn = rng.normal(0, 0.10 * jitter) - 0.06 * jitter, rng.normal(0, 0.06 * jitter)
    matrix = np.array([[1, 0], [slant, 1]]) @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    matrix = np.diag([rng.uniform(1 - 0.1 * jitter, 1 + 0.3 * jitter), 1]) @ matrix
    strokes = []
    for stroke in skeleton.split("/"):
        words = stroke.split()
        points = np.array([[float(number) for number in word.rstrip("!").split(",")] for word in words]) / 100
        points += rng.normal(0, 0.018 * jitter, points.shape)
        strokes.append(_smooth(points, [word.endswith("!") for word in words]) @ matrix)
    return strokes


def rasterize(strokes: list[Points], radius: float, rng: np.random.Generator) -> Ink:
    """Ink the strokes with a round pen of `radius` (share of the longer side), its pressure uneven."""
    every = np.concatenate(strokes)
    low, high = every.min(axis=0), every.max(axis=0)
    side = INK_SIDE * _SCALE
    scale = (1 - 2 * radius) * side / max((high - low).max(), 1e-6)
    width, height = ((high - low) * scale + 2 * radius * side + 2).astype(int)
    image = Image.new("L", (int(width), int(height)))
    draw = ImageDraw.Draw(image)
    for stroke in strokes:
        spots = _evenly((stroke - low) * scale + radius * side, radius * side / 3)
        start, waves = rng.uniform(0, 2 * np.pi), rng.uniform(2, 6)
        pressure = 1 + 0.12 * np.sin(start + waves * np.linspace(0, 1, len(spots)))
        for (x, y), r in zip(spots, (pressure * radius * side).clip(0.7), strict=True):
            draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    size = max(1, image.width // _SCALE), max(1, image.height // _SCALE)
    return np.asarray(image.resize(size, Image.Resampling.BOX), np.float32) / 255


def _evenly(spots: Points, step: float) -> Points:
    """Spots along the same curve, about `step` apart."""
    along = np.concatenate([[0.0], np.hypot(*np.diff(spots, axis=0).T).cumsum()])
    places = np.linspace(0, along[-1], max(2, int(along[-1] / max(step, 0.5)) + 1))
    return np.stack([np.interp(places, along, axis) for axis in spots.T], axis=1)


def write(character: str, radius: float, rng: np.random.Generator) -> Ink:
    """A character, written by hand with a pen of `radius`, a share of its longer side."""
    skeletons = ways(character)
    return rasterize(trace(skeletons[rng.integers(len(skeletons))], rng), radius, rng)
