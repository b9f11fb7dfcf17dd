"""Runs on the login node: a client whose governors are jobs of Grid Engine."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

from rain import Client, Output, RainException, remote

begin = time.monotonic()


@remote(outputs=[Output(encode="json")])
def where(ctx: Any, number: int) -> Any:
    import socket
    import time

    time.sleep(0.1)
    return socket.gethostname()


@remote(outputs=[Output(encode="json")], cpus=2)
def long(ctx: Any, folder: str) -> Any:
    import os
    import time

    with open(os.path.join(folder, f"begun-{os.getpid()}"), "w"):
        pass
    while not os.path.exists(os.path.join(folder, "go")):
        time.sleep(0.05)
    return os.environ.get("PE_HOSTFILE", "no host file")


with Client.on("sge", nodes=2, cpus=2, time="10:00", partition="main", timeout=100) as client:
    with client.new_session("hosts", default=True) as session:
        session.run(where(0))
        print("first result", round(time.monotonic() - begin, 2))
        [pool] = client.pools
        pool.wait(2, timeout=100)
        client.wait_for_governors(2, timeout=100)
        print("cpus", *sorted(one["resources"]["cpus"] for one in client.get_server_info()["governors"]))
        ends = [place.ends_at for place in pool.places]
        print("ends known", all(at is not None and 0 < at - time.time() <= 600 for at in ends))
        # One of the two is deleted while both run something: it leaves, and what it ran runs elsewhere.
        folder = Path.home()
        tasks = [long(str(folder)) for _ in range(2)]
        for task in tasks:
            task.keep_outputs()
        session.submit()
        while len(list(folder.glob("begun-*"))) < 2:
            time.sleep(0.05)
        subprocess.run(["qdel", pool.places[0].job], check=True, stdout=subprocess.DEVNULL)
        while not any(one["leaves"] for one in client.get_server_info()["governors"]):
            time.sleep(0.05)
        (folder / "go").touch()
        session.wait_all(timeout=100)
        assert [task.output.fetch().load() for task in tasks] == ["no host file"] * 2
        print("deleted: none counted as a crash")
        while subprocess.run(["qstat", "-j", pool.places[0].job], capture_output=True, check=False).returncode == 0:
            time.sleep(0.1)
        pool.scale(4)  # of which three have room
        pool.wait(3, timeout=100)
        client.wait_for_governors(3, timeout=100)
        print("three", *sorted(set(session.run(*[where(i) for i in range(40)]))))
        try:
            pool.wait(4, timeout=3)
        except TimeoutError as error:
            print("waits:", error)
        pool.close()
    many = client.pool("sge", 9, cpus=1)
    many.wait(6, timeout=100)
    print("array", len(many.places), "places,", sum(place.state.value == "up" for place in many.places), "up")
    many.close()
    short = client.pool("sge", 1, time=6, folder=Path.home() / "short")
    short.wait(1, timeout=100)
    while short.places[0].state.value != "ended":
        time.sleep(0.05)
    [log] = (Path.home() / "short").glob("*/place-1.log")
    print("short:", "leaving now" in log.read_text())
    short.close()
    broken = client.pool("sge", 1, python="/nowhere/python")
    try:
        broken.wait(1, timeout=100)
    except RainException as error:
        print("broken:", error)
    for name, options in (
        ("refused", {"partition": "none"}),
        ("no environment", {"arguments": ["-pe", "nothing", "2"]}),
    ):
        try:
            client.pool("sge", 1, **options)
        except RainException as error:
            print(f"{name}:", str(error).replace("\n", " "))
