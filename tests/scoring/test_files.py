from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from scoring.ground.files import FileError, from_home, named, refuse_unwritable, why, write_whole


def test_a_file_is_replaced_whole_and_a_link_to_it_stays_one(tmp_path: Path) -> None:
    real, link = tmp_path / "real.txt", tmp_path / "link.txt"
    link.symlink_to(real)
    for content in ("é\r\n", b"\xff", ""):
        write_whole(link, content)
        assert real.read_bytes() == (content.encode() if isinstance(content, str) else content)
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, real]


def test_a_link_that_leads_to_itself_is_told_and_stays(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to("loop")
    with pytest.raises(OSError, match="loop") as told:
        write_whole(loop, "text")
    assert told.value.errno == errno.ELOOP
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_who_may_read_a_file_is_as_the_user_has_it(tmp_path: Path) -> None:
    path, made = tmp_path / "file", tmp_path / "made"
    before = os.umask(0o027)
    try:
        write_whole(path, "one")
        made.write_text("as any other")
    finally:
        os.umask(before)
    assert path.stat().st_mode == made.stat().st_mode
    path.chmod(0o664)
    write_whole(path, "two")
    assert path.stat().st_mode & 0o777 == 0o664


def test_a_device_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    for device in ("/dev/null", "/dev/full"):
        link = tmp_path / Path(device).name
        link.symlink_to(device)
    write_whole(tmp_path / "null", "text")
    with pytest.raises(OSError, match="No space left") as error:
        write_whole(tmp_path / "full", "text")
    assert error.value.errno == errno.ENOSPC
    assert Path("/dev/null").is_char_device()
    assert Path("/dev/full").is_char_device()
    assert {path.name for path in tmp_path.iterdir()} == {"null", "full"}


@pytest.mark.parametrize("name", ["folder", "gone/file", "a" * 300])
def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    before = sorted(tmp_path.iterdir())
    with pytest.raises(OSError, match=r"."):
        write_whole(tmp_path / name, "text")
    assert sorted(tmp_path.iterdir()) == before


def test_the_reason_is_told_of_what_many_files_met(tmp_path: Path) -> None:
    (tmp_path / "from").mkdir()
    (tmp_path / "from" / "link").symlink_to("nowhere")
    with pytest.raises(shutil.Error) as error:
        shutil.copytree(tmp_path / "from", tmp_path / "to")
    assert why(error.value) == "No such file or directory"
    assert why(OSError(errno.ENOSPC, "No space left on device")) == "No space left on device"
    assert why(OSError("of another kind")) == "of another kind"
    assert why(OSError()) == "OSError"


def test_what_takes_no_file_is_told_before_anything_is_made(tmp_path: Path) -> None:
    refuse_unwritable(tmp_path, 10_000)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileError, match=r"^/proc: cannot be written: "):
        refuse_unwritable(Path("/proc"))


def test_a_full_device_is_told_by_its_name() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no such device here")
    with (
        pytest.raises(OSError, match="No space") as raised,
        named(Path("rows")),
        open("/dev/full", "w") as file,
    ):
        file.write("1")
    assert raised.value.filename == "rows"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('File "/home/me/my_opt.py", line 3', 'File "~/my_opt.py", line 3'),
        ("/home/me/a.py and /home/me/b.py", "~/a.py and ~/b.py"),
        ("in /home/me", "in ~"),
        ("in /home/me.", "in ~."),
        ("file:///home/me/x: gone", "file://~/x: gone"),
        ("g++ -I/home/me/include -shared", "g++ -I~/include -shared"),
        ("/home/me.old/x, /home/mean/x, /home/me-too/x", None),
        ("/data/home/me/x, ../home/me/x, ~/home/me/x", None),
    ],
)
def test_what_others_are_shown_names_no_user(
    text: str, shown: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me/")
    assert from_home(text) == (text if shown is None else shown)
    assert from_home(from_home(text)) == from_home(text)


def test_a_home_behind_a_link_is_told_by_neither_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "me").symlink_to("disk")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert from_home(f"{tmp_path}/me/x, {tmp_path}/disk/x") == "~/x, ~/x"


def test_the_root_is_nobodys_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/")
    assert from_home("/usr/lib/x.py") == "/usr/lib/x.py"
