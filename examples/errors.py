"""Some inputs are bad: the others' results are kept, and the errors are told; peer: concurrent.futures."""

import rain


@rain.task
def parse(text: str) -> int:
    return int(text)


def main(client: rain.Client) -> tuple[int, list[str]]:
    with client.new_session("errors", default=True) as session:
        tasks = parse.map(["1", "2", "three", "4", "fünf"])
        session.submit()
        failed = session.wait_all(raise_on_failure=False)
        errors = [str(task.exception()) for task in failed]
        return sum(task.result() for task in tasks if task not in failed), errors


if __name__ == "__main__":
    with rain.Client.local() as client:
        print(main(client))
