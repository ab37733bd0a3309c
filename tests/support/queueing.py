"""What theory says of the M/M/c queue: Poisson arrivals, exponential service, `c` slots."""

from __future__ import annotations

import math


def tail(time: float, rate: float, service: float, slots: int) -> float:
    """P(T > time) of the time T from arrival to end, first come first served, with `rate` arrivals
    a second and a mean `service` in seconds.

    T = W + S with S exponential of rate mu, and W = 0 with probability 1 - C, else exponential of
    rate theta = c mu - lambda; C is Erlang's C formula (Gross and Harris, Fundamentals of Queueing
    Theory, 2.3). So P(T > t) = (1 - C) e^(-mu t) + C (theta e^(-mu t) - mu e^(-theta t)) /
    (theta - mu).
    """
    mu, load = 1 / service, rate * service
    theta = slots * mu - rate
    last = load**slots / math.factorial(slots) * slots / (slots - load)
    waits = last / (sum(load**k / math.factorial(k) for k in range(slots)) + last)
    if abs(theta - mu) < 1e-9:
        both = (1 + mu * time) * math.exp(-mu * time)
    else:
        both = (theta * math.exp(-mu * time) - mu * math.exp(-theta * time)) / (theta - mu)
    return (1 - waits) * math.exp(-mu * time) + waits * both


def capacity(order: float, bound: float, service: float, slots: int) -> float:
    """The rate (arrivals a second) at which the quantile of T of that order is `bound` seconds."""
    low, high = 0.0, slots / service
    for _ in range(100):
        rate = (low + high) / 2
        low, high = (rate, high) if tail(bound, rate, service, slots) < 1 - order else (low, rate)
    return low
