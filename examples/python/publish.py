"""Publishes one message: python3 publish.py PIPE EVENT MESSAGE"""

import os
import pathlib
import sys

import pymysql


def password():
    known = os.environ.get("COMET_PASSWORD")
    return known or pathlib.Path(os.environ.get("COMET_PASSWORD_FILE", "data/cometql.password")).read_text().strip()


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    comet = pymysql.connect(
        host=os.environ.get("COMET_HOST", "127.0.0.1"),
        port=int(os.environ.get("COMET_PORT", "3300")),
        user="root",
        password=password(),
        database="CometQL_v1",
        autocommit=True,
    )
    with comet, comet.cursor() as cursor:
        # Placeholders, so that no message can be taken for SQL.
        cursor.execute("INSERT INTO pipes_messages (name, event, message) VALUES (%s, %s, %s)", sys.argv[1:])


if __name__ == "__main__":
    main()
