"""Makes runs.csv: the first rows of each set and a few failed ones, from tables of published runs.

python3 pick_runs.py TABLE.csv... > runs.csv
"""
import csv
import sys

writer, counts = None, {}
for path in sys.argv[1:]:
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if writer is None:
                writer = csv.DictWriter(sys.stdout, row.keys(), lineterminator="\n")
                writer.writeheader()
            key = (row["set"], row["status"], row["track"])
            counts[key] = counts.get(key, 0) + 1
            if counts[key] <= 6:
                writer.writerow(row)
