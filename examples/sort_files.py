"""Sort parts of a file with sort(1), and merge them with sort(1); peer: concurrent.futures and subprocess."""

import random

import rain

sort = rain.Program(["sort", "-n"], stdin="part", stdout="sorted", name="sort")


def main(client: rain.Client, parts: int = 4, lines: int = 500) -> int:
    draw = random.Random(7).randrange
    with client.new_session("sort", default=True) as session:
        texts = ["".join(f"{draw(10**6)}\n" for _ in range(lines)) for _ in range(parts)]
        pieces = [sort(part=rain.blob(text)).output for text in texts]
        names = [f"part{n}" for n in range(parts)]
        inputs = [rain.Input(path=name, dataobj=piece) for name, piece in zip(names, pieces, strict=True)]
        merged = rain.tasks.Execute(["sort", "-n", "-m", *names], input_paths=inputs, stdout="merged")
        numbers = session.run(merged).decode().split()
    return int(numbers[len(numbers) // 2])


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
