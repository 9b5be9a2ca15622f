"""The unfinished part of a download: what there is of a file, and of which version of it."""

import hashlib
from pathlib import Path

import requests

from ...errors import SourceError

_CHUNK_BYTES = 1 << 14  # a chunk counts when it is whole: an interruption loses one at most


class PassingError(Exception):
    """A failure that may be gone at the next try."""

    def __init__(
        self, reason: str, *, status: int | None = None, retry_after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.status = status
        self.retry_after_s = retry_after_s


class PartialFile:
    """The unfinished file beside the one that is wanted, and the mark of the version it is of."""

    def __init__(self, path: Path, *, sha256: str | None) -> None:
        self.whole = path
        self.sha256 = sha256
        self.received_bytes = 0
        self.path = path.with_name(path.name + ".part")
        self.version = path.with_name(path.name + ".part.version")

    def resumable(self) -> bool:
        """Whether there are bytes, and a way to tell whether they are the start of the file."""
        has_bytes = self.path.exists() and self.path.stat().st_size > 0
        return has_bytes and (self.sha256 is not None or self.version.exists())

    def range_headers(self) -> dict[str, str]:
        """Return the headers that ask for the rest, of the same version if it is known."""
        headers = {"Range": f"bytes={self.path.stat().st_size}-"}
        if self.version.exists():
            headers["If-Range"] = self.version.read_text()
        return headers

    def receive(self, response: requests.Response, *, resumed: bool) -> None:
        """Append the body, or start over where the server sends the whole file.

        Raises
        ------
        PassingError
            If the body is neither the rest nor the whole.
        """
        goes_on = resumed and _continues_at(response, self.path.stat().st_size)
        if not goes_on:
            if response.status_code != requests.codes.ok:
                self.discard()
                raise PassingError("it sent another part of the file than was asked for")
            self._note_version(response)
        with self.path.open("ab" if goes_on else "wb") as file:
            for chunk in response.iter_content(_CHUNK_BYTES):
                self.received_bytes += file.write(chunk)

    def check(self, url: str, *, resumed: bool) -> None:
        """Compare the checksum, and discard what does not have it.

        Raises
        ------
        PassingError
            If the start of the file may be of an older version.
        SourceError
            If all of it is of this one.
        """
        if self.sha256 is None or self.sha256.lower() == (found := sha256_of(self.path)):
            return
        self.discard()
        if resumed:
            raise PassingError("the resumed file did not have the checksum")
        raise SourceError(
            f"{url}: the file must have the SHA-256 checksum {self.sha256}, was {found}; it was "
            "discarded: try again, and if that does not help the source holds a damaged file",
            damaged=True,
        )

    def finish(self) -> None:
        """Give the file its name."""
        self.path.replace(self.whole)
        self.version.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what there is."""
        self.path.unlink(missing_ok=True)
        self.version.unlink(missing_ok=True)

    def _note_version(self, response: requests.Response) -> None:
        self.discard()
        mark = response.headers.get("ETag") or response.headers.get("Last-Modified")
        if mark and not mark.startswith("W/"):  # a weak mark does not stand for the same bytes
            self.version.write_text(mark)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 checksum of a file, hexadecimal, lower case."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _continues_at(response: requests.Response, n_bytes: int) -> bool:
    starts = response.headers.get("Content-Range", "").startswith(f"bytes {n_bytes}-")
    return response.status_code == requests.codes.partial_content and starts
