"""Many clients at once: each posts one picture after the other, none of them twice, and does as a 503 tells it."""

from __future__ import annotations

import http.client
import io
import threading
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from time import monotonic, perf_counter, sleep

import numpy as np
from PIL import Image, ImageDraw

SIDE = 1000
DRAWN = 12
"""Pictures that are really drawn; the others differ from them in a comment, and so in their digest."""
ADDRESS = "/api/v1/recommendations"
LONGEST_WAIT = 120.0


class Pictures:
    """JPEGs of 1000×1000 pixels, never the same bytes twice: nothing that a server remembers is of any use to it."""

    def __init__(self) -> None:
        self._drawn = [_jpeg(seed) for seed in range(DRAWN)]
        self._numbers = count()

    def next(self) -> bytes:
        """Return a picture that was not returned before."""
        number = next(self._numbers)
        drawn = self._drawn[number % DRAWN]
        # A comment segment (ITU-T T.81, B.2.4.5), right behind the start of the image.
        return drawn[:2] + b"\xff\xfe\x00\x0a" + number.to_bytes(8, "big") + drawn[2:]


@dataclass
class Outcome:
    """What a crowd met: milliseconds of the accepted, how often each status came, and what went wrong otherwise."""

    seconds: float
    accepted_ms: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @property
    def per_second(self) -> float:
        """Accepted pictures a second."""
        return len(self.accepted_ms) / self.seconds

    def errors(self, *fine: int) -> int:
        """Return how many requests ended otherwise than with one of these statuses."""
        return len(self.failures) + sum(times for status, times in self.statuses.items() if status not in fine)


def crowd(port: int, clients: int, seconds: float, pictures: Pictures) -> Outcome:
    """Let so many clients post for so long. The seconds of the outcome last until the last answer has come."""
    outcome, noting = Outcome(seconds), threading.Lock()
    started = monotonic()
    until = started + seconds

    def post_on() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LONGEST_WAIT)
        while monotonic() < until:
            with noting:
                body = pictures.next()
            began = perf_counter()
            try:
                connection.request("POST", ADDRESS, body, {"Content-Type": "image/jpeg"})
                response = connection.getresponse()
                response.read()
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                with noting:
                    outcome.failures.append(repr(error))
                continue
            taken = 1000 * (perf_counter() - began)
            with noting:
                outcome.statuses[response.status] += 1
                if response.status == http.client.OK:
                    outcome.accepted_ms.append(taken)
            if response.status == http.client.SERVICE_UNAVAILABLE:
                connection.close()  # the server would not keep it open for that long
                sleep(min(float(response.headers.get("Retry-After", "1")), max(0.0, until - monotonic())))
        connection.close()

    threads = [threading.Thread(target=post_on) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    outcome.seconds = monotonic() - started
    return outcome


def _jpeg(seed: int) -> bytes:
    """Draw a picture with large areas and edges, about as hard to decode as a drawn one."""
    generator = np.random.default_rng(seed)
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    pen = ImageDraw.Draw(picture)
    for _ in range(60):
        x, y = (int(value) for value in generator.integers(0, SIDE, 2))
        radius = int(generator.integers(20, 200))
        colour = tuple(int(value) for value in generator.integers(0, 256, 3))
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline="black", width=4)
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=90)
    return stream.getvalue()
