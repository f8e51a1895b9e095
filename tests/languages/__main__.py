"""Proves the catalogue's languages in real microVMs and writes what it took into engine/languages/proofs.json.

Each language's image is built, all its examples run in it as the unprivileged user and without network, and it is
removed again. What was proven with the same row is not proven again, so a run that was ended goes on where it was.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.engine import Engine
from engine.errors import NotReadyError, VmdeckError
from engine.languages.catalogue import Catalogue, Recipe
from engine.languages.proofs import Proofs, read_proofs, standing, write_proof
from engine.languages.table import proof_table
from engine.settings import Settings
from tests.languages.building import why_not_built
from tests.languages.grounds import made_grounds
from tests.languages.order import SMALL_BYTES, smallest_first
from tests.languages.proof import prove


async def prove_all(settings: Settings, recipes: Sequence[Recipe], jobs: int, *, keep: bool) -> list[str]:
    """Prove ``recipes``, ``jobs`` at a time, each written down at once; the ids of those that failed."""
    waiting = asyncio.Queue[Recipe]()
    for recipe in recipes:
        waiting.put_nowait(recipe)
    failed: list[str] = []

    async def work(engine: Engine) -> None:
        while not waiting.empty():
            recipe = waiting.get_nowait()
            proof = await prove(engine, recipe, keep=keep)
            write_proof(recipe.id, proof)
            if proof.problem is not None:
                failed.append(recipe.id)
            _say(f"{recipe.id}: {proof.problem or 'proven'} ({waiting.qsize()} wait)")

    async with Engine(settings) as engine:
        if (health := await engine.health()).status == "blocked":
            raise NotReadyError(health.vmm.reason)
        async with asyncio.TaskGroup() as workers:
            for _ in range(jobs):
                workers.create_task(work(engine))
    return failed


def chosen(catalogue: Catalogue, options: argparse.Namespace, proofs: Proofs) -> list[Recipe]:
    """What the command line asks for, smallest first; says what is left out, and why."""
    asked = [catalogue.recipe(name) for name in options.names] or list(catalogue)
    recipes: list[Recipe] = []
    for recipe in smallest_first(asked, proofs):
        known = proofs.get(recipe.id)
        if reason := why_not_built(recipe):
            _say(f"{recipe.id}: left out, {reason}")
        elif not options.again and standing(recipe, proofs):
            _say(f"{recipe.id}: is proven")
        elif options.small and (known is None or (known.image_bytes or 0) > SMALL_BYTES):
            _say(f"{recipe.id}: left out, not known to be small")
        else:
            recipes.append(recipe)
    return recipes


def main() -> int:
    parser = argparse.ArgumentParser(prog="./taskw test:languages --", description=__doc__)
    parser.add_argument("names", nargs="*", help="languages; without any all")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    parser.add_argument("--small", action="store_true", help="only those whose image was small the last time")
    parser.add_argument("--again", action="store_true", help="those too that are proven")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep images and snapshots in this data folder")
    options = parser.parse_args()
    prepared = Settings()
    os.environ["VMDECK_CONFIG_DIR"] = os.devnull  # a user's own languages are not what is proven here
    catalogue = Catalogue.load()
    recipes = chosen(catalogue, options, read_proofs())
    try:
        with made_grounds(prepared, jobs=options.jobs, folder=options.keep) as settings:
            failed = asyncio.run(prove_all(settings, recipes, options.jobs, keep=options.keep is not None))
    except VmdeckError as error:
        _say(f"{error.message} {error.remedy or ''}".rstrip())
        return 1
    except KeyboardInterrupt:
        _say("Interrupted; what was proven is written down")
        return 130
    print("\n".join(proof_table(catalogue, read_proofs())))
    if failed:
        _say(f"\nNot proven: {', '.join(sorted(failed))}")
    return 1 if failed else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
