from concurrent.futures import ProcessPoolExecutor


def parse(text):
    return int(text)


def main():
    total, errors = 0, []
    with ProcessPoolExecutor() as pool:
        for future in [pool.submit(parse, text) for text in ["1", "2", "three", "4", "fünf"]]:
            try:
                total += future.result()
            except ValueError as error:
                errors.append(str(error))
    return total, errors


if __name__ == "__main__":
    print(main())
