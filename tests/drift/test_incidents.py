"""What must not happen at all: one alert from the first time until it is quiet again."""

from __future__ import annotations

from streamml.drift import Incidents

MINUTE = 60_000


def statuses(incidents: Incidents, *feeds: tuple[int, int]) -> list[tuple[str, float]]:
    alerts = [alert for count, now in feeds for alert in incidents.feed(count, now)]
    return [(alert["status"], alert["value"]) for alert in alerts]


def test_an_episode_opens_at_once_is_updated_when_it_doubles_and_closes_when_it_is_quiet() -> None:
    incidents = Incidents.snapshots("shop.models")
    assert statuses(incidents, (0, 0), (1, 5)) == [("opened", 1)]
    assert statuses(incidents, (1, 6), (1, 7), (1, 8), (0, 9)) == [("updated", 2), ("updated", 4)]
    assert statuses(incidents, (0, 10 * MINUTE)) == []
    (closed,) = incidents.feed(0, 10 * MINUTE + 8)
    assert (closed["status"], closed["value"], incidents.open) == ("closed", 4, False)
    assert closed["message"].startswith("none for 10 minutes, after 4 refusals")
    assert statuses(incidents, (0, 99 * MINUTE)) == []
    (opened,) = incidents.feed(3, 100 * MINUTE)
    assert (opened["status"], opened["value"]) == ("opened", 3)
    assert opened["alert"] != closed["alert"]
    assert "shop.models" in opened["message"]


def test_the_state_goes_on_where_it_was() -> None:
    before, after = Incidents.snapshots("m"), Incidents.snapshots("m")
    before.feed(3, 7)
    after.restore(before.state())
    assert after.state() == before.state()
    assert statuses(after, (2, 8), (1, 9)) == [("updated", 6)]
    assert after.feed(0, 9 + 10 * MINUTE)[0]["alert"] == "snapshots/3"
