"""The command `ftl data fetch`."""

import json
import re
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from ftl.cli.fetch import fetch
from ftl.data.fetch.transport import Patience
from ftl.errors import ConfigError, UserError


@pytest.fixture
def ftl_fetch(zenodo, month, monkeypatch):
    """The command against the local Zenodo; a user's mistake comes out as the error that `ftl` prints."""
    monkeypatch.setattr(Patience, "wait", lambda *_: 0.0)
    app = typer.Typer()
    app.command()(fetch)

    def command(*words, **environment):
        return CliRunner().invoke(
            app, [*map(str, words)], env={"FTL_ZENODO": zenodo.url, **environment}, catch_exceptions=False
        )

    return command


def test_a_month_is_fetched_and_credited(ftl_fetch, out, content):
    done = ftl_fetch("m100", "--months", "21-03", "--out", out)
    assert done.exit_code == 0
    assert (out / "21-03.tar").read_bytes() == content
    assert "downloaded 1 files, 0 were there" in done.stdout
    assert "CC BY 4.0" in done.stdout
    assert "21-03.tar: 1.0 MB of 1.0 MB to come" in done.stderr
    again = ftl_fetch("m100", "--months", "21-03", "--out", out)
    assert "downloaded 0 files, 1 were there" in again.stdout


def test_racks_are_fetched_from_the_aggregated_record(ftl_fetch, zenodo, out):
    zenodo.publish(7541722, **{f"{rack}.tar": bytes([rack]) * 1000 for rack in range(7)})
    assert ftl_fetch("m100-aggregated", "--racks", "0,5", "--racks", "6", "--out", out).exit_code == 0
    assert (out / "5.tar").read_bytes() == bytes([5]) * 1000
    assert sorted(json.loads((out / "SOURCE.json").read_text())["files"]) == ["0.tar", "5.tar", "6.tar"]


def test_the_mirror_may_be_named_on_the_command_line(ftl_fetch, zenodo, out):
    done = ftl_fetch("m100", "--months", "21-03", "--out", out, "--zenodo", zenodo.url + "/", FTL_ZENODO="http://no")
    assert done.exit_code == 0


def test_the_list_shows_sizes_and_downloads_nothing(ftl_fetch, zenodo, out):
    zenodo.publish(7541722, **{f"{rack}.tar": bytes(1000 * rack) for rack in range(49)})
    done = ftl_fetch("m100-aggregated", "--list", "--out", out)
    assert done.exit_code == 0
    assert re.search(r"48 +48.0 kB +7541722, doi 10.5281/zenodo.7541722, cc-by-4.0", done.stdout)
    assert re.search(r"all +1.2 MB", done.stdout)
    assert zenodo.ranges() == []
    assert not out.exists()


def test_without_network_the_list_shows_the_known_records(ftl_fetch):
    done = ftl_fetch("m100", "--list", "--months", "20-12..21-01", FTL_ZENODO="http://127.0.0.1:9")
    assert done.exit_code == 0
    assert re.search(r"21-01\.\.21-06 +45.3 GB +7589131, doi 10.5281/zenodo.7589131", done.stdout)
    assert "22-09" not in done.stdout
    assert "FTL_ZENODO" in done.stderr


def test_a_dry_run_shows_what_is_to_come_and_downloads_nothing(ftl_fetch, zenodo, out):
    done = ftl_fetch("m100", "--months", "21-03", "--out", out, "--dry-run")
    assert "21-03.tar: absent, 1.0 MB to come" in done.stdout
    assert "are free in" in done.stdout
    assert zenodo.ranges() == []
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["m200"], "unknown dataset 'm200'; known: m100, m100-aggregated"),
        (["m100", "--out", "x"], "say which by --months; --list"),
        (["m100", "--months", "21-03"], "--out is missing"),
        (["m100", "--months", "19-01", "--out", "x"], "19-01 was not published; known: 20-03..22-09"),
        (["m100", "--racks", "3", "--out", "x"], "m100 comes by month; use --months"),
        (["m100-aggregated", "--racks", "49", "--out", "x"], "49 was not published; known: 0..48"),
    ],
)
def test_a_mistake_is_named_before_anything_is_asked_of_the_server(words, message, ftl_fetch, zenodo):
    zenodo.requests.clear()
    with pytest.raises(ConfigError, match=re.escape(message)):
        ftl_fetch(*words)
    assert zenodo.requests == []


def test_without_network_the_error_says_how_to_name_a_mirror(ftl_fetch, out):
    with pytest.raises(UserError, match="name a mirror that serves the same addresses by --zenodo URL or FTL_ZENODO"):
        ftl_fetch("m100", "--months", "21-03", "--out", out, FTL_ZENODO="http://127.0.0.1:9")


def test_help_needs_none_of_the_packages_that_a_fetch_needs():
    program = "import sys, ftl.cli.fetch; sys.exit(any(name in sys.modules for name in ('requests', 'numpy', 'rich')))"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0
