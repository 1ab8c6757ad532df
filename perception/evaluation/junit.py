"""Gates as JUnit XML, which every continuous integration shows as tests."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from perception.evaluation.report.schema import Report


def junit_xml(report: Report, name: str = "perception.evaluate") -> bytes:
    """One test for each gate, and one for each head and log beside a reference."""
    suite = ET.Element("testsuite", name=name)
    bad = 0
    for gate in report.gates:
        case = ET.SubElement(suite, "testcase", classname=f"{name}.require", name=gate.require, time="0")
        if not gate.passed:
            bad += 1
            ET.SubElement(case, "failure", message=gate.why, type="gate").text = f"{gate.name}: {gate.why}"
    for beside in report.reference:
        case = ET.SubElement(
            suite, "testcase", classname=f"{name}.reference", name=f"{beside.log} {beside.head}", time="0"
        )
        if beside.diverged or not beside.frames:
            bad += 1
            told = f"{beside.diverged} of {beside.frames} frames diverge; first: {beside.what}"
            ET.SubElement(case, "failure", message=told, type="divergence").text = beside.command
    tests = len(report.gates) + len(report.reference)
    for key, value in (("tests", tests), ("failures", bad), ("errors", 0), ("skipped", 0)):
        suite.set(key, str(value))
    suite.set("time", f"{report.seconds:.3f}")
    root = ET.Element("testsuites", tests=str(tests), failures=str(bad), errors="0")
    root.append(suite)
    ET.indent(root)
    return bytes(ET.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"
