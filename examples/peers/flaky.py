from concurrent.futures import ProcessPoolExecutor


def fetch(page, attempt):
    if attempt <= page % 3:
        raise ConnectionError(f"page {page} is busy")
    return f"page {page}"


def main(pages=8, retries=3):
    done = {}
    with ProcessPoolExecutor() as pool:
        todo = {page: pool.submit(fetch, page, 1) for page in range(pages)}
        for attempt in range(2, retries + 2):
            failed = []
            for page, future in todo.items():
                try:
                    done[page] = future.result()
                except ConnectionError:
                    failed.append(page)
            todo = {page: pool.submit(fetch, page, attempt) for page in failed}
    if todo:
        raise ConnectionError(f"pages {sorted(todo)} are busy")
    return [done[page] for page in range(pages)]


if __name__ == "__main__":
    print(main())
