"""Drawing a topology. Law: the picture is derived from the same layout that is run, and from nothing else."""

from __future__ import annotations

from streamml.engine.layout import stages, topics
from streamml.topology import Assume, Classification, FeatureDrift, Topology


def describe_text(topology: Topology) -> str:
    """The topology as text: what it predicts, its tasks with what they read and write, its topics."""
    target = topology.target
    kind = f"one of {', '.join(map(str, target.classes))}" if isinstance(target, Classification) else "a number"
    feedback = topology.feedback
    missing = feedback.missing
    policy = f"assume {missing.value!r}" if isinstance(missing, Assume) else missing
    lines = [
        f"topology {topology.name}: predicts {kind} from {len(topology.transform.features)} features",
        f"  events      {topology.events.format}, id `{topology.events.id}`, event time `{topology.events.time}`",
        f"  feedback    {feedback.format}, label `{feedback.label}`, horizon {feedback.horizon}, "
        f"late: {feedback.late}, doubled: {feedback.doubled}, orphan: {feedback.orphan}, missing: {policy}",
        f"  rules       {', '.join(type(r).__name__ for r in topology.rules) or 'those of the schema'}",
        f"  models      {', '.join(m.name for m in topology.models)} (champion: {topology.champion})",
        f"  detectors   {', '.join(_detector(d) for d in topology.detectors) or 'none'}",
        "",
        "tasks",
    ]
    names = [stage.name for stage in stages(topology)]
    width = max(map(len, names))
    for stage in stages(topology):
        state = f"  [{stage.changelog}]" if stage.changelog else ""
        lines.append(f"  {stage.name:<{width}}  {', '.join(stage.inputs)} -> {', '.join(stage.outputs)}{state}")
    lines += ["", "topics"]
    width = max(len(t.name) for t in topics(topology))
    for topic in topics(topology):
        lines.append(f"  {topic.name:<{width}}  {topic.partitions:>3}  {topic.carries}")
    return "\n".join(lines) + "\n"


def describe_mermaid(topology: Topology) -> str:
    """The topology as a Mermaid flowchart: topics are round, tasks are square, changelogs are drums."""
    lines = ["flowchart LR"]
    for topic in topics(topology):
        if topic.role == "schemas":
            continue
        shape = "[({})]" if topic.role.endswith("-changelog") else "([{}])"
        lines.append(f"    t_{_key(topic.role)}{shape.format(topic.role)}")
    for stage in stages(topology):
        node = f"a_{_key(stage.name)}"
        lines.append(f"    {node}[{stage.name}]")
        lines += [f"    t_{_key(role)} --> {node}" for role in stage.inputs]
        lines += [f"    {node} --> t_{_key(role)}" for role in stage.outputs]
        if stage.changelog:
            lines.append(f"    {node} <-.-> t_{_key(stage.changelog)}")
    return "\n".join(lines) + "\n"


def _detector(detector: object) -> str:
    name = getattr(detector, "name", "")
    return f"{name} (feature {detector.feature})" if isinstance(detector, FeatureDrift) else f"{name} (error)"


def _key(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
