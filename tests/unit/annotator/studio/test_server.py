"""What a server does before and without starting anything; the rest is tested end to end."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from annotator.errors import StudioError
from annotator.studio.processes import end_group, is_free, is_running, process_start
from annotator.studio.server import LABEL_STUDIO_VERSION, StudioServer


def make_venv(folder: Path) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "label-studio").touch()
    facts = f"lib/python3.11/site-packages/label_studio-{LABEL_STUDIO_VERSION}.dist-info"
    (folder / facts).mkdir(parents=True)
    (folder / facts / "RECORD").touch()
    return folder


def sleeper() -> subprocess.Popen[bytes]:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
        "print(1, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, start_new_session=True
    )
    assert child.stdout is not None
    child.stdout.readline()
    child.stdout.close()
    return child


def test_starting_before_installing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudioError, match="install it first"):
        StudioServer(tmp_path, port=0).start()


def test_installing_what_is_there_does_nothing(tmp_path: Path) -> None:
    lines: list[str] = []

    StudioServer(tmp_path / "home", port=0, venv=make_venv(tmp_path / "venv")).install(lines.append)

    assert lines == []
    assert not (tmp_path / "home").exists()


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    server_venv = make_venv(tmp_path / "venv")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        with pytest.raises(StudioError, match=f"port {port} on 127.0.0.1 is taken"):
            StudioServer(tmp_path, port=port, venv=server_venv).start()

        assert is_free("127.0.0.1", port) is False


def test_a_program_that_ends_at_once_is_reported_with_its_log(tmp_path: Path) -> None:
    venv = make_venv(tmp_path / "venv")
    program = venv / "bin" / "label-studio"
    program.write_text("#!/bin/sh\necho broken\nexit 3\n")
    program.chmod(0o755)
    server = StudioServer(tmp_path / "home", port=0, venv=venv)

    with pytest.raises(StudioError, match="stopped while starting"):
        server.start()

    assert server.log.read_text() == "broken\n"
    assert server.running() is None
    assert server.stop() is False


def test_a_reused_process_number_is_never_signalled(tmp_path: Path) -> None:
    state = {"pid": os.getpid(), "started": "another time", "port": 1}
    (tmp_path / "server.json").write_text(json.dumps(state))

    assert StudioServer(tmp_path, port=0).stop() is False


def test_lost_credentials_of_an_existing_database_are_not_made_anew(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "label_studio.sqlite3").touch()
    server = StudioServer(tmp_path, port=0, venv=make_venv(tmp_path / "venv"))

    with pytest.raises(StudioError, match="restore the file"):
        server.start()


def test_a_process_that_ignores_the_signal_is_killed() -> None:
    child = sleeper()
    began = process_start(child.pid)

    end_group(child.pid, timeout_s=0.3)

    assert began is not None
    assert is_running(child.pid) is False
    assert child.wait() == -9
    assert is_running(child.pid) is False


def test_this_process_runs_and_nonsense_does_not() -> None:
    assert is_running(os.getpid()) is True
    assert is_running(0) is False
