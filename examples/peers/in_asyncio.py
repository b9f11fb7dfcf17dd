import asyncio
from concurrent.futures import ProcessPoolExecutor


def square(n):
    return n * n


async def squares(pool):
    loop = asyncio.get_running_loop()
    return await asyncio.gather(*(loop.run_in_executor(pool, square, n) for n in range(10)))


def main():
    with ProcessPoolExecutor() as pool:
        return sum(asyncio.run(squares(pool)))


if __name__ == "__main__":
    print(main())
