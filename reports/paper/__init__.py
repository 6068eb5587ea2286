"""The paper, table by table: its printed figures beside what the records of this store say."""
