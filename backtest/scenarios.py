"""Scenarios: dated windows of stress that any policy can be replayed through by name.

A window holds the run-up to a marked day and its aftermath. Margins are those set at the close of
the days from :attr:`Scenario.first` to :attr:`Scenario.last` (UTC); the margin set at the start of
the marked day is the last one that did not know of it.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ._checks import check_count


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One window; a fact about the past without data.

    Attributes
    ----------
    name : str
        What the command line calls it.
    title : str
        Head line of its page.
    day : date
        The marked day, UTC.
    happened : str
        What happened, one sentence.
    source : str
        Where that is written.
    days_before, days_after : int
        Calendar days of run-up and of aftermath, at least 1.
    """

    name: str
    title: str
    day: date
    happened: str
    source: str
    days_before: int = 30
    days_after: int = 60

    def __post_init__(self) -> None:
        check_count("days_before", self.days_before, minimum=1)
        check_count("days_after", self.days_after, minimum=1)

    @property
    def first(self) -> date:
        """First day of the window, UTC."""
        return self.day - timedelta(days=self.days_before)

    @property
    def last(self) -> date:
        """Last day of the window, UTC."""
        return self.day + timedelta(days=self.days_after)

    @property
    def marked(self) -> np.datetime64:
        """Start of the marked day, UTC: a margin set by then did not know of it."""
        return np.datetime64(self.day, "ns")

    def rows(self, time: NDArray[np.datetime64]) -> slice:
        """Return the periods that end within the days of the window.

        Parameters
        ----------
        time : ndarray of datetime64[ns], shape (n_periods,)
            Ends of the periods, UTC, increasing; that of a whole day is the midnight after it.
        """
        # A day ends where the next one starts, and that moment belongs to it.
        edges = np.array([self.first, self.last + timedelta(days=1)], dtype="datetime64[ns]")
        start, stop = np.searchsorted(time, edges, side="right")
        return slice(int(start), int(stop))

    def lies_in(self, time: NDArray[np.datetime64]) -> bool:
        """Tell whether the whole window lies between the first and the last period.

        Parameters
        ----------
        time : ndarray of datetime64[ns], shape (n_periods,)
            Ends of the periods, UTC, increasing.
        """
        day = timedelta(days=1)
        begun = time[0] <= np.datetime64(self.first + day, "ns")
        return bool(begun and np.datetime64(self.last + day, "ns") <= time[-1])


ALL_SCENARIOS = (
    Scenario(
        name="crisis-2008",
        title="Lehman Brothers, autumn 2008",
        day=date(2008, 9, 15),
        days_after=120,
        happened="Lehman Brothers Holdings filed for bankruptcy, the largest filing in the history "
        "of the United States, and share prices fell to their low of that year on 20 November.",
        source="Report of the Financial Crisis Inquiry Commission, January 2011, chapter 18; "
        "closing levels of the S&P 500",
    ),
    Scenario(
        name="covid-2020",
        title="COVID-19, March 2020",
        day=date(2020, 3, 12),
        happened="On the day after COVID-19 was called a pandemic and the United States announced "
        "a ban on travel from Europe, the S&P 500 fell by 9.5 % and bitcoin by more than a third.",
        source="Opening remarks of the director-general of the World Health Organization, 11 March "
        "2020; closing levels of the S&P 500 and daily bars of bitcoin (UTC)",
    ),
    Scenario(
        name="may-2021",
        title="Deleveraging of crypto-assets, May 2021",
        day=date(2021, 5, 19),
        happened="On the day after three Chinese financial associations told their members to stay "
        "out of crypto-assets, bitcoin lost 30 % of its price within hours while leveraged "
        "positions were liquidated.",
        source="Joint notice of the National Internet Finance Association of China, the China "
        "Banking Association and the Payment and Clearing Association of China, 18 May 2021; bars "
        "of bitcoin",
    ),
    Scenario(
        name="terra-2022",
        title="TerraUSD and Luna, May 2022",
        day=date(2022, 5, 9),
        happened="TerraUSD, a stablecoin without reserves in dollars, lost its peg for good, and "
        "Luna, which was to hold it, lost nearly all of its value in the same week.",
        source="Complaint of the U.S. Securities and Exchange Commission against Terraform Labs, "
        "16 February 2023",
    ),
    Scenario(
        name="june-2022",
        title="Celsius stops withdrawals, June 2022",
        day=date(2022, 6, 13),
        happened="Celsius Network, a lender of crypto-assets, stopped all withdrawals during the "
        "night to 13 June, and bitcoin lost 15 % of its price on that day.",
        source="Memorandum of Celsius Network to its community, 12 June 2022 (U.S. time); bars of "
        "bitcoin",
    ),
    Scenario(
        name="ftx-2022",
        title="FTX, November 2022",
        day=date(2022, 11, 8),
        happened="FTX, one of the largest venues, stopped paying out its customers, and filed for "
        "bankruptcy on 11 November.",
        source="Declaration of John J. Ray III in support of the chapter 11 petitions, Bankruptcy "
        "Court for the District of Delaware, 17 November 2022",
    ),
    Scenario(
        name="usdc-2023",
        title="Silicon Valley Bank and USDC, March 2023",
        day=date(2023, 3, 11),
        happened="Silicon Valley Bank was closed on 10 March with 3.3 billion dollars of the "
        "reserves of USDC, and the stablecoin traded below 90 cents on the day after.",
        source="Press release of the Federal Deposit Insurance Corporation and statement of "
        "Circle, both 10 March 2023",
    ),
    Scenario(
        name="august-2024",
        title="Unwinding of carry trades, August 2024",
        day=date(2024, 8, 5),
        happened="Trades funded in yen were unwound after the Bank of Japan had raised its rate on "
        "31 July; the Nikkei 225 fell by 12.4 %, its largest fall in a day since October 1987.",
        source="BIS Bulletin 90, The market turbulence and carry trade unwind of August 2024, "
        "27 August 2024",
    ),
)
"""Every scenario, oldest first; a new one is one entry."""


def scenario_named(name: str) -> Scenario:
    """Return a registered scenario.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    for scenario in ALL_SCENARIOS:
        if scenario.name == name:
            return scenario
    raise InputError(
        f"a scenario must be one of {[s.name for s in ALL_SCENARIOS]}, was {name!r}; "
        "foremargin scenario --list tells what each is"
    )


def check_scenario(scenario: Scenario, time: NDArray[np.datetime64]) -> None:
    """Raise unless the window of a scenario lies in the data.

    Parameters
    ----------
    scenario : Scenario
        What is to be replayed.
    time : ndarray of datetime64[ns], shape (n_periods,)
        Ends of the periods of the data, UTC, increasing.

    Raises
    ------
    InputError
        If it does not; the message names the dates of the data and the scenarios within them.
    """
    if scenario.lies_in(time):
        return
    inside = [other.name for other in ALL_SCENARIOS if other.lies_in(time)]
    raise InputError(
        f"the window of {scenario.name}, {scenario.first} to {scenario.last}, must lie within the "
        f"data, found data from {str(time[0])[:10]} to {str(time[-1])[:10]}; give other data with "
        f"--data, or choose "
        + (
            f"a scenario that lies in these: {', '.join(inside)}"
            if inside
            else "others: no scenario lies in these"
        )
    )
