"""What a browser gets, and what nobody gets."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from sandbox.run_files import server as server_module
from sandbox.run_files.server import RunFilesServer

RUN = "vla-20261122-182453-4f7k"
OTHER_RUN = "vla-20261123-182453-0000"
DEADLINE = 10.0


@pytest.fixture
def areas(tmp_path):
    processing, qa = tmp_path / "processing", tmp_path / "qa"
    for area in (processing, qa):
        area.mkdir()
    weblog = qa / RUN / "working/pipeline-20261122T182500/html"
    weblog.mkdir(parents=True)
    (weblog / "t1-1.html").write_text("<script>load('qa_notes.html')</script>")
    (weblog / "index.html").symlink_to("t1-1.html")
    (weblog / "qa_notes.html").write_text("qa_status: Pass <br>")
    (qa / RUN / "working/casa.log").write_text("INFO something\n")
    (processing / OTHER_RUN / "working").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (qa / "notes.txt").write_text("secret")
    return processing, qa


@pytest.fixture
def server(areas):
    with RunFilesServer(areas) as running:
        yield running


@pytest.fixture
def get(server):
    def ask(path, method="GET"):
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE)
        connection.request(method, path)
        reply = connection.getresponse()
        body = reply.read()
        connection.close()
        return reply.status, dict(reply.headers), body

    return ask


def raw(server, target: bytes) -> bytes:
    """The reply to a request line that no client library would send."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE) as connection:
        connection.sendall(b"GET " + target + b" HTTP/1.0\r\n\r\n")
        received = b""
        while block := connection.recv(65536):
            received += block
    return received


def test_a_weblogs_front_page_and_what_it_loads(get):
    weblog = f"/{RUN}/working/pipeline-20261122T182500/html"
    status, headers, body = get(f"{weblog}/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"qa_notes.html" in body
    assert get(f"{weblog}/qa_notes.html")[2] == b"qa_status: Pass <br>"
    assert get(f"{weblog}/qa_notes.html?_=123")[0] == 200


def test_a_run_is_looked_for_in_each_area(get, areas):
    (areas[0] / OTHER_RUN / "working/x.txt").write_text("processing")
    assert get(f"/{OTHER_RUN}/working/x.txt")[2] == b"processing"
    assert get(f"/{RUN}/working/casa.log")[2] == b"INFO something\n"


def test_the_first_area_comes_first(get, areas):
    (areas[0] / RUN).mkdir()
    (areas[0] / RUN / "both.txt").write_text("processing")
    (areas[1] / RUN / "both.txt").write_text("qa")
    assert get(f"/{RUN}/both.txt")[2] == b"processing"


def test_a_run_that_moves_keeps_its_address(get, areas):
    (areas[1] / RUN).rename(areas[0] / RUN)
    assert get(f"/{RUN}/working/casa.log")[0] == 200


def test_a_directory_without_a_front_page_is_listed(get, areas):
    (areas[1] / RUN / "working/a&<b>'\".txt").write_text("text")
    (areas[1] / RUN / "working/cal\u202estif.exe").write_text("text")
    status, headers, body = get(f"/{RUN}/working/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b'href="./casa.log"' in body
    assert b'href="./pipeline-20261122T182500/"' in body
    assert b"a&amp;&lt;b&gt;" in body
    assert b"<b>" not in body
    assert b">cal\\u202estif.exe<" in body
    address = re.search(rb'href="\./(a%26[^"]*)"', body)[1].decode()
    assert get(f"/{RUN}/working/{address}")[2] == b"text"


def test_a_directory_without_its_slash_is_redirected(get):
    status, headers, _ = get(f"/{RUN}/working?x=1")
    assert (status, headers["Location"]) == (301, f"/{RUN}/working/?x=1")


def test_the_root_lists_the_runs_and_nothing_else(get):
    status, _, body = get("/")
    assert status == 200
    assert re.findall(rb'href="([^"]*)"', body) == [f"{OTHER_RUN}/".encode(), f"{RUN}/".encode()]


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("casa.log", b"text", "text/plain; charset=utf-8"),
        ("stdout", "Ständig".encode(), "text/plain; charset=utf-8"),
        ("stderr", b"", "text/plain; charset=utf-8"),
        ("cont.dat", b"Field: x", "text/plain; charset=utf-8"),
        ("table.dat", b"\0\1\2", "application/octet-stream"),
        ("script.py", b"<html>", "text/plain; charset=utf-8"),
        ("page.html", b"x", "text/html; charset=utf-8"),
        ("style.css", b"x", "text/css; charset=utf-8"),
        ("code.js", b"x", "text/javascript; charset=utf-8"),
        ("PPR.xml", b"<a/>", "application/xml"),
        ("plot.png", b"\x89PNG", "image/png"),
        ("plot.svg", b"<svg/>", "image/svg+xml"),
        ("data.json", b"{}", "application/json"),
        ("weblog.tgz", b"\x1f\x8b\0", "application/gzip"),
        ("image.fits", b"SIMPLE", "application/fits"),
    ],
)
def test_content_types_are_right_because_browsers_may_not_guess(get, areas, name, content, kind):
    (areas[1] / RUN / name).write_bytes(content)
    status, headers, body = get(f"/{RUN}/{name}")
    assert (status, headers["Content-Type"], body) == (200, kind, content)
    assert headers["Content-Length"] == str(len(content))
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Content-Encoding" not in headers


def test_replies_carry_security_headers_errors_too(get):
    for path in (f"/{RUN}/working/casa.log", "/none"):
        headers = get(path)[1]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'self'" in headers["Content-Security-Policy"]


def test_head_has_no_body(get):
    status, headers, body = get(f"/{RUN}/working/casa.log", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, "15", b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_written(get, method):
    assert get(f"/{RUN}/working/casa.log", method)[0] == 501


@pytest.mark.parametrize(
    "path",
    [
        f"/{RUN}/../notes.txt",
        f"/{RUN}/../../secret",
        f"/{RUN}/working/../../../secret",
        f"/{RUN}/%2e%2e/notes.txt",
        f"/{RUN}/%2e%2e%2fnotes.txt",
        f"/{RUN}/..%2f..%2fsecret",
        f"/{RUN}/working/./casa.log",
        f"/{RUN}/%252e%252e/notes.txt",
        f"/{RUN}/..%5cnotes.txt",
        f"/{RUN}/working/casa.log%00.html",
        f"/{RUN}/working/casa.log/x",
        f"/{RUN}/{'x' * 5000}",
        f"/{RUN}/none.txt",
        "/notes.txt",
        "/../secret",
        "//secret",
        "/etc/passwd",
        "//etc/passwd",
        "/%2fetc%2fpasswd",
        "/vla-20261122-182453-4f7kx/working/casa.log",
        "/vla-20261122-182453-4F7K/working/casa.log",
        "/vla-20261122-182453-zzzz/",
        "/<script>alert(1)</script>",
        "/%0d%0aX-Evil:%201",
        "/%ff%fe",
    ],
)
def test_hostile_addresses_get_one_sentence(server, path):
    reply = raw(server, path.encode())
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 404 ")
    assert b"Content-Type: text/plain" in head
    assert b"X-Evil" not in head
    assert body.count(b"\n") == 1
    assert b"secret" not in body.replace(b"'secret'", b"")


def test_a_double_slash_leads_nowhere_else(server):
    assert b"HTTP/1.0 200" in raw(server, f"//{RUN}//working//casa.log".encode())
    assert b"Location: /vla" in raw(server, f"//{RUN}//working".encode())


@pytest.mark.parametrize("target", ["../../secret", "/etc/passwd", "../../qa", "..", f"../{OTHER_RUN}"])
def test_a_link_that_leads_out_of_the_run_is_refused(get, areas, target):
    (areas[1] / OTHER_RUN).mkdir()
    (areas[1] / RUN / "link").symlink_to(target)
    assert get(f"/{RUN}/link")[0] == 404
    assert get(f"/{RUN}/link/")[0] == 404
    assert get(f"/{RUN}/link/notes.txt")[0] == 404


def test_a_front_page_that_leads_out_of_the_run_is_not_shown(get, areas):
    (areas[1] / RUN / "index.html").symlink_to("../notes.txt")
    status, _, body = get(f"/{RUN}/")
    assert status == 200
    assert b"secret" not in body


def test_a_link_inside_the_run_is_followed(get, areas):
    (areas[1] / RUN / "link").symlink_to("working/casa.log")
    assert get(f"/{RUN}/link")[2] == b"INFO something\n"


def test_a_run_directory_that_is_a_link_is_refused(get, areas):
    (areas[0] / OTHER_RUN / "working").rmdir()
    (areas[0] / OTHER_RUN).rmdir()
    (areas[0] / OTHER_RUN).symlink_to(areas[1])
    assert get(f"/{OTHER_RUN}/notes.txt")[0] == 404
    assert OTHER_RUN.encode() not in get("/")[2]


def test_a_loop_of_links_ends(get, areas):
    (areas[1] / RUN / "loop").symlink_to("loop")
    assert get(f"/{RUN}/loop")[0] == 404
    assert get(f"/{RUN}/")[0] == 200


def test_a_directory_that_is_gone_when_it_is_read_is_not_an_error(get, monkeypatch):
    def gone(*_):
        raise FileNotFoundError

    monkeypatch.setattr("sandbox.run_files.pages.os.scandir", gone)
    assert get(f"/{RUN}/working/")[0] == 404


def test_folder_that_becomes_a_link_leads_nowhere(get, areas, monkeypatch):
    elsewhere = areas[1].parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "casa.log").write_text("password")
    found = server_module.locate(areas, [RUN, "working", "casa.log"])

    def swapped(*_):
        working = areas[1] / RUN / "working"
        working.rename(areas[1].parent / "before")
        working.symlink_to(elsewhere)
        return found

    monkeypatch.setattr(server_module, "locate", swapped)
    status, _, body = get(f"/{RUN}/working/casa.log")
    assert (status, b"password" in body) == (404, False)


def test_a_pipe_does_not_make_anybody_wait(get, areas):
    os.mkfifo(areas[1] / RUN / "pipe")
    assert get(f"/{RUN}/pipe")[0] == 404


def test_a_name_that_is_not_utf_8_can_be_listed_and_read(get, areas):
    (areas[1] / RUN / os.fsdecode(b"caf\xe9.txt")).write_text("text")
    assert b'href="./caf%E9.txt"' in get(f"/{RUN}/")[2]
    assert get(f"/{RUN}/caf%E9.txt")[2] == b"text"


def test_a_missing_area_is_not_in_the_way(tmp_path, areas):
    with RunFilesServer([tmp_path / "none", *areas]) as server:
        assert b"HTTP/1.0 200" in raw(server, f"/{RUN}/working/casa.log".encode())
        assert b"HTTP/1.0 200" in raw(server, b"/")


@pytest.mark.servers
def test_in_a_process_of_its_own(areas):
    home = Path(__file__).parents[3]
    command = [sys.executable, "-m", "sandbox.run_files", "--port", "0"]
    with subprocess.Popen(
        [*command, "--area", str(areas[0]), "--area", str(areas[1])],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{home / 'include'}:{home / 'plugins'}"},
    ) as server:
        try:
            line = server.stderr.readline()
            found = re.search(r"served on http://127\.0\.0\.1:(\d+)", line)
            assert found, line
            connection = http.client.HTTPConnection("127.0.0.1", int(found[1]), timeout=DEADLINE)
            connection.request("GET", f"/{RUN}/working/casa.log")
            assert connection.getresponse().read() == b"INFO something\n"
            assert "casa.log HTTP/1.1" in server.stderr.readline()
            server.send_signal(signal.SIGTERM)
            assert server.wait(DEADLINE) == 0
        finally:
            server.kill()
