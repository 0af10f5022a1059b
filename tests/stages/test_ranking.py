"""Rankings of small groups, added up: pure."""

import random
from collections import Counter

import pytest

from botticelli.errors import BotticelliError, TryLater
from botticelli.stages.curate.approval_choice import groups, rank, strengths

IDS = tuple(range(1, 28))


def ranked(ask, ids=IDS):
    notes = []
    places = rank(ids, id_of=int, ask=ask, chance=random.Random(1), note=notes.append)
    return places, notes


def best_first(group):
    """A judge to whom a smaller number is better."""
    return sorted(group)


@pytest.mark.parametrize(("members", "sizes"), [(8, [8]), (10, [10]), (11, [6, 5]), (27, [9] * 3)])
def test_groups_are_of_like_size_and_at_most_ten(members, sizes):
    found = groups(range(members), chance=random.Random(1))

    assert sorted(map(len, found), reverse=True) == sizes
    assert sorted(one for group in found for one in group) == list(range(members))


def test_a_steady_judge_is_followed_though_nobody_saw_all(monkeypatch):
    places, notes = ranked(best_first)

    assert min(places, key=places.get) in {1, 2}
    correct = sum(abs(places[id_] - id_) for id_ in IDS) / len(IDS)
    assert correct < 3
    assert notes == []


def test_a_group_that_was_seen_whole_comes_out_in_its_order():
    places, _ = ranked(best_first, ids=IDS[:9])

    assert places == {id_: id_ for id_ in IDS[:9]}


def test_each_candidate_is_seen_three_times_in_other_company():
    seen, company = Counter(), []

    def ask(group):
        seen.update(group)
        company.append(frozenset(group))
        return best_first(group)

    ranked(ask)

    assert set(seen.values()) == {3}
    assert len(set(company)) == 9


@pytest.mark.parametrize("order", [[], [1, 2], [1, 1, 3], [1, 2, 9], [1, 2, 3, 4], [1, 0, 3]])
def test_an_order_that_does_not_name_each_once_is_void(order):
    assert ranked(lambda group: order, ids=[1, 2, 3])[0] == {}


def test_a_judge_that_gives_no_order_leaves_the_fixed_rules():
    places, notes = ranked(lambda group: [], ids=IDS[:9])

    assert places == {}
    assert notes == ["a ranking is left out: it does not name each candidate once"] * 3


def test_one_void_answer_costs_one_ranking_only():
    answers = iter([BotticelliError("blocked"), None, None])

    def ask(group):
        error = next(answers)
        if error:
            raise error
        return best_first(group)

    places, notes = ranked(ask, ids=IDS[:9])

    assert places[1] == 1
    assert notes == ["a ranking is left out: blocked"]


def test_a_spent_day_ends_the_asking():
    def ask(group):
        raise TryLater("spent")

    with pytest.raises(TryLater):
        ranked(ask)


def test_strengths_follow_how_often_and_against_whom_one_wins():
    found = strengths([(1, 2, 3), (1, 3, 2), (4, 1), (3, 5)])

    assert sorted(found, key=found.get, reverse=True)[:2] == [4, 1]
    assert found[2] < found[3]
    assert all(value > 0 for value in found.values())
