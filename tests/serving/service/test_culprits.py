"""When a record is left out, and when not."""

from foremargin.serving.service.culprits import Culprits, LeftOut, Omissions


def test_a_record_is_left_out_after_some_deaths_in_a_row_over_it():
    culprits = Culprits(3)
    assert culprits.died(7, "x") == culprits.died(7, "x") == ""
    assert culprits.died(8, "y") == ""  # another one: the count begins anew
    assert culprits.died(7, "x") == culprits.died(7, "x") == ""
    assert not culprits.left_out
    assert culprits.died(7, "it broke") == "; record 7 is left out from now on"
    assert culprits.left_out == {7: "it ended the calculator 3 times: it broke"}


def test_a_death_over_no_record_blames_none():
    culprits = Culprits(1)
    assert culprits.died(0, "it gave no sign of life") == ""
    assert not culprits.left_out


def test_what_ends_it_with_every_record_is_not_hidden():
    culprits = Culprits(1)
    culprits.died(7, "x")
    for sequence in (5, 6, 7):  # from its snapshot on, as before
        culprits.applied(sequence)
    assert "record 8 is not left out, since 7 was" in culprits.died(8, "x")
    assert culprits.left_out.keys() == {7}
    culprits.applied(8)
    assert culprits.died(9, "x") == "; record 9 is left out from now on"


def test_what_is_said_again_is_no_news():
    assert Omissions().told() == ""
    known = Omissions().plus(LeftOut(7, "x"), now=1)
    assert known.plus(LeftOut(7, "x"), now=2) is known
    more = known.plus(LeftOut(5, "y"), now=3)  # of another bundle, say
    assert more == Omissions(2, LeftOut(5, "y"), 3, (7, 5))
    assert more.plus(LeftOut(7, "x"), now=4) is more
    assert more.told() == "record 5: y"
