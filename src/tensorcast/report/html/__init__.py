"""Traces and profiles as one HTML file: findings first, pictures to drill into, no network."""
