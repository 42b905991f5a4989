"""Does it pay: the federation's cost against what a target saves, by Table 7."""

from ftl.paper.findings import Finding, verdict
from ftl.paper.tables import claimed, cost, table_7

LOCAL, ROUND, TUNING = "local_training_10_epochs", "fedavg_round_total", "decoder_fine_tuning"


def amortisation() -> Finding:
    """Targets needed until fine-tuning instead of local training has paid for the rounds, in time and in energy."""
    n_rounds, n_nodes = claimed("n_rounds"), int(claimed("n_nodes"))
    time, energy = _break_even("time_s", n_rounds), _break_even("energy_wh", n_rounds)
    hours = [n_rounds * cost(ROUND, "time_s", end) / 3600 for end in ("low", "high")]
    kilowatt_hours = n_rounds * cost(ROUND, "energy_wh", "high") / 1000
    return Finding(
        "amortisation",
        "Table 7, section 4.3.3",
        f"On a fleet of {n_nodes} nodes the federation pays for itself by cheaper training on the targets.",
        verdict(time["few"] <= n_nodes),
        f"{n_rounds:.0f} rounds take {hours[0]:.1f} to {hours[1]:.1f} h and {kilowatt_hours:.1f} kWh. Decoder "
        f"fine-tuning saves {time['saves_low']:.0f} to {time['saves_high']:.0f} s per target against local training, "
        f"so it pays from {time['few']:.0f} to {time['many']:.0f} targets on in time, and from {energy['few']:.0f} to "
        f"{energy['many']:.0f} in energy. Top-N needs every node's local model for its ranking, so there nothing is "
        "saved at all.",
        {
            "hours_low": hours[0],
            "hours_high": hours[1],
            "kilowatt_hours": kilowatt_hours,
            **{
                f"seconds_{name}" if name.startswith("saves") else f"targets_{name}_by_time": v
                for name, v in time.items()
            },
            **{
                f"wh_{name}" if name.startswith("saves") else f"targets_{name}_by_energy": v
                for name, v in energy.items()
            },
        },
        table_7().reset_index(),
    )


def _break_even(quantity: str, n_rounds: float) -> dict[str, float]:
    """Most and least favourable ends of the printed ranges."""
    saves_low = cost(LOCAL, quantity, "low") - cost(TUNING, quantity, "high")
    saves_high = cost(LOCAL, quantity, "high") - cost(TUNING, quantity, "low")
    few = n_rounds * cost(ROUND, quantity, "low") / saves_high
    many = n_rounds * cost(ROUND, quantity, "high") / saves_low
    return {"saves_low": saves_low, "saves_high": saves_high, "few": few, "many": many}
