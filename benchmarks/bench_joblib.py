"""joblib with loky and 2 processes, which puts calls together by itself: `asked.py` sets Rain's `map` beside it."""

from __future__ import annotations

import bodies
from peerlib import System, main


class Joblib(System):
    name = "joblib"

    def start(self) -> None:
        from joblib import Parallel

        self.parallel = Parallel(n_jobs=2, backend="loky").__enter__()

    def stop(self) -> None:
        self.parallel.__exit__(None, None, None)

    def map_wait(self, body: str, n: int) -> None:
        from joblib import delayed

        call = delayed(getattr(bodies, body))
        self.parallel(call(i) for i in range(n))


if __name__ == "__main__":
    main(Joblib)
