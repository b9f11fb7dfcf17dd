"""Journals that are harmed: a torn tail is dropped, all else is named with its file, and nothing is read wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from rain.cli.commands import run
from rain.server.journal.checking import repair, survey
from rain.server.journal.format import COMMIT_BYTES, JournalDamaged, JournalError, JournalInUse, JournalUnreadable
from rain.server.journal.journal import Journal
from tests.unit.server.journal.damage import IMAGE, LAST, Sample

MIDDLE = "00000003.journal"
FIRST = "00000002.journal"


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return Sample(tmp_path / "journal")


def test_the_sample_is_whole(sample: Sample) -> None:
    assert sample.read() == (IMAGE, sample.records)
    assert sorted(sample.files) == ["00000002.image", FIRST, MIDDLE, LAST]
    found = survey(str(sample.folder))
    assert found.damage is None
    assert [file.state for file in found.files] == ["whole"] * 4
    assert sum(file.records or 0 for file in found.files) == len(sample.records)


def test_cut_at_every_byte(sample: Sample) -> None:
    told = {name: Counter(sample.cut(name, size) for size in range(len(data))) for name, data in sample.files.items()}
    assert told.pop(LAST) == {"dropped": len(sample.files[LAST])}
    assert all(set(counts) == {"named"} for counts in told.values()), told


def test_flipped_bits(sample: Sample) -> None:
    told = flipped(sample, Random(1), 1000)
    assert told["named"] > 800
    assert told["dropped"] > 20


@pytest.mark.soak
def test_ten_thousand_flipped_bits(tmp_path: Path) -> None:
    for seed in range(10):
        flipped(Sample(tmp_path / f"journal{seed}", seed), Random(seed), 1000)


def flipped(sample: Sample, random: Random, count: int) -> Counter[str]:
    told: Counter[str] = Counter()
    names = sorted(sample.files)
    for _ in range(count):
        name = random.choice(names)
        told[sample.flip(name, random.randrange(8 * len(sample.files[name])))] += 1
    return told


def test_a_flipped_bit_is_dropped_in_the_last_commit_only(sample: Sample) -> None:
    """There it cannot be told from a write that was cut short; before it, a commit follows."""
    begin = sample.commits[-2][0]
    size = len(sample.files[LAST])
    for byte in range(size):
        assert sample.flip(LAST, 8 * byte + byte % 8) == ("dropped" if byte >= begin else "named"), byte


@pytest.mark.parametrize("name", [FIRST, MIDDLE])
def test_a_missing_segment_is_named(sample: Sample, name: str) -> None:
    (sample.folder / name).unlink()
    with pytest.raises(JournalDamaged, match=f"{name} is damaged at byte 0: it is missing"):
        sample.read()


def test_a_segment_under_another_name_is_named(sample: Sample) -> None:
    (sample.folder / LAST).write_bytes(sample.files[MIDDLE])
    with pytest.raises(JournalDamaged, match=r"00000004\.journal is damaged at byte 0: its head says .* 3\."):
        sample.read()


def test_zeros_in_the_place_of_the_last_write_are_dropped(sample: Sample) -> None:
    """As a machine leaves them whose power went."""
    begin = sample.commits[-2][0]
    size = len(sample.files[LAST])
    (sample.folder / LAST).write_bytes(sample.files[LAST][:begin] + bytes(size - begin + 5000))
    assert sample.read() == (IMAGE, sample.records[: sample.commits[-2][1]])


def test_a_successor_goes_on_behind_a_torn_tail(sample: Sample) -> None:
    """... and the ones after it read all; what was torn stays, and is not taken for damage."""
    end, kept = sample.commits[-2]
    (sample.folder / LAST).write_bytes(sample.files[LAST][: end + 30])  # a COMMIT is whole, what follows it is not
    for number in range(3):
        journal = Journal(sample.folder, "code")
        assert list(journal.records()) == [*sample.records[:kept], *((1, b"%d" % done) for done in range(number))]
        journal.add(1, b"%d" % number)
        journal.commit()
        journal.close()
    assert (sample.folder / LAST).stat().st_size == end + 30
    states = {file.name: file.state for file in survey(str(sample.folder)).files}
    assert states[LAST] == f"{30 - COMMIT_BYTES} bytes at its end were cut short, and count no more"


def test_a_segment_whose_head_was_not_whole_is_begun_again(sample: Sample) -> None:
    (sample.folder / "00000005.journal").write_bytes(b"RainJr")
    (sample.folder / "00000005.journal").chmod(0o600)
    journal = Journal(sample.folder, "code")
    assert list(journal.records()) == sample.records
    journal.add(1, b"next")
    journal.commit()
    journal.close()
    assert sample.read() == (IMAGE, [*sample.records, (1, b"next")])


def test_another_format_is_refused_before_anything_is_changed(sample: Sample) -> None:
    data = bytearray(sample.files[LAST])
    data[8] = 2
    (sample.folder / LAST).write_bytes(data)
    before = {path.name: path.read_bytes() for path in sample.folder.iterdir() if path.name != "lock"}
    with pytest.raises(JournalUnreadable, match=r"00000004\.journal is of format 2 .* reads format 1"):
        Journal(sample.folder, "code")
    assert {path.name: path.read_bytes() for path in sample.folder.iterdir() if path.name != "lock"} == before


def test_a_kind_of_record_that_is_not_known_is_refused(sample: Sample) -> None:
    journal = Journal(sample.folder, "code", kinds={1, 2, 3})
    with pytest.raises(
        JournalUnreadable, match=r"at byte \d+ a record of kind [4-9], which this version of Rain does not"
    ):
        list(journal.records())
    journal.close()


# -- repair ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [FIRST, MIDDLE, LAST])
def test_repair_keeps_what_comes_before_the_damage(sample: Sample, name: str) -> None:
    half = len(sample.files[name]) // 2
    data = bytearray(sample.files[name])
    data[half] ^= 4
    (sample.folder / name).write_bytes(data)
    with pytest.raises(JournalDamaged) as caught:
        sample.read()
    done = repair(str(sample.folder))
    later = [other for other in (FIRST, MIDDLE, LAST) if other >= name]
    assert done.files == later
    for other in later:  # as they were
        assert (Path(done.folder) / other).read_bytes() == (data if other == name else sample.files[other])
    image, records = sample.read()
    assert image == IMAGE
    assert sample.begun[name] - sample.begun[FIRST] < len(records) < len(sample.records)
    assert records == sample.records[: len(records)]
    assert (sample.folder / name).stat().st_size == caught.value.offset
    assert repair(str(sample.folder)).files == []
    journal = Journal(sample.folder, "code")
    assert list(journal.records()) == records
    journal.add(1, b"on")
    journal.close()
    assert sample.read()[1] == [*records, (1, b"on")]


def test_repair_twice_keeps_both_copies(sample: Sample) -> None:
    for number, name in ((1, LAST), (2, FIRST)):
        data = bytearray((sample.folder / name).read_bytes())
        data[len(data) // 2] ^= 1
        (sample.folder / name).write_bytes(data)
        assert repair(str(sample.folder)).folder == str(sample.folder / f"damaged-{number}")


def test_repair_of_a_missing_segment_sets_those_behind_it_aside(sample: Sample) -> None:
    (sample.folder / MIDDLE).unlink()
    assert repair(str(sample.folder)).files == [LAST]
    assert sample.read() == (IMAGE, sample.records[: sample.begun[MIDDLE] - sample.begun[FIRST]])


def test_repair_of_a_torn_tail_changes_nothing(sample: Sample) -> None:
    (sample.folder / LAST).write_bytes(sample.files[LAST][:-3])
    assert repair(str(sample.folder)).files == []
    assert (sample.folder / LAST).read_bytes() == sample.files[LAST][:-3]


def test_a_damaged_image_cannot_be_repaired(sample: Sample) -> None:
    data = bytearray(sample.files["00000002.image"])
    data[-30] ^= 1
    (sample.folder / "00000002.image").write_bytes(data)
    with pytest.raises(JournalError, match=r"nothing of it can be kept\. To begin with an empty journal, move .* away"):
        repair(str(sample.folder))


def test_a_journal_in_use_is_not_repaired(sample: Sample) -> None:
    journal = Journal(sample.folder, "code")
    with pytest.raises(JournalInUse):
        repair(str(sample.folder))
    journal.close()


# -- the command -----------------------------------------------------------------------------------


Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def rain(capsys: pytest.CaptureFixture[str]) -> Command:
    """`rain journal` with words; status, output and errors."""

    def call(*words: str) -> tuple[int, str, str]:
        status = run(["journal", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_the_command_names_the_damage_and_mends_it(sample: Sample, rain: Command) -> None:
    folder = str(sample.folder)
    status, told, _ = rain("check", folder)
    assert status == 0
    assert "A server can come back from it." in told
    data = bytearray(sample.files[MIDDLE])
    data[-12] ^= 1
    (sample.folder / MIDDLE).write_bytes(data)
    status, told, error = rain("check", folder)
    assert status == 1
    assert f"{MIDDLE}" in told
    assert "damaged at byte" in told
    assert f"rain journal: the journal's file {folder}/{MIDDLE} is damaged at byte" in error
    status, told, _ = rain("repair", folder)
    assert status == 0
    assert f"The files as they were are in {folder}/damaged-1: {MIDDLE}, {LAST}" in told
    assert rain("check", folder)[0] == 0


def test_the_command_on_what_is_no_journal(tmp_path: Path, rain: Command) -> None:
    (tmp_path / "empty").mkdir(mode=0o700)
    assert rain("check", str(tmp_path / "empty"))[:2] == (0, f"there is no journal in {tmp_path}/empty\n")
    for command in ("check", "show", "repair"):
        status, _, error = rain(command, str(tmp_path / "missing"))
        assert status == 1
        assert f"{tmp_path}/missing" in error
        assert not (tmp_path / "missing").exists()
