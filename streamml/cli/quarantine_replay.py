"""`quarantine replay`: refused records get another chance. Law: what it would do is shown first; asked for twice, it is
done once."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from streamml.cli.options import Bootstrap, Properties, Property, Registry, TopologyPath, connection, load
from streamml.cli.quarantine_reading import Agent, Cluster, Json, Rule, Since, Until, moment, some
from streamml.cli.terminal import author_of, error, interactive, note, plain_logs
from streamml.errors import StreammlError

if TYPE_CHECKING:
    from streamml.runtime.connection import Connection
    from streamml.runtime.quarantine import Ledger, Outcome, Refused
    from streamml.topology import Topology


def replay(
    topology: TopologyPath,
    places: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PLACE", help="Places as listed, such as 0@17. Without any: all that the options leave."
        ),
    ] = None,
    rule: Rule = None,
    agent: Agent = None,
    since: Since = None,
    until: Until = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be re-entered, write nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
    bootstrap: Bootstrap = None,
    property: Property = None,
    properties: Properties = None,
    registry: Registry = None,
) -> None:
    """Re-enter refused records, as they were, into the topics that they came from; each of them once, ever."""
    from streamml.runtime.quarantine import Place, Selection

    plain_logs()
    named = frozenset(Place.of(place) for place in places) if places else None
    selection = Selection(named, rule, agent, moment("--since", since), moment("--until", until))
    cluster = Cluster(load(topology), connection(bootstrap, property, properties), registry)
    # Two loops with the question between them: a Ctrl-C would not end a question that is asked inside of one.
    found, ledger = asyncio.run(cluster.read(selection))
    if named is not None and (missing := sorted(named - {refused.place for refused in found})):
        raise StreammlError(
            f"not in {cluster.topology.topic('quarantine')}, or left out by the options: {some(map(str, missing))}; "
            f"`streamml quarantine list {topology}` shows the places"
        )
    plan = _planned(cluster.topology, found, ledger)
    if not json:
        _show_plan(plan, found)
    wanted = set(plan.replayed)
    todo = [refused for refused in found if refused.place in wanted]
    if dry_run or not todo:
        _conclude(plan, json=json, dry_run=dry_run)
        return
    if not yes:
        _ask(len(todo), cluster.connection)
    outcome, failure = asyncio.run(_replay(cluster, todo))
    outcome.already[:0] = plan.already
    outcome.impossible |= plan.impossible
    _conclude(outcome, json=json, dry_run=False)
    if failure is not None:
        raise failure
    if outcome.impossible:
        raise typer.Exit(1)


def _planned(topology: Topology, found: Sequence[Refused], ledger: Ledger) -> Outcome:
    """What a replay of `found` would come to, as of now."""
    from streamml.runtime.quarantine import Outcome, why_not

    plan = Outcome()
    for refused in found:
        if ledger.of(refused) is not None:
            plan.already.append(refused.place)
        elif (why := why_not(topology, refused)) is not None:
            plan.impossible[refused.place] = why
        else:
            plan.replayed.append(refused.place)
    return plan


async def _replay(cluster: Cluster, todo: Sequence[Refused]) -> tuple[Outcome, StreammlError | None]:
    """What was done, and what ended it early."""
    from streamml.engine.catalog import schemas_of
    from streamml.runtime.applying import registered
    from streamml.runtime.planes import wall_clock
    from streamml.runtime.quarantine import Replay
    from streamml.schemas import Codec

    topology = cluster.topology
    async with cluster.open() as (store, decoder):
        control = Codec(schemas_of(topology)["control"], await registered(topology, store, "control"))
        work = Replay(cluster.connection, topology, decoder, control, author_of(), wall_clock)
        try:
            return await work.run(todo), None
        except StreammlError as problem:
            return work.outcome, problem


def _show_plan(plan: Outcome, found: Sequence[Refused]) -> None:
    """What would be re-entered where, on stderr: it is no result yet."""
    wanted = set(plan.replayed)
    for (topic, rule), count in Counter((r.topic, r.rule) for r in found if r.place in wanted).most_common():
        note(f"{count:>8}  refused by {rule}, to {topic}")


def _conclude(outcome: Outcome, *, json: bool, dry_run: bool) -> None:
    from streamml.cli.rendering import dump

    if json:
        typer.echo(
            dump(
                {
                    "dry_run": dry_run,
                    "replayed": [str(place) for place in outcome.replayed],
                    "already": [str(place) for place in outcome.already],
                    "impossible": {str(place): why for place, why in outcome.impossible.items()},
                }
            )
        )
        return
    for why, count in Counter(outcome.impossible.values()).most_common():
        first = next(place for place, reason in outcome.impossible.items() if reason == why)
        error(f"{first}{f' and {count - 1} more' if count > 1 else ''}: not re-entered: {why}")
    done = f"{_records(len(outcome.replayed))} {'would be ' if dry_run else ''}re-entered"
    typer.echo(f"{done}, {len(outcome.already)} replayed before, {len(outcome.impossible)} cannot be")


def _records(count: int) -> str:
    return f"{count} record{'s' * (count != 1)}"


def _ask(count: int, where: Connection) -> None:
    if not interactive():
        raise StreammlError("nobody is there to answer: pass --yes to re-enter them, or --dry-run to only see it")
    from rich.console import Console
    from rich.prompt import Confirm

    question = f"Re-enter {_records(count)} at {where.bootstrap}?"
    if not Confirm.ask(question, console=Console(stderr=True), default=False):
        note("nothing was written")
        raise typer.Exit(1)
