"""A host sample tells rates since the last one and never a nonsense figure."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from engine.host.metrics import HostSampler


class Host:
    """psutil and the clock, scripted."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at_s = 100.0
        self.busy_s = 0.0
        self.idle_s = 0.0
        self.links = {"lo": self.link(0, 0), "eth0": self.link(0, 0)}
        monkeypatch.setattr(time, "monotonic", lambda: self.at_s)
        monkeypatch.setattr(psutil, "cpu_times", self.cpu)
        monkeypatch.setattr(psutil, "net_io_counters", lambda pernic: self.links)

    def cpu(self) -> SimpleNamespace:
        return SimpleNamespace(
            user=self.busy_s, nice=0, system=0, irq=0, softirq=0, steal=0, guest=self.busy_s, idle=self.idle_s, iowait=0
        )

    @staticmethod
    def link(received: int, sent: int) -> SimpleNamespace:
        return SimpleNamespace(bytes_recv=received, bytes_sent=sent)


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(monkeypatch)


def test_cpu_is_the_busy_share_since_the_last_sample(host: Host, tmp_path: Path) -> None:
    sampler = HostSampler(tmp_path)
    host.busy_s, host.idle_s = 1, 3
    assert sampler.sample().cpu_percent == pytest.approx(25)
    host.busy_s, host.idle_s = 4, 4
    assert sampler.sample().cpu_percent == pytest.approx(75)


def test_network_rates_leave_out_the_loopback(host: Host, tmp_path: Path) -> None:
    sampler = HostSampler(tmp_path)
    host.at_s += 2
    host.links = {"lo": Host.link(10**9, 10**9), "eth0": Host.link(400, 100), "wlan0": Host.link(600, 0)}
    sample = sampler.sample()
    assert (sample.net_rx_bytes_s, sample.net_tx_bytes_s) == (500, 50)


def test_a_network_link_that_went_away_gives_no_negative_rate(host: Host, tmp_path: Path) -> None:
    host.links = {"eth0": Host.link(5000, 5000)}
    sampler = HostSampler(tmp_path)
    host.at_s += 1
    host.links = {}
    assert sampler.sample().net_rx_bytes_s == 0


def test_two_samples_at_one_instant_are_zero_rates(host: Host, tmp_path: Path) -> None:
    sample = HostSampler(tmp_path).sample()
    assert (sample.cpu_percent, sample.net_rx_bytes_s) == (0, 0)


def test_a_data_folder_that_is_not_made_yet_is_measured_where_it_will_be(tmp_path: Path) -> None:
    sample = HostSampler(tmp_path / "a" / "b").sample()
    assert sample.disk_total_bytes == psutil.disk_usage(str(tmp_path)).total


def test_a_real_sample_is_within_the_machine(tmp_path: Path) -> None:
    sample = HostSampler(tmp_path).sample()
    assert 0 < sample.memory_used_bytes < sample.memory_total_bytes
    assert 0 <= sample.cpu_percent <= 100
    assert sample.cores >= 1
