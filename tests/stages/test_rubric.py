"""What a judge's answer is worth, and the choice among judged candidates: pure."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from botticelli.config.operations import Weights
from botticelli.stages.curate.rubric import LEAST_TIED, choose, combine, read_answer, tied
from botticelli.store.curation.judging import CRITERIA


def entry(id_, points=7, **changes):
    fields = {"id": id_, "reasons": "r", **dict.fromkeys(CRITERIA, points), "notes": "n"}
    return {**fields, **changes}


def codes(ids):
    return {str(id_): id_ for id_ in ids}


def read(*entries, ids=(1, 2)):
    return read_answer({"scores": list(entries)}, codes=codes(ids))


EQUAL = Weights()


def combined(*entries, weights=EQUAL, wanted=1):
    samples = [vars(read(each, ids=[1]).scores[0]) for each in entries]
    return combine(1, "A text", samples, weights=weights, wanted=wanted)


def test_totals_are_added_up_here():
    score = combined(entry("1", engagement=10, polish=1, total=50))

    assert score.total == 10 + 7 + 7 + 7 + 1


def test_weights_leave_the_scale_as_it_is():
    weights = Weights(engagement=3, clarity=0, value=1, tone=0, polish=0)

    assert combined(entry("1", engagement=10, value=2), weights=weights).total == 40
    assert combined(entry("1", 7), weights=weights).total == 35


def test_several_passes_give_means_and_their_spread():
    score = combined(entry("1", 6), entry("1", 9, notes="high"), entry("1", 9), wanted=3)

    assert (score.total, score.points["tone"], score.judging["spread"]) == (40, 8, 15)
    assert score.notes == "high"


def test_a_candidate_is_done_when_it_has_all_its_passes():
    assert not combined(entry("1"), wanted=2).is_done
    assert combined(entry("1"), entry("1"), wanted=2).is_done


def test_a_check_fails_if_half_of_the_passes_say_no():
    yes, no = entry("1", clean=True), entry("1", clean=False, usable=True)

    assert combined(yes, yes, no, wanted=3).judging["fails"] == []
    assert combined(yes, no, wanted=2).judging["fails"] == ["clean"]


def test_every_id_must_come_back_once():
    reading = read(entry("1"), entry("1"), entry("3"))

    assert reading.scores == ()
    assert reading.refused == {1: "stands in the answer twice", 2: "is missing from the answer"}


@pytest.mark.parametrize(
    "points",
    [0, 11, 85, -3, 7.5, "11", "seven", "7/10", "\u0667", "", None, True, [7], float("nan")],
)
def test_a_score_that_is_no_whole_number_from_one_to_ten_refuses_its_entry_only(points):
    reading = read(entry("1", value=points), entry("2"))

    assert [score.id for score in reading.scores] == [2]
    assert "value" in reading.refused[1]


@pytest.mark.parametrize("id_", ["1", " 1 ", 1])
def test_an_id_may_be_a_number(id_):
    assert [score.id for score in read(entry(id_), ids=[1]).scores] == [1]


def test_a_number_that_a_small_model_writes_as_text_counts():
    assert read(entry("1", "8"), ids=[1]).scores[0].points["tone"] == 8


@pytest.mark.parametrize("answer", [None, "no", [], {}, {"scores": None}, {"scores": [7, "x"]}, 3])
def test_an_answer_of_another_shape_scores_nobody(answer):
    reading = read_answer(answer, codes=codes([1]))

    assert (reading.scores, set(reading.refused)) == ((), {1})


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["id", *CRITERIA]), inner),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.lists(st.fixed_dictionaries({"id": st.integers(0, 4) | st.text(max_size=3)}) | values))
def test_whatever_a_judge_says_each_candidate_is_either_scored_or_refused(entries):
    reading = read_answer({"scores": entries}, codes=codes([1, 2, 3]))

    scored = [score.id for score in reading.scores]
    assert sorted([*scored, *reading.refused]) == [1, 2, 3]
    assert all(5 <= score.total <= 50 for score in reading.scores)


@dataclass(frozen=True)
class One:
    """A judged candidate."""

    id: int
    total: float = 40
    angle: str = ""
    text_content: str = ""
    weight: int = 14

    @property
    def rank(self):
        return (self.total, self.weight, -self.id)


WORDS = (
    "chess openings for patient people", "bread rises in cold kitchens", "why old maps lie",
    "seven quiet trains at night", "gardens under glass", "zinc whiskers and vintage circuits",
)  # fmt: skip


def different(*ones):
    return [replace(one, text_content=WORDS[n]) for n, one in enumerate(ones)]


def chosen(ones, *, most=3, taken=()):
    return [one.id for one in choose(ones, most=most, taken=taken)]


def test_the_best_totals_win_best_first():
    ones = different(One(1, 36), One(2, 44), One(3, 40), One(4, 38))

    assert chosen(ones) == [2, 3, 4]


def test_ties_go_to_engagement_and_value_and_then_to_the_older():
    ones = different(One(3), One(2, weight=16), One(1))

    assert chosen(ones, most=2) == [2, 1]


def test_a_second_one_of_an_angle_waits_until_no_other_angle_is_left():
    ones = different(
        One(1, 48, "feature"), One(2, 47, "feature"), One(3, 36, "tutorial"), One(4, 35, "feature")
    )

    assert chosen(ones, most=2) == [1, 3]
    assert chosen(ones, most=3) == [1, 2, 3]


def test_what_says_nearly_the_same_as_a_better_or_a_recent_one_is_passed_over():
    text = "Set active hours so that nothing is posted at three in the morning, version {}."
    ones = [One(1, 45, "a", text.format(1)), One(2, 44, "b", text.format(2))]

    assert chosen(ones) == [1]
    assert chosen(ones, taken=[text.format(3)]) == []


def test_nobody_is_chosen_from_nothing():
    assert chosen([]) == []


@pytest.mark.parametrize(("equals", "ranked"), [(LEAST_TIED, True), (LEAST_TIED - 1, False)])
def test_a_ranking_decides_between_many_that_are_equal_to_the_last_one_chosen(equals, ranked):
    best = One(id=100, total=45)
    others = tuple(One(id=number, total=41) for number in range(equals))

    found = tied([best, *others], chosen=[best, others[0]], most=2)

    assert found == (others if ranked else ())
    assert tied([best, *others], chosen=[best], most=2) == (), "all that passed are chosen"
