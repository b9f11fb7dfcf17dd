import random
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def sort(path):
    with open(path) as source, open(f"{path}.sorted", "w") as target:
        subprocess.run(["sort", "-n"], stdin=source, stdout=target, check=True)
    return f"{path}.sorted"


def main(parts=4, lines=500):
    draw = random.Random(7).randrange
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        paths = []
        for n in range(parts):
            path = Path(folder, f"part{n}")
            path.write_text("".join(f"{draw(10**6)}\n" for _ in range(lines)))
            paths.append(path)
        pieces = list(pool.map(sort, paths))
        merged = subprocess.run(["sort", "-n", "-m", *pieces], capture_output=True, check=True)
        numbers = merged.stdout.decode().split()
    return int(numbers[len(numbers) // 2])


if __name__ == "__main__":
    print(main())
