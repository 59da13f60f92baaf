from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from kdsl.errors import BadSettingError, UnknownSettingError
from kdsl.settings import all_settings, settings


@pytest.fixture(autouse=True)
def no_variables(monkeypatch):
    for setting in all_settings():
        monkeypatch.delenv(setting.variable, raising=False)


def test_variables_are_read_when_used(monkeypatch):
    assert settings.time is False
    monkeypatch.setenv("KDSL_TIME", "1")
    assert settings.time is True


def test_an_empty_variable_is_an_unset_one(monkeypatch):
    monkeypatch.setenv("KDSL_NUM_THREADS", "")
    assert settings.num_threads >= 1


def test_the_cache_lies_in_the_users_cache_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere/caches")
    assert settings.cache_dir == Path("/somewhere/caches/kdsl")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    assert settings.cache_dir == Path("~/.cache/kdsl").expanduser()
    monkeypatch.setenv("KDSL_CACHE_DIR", "~/mine")
    assert settings.cache_dir == Path("~/mine").expanduser()


def test_threads_default_to_the_processors_that_may_be_used():
    assert settings.num_threads == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("KDSL_NUM_THREADS", "many"),
        ("KDSL_NUM_THREADS", "0"),
        ("KDSL_NUM_THREADS", "-1"),
        ("KDSL_NUM_THREADS", "²"),
        ("KDSL_NUM_THREADS", "99999999"),
        ("KDSL_VERIFY", "all"),
        ("KDSL_TIME", "perhaps"),
    ],
)
def test_a_bad_value_names_the_variable_and_the_form(monkeypatch, variable, text):
    monkeypatch.setenv(variable, text)
    with pytest.raises(BadSettingError, match=variable) as caught:
        getattr(settings, variable.removeprefix("KDSL_").lower())
    assert text in str(caught.value)


def test_print_after_takes_names_with_commas(monkeypatch):
    monkeypatch.setenv("KDSL_PRINT_AFTER", "cse, licm,")
    assert settings.print_after == ("cse", "licm")


def test_an_override_wins_over_the_environment_and_ends(monkeypatch):
    monkeypatch.setenv("KDSL_NUM_THREADS", "3")
    with settings.override(num_threads=5):
        assert settings.num_threads == 5
        with settings.override(verify="ir"):
            assert (settings.num_threads, settings.verify) == (5, "ir")
        assert settings.verify == ""
    assert settings.num_threads == 3


def test_settings_are_reached_through_the_package_before_and_after_its_modules_are_imported():
    import kdsl.settings

    for settings_of_kdsl in (kdsl.settings, settings):
        with settings_of_kdsl.override(verify="passes"):
            assert settings_of_kdsl.verify == "passes"
            assert settings.verify == "passes"
    with pytest.raises(AttributeError):
        _ = kdsl.settings.nothing


def test_an_override_ends_when_its_block_fails():
    with pytest.raises(ZeroDivisionError), settings.override(time=True):
        1 / 0
    assert settings.time is False


def test_an_override_is_seen_by_other_threads():
    seen = []
    with settings.override(num_threads=7):
        thread = threading.Thread(target=lambda: seen.append(settings.num_threads))
        thread.start()
        thread.join()
    assert seen == [7]


def test_an_override_of_nothing_is_an_error():
    with pytest.raises(UnknownSettingError, match="num_thread"), settings.override(num_thread=1):
        pass


def test_an_override_with_bad_text_is_an_error():
    with pytest.raises(BadSettingError, match="ir or passes"), settings.override(verify="x"):
        pass


@pytest.mark.parametrize("setting", all_settings(), ids=lambda setting: setting.variable)
def test_every_setting_is_documented(setting):
    assert setting.variable == f"KDSL_{setting.name.upper()}"
    assert setting.doc.endswith(".")
