"""The weblog's pages, written again after each stage."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from sandbox.pipeline.context import PIPELINE_VERSION, Context
from sandbox.pipeline.results import Figure, Score, StageRecord, Table

_FILES = Path(__file__).parent
_FRONT = "t1-1.html"
_BY_TASK = "t1-4.html"
_STAGE = "t2-4m_details.html"
# What came with the raw data to be read by people.
_README = "README.txt"

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<link rel="stylesheet" href="{up}style.css">
</head>
<body>
<header>
<h1>{title}</h1>
<nav><a href="{up}t1-1.html">Home</a><a href="{up}t1-4.html">By task</a><a href="{up}{log}">CASA log</a>\
<a href="{up}casa_commands.log">CASA commands</a></nav>
</header>
<main>
{body}
</main>
</body>
</html>
"""


def write_weblog(context: Context) -> None:
    """Write all pages of the stages that have run.

    Args:
        context: the run.
    """
    html, log = context.html, casa_log()
    _link_log(context, log)
    for name in ("style.css", "qa_notes.js"):
        shutil.copyfile(_FILES / name, html / name)
    _write(html / _FRONT, f"Pipeline run of {context.subject}", _front(context), log.name)
    _write(html / _BY_TASK, "By task", _stages_table(context.stages, up=""), log.name)
    for record in context.stages:
        folder = html / f"stage{record.number}"
        folder.mkdir(exist_ok=True)
        _write(folder / _STAGE, f"{record.number}. {record.task}", _stage_body(record), log.name, up="../")
    index = html / "index.html"
    if not index.is_symlink():
        index.symlink_to(_FRONT)


def pack_weblog(context: Context, target: Path) -> None:
    """Links CASA's log into the weblog and packs the weblog.

    Args:
        context: the run.
        target: the tar file.

    Raises:
        FileNotFoundError: CASA's log is no regular file.
    """
    log = casa_log()
    if not _link_log(context, log):
        raise FileNotFoundError(f"CASA's log {log} is no regular file: the weblog cannot hold it")
    with tarfile.open(target, "w:gz", compresslevel=3) as tar:
        tar.add(context.html, arcname=f"{context.name}/html")


def casa_log() -> Path:
    """Return the file into which CASA logs."""
    import casatasks

    return Path(casatasks.casalog.logfile())


def _link_log(context: Context, log: Path) -> bool:
    """Links CASA's log into the weblog, where it grows along; returns whether there is one."""
    if not log.is_file():
        return False
    link = context.html / log.name
    link.unlink(missing_ok=True)
    os.link(log, link)
    return True


def _write(path: Path, title: str, body: str, log: str, *, up: str = "") -> None:
    path.write_text(_PAGE.format(title=escape(title), body=body, log=escape(log), up=up), encoding="utf-8")


def _front(context: Context) -> str:
    failed = [record for record in context.stages if record.failure]
    facts = [
        ("MOUS" if context.request.ous else "Execution block", context.subject),
        *((("ASDMs", ", ".join(context.request.sdms)),) if context.request.ous else ()),
        ("Project", context.request.proposal_code),
        ("Recipe", context.request.procedure),
        ("Begun", f"{context.started:%Y-%m-%d %H:%M:%S} UTC"),
        ("Pipeline", f"{PIPELINE_VERSION}, the sandbox's own"),
        ("Stages", f"{len(context.stages)} of {len(context.request.commands)}"),
        ("Lowest score", _lowest(context.stages)),
    ]
    parts = [_section("This run", _rows(facts))]
    parts += [_section(f"Stage {record.number} failed", _pre(record.failure), notice=True) for record in failed]
    for sdm in context.request.sdms:
        readme = context.directories.rawdata / sdm / _README
        if readme.is_file():
            title = "What these data are" if context.request.ous else "What was edited in these data"
            parts.append(_section(title, _pre(readme.read_text(encoding="utf-8")), notice=True))
    parts.append(
        '<section><h2>QA notes</h2><div id="qa-notes"><p>There are none yet.</p></div></section>\n'
        '<script src="qa_notes.js"></script>'
    )
    parts.append(_section("Stages", _stages_table(context.stages, up="")))
    return "\n".join(parts)


def _lowest(stages: Sequence[StageRecord]) -> str:
    scored = [(record.score.value, record) for record in stages if record.score.value is not None]
    if not scored:
        return "none yet"
    value, record = min(scored, key=lambda pair: pair[0])
    return f"{value:.2f} (stage {record.number}, {record.task}): {record.score.reason}"


def _stages_table(stages: Sequence[StageRecord], *, up: str) -> str:
    rows = "".join(
        f'<tr><td>{record.number}</td><td><a href="{up}stage{record.number}/{_STAGE}">{escape(record.task)}</a></td>'
        f"<td>{_badge(record.score)}</td><td>{escape(record.score.reason)}</td><td>{record.seconds:.1f}&nbsp;s</td></tr>\n"
        for record in stages
    )
    return f"<table><tr><th></th><th>Stage</th><th>Score</th><th>Why</th><th>Time</th></tr>\n{rows}</table>"


def _stage_body(record: StageRecord) -> str:
    parts = [_section("Score", f"<p>{_badge(record.score)} {escape(record.score.reason)}</p>")]
    if record.parameters:
        parts.append(_section("Parameters", _rows([(name, repr(value)) for name, value in record.parameters.items()])))
    if record.failure:
        parts.append(_section("Failure", _pre(record.failure), notice=True))
    if record.result:
        if record.result.notes:
            parts.append(_section("Notes", "".join(f"<p>{escape(note)}</p>" for note in record.result.notes)))
        parts += [_section(table.title, _table(table)) for table in record.result.tables]
        parts += [_figure(figure) for figure in record.result.figures]
    if record.casa_calls:
        parts.append(_section("CASA tasks called", _pre("\n".join(record.casa_calls))))
    return "\n".join(parts)


def _section(title: str, content: str, *, notice: bool = False) -> str:
    kind = ' class="notice"' if notice else ""
    return f"<section{kind}><h2>{escape(title)}</h2>\n{content}\n</section>"


def _figure(figure: Figure) -> str:
    caption = escape(figure.caption)
    file = escape(figure.file)
    return f'<section><figure><img src="{file}" alt="{caption}"><figcaption>{caption}</figcaption></figure></section>'


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in table.header)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in table.rows)
    return f"<table><tr>{head}</tr>\n{body}</table>"


def _rows(pairs: Iterable[tuple[str, str]]) -> str:
    return "<table>" + "".join(f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in pairs) + "</table>"


def _pre(text: str) -> str:
    return f"<pre>{escape(text)}</pre>"


def _badge(score: Score) -> str:
    value = "n/a" if score.value is None else f"{score.value:.2f}"
    return f'<span class="score {score.band}">{value}</span>'
