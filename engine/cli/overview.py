"""Commands that show what there is: languages, health, VMs, version."""

from __future__ import annotations

import shutil
import sys
import textwrap
from importlib.metadata import version as installed_version
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli.listing import Columns, show, show_json
from engine.cli.session import with_engine
from engine.printable import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engine.models import Check, Language, Proof, Vm, VmDetail

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]

EXIT_BY_SEVERITY = {"ok": 0, "info": 0, "degraded": 1, "blocked": 2}
_SIGNS = {"ok": "ok", "info": "info", "degraded": "DEGRADED", "blocked": "BLOCKED"}
_COUNTED = {"ok": "ok", "info": "worth knowing", "degraded": "degraded", "blocked": "blocked"}
_INDENT = " " * 11  # below a check's title, beside its sign


def languages(as_json: Json = False) -> None:
    """List the languages: where their images are from, which are ready, warm and proven here."""
    columns: Columns[Language] = {
        "LANGUAGE": lambda language: language.id,
        "TITLE": lambda language: language.title,
        "ALIASES": lambda language: ", ".join(language.aliases),
        "SOURCE": lambda language: language.source,
        "READY": lambda language: "yes" if language.ready else "no image",
        "WARM": lambda language: "yes" if language.warm else "no",
        "PROVEN": lambda language: _proof(language.proven),
        "VERSION": lambda language: language.version or "",
    }
    show(with_engine(lambda engine: engine.languages()), columns, as_json=as_json, empty="No languages.")


def _proof(proof: Proof | None) -> str:
    return f"{proof.date:%Y-%m-%d} {proof.vmm}" if proof else "no"


def doctor(as_json: Json = False) -> None:
    """Check this host. Exits with 0 if all is well, 1 if something is degraded, 2 if runs are blocked."""
    health = with_engine(lambda engine: engine.health(full=True))
    checks = health.checks or ()
    if as_json:
        show_json(health)
    else:
        _print_filled(f"Runs use {health.vmm.vmm} ({health.vmm.accelerator}): {health.vmm.reason}")
        _print_groups(checks)
        print(f"\n{_summary(checks)}")
    raise typer.Exit(max((EXIT_BY_SEVERITY[check.severity.value] for check in checks), default=0))


def vms(
    vm_id: Annotated[str | None, typer.Argument(metavar="[VM]", help="Show one VM in detail.")] = None,
    as_json: Json = False,
) -> None:
    """List the live VMs of the running engine, or show one of them in detail."""
    if vm_id is not None:
        detail = with_engine(lambda engine: engine.vm(vm_id))
        return show_json(detail) if as_json else _print_detail(detail)
    columns: Columns[Vm] = {
        "VM": lambda vm: vm.id,
        "STATE": lambda vm: vm.state.value,
        "PURPOSE": lambda vm: vm.purpose,
        "LANGUAGE": lambda vm: vm.language or "",
        "VMM": lambda vm: f"{vm.vmm}/{vm.accelerator}",
        "MEM": lambda vm: f"{vm.memory_mib} MiB",
        "CPU": lambda vm: "" if vm.cpu_percent is None else f"{vm.cpu_percent:.0f}%",
        "AGE": lambda vm: f"{vm.age_s:.0f} s",
    }
    return show(with_engine(lambda engine: engine.vms()), columns, as_json=as_json, empty="No VMs.")


def version() -> None:
    """Print the version."""
    print(f"vmdeck {installed_version('vmdeck')}")


def _print_detail(detail: VmDetail) -> None:
    vm = detail.vm
    cpu = "" if vm.cpu_percent is None else f", CPU {vm.cpu_percent:.0f}%"
    _print_filled(f"VM {vm.id}: {vm.state}, {vm.purpose} {vm.language or ''}".rstrip())
    _print_filled(f"{vm.vmm}/{vm.accelerator}, {vm.memory_mib} MiB, {vm.vcpus} CPU, {vm.age_s:.0f} s old{cpu}")
    _print_filled(f"Jail: {vm.jail}")
    parts = {
        "Start": [(stage.name, f"{stage.ms:.1f} ms") for stage in detail.stages],
        "Limits": [(limit.name, f"{limit.value} (used: {limit.used})") for limit in detail.limits],
        "VMM": [(figure.name, figure.value) for figure in detail.vmm],
        "Guest, as it says": [(figure.name, figure.value) for figure in detail.guest],
    }
    for title, rows in parts.items():
        if rows:
            print(f"\n{title}")
        for name, value in rows:
            print(f"  {printable(name):<28}{printable(value)}")
    for missing in detail.missing:
        print(f"\nNot known: {printable(missing)}")


def _print_groups(checks: Sequence[Check]) -> None:
    """In the order in which the groups first appear; inside a group as they come."""
    for group in dict.fromkeys(check.group for check in checks):
        print(f"\n{printable(group)}")
        for check in checks:
            if check.group == group:
                _print_check(check)


def _print_check(check: Check) -> None:
    severity = check.severity.value
    _print_filled(f"{check.title}: {check.seen}", first=f"  {_SIGNS[severity]}".ljust(len(_INDENT)), rest=_INDENT)
    if severity == "ok":
        return
    fix = f"`vmdeck setup` can fix it (step {check.fixed_by})" if check.fixed_by else ""
    why = check.why if EXIT_BY_SEVERITY[severity] else ""
    for line in filter(None, (why, check.remedy, fix)):
        _print_filled(line, first=f"{_INDENT}  ", rest=f"{_INDENT}  ")


def _print_filled(text: str, *, first: str = "", rest: str = "") -> None:
    """Broken at the width of a terminal, else one line. ``first`` begins the first line, ``rest`` the others."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    lines = textwrap.wrap(printable(text), width, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
    print("\n".join(lines))


def _summary(checks: Sequence[Check]) -> str:
    severities = [check.severity.value for check in checks]
    counts = ", ".join(f"{severities.count(severity)} {words}" for severity, words in _COUNTED.items())
    return f"{len(checks)} checks: {counts}"
