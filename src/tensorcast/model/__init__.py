"""Whole models: what happens to dtypes while their code runs, and what each dtype costs."""
