"""What the package needs of Spark: sessions, sizes, Java, progress, tables, failures."""
