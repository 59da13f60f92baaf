from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from kdsl import cache as cache_module
from kdsl.cache import SUFFIX, TEMPORARY, Cache, current, decode, digest, encode
from kdsl.errors import CacheError
from kdsl.settings import settings

KEY = digest("a key")
PROCESSES = 16

WRITER = """
import hashlib, sys
from pathlib import Path
from kdsl.cache import Cache, digest
cache = Cache(Path(sys.argv[1]))
for turn in range(40):
    key = digest(str(turn % 5))
    entry = cache.load(key)
    if entry is not None:
        assert hashlib.sha256(entry.data).hexdigest() == entry.facts["sha"], "torn read"
        assert entry.facts["turn"] == turn % 5
    data = bytes([turn % 5]) * 200_000
    assert cache.store(key, data, {"turn": turn % 5, "sha": hashlib.sha256(data).hexdigest()})
"""

ENDLESS_WRITER = """
import sys
from pathlib import Path
from kdsl.cache import Cache
cache = Cache(Path(sys.argv[1]))
print("go", flush=True)
while True:
    cache.store(sys.argv[2], b"x" * 4_000_000, {"whole": True})
"""


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)], stdout=subprocess.PIPE
    )


def entry_file(root):
    (found,) = root.rglob(f"*{SUFFIX}")
    return found


def test_what_was_stored_is_loaded(tmp_path):
    cache = Cache(tmp_path)
    assert cache.store(KEY, b"machine code", {"kernel": "rope"})
    entry = cache.load(KEY)
    assert entry is not None
    assert (entry.data, entry.facts) == (b"machine code", {"kernel": "rope"})


def test_an_absent_key_is_a_miss(tmp_path):
    assert Cache(tmp_path / "never made").load(KEY) is None


def test_the_parts_of_a_digest_do_not_run_together():
    assert digest("ab", "c") != digest("a", "bc")
    assert digest("ab") == digest(b"ab")


@pytest.mark.parametrize("position", [0, 9, 45, 60, -1])
def test_a_flipped_bit_is_a_miss_and_the_file_goes(tmp_path, position):
    cache = Cache(tmp_path)
    cache.store(KEY, b"machine code", {"kernel": "rope"})
    path = entry_file(tmp_path)
    content = bytearray(path.read_bytes())
    content[position] ^= 4
    path.write_bytes(bytes(content))
    assert cache.load(KEY) is None
    assert not path.exists()


@pytest.mark.parametrize("length", [0, 7, 20, 47, 48, 60])
def test_a_truncated_file_is_a_miss(length):
    assert decode(encode(b"machine code", {"kernel": "rope"})[:length]) is None


def test_sixteen_processes_share_one_folder(tmp_path):
    writers = [start(WRITER, tmp_path) for _ in range(PROCESSES)]
    codes = [writer.wait(timeout=120) for writer in writers]
    for writer in writers:
        writer.stdout.close()
    assert codes == [0] * PROCESSES
    entries = list(Cache(tmp_path).entries())
    assert sorted(entry.facts["turn"] for entry in entries) == [0, 1, 2, 3, 4]
    assert not list(tmp_path.rglob(f"{TEMPORARY}*"))


def test_a_killed_writer_leaves_only_whole_entries(tmp_path):
    cache = Cache(tmp_path)
    for turn in range(6):
        writer = start(ENDLESS_WRITER, tmp_path, KEY)
        writer.stdout.readline()
        time.sleep(0.02 + turn * 0.003)
        os.kill(writer.pid, signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        found = list(tmp_path.rglob(f"*{SUFFIX}"))
        assert all(decode(path.read_bytes()) is not None for path in found)
    assert cache.store(KEY, b"next", {})
    assert cache.load(KEY).data == b"next"


def test_leftovers_of_killed_writers_are_swept_when_old(tmp_path):
    cache = Cache(tmp_path)
    cache.store(KEY, b"1", {})
    folder = entry_file(tmp_path).parent
    old, young = folder / f"{TEMPORARY}1-old", folder / f"{TEMPORARY}2-young"
    old.write_bytes(b"half")
    young.write_bytes(b"half")
    before = time.time() - cache_module.STALE_AFTER_S - 60
    os.utime(old, (before, before))
    cache.store(KEY, b"2", {})
    assert not old.exists()
    assert young.exists()
    cache.clear()
    assert not young.exists()


READER = """
import os, sys
from pathlib import Path
from kdsl.cache import Cache
if os.getuid() == 0:  # root writes everywhere
    os.setgid(65534)
    os.setuid(65534)
cache = Cache(Path(sys.argv[1]))
assert cache.load(sys.argv[2]).data == b"machine code"
assert cache.store(sys.argv[2], b"other", {}) is False
assert cache.load(sys.argv[2]).data == b"machine code"
"""


def test_a_read_only_folder_is_read_and_not_written():
    with TemporaryDirectory() as name:
        root = Path(name)
        Cache(root).store(KEY, b"machine code", {})
        shard = entry_file(root).parent
        root.chmod(0o555)
        shard.chmod(0o555)
        reader = start(READER, root, KEY)
        reader.stdout.close()
        assert reader.wait() == 0
        root.chmod(0o755)
        shard.chmod(0o755)


def test_a_file_in_place_of_the_folder_stores_nothing(tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    cache = Cache(tmp_path / "cache")
    assert cache.store(KEY, b"1", {}) is False
    assert cache.load(KEY) is None
    assert list(cache.entries()) == []


def test_entries_are_listed_and_cleared(tmp_path):
    cache = Cache(tmp_path)
    for name in ("a", "b", "c"):
        cache.store(digest(name), name.encode() * 100, {"kernel": name})
    assert sorted(entry.facts["kernel"] for entry in cache.entries()) == ["a", "b", "c"]
    assert {entry.key for entry in cache.entries()} == {digest(name) for name in "abc"}
    size = cache.size()
    assert size > 300
    assert cache.clear() == (3, size)
    assert list(cache.entries()) == []
    assert list(tmp_path.iterdir()) == []


def test_clear_leaves_foreign_files_alone(tmp_path):
    foreign = tmp_path / "notes.txt"
    foreign.write_text("mine")
    Cache(tmp_path).store(KEY, b"1", {})
    Cache(tmp_path).clear()
    assert foreign.read_text() == "mine"


def test_a_cache_that_cannot_be_cleared_says_so(tmp_path, monkeypatch):
    cache = Cache(tmp_path)
    cache.store(KEY, b"1", {})

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(CacheError, match="Permission denied"):
        cache.clear()


def test_settings_choose_the_folder_or_turn_it_off(tmp_path):
    with settings.override(cache_dir=tmp_path, disable_cache=False):
        assert current().root == tmp_path
    with settings.override(disable_cache=True):
        assert current() is None
