"""A report file: a line for each finding, cut back to where a killed pass is resumed."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest

from syncline.errors import SynclineError
from syncline.model.canonical import MISSING
from syncline.model.masks import MASKED
from syncline.verify.render import finding_as_dict, finding_of
from syncline.verify.report import KEPT, KEPT_BYTES, Difference, EntityReport, Finding, Kind, Mode
from syncline.verify.spool import ReportFile, keys_in


def finding(key, **fields):
    return Finding("items", Kind.DIFFERENT, key, 1, [Difference("v", "a", "b")], **fields)


async def test_findings_are_read_back(tmp_path):
    file = ReportFile(path := tmp_path / "report.jsonl")
    await file.take([finding("1"), finding("2\n")])
    await file.take([finding(None)])
    file.end({"verdict": "divergent"})
    assert list(keys_in(path)) == [("items", "1"), ("items", "2\n")]
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [list(line) for line in lines] == [["finding"]] * 3 + [["report"]]


@pytest.mark.parametrize("whole", [False, True])
async def test_kinds_that_are_not_asked_for_are_left_out(tmp_path, whole):
    found = [finding("1"), Finding("items", Kind.FOREIGN, "nobody's", None)]
    path = tmp_path / "report.jsonl"
    if whole:
        path.write_text(json.dumps({"entities": [{"entity": "items", "findings": [*map(finding_as_dict, found)]}]}))
    else:
        file = ReportFile(path)
        await file.take(found)
        file.end({})
    assert list(keys_in(path)) == [("items", "1"), ("items", "nobody's")]
    assert list(keys_in(path, without={Kind.FOREIGN})) == [("items", "1")]


async def test_what_was_written_after_the_position_is_written_again(tmp_path):
    file = ReportFile(path := tmp_path / "report.jsonl")
    await file.take([finding("1")])
    position = file.position()
    await file.take([finding("2"), finding("4")])
    file.close()
    again = ReportFile(path, resume=True)
    again.rewind(position)
    await again.take([finding("3")])
    again.end({})
    assert [key for _, key in keys_in(path)] == ["1", "3"]


async def test_a_line_that_was_cut_off_is_left_out(tmp_path):
    file = ReportFile(path := tmp_path / "report.jsonl")
    await file.take([finding("1"), finding("2")])
    file.close()
    path.write_bytes(path.read_bytes()[:-5])
    assert [key for _, key in keys_in(path)] == ["1"]


def test_a_file_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(SynclineError, match="cannot be written"):
        ReportFile(tmp_path / "no" / "such")


def test_findings_survive_json():
    one = Finding(
        "items", Kind.UNISSUED, "1", 1, [Difference("v", MASKED, MISSING), Difference("w", {"a": [1]}, None)], MISSING
    )
    assert finding_of(json.loads(json.dumps(finding_as_dict(one)))) == Finding(
        "items", Kind.UNISSUED, "1", 1, (Difference("v", MASKED, MISSING), Difference("w", {"a": [1]}, None)), MISSING
    )


def test_a_report_keeps_the_first_findings_and_counts_all():
    report = EntityReport("items", Mode.FULL, None)
    for number in range(KEPT + 5):
        report.add(finding(str(number)))
    assert (len(report.findings), report.counts.total()) == (KEPT, KEPT + 5)


def test_a_report_keeps_no_more_than_so_many_bytes():
    report = EntityReport("items", Mode.FULL, None)
    for number in range(9):
        report.add(Finding("items", Kind.DIFFERENT, str(number), 1, [Difference("v", "x" * (KEPT_BYTES // 4), "")]))
    assert (len(report.findings), report.counts.total()) == (4, 9)


async def test_a_full_disk_is_said_whenever_it_is_met():
    for act in (ReportFile.position, ReportFile.close, lambda file: file.end({})):
        file = ReportFile(Path("/dev/full"))
        await file.take([finding("1")])
        with pytest.raises(SynclineError, match="/dev/full cannot be written: No space left on device"):
            act(file)
        with contextlib.suppress(SynclineError):
            file.close()
