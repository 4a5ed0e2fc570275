"""Fits the table of costs in `dragoman.messages.estimate` to the calibration half of the corpus, and prints it.

    python tests/corpus/fit.py

Least squares over pieces of 400 characters: tokens of a piece = sum of the costs of its byte pairs, costs from 0 to
`LIMIT`, solved by coordinate descent. A small penalty pulls the costs of one second byte together, so that a pair which
the corpus hardly has costs what its neighbours cost. Takes ten seconds; needs the `dev` group (bpe-openai).
"""

import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from corpus.bodies import bodies
from corpus.truth import count, texts
from dragoman.messages import estimate

PIECE = 400  # characters
FROM_EACH = 12_000  # characters of one body
PENALTY = 5e-3  # per piece
SWEEPS = 400
LIMIT = 255 / estimate.UNIT  # tokens; a cost must fit into a byte


def pieces() -> list[tuple[Counter[int], int]]:
    """How often each pair occurs in a piece, and the piece's tokens."""
    found = []
    for _, body in bodies("calibration"):
        text = "\n".join(texts(body))[:FROM_EACH]
        for start in range(0, len(text), PIECE):
            piece = text[start : start + PIECE]
            if len(piece) >= PIECE // 10:
                found.append((Counter(estimate.pairs(piece.encode())), count(piece)))
    return found


def solve(rows: list[tuple[Counter[int], int]]) -> list[float]:
    """The cost of each of the 256 pairs, in tokens."""
    gram = [[0.0] * 256 for _ in range(256)]
    slope = [0.0] * 256
    for pairs, tokens in rows:
        weight = 1 / tokens
        for pair, times in pairs.items():
            line = gram[pair]
            for other, others in pairs.items():
                line[other] += weight * times * others
            slope[pair] -= times
    pull = PENALTY * len(rows)
    for pair in range(256):
        for other in range(pair & 15, 256, 16):
            gram[pair][other] += pull * ((pair == other) - 1 / 16)
    costs = [0.0] * 256
    for _ in range(SWEEPS):
        for pair, line in enumerate(gram):
            new = min(LIMIT, max(0.0, costs[pair] - slope[pair] / (line[pair] or 1.0)))
            step = new - costs[pair]
            if step:
                costs[pair] = new
                for other, value in enumerate(line):
                    slope[other] += value * step
    return costs


def main() -> None:
    units = [round(cost * estimate.UNIT) for cost in solve(pieces())]
    for row in range(0, 256, 16):
        print(f'    "{bytes(units[row : row + 16]).hex()}"')


if __name__ == "__main__":
    main()
