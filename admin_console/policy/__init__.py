"""The policy of the whole fleet, at the console: one TOML file that people edit, signed and brought to every site."""
