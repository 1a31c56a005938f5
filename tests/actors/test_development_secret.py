import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from actors.development_secret import development_secret
from anmei.keys import Keys
from anmei.settings import SettingsError

ROOT = Path(__file__).parents[2]


def test_the_secret_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    secret = development_secret(data_dir)
    assert len(secret) == 64
    assert stat.S_IMODE((data_dir / "secret").stat().st_mode) == 0o600
    assert development_secret(data_dir) == secret
    assert os.listdir(data_dir) == ["secret"]
    assert Keys.from_secrets([secret]).can_sign


def test_the_mode_does_not_hang_on_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        development_secret(tmp_path)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_two_servers_have_two_secrets(tmp_path: Path) -> None:
    assert development_secret(tmp_path / "a") != development_secret(tmp_path / "b")


def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path\n"
        "from actors.development_secret import development_secret\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "print(development_secret(Path(sys.argv[1])))"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path / "data")],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(6)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert answers == {development_secret(tmp_path / "data") + "\n"}
    assert os.listdir(tmp_path / "data") == ["secret"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o660, 0o601])
def test_a_secret_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    secret = development_secret(tmp_path)
    (tmp_path / "secret").chmod(mode)
    with pytest.raises(SettingsError, match=f"{mode:04o}") as caught:
        development_secret(tmp_path)
    assert secret not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"short\n", b"\xff\xfe" * 40])
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret").write_bytes(content)
    (tmp_path / "secret").chmod(0o600)
    with pytest.raises(SettingsError, match="does not hold a secret"):
        development_secret(tmp_path)


def test_a_directory_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    with pytest.raises(SettingsError, match="secret"):
        development_secret(tmp_path)


def test_a_data_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="ANMEI_DATA_DIR"):
        development_secret(tmp_path / "file" / "data")
