"""What an operator is told of each setting, above all where it comes from, and what a change of one does."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine import operator_settings
from engine.errors import ConflictError, InputError, NotFoundError, NotReadyError, VmdeckError
from engine.models import Setting
from engine.settings import Settings


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """config.toml, not there yet."""
    for variable in os.environ:
        if variable.startswith("VMDECK_"):
            monkeypatch.delenv(variable)
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("VMDECK_CONFIG_DIR", str(folder))
    return folder / "config.toml"


def one(name: str, settings: Settings | None = None) -> Setting:
    return next(each for each in operator_settings.listed(settings or Settings()) if each.name == name)


def test_every_setting_is_listed_in_its_order_and_says_what_it_is() -> None:
    found = operator_settings.listed(Settings())
    assert [each.name for each in found] == list(Settings.model_fields)
    assert [each.name for each in found if not each.about] == []
    assert {each.origin for each in found} == {"default"}
    assert all(each.value == each.default for each in found)
    assert all(each.editable and each.pending is None for each in found)


def test_the_origin_is_the_source_that_gave_the_value(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text("max_queued = 5\nmax_timeout_s = 90\napi_port = 1\njail = 'on'\n")
    monkeypatch.setenv("VMDECK_API_PORT", "2")
    monkeypatch.setenv("vmdeck_max_timeout_s", "60")
    settings = Settings(api_port=3, jail="off")
    expected = {
        "max_running": ("default", ""),
        "max_queued": ("file", str(file)),
        "max_timeout_s": ("environment", "vmdeck_max_timeout_s"),
        "api_port": ("flag", "--port"),
        "jail": ("flag", "--unjailed"),
    }
    found = {name: one(name, settings) for name in expected}
    assert {name: (each.origin, each.source) for name, each in found.items()} == expected
    assert [found[name].value for name in ("max_queued", "max_timeout_s", "api_port")] == ["5", "60", "3"]


def test_a_value_that_equals_the_default_still_comes_from_where_it_was_given(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("max_queued = 32\n")
    monkeypatch.setenv("VMDECK_VMM", "auto")
    assert (one("max_queued").origin, one("vmm").origin) == ("file", "environment")


def test_what_a_variable_or_flag_gave_is_not_to_be_changed_in_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VMDECK_VMM", "qemu")
    settings = Settings(api_port=1)
    for name, source in (("vmm", "VMDECK_VMM"), ("api_port", "--port")):
        setting = one(name, settings)
        assert (setting.editable, source in setting.why_not) == (False, True)
        with pytest.raises(ConflictError, match=source):
            operator_settings.changed(settings, name, setting.default)


def test_the_token_is_never_among_the_values(file: Path) -> None:
    file.write_text("api_token = 's3cret'\n")
    settings = Settings()
    setting = one("api_token", settings)
    assert (setting.secret, setting.value, setting.origin) == (True, "", "file")
    changed = operator_settings.changed(settings, "api_token", "another")
    assert (changed.value, changed.pending) == ("", "")
    listed = repr(operator_settings.listed(settings))
    assert "s3cret" not in listed
    assert "another" not in listed


def test_a_change_is_pending_until_the_next_start(file: Path) -> None:
    file.write_text("# mine\nmax_queued = 5\n")
    settings = Settings()
    changed = operator_settings.changed(settings, "max_queued", "6")
    assert (changed.value, changed.pending) == ("5", "6")
    assert file.read_text() == "# mine\nmax_queued = 6\n"
    assert one("max_queued", Settings()).value == "6"
    assert operator_settings.changed(settings, "max_queued", None).pending == "32"
    assert operator_settings.changed(settings, "max_queued", "5").pending is None


@pytest.mark.parametrize(
    ("name", "text", "line"),
    [
        ("max_running", "4", "max_running = 4"),
        ("max_timeout_s", "60", "max_timeout_s = 60"),
        ("kill_grace_s", "2.5", "kill_grace_s = 2.5"),
        ("vmm", "qemu", 'vmm = "qemu"'),
        ("data_dir", "/srv/a b", 'data_dir = "/srv/a b"'),
        ("qemu_binary", "", 'qemu_binary = ""'),
        ("api_token", 'a"b\\n', r'api_token = "a\"b\\n"'),
    ],
)
def test_a_value_is_written_as_what_it_is(name: str, text: str, line: str, file: Path) -> None:
    operator_settings.changed(Settings(), name, text)
    assert file.read_text() == f"{line}\n"
    assert Settings().model_fields_set == {name}


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("max_running", "0", "greater than or equal to 1"),
        ("max_running", "many", "integer"),
        ("vmm", "vbox", "'auto', 'firecracker' or 'qemu'"),
        ("cpu_template", "t2 ", "A-Z0-9"),
        ("data_dir", "", "absolute path"),
        ("runtime_dir", "run", "absolute path"),
        ("max_timeout_s", "inf", "finite"),
        ("kill_grace_s", "nan", "finite"),
        ("boot_deadline_s", "1e300", "less than or equal to 3600"),
        ("max_memory_mib", "65537", "less than or equal to 65536"),
        ("max_vcpus", "33", "less than or equal to 32"),
        ("max_running", str(10**30), "less than or equal to"),
        ("jail_uid_first", str(2**31), "less than"),
        ("api_token", "geheim\u00e4", "ASCII"),
        ("api_token", "two words", "ASCII"),
        ("api_token", "tab\t", "control characters"),
        ("qemu_binary", "/usr/bin/\x1b[2J", "control characters"),
        ("default_memory_mib", "8192", "above max_memory_mib"),
        ("max_memory_mib", "128", "default_memory_mib (256) is above"),
        ("jail_uid_first", str(2**31 - 10), "jail_uid_count"),
    ],
)
def test_a_value_that_is_not_valid_is_refused_with_what_is(name: str, text: str, allowed: str, file: Path) -> None:
    with pytest.raises(InputError) as caught:
        operator_settings.changed(Settings(), name, text)
    assert name in caught.value.message
    assert allowed in caught.value.message
    assert not file.exists()


def test_a_value_is_checked_together_with_the_others_of_the_file(file: Path) -> None:
    file.write_text("default_memory_mib = 64\n")
    operator_settings.changed(Settings(), "max_memory_mib", "128")
    with pytest.raises(InputError, match="above max_memory_mib"):
        operator_settings.changed(Settings(), "default_memory_mib", None)
    assert Settings().default_memory_mib == 64


def test_a_value_that_is_bad_already_does_not_keep_another_from_being_mended(file: Path) -> None:
    settings = Settings()
    file.write_text("max_running = 0\nmax_queued = -1\n")
    operator_settings.changed(settings, "max_running", "1")
    operator_settings.changed(settings, "max_queued", None)
    assert Settings().max_running == 1


def test_a_refused_token_is_not_quoted() -> None:
    with pytest.raises(InputError) as caught:
        operator_settings.changed(Settings(), "api_token", "geheim\u00e4")
    assert "geheim" not in caught.value.message + caught.value.remedy


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(NotFoundError, match="max_runing"):
        operator_settings.changed(Settings(), "max_runing", "1")


def test_choices_are_those_of_the_declaration() -> None:
    assert one("vmm").choices == ("auto", "firecracker", "qemu")
    assert one("max_running").choices == ()


def test_a_file_that_went_bad_is_named_and_nothing_is_written(file: Path) -> None:
    settings = Settings()
    file.write_text("max_running = [")
    setting = one("max_running", settings)
    assert (setting.editable, setting.pending, str(file) in setting.why_not) == (False, None, True)
    with pytest.raises(NotReadyError, match="can't be read"):
        operator_settings.changed(settings, "max_running", "1")
    assert file.read_text() == "max_running = ["


def test_a_value_in_the_file_that_the_next_start_will_refuse_is_shown_as_it_stands(file: Path) -> None:
    settings = Settings()
    file.write_text("max_running = 'many'\n")
    assert one("max_running", settings).pending == "many"


def test_a_folder_that_can_not_be_written_is_the_reason(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_access(path: object, mode: int) -> bool:
        return False

    monkeypatch.setattr(os, "access", no_access)  # root may write everywhere
    setting = one("max_running")
    assert (setting.editable, str(file.parent) in setting.why_not) == (False, True)
    with pytest.raises(VmdeckError, match="can't be written"):
        operator_settings.changed(Settings(), "max_running", "1")
