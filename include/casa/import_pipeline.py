"""Imports what the pipeline's runners import, in CASA, and says in one line what came of it.

    casa --nogui --nologger --agg -c import_pipeline.py

Of each runner in ``$SCIPIPE_HEURISTICS/pipeline`` that ``SRDP_CHECK_RUNNERS`` names (separated by commas) only the
imports are executed, and what it adds to ``sys.path`` for them: older runners execute a PPR even when they are imported
themselves. CASA's own Python runs this; that of its older releases is 3.6.
"""

import ast
import json
import os
import sys

HEURISTICS = os.environ["SCIPIPE_HEURISTICS"]


def is_import(node: ast.stmt) -> bool:
    """Return whether a statement imports, or adds to where is imported from."""
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return True
    called = node.value.func if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) else None
    path = called.value if isinstance(called, ast.Attribute) and called.attr in {"insert", "append"} else None
    return isinstance(path, ast.Attribute) and path.attr == "path"


def fault_of_imports(runner: str) -> str:
    """Import what a runner imports; return what is wrong with that, or nothing."""
    file = os.path.join(HEURISTICS, "pipeline", runner)  # noqa: PTH118
    try:
        with open(file, "rb") as stream:  # noqa: PTH123
            tree = ast.parse(stream.read(), file)
        tree.body = [node for node in tree.body if is_import(node)]
        exec(compile(tree, file, "exec"), {"__name__": "srdp_check", "__file__": file})  # noqa: S102  as CASA does
    except BaseException as error:  # noqa: BLE001  a SystemExit, too, is what a run would end with
        return f"{type(error).__name__}: {error}"
    return ""


def pipeline_found() -> "dict[str, object]":
    """Import the pipeline, from its folder if nothing brought it; return its version and place, or a fault."""
    if "pipeline" not in sys.modules:
        sys.path.insert(0, HEURISTICS)
    try:
        import pipeline

        place = os.path.dirname(pipeline.__file__ or "")  # noqa: PTH120
    except BaseException as error:  # noqa: BLE001
        return {"fault": f"{type(error).__name__}: {error}"}
    if not place:
        return {"fault": f"{HEURISTICS}/pipeline is no package, it has no __init__.py"}
    return {"fault": "", "version": str(getattr(pipeline, "revision", "?")), "place": place}


if __name__ == "__main__":
    answer = {"runners": {name: fault_of_imports(name) for name in os.environ["SRDP_CHECK_RUNNERS"].split(",")}}
    print("\nsrdp-check: " + json.dumps({**answer, **pipeline_found()}), flush=True)
