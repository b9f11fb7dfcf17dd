from concurrent.futures import ProcessPoolExecutor, as_completed


def is_prime(n):
    return n, n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def main(start=1_000_000):
    with ProcessPoolExecutor() as pool:
        futures = [pool.submit(is_prime, n) for n in range(start, start + 40)]
        for future in as_completed(futures):
            number, good = future.result()
            if good:
                pool.shutdown(cancel_futures=True)
                return number in (1_000_003, 1_000_033, 1_000_037, 1_000_039)
    return False


if __name__ == "__main__":
    print(main())
