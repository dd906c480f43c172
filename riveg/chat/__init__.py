"""Language models behind every stage that asks one."""
