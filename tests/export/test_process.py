"""One converter for many students: it lasts, is replaced, and ends."""

import json
import os
import signal
import time
from pathlib import Path

import pytest
from processes import PATIENCE
from processes import run_program

from keras_kd.core import child
from keras_kd.export.context import Context
from keras_kd.export.conversion import convert_student
from keras_kd.export.conversion import converter
from keras_kd.export.conversion import parent
from keras_kd.export.conversion import process
from keras_kd.export.conversion.process import Converter

pytestmark = pytest.mark.export

# In place of `program.py`, without TensorFlow: does what the job says.
PROGRAM = """
import os, sys, time
print("about to work", file=sys.stderr, flush=True)
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    print("noise on stdout", flush=True)
    exec(open(line.strip()).read())
    sys.stdout.flush()
    answers.write("0\\n")
    answers.flush()
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """A converter whose process runs Python from the job's file."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(process, "_PROGRAM", str(program))
    converter = Converter()

    def do(code, timeout=PATIENCE):
        job = tmp_path / "job"
        job.write_text(code)
        return converter.run(job, timeout)

    converter.do = do
    yield converter
    converter.close()


def process_of(converter, tmp_path):
    seen = tmp_path / "pid"
    code, _ = converter.do(f"open({str(seen)!r}, 'w').write(str(os.getpid()))")
    assert code == 0
    return int(seen.read_text())


def is_running(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().split()[2] != "Z"


def wait_until_gone(pid):
    end = time.monotonic() + PATIENCE
    while is_running(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not is_running(pid)


def test_jobs_share_a_process_and_each_has_its_own_output(stand_in, tmp_path):
    first = process_of(stand_in, tmp_path)
    _, output = stand_in.do("print('mine', file=sys.stderr)")
    assert output.splitlines() == ["noise on stdout", "mine"]
    assert process_of(stand_in, tmp_path) == first


@pytest.mark.parametrize(
    ("code", "ending"),
    [
        ("os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("os.abort()", -signal.SIGABRT),
        ("raise MemoryError('no room')", 1),
        ("os._exit(0)", 1),
    ],
    ids=["segfault", "abort", "error", "silent"],
)
def test_one_that_dies_is_told_and_replaced(stand_in, tmp_path, code, ending):
    first = process_of(stand_in, tmp_path)
    got, output = stand_in.do(
        f"import signal; print('op 7', flush=True); {code}"
    )
    assert got == ending
    assert "op 7" in output
    assert process_of(stand_in, tmp_path) != first


def test_one_killed_between_two_jobs_is_replaced(stand_in, tmp_path):
    first = process_of(stand_in, tmp_path)
    os.kill(first, signal.SIGKILL)
    assert wait_until_gone(first)
    assert process_of(stand_in, tmp_path) != first


def test_one_that_hangs_is_stopped_and_replaced(stand_in, tmp_path):
    first = process_of(stand_in, tmp_path)
    code, output = stand_in.do(
        "print('busy', flush=True); time.sleep(60)", timeout=1.0
    )
    assert code is None
    assert "busy" in output
    assert wait_until_gone(first)
    assert process_of(stand_in, tmp_path) != first


def test_it_is_replaced_after_so_many_jobs(stand_in, tmp_path, monkeypatch):
    monkeypatch.setattr(stand_in, "_max_jobs", 2)
    pids = [process_of(stand_in, tmp_path) for _ in range(4)]
    assert pids[0] == pids[1] != pids[2] == pids[3]


def test_it_is_replaced_after_a_job_that_leaves_much(
    stand_in, tmp_path, monkeypatch
):
    first = process_of(stand_in, tmp_path)
    assert process_of(stand_in, tmp_path) == first
    monkeypatch.setattr(child, "_MAX_BYTES", 64 << 20)
    assert stand_in.do("kept = b'x' * (80 << 20)") == (0, "noise on stdout\n")
    assert wait_until_gone(first)
    assert process_of(stand_in, tmp_path) != first


def test_one_that_ended_idle_as_the_job_came_is_replaced(stand_in, tmp_path):
    seen = tmp_path / "seen"
    code, output = stand_in.do(
        f"if not os.path.exists({str(seen)!r}):\n"
        f"    open({str(seen)!r}, 'w').close()\n"
        f"    os._exit({child._IDLE_CODE})\n"
        "print('done')"
    )
    assert code == 0
    assert output.splitlines()[-1] == "done"


def test_it_ends_when_it_is_idle(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(
        "import sys, time\n"
        "from keras_kd.core.child import serve\n"
        "def do(seconds):\n"
        "    print('busy for', seconds)\n"
        "    time.sleep(float(seconds))\n"
        "    return 0\n"
        "sys.exit(serve(do))\n"
    )
    monkeypatch.setattr(child, "_IDLE_SECONDS", 0.5)
    # Then Python holds back what is printed to a pipe.
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)
    one = child.Child(program, max_jobs=9)
    # A job may take longer.
    assert one.run("1.5", PATIENCE) == (0, "busy for 1.5\n")
    pid = one._process.pid
    assert wait_until_gone(pid)
    assert one._process.wait() == child._IDLE_CODE
    assert one.run("0", PATIENCE) == (0, "busy for 0\n")
    assert one._process.pid != pid
    one.close()


def test_a_fork_has_a_converter_of_its_own():
    """It comes while the lock is held, and its end does no harm."""
    shared = converter()
    shared.start()
    pid = shared._process.pid
    with shared._lock:
        fork = os.fork()
        if fork == 0:
            one = converter()
            mine = one is not shared
            shared._end()  # as at its exit
            os._exit(0 if mine and one._lock.acquire(timeout=5) else 1)
    assert os.waitpid(fork, 0)[1] == 0
    assert is_running(pid)
    assert converter() is shared


def test_close_ends_it(stand_in, tmp_path):
    pid = process_of(stand_in, tmp_path)
    stand_in.close()
    stand_in.close()
    assert wait_until_gone(pid)
    assert process_of(stand_in, tmp_path) != pid


def test_it_ends_when_its_owner_is_forgotten(tmp_path, monkeypatch):
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    monkeypatch.setattr(process, "_PROGRAM", str(program))
    converter = Converter()
    converter.start()
    pid = converter._process.pid
    del converter
    assert wait_until_gone(pid)


@pytest.mark.slow
def test_it_ends_when_its_owner_is_killed():
    # The pipe alone would not do: somebody else may hold its other end.
    code = (
        "import os, signal, time\n"
        "from keras_kd.export.conversion.process import Converter\n"
        "converter = Converter()\n"
        "converter.start()\n"
        "os.set_inheritable(converter._process.stdin.fileno(), True)\n"
        "print(converter._process.pid, flush=True)\n"
        "if os.fork() == 0:\n"
        "    os.close(1); os.close(2); time.sleep(60); os._exit(0)\n"
        "time.sleep(1)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = run_program(code, code=-signal.SIGKILL)
    assert wait_until_gone(int(done.stdout))


@pytest.mark.slow
def test_the_real_one_converts_and_refuses_as_one_of_its_own(student, tmp_path):
    context = Context("Budget", student)
    sizes, pids = [], []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = folder / "student.tflite"
        convert_student(
            context,
            {"float16": path},
            None,
            timeout=PATIENCE,
        )
        sizes.append(path.stat().st_size)
        pids.append(converter()._process.pid)
    assert pids[0] == pids[1]
    assert abs(sizes[0] - sizes[1]) <= 64
    assert path.read_bytes()[4:8] == b"TFL3"
    (folder / "saved_model" / "saved_model.pb").write_bytes(b"nothing")
    with pytest.raises(RuntimeError, match="converter refused the student"):
        parent.convert_all(context, folder, {"float32": path}, None, PATIENCE)
    assert json.loads((folder / "error.json").read_text())["error"]
    assert converter()._process.pid == pids[0]
