"""MySQL Connector told to compress. Reads a job, prints the error that its login ends in."""

import json
import sys

import mysql.connector

JOB = json.load(sys.stdin)
seen = {"code": 0, "text": "connected"}
try:
    mysql.connector.connect(
        host=JOB["host"], port=JOB["port"], user="root", password=JOB["password"], use_pure=True, compress=True
    )
except mysql.connector.Error as error:
    seen = {"code": error.errno, "text": error.msg}
json.dump(seen, sys.stdout)
