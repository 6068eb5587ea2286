"""JUnit XML for build servers: a test case for each case of a run, with the gate's findings where there was a gate."""

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from reports.export_json import CASE_KEYS
from reports.gate import Finding, State
from reports.load import Case, Report


def render_junit(report: Report, findings: Sequence[Finding] = ()) -> str:
    """Return one test suite; a verdict that is not OK and a finding that does not pass are failures."""
    by_case = {finding.case: finding for finding in findings}
    suite = ElementTree.Element("testsuite", name="opwright", timestamp=report.run.created[:19])
    for case in report.cases:
        _add(suite, case, by_case.pop(case.id, None))
    for finding in by_case.values():
        _close(ElementTree.SubElement(suite, "testcase", classname="opwright", name=finding.case), finding)
    suite.set("tests", str(len(suite)))
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    ElementTree.indent(suite)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode")


def _add(suite: ElementTree.Element, case: Case, finding: Finding | None) -> None:
    seconds = f"{case.tuning_s or 0:.3f}"
    element = ElementTree.SubElement(suite, "testcase", classname=f"opwright.{case.target}", name=case.id, time=seconds)
    properties = ElementTree.SubElement(element, "properties")
    for name, value in _properties(case).items():
        ElementTree.SubElement(properties, "property", name=name, value=value)
    if not case.ok:
        ElementTree.SubElement(element, "failure", type=case.verdict, message=case.reason or case.verdict)
    _close(element, finding)


def _close(element: ElementTree.Element, finding: Finding | None) -> None:
    if finding is None or finding.state in (State.SAME, State.FAST):
        return
    if finding.passes:
        ElementTree.SubElement(element, "system-out").text = f"{finding.state}: {finding.message}"
    else:
        ElementTree.SubElement(element, "failure", type=str(finding.state), message=finding.message)


def _properties(case: Case) -> Mapping[str, str]:
    figures = {key: getattr(case, key) for key in CASE_KEYS if key != "id"}
    figures |= {f"ratio_{peer.name}": peer.ratio for peer in case.peers}
    return {name: str(value) for name, value in figures.items() if value is not None}
