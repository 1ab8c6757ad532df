"""Gates: requirements of an evaluation such as `box.mAP50 >= 0.8`, their verdicts, and JUnit XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from perception.errors import ConfigError
from perception.evaluation.gate_names import gate_key, name_errors
from perception.evaluation.metrics import Metric
from perception.evaluation.report.schema import EvaluationReport, GateReport
from perception.evaluation.report.value_schema import Heads, ValueReport
from perception.path_guard import marked
from perception.text import visible

_FORM = re.compile(r"^\s*(?P<name>[^\s<>=]+)\s*(?P<sign>>=|<=|>|<)\s*(?P<limit>\S+)\s*$")
_WORDS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}


@dataclass(frozen=True, slots=True)
class Gate:
    """One requirement. `sign` is `>=`, `<=`, `>` or `<`."""

    text: str
    name: str
    sign: str
    limit: float

    def holds(self, value: float) -> bool:
        """Return whether a value meets the requirement."""
        if self.sign == ">=":
            return value >= self.limit
        if self.sign == "<=":
            return value <= self.limit
        return value > self.limit if self.sign == ">" else value < self.limit


def parse_gates(texts: Sequence[str], guests: Iterable[Metric] = ()) -> list[Gate]:
    """Parse gates.

    Args:
        texts: The gates.
        guests: The metrics of other packages, whose heads have values of any name.

    Raises:
        ConfigError: Texts that are not gates, and names that no evaluation has, each with the nearest.
    """
    gates, errors = [], []
    guest_heads = frozenset(metric.head.lower() for metric in guests)
    for text in texts:
        match = _FORM.match(text)
        try:
            limit = float(match["limit"]) if match else float("nan")
        except ValueError:
            limit = float("nan")
        if match is None or limit != limit:
            errors.append(f"--require: expected as 'box.mAP50 >= 0.8' (>=, <=, > or <), found '{text}'")
            continue
        gates.append(Gate(text.strip(), match["name"], match["sign"], limit))
        errors += name_errors(match["name"], guest_heads)
    if errors:
        raise ConfigError(errors, head="a gate is wrong" if len(errors) == 1 else "gates are wrong")
    return gates


def judge(report: EvaluationReport, gates: Sequence[Gate], strict: bool = False) -> EvaluationReport:
    """Return the report with every gate judged; its status is `gate_failed` where one fails.

    Args:
        gates: The result of `parse_gates`.
        strict: Judge the pessimistic end of each interval. A value without one fails.

    A gate of a class or channel that no log has fails and names the nearest; the measured values are kept.
    """
    known = names(report.heads)
    judged = [
        _judge(gate, *known[gate_key(gate.name)], report, strict)
        if gate_key(gate.name) in known
        else _unknown(gate, known)
        for gate in gates
    ]
    report = report.model_copy(update={"gates": judged})
    return report.model_copy(update={"status": report.outcome})


def names(heads: Heads) -> dict[str, tuple[str, ValueReport]]:
    """Return every value by its name in lower case, with the name as displayed: `box.mAP50`."""
    by_key: dict[str, tuple[str, ValueReport]] = {}
    for head, metrics in heads.items():
        for metric in metrics.values():
            for key, value in metric.values.items():
                by_key.setdefault(gate_key(f"{head}.{key}"), (f"{head}.{key}", value))
    return by_key


def _judge(gate: Gate, name: str, value: ValueReport, report: EvaluationReport, strict: bool) -> GateReport:
    judged, why = value.value, ""
    if judged is None:
        why = f"undefined: {value.undefined}"
    elif strict and value.interval is None:
        judged, why = None, f"{judged:.4g} has no interval to be strict by: {_no_interval(name, report)}"
    elif strict and value.interval is not None:
        judged = value.interval.low if gate.sign in (">", ">=") else value.interval.high
    passed = judged is not None and gate.holds(judged)
    if judged is not None:
        end = f"{'lower' if gate.sign in ('>', '>=') else 'upper'} end of " if strict else ""
        of = f" ({end}{value.value:.4g})" if strict else ""
        verb = "is" if passed else "is not"
        why = f"{judged:.4g}{of} {verb} {_WORDS[gate.sign]} {gate.limit:g}"
    return GateReport(
        require=gate.text,
        name=name,
        value=value.value,
        judged=judged,
        unit=value.unit,
        passed=passed,
        why=why,
    )


def _no_interval(name: str, report: EvaluationReport) -> str:
    head = name.partition(".")[0]
    if report.resampling is None:
        return "no intervals were asked for"
    resampled = report.resampling.heads.get(head)
    if resampled is None:
        return f"{head} is not drawn again"
    return resampled.no_interval or "too few draws gave a number"


def _unknown(gate: Gate, known: Mapping[str, tuple[str, ValueReport]]) -> GateReport:
    near = get_close_matches(gate_key(gate.name), known, n=3, cutoff=0.5)
    most = ", ".join(known[key][0] for key in near)
    others = ", ".join(sorted({full for full, _ in known.values() if "/" not in full}))
    nearest = f"did you mean {most}? " if most else ""
    why = f"no value is called '{gate.name}'; {nearest}There are {others}, and more by class or channel"
    return GateReport(require=gate.text, name=gate.name, value=None, judged=None, passed=False, why=why)


_JUNIT_NAME = "perception.evaluate"
is_junit = marked(b"<?xml", f'<testsuite name="{_JUNIT_NAME}"'.encode())
"""Return whether a file is one that `junit_xml` made."""


def junit_xml(report: EvaluationReport) -> bytes:
    """Return JUnit XML with a test case for each gate, and for each head and log with a reference. One more,
    with an error, says that the evaluation was interrupted or failed: its gates were judged on a part.

    Control characters, which XML cannot hold, are escaped.
    """
    suite = ET.Element("testsuite", name=_JUNIT_NAME)
    bad = 0
    for gate in report.gates:
        case = ET.SubElement(
            suite, "testcase", classname=f"{_JUNIT_NAME}.require", name=gate.require, time="0"
        )
        if not gate.passed:
            bad += 1
            ET.SubElement(case, "failure", message=gate.why, type="gate").text = f"{gate.name}: {gate.why}"
    for beside in report.reference:
        name = f"{beside.log} {beside.head}"
        case = ET.SubElement(suite, "testcase", classname=f"{_JUNIT_NAME}.reference", name=name, time="0")
        if beside.diverged or not beside.frames:
            bad += 1
            text = f"{beside.diverged} of {beside.frames} frames diverge; first: {beside.what}"
            ET.SubElement(case, "failure", message=text, type="divergence").text = beside.command
    errors = int(report.status in ("failed", "interrupted"))
    if errors:
        case = ET.SubElement(suite, "testcase", classname=f"{_JUNIT_NAME}.run", name="finished", time="0")
        text = f"the evaluation was not finished: {report.status}; the gates were judged on what there was"
        ET.SubElement(case, "error", message=text, type=report.status).text = report.error
    tests = len(report.gates) + len(report.reference) + errors
    for key, value in (("tests", tests), ("failures", bad), ("errors", errors), ("skipped", 0)):
        suite.set(key, str(value))
    suite.set("time", f"{report.seconds:.3f}")
    root = ET.Element("testsuites", tests=str(tests), failures=str(bad), errors=str(errors))
    root.append(suite)
    ET.indent(root)
    text = visible(ET.tostring(root, encoding="unicode"))
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()
