"""Steps that follow each other, for several starts at once; peer: concurrent.futures, whose client waits in between."""

import rain


@rain.task
def step(x: int) -> int:
    return 3 * x + 1 if x % 2 else x // 2


def main(client: rain.Client, starts: int = 6, steps: int = 10) -> list[int]:
    with client.new_session("chain", default=True):
        ends = []
        for start in range(starts):
            value = start
            for _ in range(steps):
                value = step(value)
            ends.append(value)
        return [end.result() for end in ends]


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
