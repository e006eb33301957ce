"""The proof: tickets through the real stages while a seeded schedule of faults runs, then an independent count."""
