"""Calls that fail by chance are tried again; peer: concurrent.futures, with a loop of its own."""

import rain


@rain.task(retries=3, retry_on=[ConnectionError])
def fetch(page: int) -> str:
    if rain.current_task().info.attempts <= page % 3:
        raise ConnectionError(f"page {page} is busy")
    return f"page {page}"


def main(client: rain.Client, pages: int = 8) -> list[str]:
    with client.new_session("flaky", default=True):
        return [task.result() for task in fetch.map(range(pages))]


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
