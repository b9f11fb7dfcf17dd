"""Await tasks in a program of asyncio; peer: run_in_executor of concurrent.futures."""

import asyncio

import rain


@rain.task
def square(n: int) -> int:
    return n * n


async def squares(session: rain.Session) -> list[int]:
    tasks = square.map(range(10))
    await session.submit_async()
    return list(await asyncio.gather(*(task.result_async() for task in tasks)))


def main(client: rain.Client) -> int:
    with client.new_session("asyncio", default=True) as session:
        return sum(asyncio.run(squares(session)))


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
