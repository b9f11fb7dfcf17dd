"""Ask and tell: a search proposes points, and always two of them are being judged; peer: concurrent.futures."""

import random
from concurrent.futures import FIRST_COMPLETED, wait

import rain


def cost(x: float) -> float:
    return (x - 0.3) ** 2


def main(client: rain.Client, tries: int = 30) -> bool:
    draw = random.Random(3).random
    best = 1.0
    with client.executor() as pool:
        asked = {pool.submit(cost, draw()) for _ in range(2)}
        for _ in range(tries):
            done, asked = wait(asked, return_when=FIRST_COMPLETED)
            best = min(best, *(future.result() for future in done))
            asked |= {pool.submit(cost, draw()) for _ in done}
    return best < 0.01


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
