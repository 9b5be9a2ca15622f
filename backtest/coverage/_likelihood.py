"""Likelihoods of breaches, and the law that their ratios are compared with."""

from scipy import special

from .._results import TestResult


def chi2_result(statistic: float, *, df: int) -> TestResult:
    """Return the result of a statistic with a chi-squared law; nothing compared has p-value 1."""
    # A ratio of equal likelihoods can come out at -1e-16.
    statistic = max(float(statistic), 0.0)
    p_value = float(special.chdtrc(df, statistic)) if df else 1.0
    return TestResult(statistic=statistic, p_value=p_value, df=df)


def log_likelihood(probability: float, n_breaches: int, n: int) -> float:
    """Bernoulli log-likelihood with 0 ln 0 = 0."""
    return float(
        special.xlogy(n_breaches, probability) + special.xlog1py(n - n_breaches, -probability)
    )


def best_log_likelihood(n_breaches: int, n: int) -> float:
    """Bernoulli log-likelihood at the observed rate; 0 for no periods."""
    return log_likelihood(n_breaches / n, n_breaches, n) if n else 0.0


def rate_ratio(n_breaches: int, n: int, tail_probability: float) -> float:
    """Twice the log-likelihood that the observed rate gains on the promised one."""
    restricted = log_likelihood(tail_probability, n_breaches, n)
    return 2.0 * (best_log_likelihood(n_breaches, n) - restricted)
