"""Drawing a topology. Law: the picture is derived from the same layout that is run, and from nothing else."""

from __future__ import annotations

from datetime import timedelta

from streamml.engine.layout import stages, topics
from streamml.topology import (
    Assume,
    Check,
    Classification,
    EventTime,
    FeatureDrift,
    MaxSize,
    OneOf,
    Range,
    Required,
    Rule,
    Topology,
)


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
        f"  feedback    {feedback.format}, label `{feedback.label}`, horizon {_span(feedback.horizon)}, "
        f"late: {feedback.late}, doubled: {feedback.doubled}, orphan: {feedback.orphan}, missing: {policy}",
        "  rules       "
        + ("\n" + " " * 14).join(map(_rule, topology.rules) if topology.rules else ["those of the schema"]),
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


def _span(time: timedelta) -> str:
    return str(time).removesuffix(", 0:00:00")


def _rule(rule: Rule) -> str:
    match rule:
        case Range():
            low = "" if rule.low is None else f"{rule.low:g} <= "
            high = "" if rule.high is None else f" <= {rule.high:g}"
            return f"{low}{rule.field}{high}"
        case OneOf():
            return f"{rule.field} in {{{', '.join(sorted(map(str, rule.values)))}}}"
        case Required():
            return " and ".join(f"{name} is given" for name in rule.fields)
        case EventTime():
            old = [] if rule.max_age is None else [f"at most {_span(rule.max_age)} old"]
            ahead = [] if rule.max_ahead is None else [f"at most {_span(rule.max_ahead)} ahead"]
            return f"event time {' and '.join(old + ahead) or 'of any age'}"
        case MaxSize():
            return f"at most {rule.bytes:,} bytes"
        case Check():
            return rule.name


def _detector(detector: object) -> str:
    name = getattr(detector, "name", "")
    return f"{name} (feature {detector.feature})" if isinstance(detector, FeatureDrift) else f"{name} (error)"


def _key(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
