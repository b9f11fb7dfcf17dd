"""Try candidates until one is good enough, and cancel the rest; peer: concurrent.futures."""

import rain


@rain.task
def is_prime(n: int) -> tuple[int, bool]:
    return n, n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def main(client: rain.Client, start: int = 1_000_000) -> bool:
    with client.new_session("first good", default=True) as session:
        tasks = is_prime.map(range(start, start + 40))
        session.submit()
        for task in session.as_completed(tasks):
            number, good = task.result()
            if good:
                session.cancel()
                return number in (1_000_003, 1_000_033, 1_000_037, 1_000_039)
    return False


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
